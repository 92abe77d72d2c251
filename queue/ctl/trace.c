/* trace: what clients say and hear, as it happens, until it is interrupted. */
#include "base/clock.h"
#include "conf/value.h"
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { TIME_MAX = 24 };

static const struct conf_key for_key = {
    .name = "for", .width = sizeof(uint64_t), .type = CONF_DURATION, .min = 1, .max = 7 * 86400000};

/* UINT64_MAX without --for. */
static bool parse_end(const struct ctl *ctl, uint64_t *until_out)
{
    uint64_t ms = 0;
    struct buf why;

    *until_out = UINT64_MAX;
    if (!(ctl->options & CTL_FOR))
        return true;
    buf_init(&why, 0);
    bool good = conf_value_add(&for_key, &ms, span_cstr(ctl->duration), NULL, &why);
    if (good)
        *until_out = clock_mono_ms() + ms;
    else
        ctl_complain("--for: %.*s", SPAN_ARG(buf_span(&why)));
    buf_fini(&why);
    return good;
}

static void write_time(uint64_t wall_ms)
{
    char text[TIME_MAX];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local;

    if (localtime_r(&seconds, &local) == NULL || strftime(text, sizeof text, "%T", &local) == 0)
        return;
    printf("%s.%03u", text, (unsigned)(wall_ms % 1000));
}

static void write_line(const json_t *line)
{
    const json_t *client = json_object_get(line, "client");
    const json_t *text = json_object_get(line, "text");

    write_time((uint64_t)json_integer_value(json_object_get(line, "time")));
    printf(" %" PRIu64 " ", (uint64_t)json_integer_value(json_object_get(line, "session")));
    output_text(span_of(json_string_value(client), json_string_length(client)));
    putchar(' ');
    output_text(span_of(json_string_value(text), json_string_length(text)));
    putchar('\n');
}

static void write_piece(const struct ctl *ctl, const json_t *piece)
{
    const json_t *lines = json_object_get(piece, "lines");
    json_int_t lost = json_integer_value(json_object_get(piece, "lost"));
    const json_t *line;
    size_t i;

    if (lines == NULL && !ctl->json)
        printf("Following %s.\n", ctl->operands[0]);
    json_array_foreach(lines, i, line)
    {
        if (ctl->json)
            client_print(line);
        else
            write_line(line);
    }
    if (lost > 0)
        printf(ctl->json ? "{\"lost\":%" PRId64 "}\n" : "... %" PRId64 " lines were lost here\n",
               (int64_t)lost);
}

/* False where nothing more is to be expected. */
static bool take_piece(const struct ctl *ctl, struct client *client, uint64_t until,
                       enum ctl_exit *result)
{
    json_t *piece;

    if (client_next(client, until, &piece) != CLIENT_LINE)
        return false; /* the time is up, or the daemon has ended: both are good ends */
    bool good = json_is_true(json_object_get(piece, "ok"));
    if (good)
        write_piece(ctl, piece);
    else
        *result = client_refused(piece, NULL);
    json_decref(piece);
    return good && output_end();
}

enum ctl_exit ctl_trace(struct ctl *ctl)
{
    struct client *client;
    uint64_t until;

    if (!parse_end(ctl, &until))
        return CTL_USAGE;
    json_t *command = json_pack("{s:s,s:s}", "command", "trace", "network", ctl->operands[0]);
    if (command == NULL) {
        ctl_complain("that is no address and no network"); /* not even UTF-8 */
        return CTL_USAGE;
    }
    enum ctl_exit result = client_start(ctl, command, &client);
    if (result != CTL_OK)
        return result;
    while (take_piece(ctl, client, until, &result))
        continue;
    client_end(client);
    return result;
}
