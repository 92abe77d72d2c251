/* queue list: streamed, so that it costs the same memory for any queue. */
#include "queue/ctl/ctl.h"

#include "base/clock.h"
#include "proto/base32.h"
#include "queue/ctl/backoffs.h"
#include "queue/ctl/compat.h"
#include "queue/ctl/describe.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"
#include "route/route.h"

#include <stdio.h>

enum {
    WIDTH_AGE = 8,
    WIDTH_SIZE = 5,
    WIDTH_STATE = 7,
    WIDTH_NEXT = 11,
    WIDTH_TRIES = 5,
    WIDTH_FIXED = ID_TEXT_LEN + WIDTH_AGE + WIDTH_SIZE + WIDTH_STATE + WIDTH_NEXT + WIDTH_TRIES + 6,
    WIDTH_WIDE = 160, /* from here on everything goes into one line */
    WIDTH_PIPE = 28,  /* of an address where nothing is cut */
};

struct listing {
    struct ctl *ctl;
    struct backoffs *backoffs;
    uint64_t now;
    uint64_t shown;
    const struct compat *compat; /* with CTL_FORMAT */
    struct compat_totals totals;
    size_t address_width;
    bool one_line;
};

/* The group that a message's line tells of: of those that are asked for, the one tried first. */
static const struct queue_group *choose_group(const struct listing *list,
                                              const struct queue_message *message)
{
    const struct queue_group *chosen = NULL;
    uint64_t next, first = UINT64_MAX;

    for (unsigned i = 0; i < message->group_count; i++) {
        const struct queue_group *group = &message->groups[i];
        enum view_state state = view_state_of(list->backoffs, group, list->now, &next);
        if (filter_group(&list->ctl->filter, group, state, list->now) == NULL)
            continue;
        if (state == VIEW_HELD)
            next = UINT64_MAX;
        if (chosen == NULL || next < first) {
            chosen = group;
            first = next;
        }
    }
    return chosen;
}

static enum output_style style_of(enum view_state state)
{
    static const enum output_style styles[VIEW_STATES] = {
        [VIEW_READY] = OUTPUT_GOOD,     [VIEW_WAITING] = OUTPUT_PLAIN, [VIEW_BACKOFF] = OUTPUT_WARN,
        [VIEW_SUSPENDED] = OUTPUT_WARN, [VIEW_HELD] = OUTPUT_WARN,     [VIEW_DAMAGED] = OUTPUT_BAD,
    };

    return styles[state];
}

static void write_fixed(const struct listing *list, const struct queue_message *message,
                        const struct view *view, uint32_t tries)
{
    char text[OUTPUT_DURATION_MAX + 4];
    char id[ID_TEXT_SIZE];
    uint64_t age = list->now > message->arrival ? list->now - message->arrival : 0;

    output_cell(span_of(id_format(message->id, id), ID_TEXT_LEN), ID_TEXT_LEN, OUTPUT_PLAIN);
    output_cell(span_of(text, output_duration(age, text)), WIDTH_AGE, OUTPUT_PLAIN);
    output_cell(span_of(text, output_size(message->size, text)), WIDTH_SIZE, OUTPUT_PLAIN);
    output_cell(span_cstr(view_state_name(view->state)), WIDTH_STATE, style_of(view->state));
    struct span next = SPAN("-");
    if (view->state == VIEW_READY)
        next = SPAN("now");
    else if (view->state == VIEW_WAITING || view->state == VIEW_BACKOFF ||
             view->state == VIEW_SUSPENDED)
        next =
            span_of(memcpy(text, "in ", 3), 3 + output_duration(view->next - list->now, text + 3));
    output_cell(next, WIDTH_NEXT, OUTPUT_PLAIN);
    output_cell(span_of(text, (size_t)snprintf(text, sizeof text, "%u", tries)), WIDTH_TRIES,
                OUTPUT_PLAIN);
}

static void write_addresses(const struct listing *list, const struct queue_message *message,
                            const struct queue_group *group)
{
    char text[1100];
    unsigned others = 0;
    struct span sender = message->reverse_path.len ? message->reverse_path : SPAN("<>");
    struct span first = SPAN("?");

    for (unsigned i = group ? group->recipient_count : 0; i-- > 0;)
        if (filter_recipient(&list->ctl->filter, &group->recipients[i]))
            first = group->recipients[i].address;
    for (unsigned i = 0; i < message->group_count; i++)
        others += message->groups[i].recipient_count;
    output_cell(sender, list->address_width, OUTPUT_PLAIN);
    if (others > 1) {
        int len =
            snprintf(text, sizeof text, "+%u %.*s", others - 1, SPAN_ARG(span_head(first, 1024)));
        first = span_of(text, (size_t)len);
    }
    output_cell(first, list->address_width, OUTPUT_PLAIN);
}

