/* guard: what is remembered of users and clients, as it was saved last; relay/guard/guard.h. */
#include "guard/guard.h"

#include "base/clock.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"

#include <errno.h>
#include <stdio.h>

enum { WIDTH_KIND = 17, WIDTH_COUNT = 8, WIDTH_LAST = 8, WIDTH_EXPIRES = 8 };

struct listing {
    struct ctl *ctl;
    uint64_t now;
    uint64_t shown;
};

/* GUARD_KINDS where none is asked for; complains of what is none. */
static bool read_kind(const struct ctl *ctl, enum guard_kind *out)
{
    *out = GUARD_KINDS;
    if (!(ctl->options & CTL_KIND) || guard_kind_find(span_cstr(ctl->kind), out))
        return true;
    ctl_complain("--kind takes user-messages, user-recipients, client-sessions, client-messages, "
                 "client-recipients, client-errors, triplet or known, not \"%s\"",
                 ctl->kind);
    return false;
}

static void write_json(const struct guard_view *view)
{
    json_next_line();
    json_open(NULL, '{');
    json_text("kind", span_cstr(guard_kind_name(view->kind)));
    json_text("key", view->key);
    json_number("count", view->count);
    json_number("first", view->first);
    json_number("last", view->last);
    json_number("expires", view->expires);
    json_close('}');
}

static void write_heading(void)
{
    output_cell(SPAN("KIND"), WIDTH_KIND, OUTPUT_BOLD);
    output_cell(SPAN("COUNT"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("LAST"), WIDTH_LAST, OUTPUT_BOLD);
    output_cell(SPAN("EXPIRES"), WIDTH_EXPIRES, OUTPUT_BOLD);
    output_cell(SPAN("KEY"), 0, OUTPUT_BOLD);
    putchar('\n');
}

static void write_duration(uint64_t ms, size_t width)
{
    char text[OUTPUT_DURATION_MAX];

    output_cell(span_of(text, output_duration(ms, text)), width, OUTPUT_PLAIN);
}

static void write_row(const struct listing *list, const struct guard_view *view)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)view->count);

    output_cell(span_cstr(guard_kind_name(view->kind)), WIDTH_KIND, OUTPUT_PLAIN);
    output_cell(span_of(text, (size_t)len), WIDTH_COUNT, OUTPUT_PLAIN);
    write_duration(list->now > view->last ? list->now - view->last : 0, WIDTH_LAST);
    write_duration(view->expires - list->now, WIDTH_EXPIRES);
    output_text(view->key);
    putchar('\n');
}

static bool visit(void *context, const struct guard_view *view)
{
    struct listing *list = context;
    const struct ctl *ctl = list->ctl;

    if (ctl->json) {
        write_json(view);
    } else {
        if (list->shown == 0)
            write_heading();
        write_row(list, view);
    }
    list->shown++;
    return !(ctl->options & CTL_LIMIT) || list->shown < ctl->limit;
}

static enum ctl_exit explain(const char *path, struct err e)
{
    char why[ERR_TEXT_MAX];

    if (e.sys == EACCES || e.sys == EPERM)
        ctl_complain("%s may not be opened: run this as root or as smarthopd's user", path);
    else
        ctl_complain("%s cannot be read: %s", path, err_text(e, why));
    return CTL_FAILED;
}

enum ctl_exit ctl_guard_list(struct ctl *ctl)
{
    struct listing list = {.ctl = ctl, .now = clock_wall_ms()};
    const char *path = ctl->conf->guard_path;
    struct err e = ERR_OK;
    uint64_t damaged = 0;
    enum guard_kind kind;

    if (!read_kind(ctl, &kind))
        return CTL_USAGE;
    if (ctl->json)
        json_open(NULL, '[');
    struct span prefix = ctl->operand_count > 0 ? span_cstr(ctl->operands[0]) : SPAN_NONE;
    if (!(ctl->options & CTL_LIMIT) || ctl->limit > 0)
        e = guard_scan(path, kind, prefix, list.now, visit, &list, &damaged);
    if (ctl->json) {
        json_end_line();
        json_close(']');
        json_end_line();
    } else if (list.shown == 0 && (!err_is(e) || e.kind == ERR_NOT_FOUND)) {
        puts("Nothing of that is remembered.");
    }
    if (damaged > 0)
        ctl_complain("%llu record%s cannot be read; the daemon drops such when it starts",
                     (unsigned long long)damaged, damaged == 1 ? "" : "s");
    /* Where nothing is configured there is no folder. */
    return err_is(e) && e.kind != ERR_NOT_FOUND ? explain(path, e) : CTL_OK;
}

enum ctl_exit ctl_guard_forget(struct ctl *ctl)
{
    const char *key = ctl->operands[0];
    enum guard_kind kind;
    json_t *answer;

    if (!read_kind(ctl, &kind))
        return CTL_USAGE;
    json_t *command = json_pack("{s:s, s:s}", "command", "forget", "key", key);
    if (command == NULL) {
        ctl_complain("a key is UTF-8");
        return CTL_USAGE;
    }
    if (kind != GUARD_KINDS)
        json_object_set_new(command, "kind", json_string(guard_kind_name(kind)));
    enum ctl_exit asked = client_ask(ctl, command, &answer);
    if (asked == CTL_NO_DAEMON)
        ctl_complain("smarthopd is not running: nobody answers on %s", ctl->conf->control_socket);
    if (asked != CTL_OK)
        return asked;
    uint64_t count = (uint64_t)json_integer_value(json_object_get(answer, "forgotten"));
    if (!json_is_true(json_object_get(answer, "ok")))
        asked = client_refused(answer, key);
    else if (ctl->json)
        client_print(answer);
    else if (count > 0)
        printf("%s: forgotten\n", key);
    if (asked == CTL_OK && count == 0) {
        ctl_complain("nothing is remembered under exactly \"%s\"; `guard list` shows the keys",
                     key);
        asked = CTL_FAILED;
    }
    json_decref(answer);
    return asked;
}
