/* sessions and session end: the clients of the running daemon. Printed as they come, page by page.
 */
#include "base/clock.h"
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PAGE_TIMEOUT_MS = 60000,
    WIDTH_ID = 9,
    WIDTH_TIME = 8,
    WIDTH_COUNT = 5,
    WIDTH_SIZE = 5,
    WIDTH_TLS = 7,
    WIDTH_STATE = 27,
    WIDTH_LISTENER = 12,
    WIDTH_TEXT = 28,  /* client, hello, user */
    WIDTH_WIDE = 200, /* from here on everything goes into one line */
};

struct column {
    const char *name;
    const char *heading;
    size_t width;
    enum { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_TIME, COLUMN_SIZE } kind;
};

static const struct column columns[] = {
    {"session", "SESSION", WIDTH_ID, COLUMN_NUMBER},
    {"ms", "AGE", WIDTH_TIME, COLUMN_TIME},
    {"state", "STATE", WIDTH_STATE, COLUMN_TEXT},
    {"state_ms", "FOR", WIDTH_TIME, COLUMN_TIME},
    {"messages", "MSGS", WIDTH_COUNT, COLUMN_NUMBER},
    {"recipients", "RCPTS", WIDTH_COUNT, COLUMN_NUMBER},
    {"errors", "ERRS", WIDTH_COUNT, COLUMN_NUMBER},
    {"bytes", "BYTES", WIDTH_SIZE, COLUMN_SIZE},
    {"tls", "TLS", WIDTH_TLS, COLUMN_TEXT},
    {"listener", "LISTENER", WIDTH_LISTENER, COLUMN_TEXT},
    {"client", "CLIENT", WIDTH_TEXT, COLUMN_TEXT},
    {"hello", "HELLO", WIDTH_TEXT, COLUMN_TEXT},
    {"user", "USER", WIDTH_TEXT, COLUMN_TEXT},
};
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0], COLUMN_BREAK = 9 };

static void begin_column(size_t index)
{
    bool one_line = output_width() == 0 || output_width() >= WIDTH_WIDE;

    if (index == COLUMN_BREAK && !one_line)
        fputs("\n    ", stdout);
}

static void write_heading(void)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        begin_column(i);
        output_cell(span_cstr(columns[i].heading), columns[i].width, OUTPUT_BOLD);
    }
    putchar('\n');
}

static void write_cell(const struct column *column, const json_t *value)
{
    char text[OUTPUT_DURATION_MAX];
    uint64_t number = (uint64_t)json_integer_value(value);
    struct span cell = SPAN_NONE;

    switch (column->kind) {
    case COLUMN_TEXT:
        cell = span_of(json_string_value(value), json_string_length(value));
        break;
    case COLUMN_NUMBER:
        cell = span_of(text, (size_t)snprintf(text, sizeof text, "%" PRIu64, number));
        break;
    case COLUMN_TIME:
        cell = span_of(text, output_duration(number, text));
        break;
    case COLUMN_SIZE:
        cell = span_of(text, output_size(number, text));
        break;
    }
    output_cell(cell.len > 0 ? cell : SPAN("-"), column->width, OUTPUT_PLAIN);
}

static void write_row(const json_t *session)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        begin_column(i);
        write_cell(&columns[i], json_object_get(session, columns[i].name));
    }
    putchar('\n');
}

static void write_json(const json_t *session, bool is_first)
{
    fputs(is_first ? "\n" : ",\n", stdout);
    json_dumpf(session, stdout, JSON_COMPACT);
}

static void write_page(const struct ctl *ctl, const json_t *page, uint64_t *shown)
{
    const json_t *session;
    size_t i;

    json_array_foreach(json_object_get(page, "sessions"), i, session)
    {
        if (ctl->json)
            write_json(session, *shown == 0);
        else if (*shown == 0)
            write_heading();
        if (!ctl->json)
            write_row(session);
        ++*shown;
    }
}

/* True: it was the last, or what came was no page; *result_out then says which. */
static bool take_page(const struct ctl *ctl, struct client *client, uint64_t *shown,
                      enum ctl_exit *result_out)
{
    json_t *page;

    *result_out = CTL_FAILED;
    if (client_next(client, clock_mono_ms() + PAGE_TIMEOUT_MS, &page) != CLIENT_LINE) {
        ctl_complain("smarthopd broke off in the middle of the list");
        return true;
    }
    bool is_good = json_is_true(json_object_get(page, "ok"));
    bool is_last = !json_is_true(json_object_get(page, "more"));
    if (is_good) {
        *result_out = CTL_OK;
        write_page(ctl, page, shown);
    } else {
        client_refused(page, NULL);
    }
    json_decref(page);
    return is_last || !is_good;
}

enum ctl_exit ctl_sessions(struct ctl *ctl)
{
    struct client *client;
    uint64_t shown = 0;
    enum ctl_exit result = client_start(ctl, json_pack("{s:s}", "command", "sessions"), &client);

    if (result != CTL_OK)
        return result;
    if (ctl->json)
        putchar('[');
    while (!take_page(ctl, client, &shown, &result))
        continue;
    client_end(client);
    if (ctl->json)
        puts("\n]");
    else if (shown == 0 && result == CTL_OK)
        puts("No client is connected.");
    return result;
}

enum ctl_exit ctl_session_end(struct ctl *ctl)
{
    uint64_t id;
    json_t *answer;

    if (!span_parse_u64(span_cstr(ctl->operands[0]), &id) || id == 0 || id > INT64_MAX) {
        ctl_complain("\"%s\" is not the number of a session; `smarthopctl sessions` shows them",
                     ctl->operands[0]);
        return CTL_USAGE;
    }
    enum ctl_exit asked = client_order(
        ctl, json_pack("{s:s,s:I}", "command", "end-session", "session", (json_int_t)id), &answer);
    if (asked != CTL_OK)
        return asked;
    if (ctl->json)
        client_print(answer);
    else
        printf("Session %" PRIu64 " has been ended.\n", id);
    json_decref(answer);
    return CTL_OK;
}
