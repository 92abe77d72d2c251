/* queue suspend, resume and suspensions: by the daemon, or in the store when it is down. */
#include "base/clock.h"
#include "conf/pattern.h"
#include "conf/value.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"

#include <semaphore.h>
#include <time.h>

enum { PATTERN_WIDTH = 30, TIME_WIDTH = 25 };

static const struct conf_key for_key = {.name = "for",
                                        .width = sizeof(uint64_t),
                                        .type = CONF_DURATION,
                                        .min = 1,
                                        .max = 365 * 86400000ull};

static bool parse_duration(const char *text, uint64_t *until_out)
{
    uint64_t ms = 0;
    struct buf why;

    buf_init(&why, 0);
    bool good = conf_value_add(&for_key, &ms, span_cstr(text), NULL, &why);
    if (good)
        *until_out = clock_wall_ms() + ms;
    else
        ctl_complain("--for: %.*s", SPAN_ARG(buf_span(&why)));
    buf_fini(&why);
    return good;
}

/* A local time, or with Z behind it one of UTC. */
static bool parse_time(const char *text, uint64_t *until_out)
{
    struct tm tm = {.tm_isdst = -1};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M", &tm);

    if (rest != NULL && *rest == ':')
        rest = strptime(rest, ":%S", &tm);
    bool is_utc = rest != NULL && *rest == 'Z';
    if (rest == NULL || rest[is_utc] != '\0') {
        ctl_complain("--until takes a time as in 2026-07-01T08:00, not \"%s\"", text);
        return false;
    }
    time_t at = is_utc ? timegm(&tm) : mktime(&tm);
    if (at <= time(NULL)) {
        ctl_complain("--until: that time has passed");
        return false;
    }
    *until_out = (uint64_t)at * 1000;
    return true;
}

static bool parse_end(const struct ctl *ctl, uint64_t *until_out)
{
    if (!(ctl->options & CTL_FOR) == !(ctl->options & CTL_UNTIL)) {
        ctl_complain("`queue suspend` takes either --for or --until: it ends by itself");
        return false;
    }
    return ctl->options & CTL_FOR ? parse_duration(ctl->duration, until_out)
                                  : parse_time(ctl->until, until_out);
}

/* ---- in the store ------------------------------------------------------------------------------
 */

struct change {
    struct queue_suspend suspend;
    sem_t done;
};

static void on_changed(struct call *call)
{
    sem_post(&container_of(call, struct change, suspend.op.call)->done);
}

static enum ctl_exit change_in_store(const struct ctl *ctl,
                                     const struct queue_suspension *suspension)
{
    struct change change = {.suspend.suspension = *suspension};
    struct queue *queue;
    enum ctl_exit opened = ctl_open_store(ctl, false, &queue);

    if (opened != CTL_OK)
        return opened;
    sem_init(&change.done, 0, 0);
    list_init(&change.suspend.op.call.link);
    change.suspend.op.call.done = on_changed;
    queue_suspend(queue, &change.suspend);
    while (sem_wait(&change.done) != 0)
        continue; /* a signal */
    sem_destroy(&change.done);
    queue_close(queue);
    struct err e = change.suspend.op.result;
    if (e.kind == ERR_NOT_FOUND) {
        ctl_complain("%.*s: it is not suspended", SPAN_ARG(suspension->pattern));
        return CTL_FAILED;
    }
    return err_is(e) ? ctl_store_failed(0, e) : CTL_OK;
}

/* ---- either way --------------------------------------------------------------------------------
 */

static json_t *command_of(const struct ctl *ctl, const struct queue_suspension *suspension)
{
    json_t *command = json_pack("{s:s, s:s%}", "command", ctl->verb, "pattern",
                                suspension->pattern.ptr, suspension->pattern.len);

    if (suspension->until != 0) {
        json_object_set_new(command, "until", json_integer((json_int_t)suspension->until));
        json_object_set_new(command, "reason", json_string(ctl->reason));
    }
    return command;
}

static enum ctl_exit change(const struct ctl *ctl, const struct queue_suspension *suspension)
{
    json_t *answer;
    enum ctl_exit asked = client_ask(ctl, command_of(ctl, suspension), &answer);