/* The next hop, and the tenant apart. */
static void write_destination(const struct listing *list, const struct queue_group *group)
{
    struct span key = group ? group->destination : SPAN("?");

    output_cell(route_destination_place(key), list->one_line ? list->address_width : 0,
                OUTPUT_PLAIN);
    if (route_destination_tenant(key).len == 0)
        return;
    fputs(list->one_line ? "(" : " (", stdout);
    output_text(route_destination_tenant(key));
    fputs(list->one_line ? ") " : ")", stdout);
}

static void write_row(const struct listing *list, const struct queue_message *message,
                      const struct queue_group *group, const struct view *view)
{
    write_fixed(list, message, view, group ? group->tries : 0);
    write_addresses(list, message, group);
    if (!list->one_line)
        fputs("\n    ", stdout);
    write_destination(list, group);
    if (!list->one_line)
        fputs(": ", stdout);
    output_text(span_of(view->reason, view->reason_len));
    putc_unlocked('\n', stdout);
}

static void write_heading(const struct listing *list)
{
    output_cell(SPAN("ID"), ID_TEXT_LEN, OUTPUT_BOLD);
    output_cell(SPAN("AGE"), WIDTH_AGE, OUTPUT_BOLD);
    output_cell(SPAN("SIZE"), WIDTH_SIZE, OUTPUT_BOLD);
    output_cell(SPAN("STATE"), WIDTH_STATE, OUTPUT_BOLD);
    output_cell(SPAN("NEXT TRY"), WIDTH_NEXT, OUTPUT_BOLD);
    output_cell(SPAN("TRIES"), WIDTH_TRIES, OUTPUT_BOLD);
    output_cell(SPAN("SENDER"), list->address_width, OUTPUT_BOLD);
    output_cell(SPAN("RECIPIENT"), list->address_width, OUTPUT_BOLD);
    if (list->one_line) {
        output_cell(SPAN("DESTINATION"), list->address_width, OUTPUT_BOLD);
        output_cell(SPAN("REASON"), 0, OUTPUT_BOLD);
    }
    putc_unlocked('\n', stdout);
}

static bool visit(void *context, struct queue_message *message)
{
    struct listing *list = context;
    const struct ctl *ctl = list->ctl;
    struct view view;

    if (!filter_message(&ctl->filter, message, list->now))
        return true;
    const struct queue_group *group = choose_group(list, message);
    if (group == NULL && !(message->flags & QUEUE_DAMAGED && filter_damaged(&ctl->filter)))
        return true;
    list->shown++;
    if (list->compat != NULL) {
        compat_write(list->compat, &ctl->filter, list->backoffs, message, list->now, &list->totals);
        return !(ctl->options & CTL_LIMIT) || list->shown < ctl->limit;
    }
    describe_message(list->backoffs, message, group, list->now, &view);
    if (ctl->json) {
        json_next_line();
        json_open(NULL, '{');
        describe_json(list->backoffs, message, &view, list->now);
        json_close('}');
    } else {
        if (list->shown == 1)
            write_heading(list);
        write_row(list, message, group, &view);
    }
    return !(ctl->options & CTL_LIMIT) || list->shown < ctl->limit;
}

static void choose_layout(struct listing *list)
{
    size_t width = output_width();

    list->one_line = width == 0 || width >= WIDTH_WIDE;
    if (width == 0)
        list->address_width = WIDTH_PIPE;
    else if (list->one_line)
        list->address_width = (width - WIDTH_FIXED) / 5; /* the reason takes two */
    else
        list->address_width = (width - WIDTH_FIXED - 2) / 2;
}

static struct err write_list(struct queue *queue, struct listing *list)
{
    struct err e = backoffs_load(queue, list->now, &list->backoffs);

    if (err_is(e))
        return e;
    bool as_json = list->ctl->json && list->compat == NULL;
    if (as_json)
        json_open(NULL, '[');
    if (!(list->ctl->options & CTL_LIMIT) || list->ctl->limit > 0)
        e = queue_scan(queue, 0, visit, list);
    if (list->compat != NULL && !err_is(e)) {
        compat_end(list->compat, &list->totals);
    } else if (as_json) {
        json_end_line();
        json_close(']');
        json_end_line();
    } else if (list->shown == 0 && !err_is(e)) {
        fputs(list->ctl->options & CTL_FILTER ? "No message matches.\n" : "The queue is empty.\n",
              stdout);
    }
    backoffs_free(list->backoffs);
    return e;
}

enum ctl_exit ctl_list(struct ctl *ctl)
{
    struct listing list = {.ctl = ctl, .now = clock_wall_ms()};
    struct queue *queue;

    if (ctl->options & CTL_FORMAT && (list.compat = compat_find(ctl->format)) == NULL) {
        ctl_complain("--format takes mailq or postqueue-json, not \"%s\"", ctl->format);
        return CTL_USAGE;
    }
    enum ctl_exit opened = ctl_open_store(ctl, true, &queue);
    if (opened != CTL_OK)
        return opened;
    choose_layout(&list);
    struct err e = write_list(queue, &list);
    queue_close(queue);
    return err_is(e) ? ctl_store_failed(0, e) : CTL_OK;
}
