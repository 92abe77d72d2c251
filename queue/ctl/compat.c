#include "queue/ctl/compat.h"

#include "proto/base32.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { WIDTH_ID = 17, WIDTH_SIZE = 8, WIDTH_TIME = 20, WIDTH_REASON = 76 };

/* One message on its way out. */
struct entry {
    const struct filter *filter;
    const struct backoffs *backoffs;
    const struct queue_message *message;
    uint64_t now;
};

struct compat {
    const char *name;
    void (*write)(const struct entry *entry, const struct compat_totals *totals);
    void (*end)(const struct compat_totals *totals);
};

static enum view_state state_of(const struct entry *entry, const struct queue_group *group)
{
    uint64_t next;

    return view_state_of(entry->backoffs, group, entry->now, &next);
}

static bool wants(const struct entry *entry, const struct queue_group *group)
{
    return filter_group(entry->filter, group, state_of(entry, group), entry->now) != NULL;
}

/* Of its groups: one that is being delivered makes it active, all held make it held. */
static enum view_state state_of_message(const struct entry *entry)
{
    bool held = entry->message->group_count > 0;

    for (unsigned i = 0; i < entry->message->group_count; i++) {
        enum view_state state = state_of(entry, &entry->message->groups[i]);
        if (state == VIEW_READY)
            return VIEW_READY;
        held = held && state == VIEW_HELD;
    }
    return held ? VIEW_HELD : VIEW_WAITING;
}

/* Why this recipient waits; empty where nothing has been said of it. */
static struct span reason_of(const struct entry *entry, const struct queue_group *group,
                             const struct queue_recipient *recipient, struct view *view)
{
    if (recipient->last.code != 0) {
        view->reason_len = view_format_status(&recipient->last, view->reason, sizeof view->reason);
        return span_of(view->reason, view->reason_len);
    }
    view_group(entry->backoffs, group, entry->now, view);
    return view->state == VIEW_BACKOFF ? span_of(view->reason, view->reason_len) : SPAN_NONE;
}

static void visit_recipients(const struct entry *entry,
                             void (*visit)(const struct queue_recipient *recipient,
                                           struct span reason))
{
    struct view view;

    for (unsigned i = 0; i < entry->message->group_count; i++) {
        const struct queue_group *group = &entry->message->groups[i];
        if (!wants(entry, group))
            continue;
        for (unsigned j = 0; j < group->recipient_count; j++) {
            const struct queue_recipient *recipient = &group->recipients[j];
            if (filter_recipient(entry->filter, recipient))
                visit(recipient, reason_of(entry, group, recipient, &view));
        }
    }
}

/* ---- mailq ---------------------------------------------------------------------------------- */

static void mailq_recipient(const struct queue_recipient *recipient, struct span reason)
{
    if (reason.len > 0) {
        int indent = reason.len < WIDTH_REASON ? (int)(WIDTH_REASON - reason.len) : 0;
        printf("%*s(", indent, "");
        output_text(reason);
        puts(")");
    }
    printf("%*s", WIDTH_ID + 1 + WIDTH_SIZE + 1 + WIDTH_TIME + 1, "");
    output_text(recipient->address);
    putchar('\n');
}

/* As mailq writes it: "Mon Jan  2 15:04:05". */
static void write_arrival(uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    char text[WIDTH_TIME + 12] = "?";
    struct tm local;

    if (localtime_r(&seconds, &local) != NULL)
        strftime(text, sizeof text, "%a %b %e %H:%M:%S", &local);
    printf("%-*s ", WIDTH_TIME, text);
}

static void mailq_write(const struct entry *entry, const struct compat_totals *totals)
{
    static const char marks[VIEW_STATES] = {
        [VIEW_READY] = '*', [VIEW_HELD] = '!', [VIEW_WAITING] = ' '};
    const struct queue_message *message = entry->message;
    char id[ID_TEXT_SIZE];

    if (totals->messages == 0)
        puts("-Queue ID-        --Size-- ----Arrival Time---- -Sender/Recipient-------");
    else
        putchar('\n');
    printf("%s%c%*s %*" PRIu64 " ", id_format(message->id, id), marks[state_of_message(entry)],
           WIDTH_ID - ID_TEXT_LEN - 1, "", WIDTH_SIZE, message->size);
    write_arrival(message->arrival);
    output_text(message->reverse_path.len > 0 ? message->reverse_path : SPAN("MAILER-DAEMON"));
    putchar('\n');
    visit_recipients(entry, mailq_recipient);
}

static void mailq_end(const struct compat_totals *totals)
{
    if (totals->messages == 0)
        puts("Mail queue is empty");
    else
        printf("\n-- %" PRIu64 " Kbytes in %" PRIu64 " Request%s.\n", totals->bytes / 1024,
               totals->messages, totals->messages == 1 ? "" : "s");
}

/* ---- postqueue -j --------------------------------------------------------------------------- */

static void json_recipient(const struct queue_recipient *recipient, struct span reason)
{
    json_open(NULL, '{');
    json_text("address", recipient->address);
    if (reason.len > 0)
        json_text("delay_reason", reason);
    json_close('}');
}

static void postqueue_write(const struct entry *entry, const struct compat_totals *totals)
{
    static const char *const queues[VIEW_STATES] = {
        [VIEW_READY] = "active", [VIEW_HELD] = "hold", [VIEW_WAITING] = "deferred"};
    const struct queue_message *message = entry->message;
    struct span sender = message->reverse_path;
    char id[ID_TEXT_SIZE];

    (void)totals;
    json_open(NULL, '{');
    json_text("queue_name", span_cstr(queues[state_of_message(entry)]));
    json_text("queue_id", span_cstr(id_format(message->id, id)));
    json_number("arrival_time", message->arrival / 1000);
    json_number("message_size", message->size);
    json_bool("forced_expire", false);
    json_text("sender", sender.len > 0 ? sender : SPAN("MAILER-DAEMON"));
    json_open("recipients", '[');
    visit_recipients(entry, json_recipient);
    json_close(']');
    json_close('}');
    json_end_line();
}

static void postqueue_end(const struct compat_totals *totals)
{
    (void)totals; /* nothing, also where there is nothing */
}

static const struct compat formats[] = {
    {"mailq", mailq_write, mailq_end},
    {"postqueue-json", postqueue_write, postqueue_end},
};

const struct compat *compat_find(const char *format)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(format, formats[i].name) == 0)
            return &formats[i];
    return NULL;
}

void compat_write(const struct compat *format, const struct filter *filter,
                  const struct backoffs *backoffs, const struct queue_message *message,
                  uint64_t now, struct compat_totals *totals)
{
    const struct entry entry = {
        .filter = filter, .backoffs = backoffs, .message = message, .now = now};

    format->write(&entry, totals);
    totals->messages++;
    totals->bytes += message->size;
}

void compat_end(const struct compat *format, const struct compat_totals *totals)
{
    format->end(totals);
}