    if (asked == CTL_NO_DAEMON)
        return change_in_store(ctl, suspension);
    if (asked != CTL_OK)
        return asked;
    if (!json_is_true(json_object_get(answer, "ok")))
        asked = client_refused(answer, ctl->operands[0]);
    json_decref(answer);
    return asked;
}

static void print_done(const struct ctl *ctl, const struct queue_suspension *suspension)
{
    char date[OUTPUT_TIME_MAX];

    if (ctl->json) {
        json_open(NULL, '{');
        json_bool("ok", true);
        json_text("pattern", suspension->pattern);
        if (suspension->until != 0)
            json_number("until", suspension->until);
        json_close('}');
        json_end_line();
    } else if (suspension->until != 0) {
        output_time(suspension->until, date);
        printf("%.*s: suspended until %s\n", SPAN_ARG(suspension->pattern), date);
    } else {
        printf("%.*s: goes on\n", SPAN_ARG(suspension->pattern));
    }
}

static bool is_pattern(struct span text)
{
    return span_equal(text, SPAN("*")) || (text.len <= 255 && conf_is_pattern(text));
}

enum ctl_exit ctl_suspend(struct ctl *ctl)
{
    bool begins = strcmp(ctl->verb, "suspend") == 0;
    struct queue_suspension suspension = {.since = clock_wall_ms()};
    struct span pattern = span_cstr(ctl->operands[0]);

    if (!is_pattern(pattern)) {
        ctl_complain("\"%s\" is no pattern: a host or domain, .DOMAIN, or *", ctl->operands[0]);
        return CTL_USAGE;
    }
    if (begins && !parse_end(ctl, &suspension.until))
        return CTL_USAGE;
    if (begins && !(ctl->options & CTL_REASON)) {
        ctl_complain("`queue suspend` needs --reason: others will ask");
        return CTL_USAGE;
    }
    if (begins)
        suspension.reason = span_cstr(ctl->reason);
    for (char *c = ctl->operands[0]; *c != '\0'; c++)
        *c = ascii_lower(*c);
    suspension.pattern = pattern;
    enum ctl_exit result = change(ctl, &suspension);
    if (result == CTL_OK)
        print_done(ctl, &suspension);
    return result;
}

/* ---- the list ----------------------------------------------------------------------------------
 */

struct listing {
    const struct ctl *ctl;
    uint64_t now;
    unsigned shown;
};

static void write_row(const struct listing *list, const struct queue_suspension *suspension)
{
    char date[OUTPUT_TIME_MAX];

    if (list->shown == 0) {
        output_cell(SPAN("PATTERN"), PATTERN_WIDTH, OUTPUT_BOLD);
        output_cell(SPAN("UNTIL"), TIME_WIDTH, OUTPUT_BOLD);
        output_cell(SPAN("REASON"), 0, OUTPUT_BOLD);
        putchar('\n');
    }
    output_cell(suspension->pattern, PATTERN_WIDTH, OUTPUT_PLAIN);
    output_cell(span_of(date, output_time(suspension->until, date)), TIME_WIDTH, OUTPUT_PLAIN);
    output_text(suspension->reason);
    putchar('\n');
}

static bool visit(void *context, const struct queue_suspension *suspension)
{
    struct listing *list = context;

    if (suspension->until <= list->now)
        return true;
    if (list->ctl->json) {
        json_next_line();
        json_open(NULL, '{');
        json_text("pattern", suspension->pattern);
        json_number("since", suspension->since);
        json_number("until", suspension->until);
        json_text("reason", suspension->reason);
        json_close('}');
    } else {
        write_row(list, suspension);
    }
    list->shown++;
    return true;
}

enum ctl_exit ctl_suspensions(struct ctl *ctl)
{
    struct listing list = {.ctl = ctl, .now = clock_wall_ms()};
    struct queue *queue;
    enum ctl_exit opened = ctl_open_store(ctl, true, &queue);

    if (opened != CTL_OK)
        return opened;
    if (ctl->json)
        json_open(NULL, '[');
    struct err e = queue_suspensions(queue, visit, &list);
    if (ctl->json) {
        json_end_line();
        json_close(']');
        json_end_line();
    } else if (list.shown == 0 && !err_is(e)) {
        puts("Nothing is suspended.");
    }
    queue_close(queue);
    return err_is(e) ? ctl_store_failed(0, e) : CTL_OK;
}
