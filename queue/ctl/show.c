/* queue show: one message, for people, as JSON, or byte for byte. */
#include "base/clock.h"
#include "proto/base32.h"
#include "queue/ctl/backoffs.h"
#include "queue/ctl/ctl.h"
#include "queue/ctl/describe.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"
#include "route/route.h"

#include <stdio.h>

enum {
    CHUNKS_AT_ONCE = 64,
    LABEL_WIDTH = 11,
};

struct show {
    struct ctl *ctl;
    struct queue *queue;
    struct backoffs *backoffs;
    struct queue_message *message;
    uint64_t now;
};

/* ---- the message itself -----------------------------------------------------------------------
 */

/* The length of the header section in `text`, and whether its end is there. The first empty line
 * ends it; `*line_start` tells whether text begins a line. */
static size_t header_part(struct span text, bool *line_start, bool *end_out)
{
    size_t at = 0;

    while (at < text.len) {
        struct span rest = span_from(text, at);
        if (*line_start && rest.len >= 1 && rest.ptr[0] == '\r') {
            *end_out = true;
            return at;
        }
        size_t line = span_index(rest, '\n');
        *line_start = line < rest.len;
        at += line < rest.len ? line + 1 : line;
    }
    *end_out = false;
    return at;
}

static void put(struct span text, struct buf *into)
{
    if (into != NULL)
        buf_add(into, text);
    else
        output_raw(text);
}

/* The trace and the body as they are stored, or of the body only its header section; to stdout
 * where `into` is NULL. */
static struct err write_message(const struct show *show, struct buf *into)
{
    const struct queue_message *message = show->message;
    bool all = show->ctl->options & CTL_BODY;
    bool line_start = true;
    bool ended = false;
    struct err e = ERR_OK;
    struct buf piece;

    put(message->trace, into);
    buf_init(&piece, 0);
    for (uint32_t first = 0; first < message->chunk_count && !ended && !err_is(e);
         first += CHUNKS_AT_ONCE) {
        e = queue_read_body(show->queue, message->id, first, CHUNKS_AT_ONCE, &piece);
        struct span text = buf_span(&piece);
        put(all ? text : span_head(text, header_part(text, &line_start, &ended)), into);
        buf_clear(&piece);
    }
    buf_fini(&piece);
    return e;
}

/* ---- for people -------------------------------------------------------------------------------
 */

static void print_line(const char *label, struct span text)
{
    if (text.len == 0)
        return;
    output_cell(span_cstr(label), LABEL_WIDTH, OUTPUT_BOLD);
    output_text(text);
    putchar('\n');
}

static struct span when(const struct show *show, uint64_t wall_ms, struct arena *arena)
{
    char date[OUTPUT_TIME_MAX];
    char distance[OUTPUT_DURATION_MAX];
    bool past = wall_ms <= show->now;

    output_time(wall_ms, date);
    output_duration(past ? show->now - wall_ms : wall_ms - show->now, distance);
    return past ? arena_printf(arena, "%s (%s ago)", date, distance)
                : arena_printf(arena, "%s (in %s)", date, distance);
}

static void print_extensions(const struct show *show, struct arena *arena)
{
    const struct queue_message *message = show->message;
    bool returned = message->by == ESMTP_BY_RETURN;

    if (message->priority != 0)
        print_line("Priority", arena_printf(arena, "%d", message->priority));
    if (message->release != 0)
        print_line("Release", when(show, message->release, arena));
    if (message->by != ESMTP_BY_NONE)
        print_line("Deliver by",
                   arena_printf(arena, "%.*s%s%s", SPAN_ARG(when(show, message->deliver_by, arena)),
                                returned ? ", or it is returned" : ", or its sender is told",
                                message->flags & QUEUE_BY_TRACE
                                    ? "; its sender is told of each relaying"
                                    : ""));
    if (message->flags & QUEUE_HAS_AUTH)
        print_line("AUTH", message->auth.len ? message->auth : SPAN("<>"));
    if (message->flags & (QUEUE_BODY_BINARY | QUEUE_BODY_8BIT))
        print_line("Body", span_cstr(describe_body(message)));
    if (message->flags & QUEUE_VERP)
        print_line("VERP", SPAN("each recipient has a reverse-path of its own"));
    if (message->flags & QUEUE_REQUIRE_TLS)
        print_line("TLS", SPAN("required on the whole way (REQUIRETLS)"));
}

static void print_client(const struct queue_message *message, struct arena *arena)
{
    struct span client = message->client;

    if (message->client_port != 0)
        client = arena_printf(arena, "%.*s:%u", SPAN_ARG(client), message->client_port);
    if (message->client_name.len > 0)
        client = arena_printf(arena, "%.*s %.*s", SPAN_ARG(message->client_name), SPAN_ARG(client));
    print_line("Client", client);
    print_line("Hello", message->hello);
    print_line("Protocol", message->protocol);
}

static void print_envelope(const struct show *show, struct arena *arena)
{
    const struct queue_message *message = show->message;
    char text[OUTPUT_SIZE_MAX];
    char id[ID_TEXT_SIZE];

    print_line("Message", span_cstr(id_format(message->id, id)));
    print_line("Arrived", when(show, message->arrival, arena));
    print_line("Sender", arena_printf(arena, "<%.*s>", SPAN_ARG(message->reverse_path)));
    print_line("ENVID", message->envelope_id);
    print_line("RET", esmtp_ret_format(message->ret));
    print_extensions(show, arena);
    print_client(message, arena);
    print_line("Tenant", message->tenant);
    print_line("Tags", message->tags);
    print_line("Size", span_of(text, output_size(message->size, text)));
    print_line("From", message->from);
    print_line("Subject", message->subject);
    print_line("Message-ID", message->message_id);
    if (message->flags & QUEUE_DSN)
        print_line("Kind", SPAN("a notification made here"));
}

static void print_recipient(const struct queue_recipient *recipient, struct arena *arena)
{
    char text[VIEW_REASON_MAX];
    char notify[ESMTP_NOTIFY_TEXT_MAX];

    print_line("Recipient", arena_printf(arena, "<%.*s>", SPAN_ARG(recipient->address)));
    print_line("  ORCPT", recipient->original);
    print_line("  NOTIFY", span_of(notify, esmtp_notify_format(recipient->notify, notify)));
    if (recipient->last.code != 0)
        print_line("  last said",
                   span_of(text, view_format_status(&recipient->last, text, sizeof text)));
}

static void print_group(const struct show *show, const struct queue_group *group,
                        struct arena *arena)
{
    struct view view;

    view_group(show->backoffs, group, show->now, &view);
    putchar('\n');
    print_line("Destination", route_destination_place(group->destination));
    if (group->has_sender)
        print_line("Sender",
                   arena_printf(arena, "<%.*s>, by an operator", SPAN_ARG(group->reverse_path)));
    print_line("State", span_cstr(view_state_name(view.state)));
    print_line("Tries", arena_printf(arena, "%u", group->tries));
    if (view.state != VIEW_HELD)
        print_line("Next try", when(show, view.next, arena));
    print_line("Reason", span_of(view.reason, view.reason_len));
    for (unsigned i = 0; i < group->recipient_count; i++)
        print_recipient(&group->recipients[i], arena);
}

static struct err print_people(const struct show *show)
{
    struct arena arena;

    if (show->ctl->options & (CTL_HEADERS | CTL_BODY))
        return write_message(show, NULL);
    arena_init(&arena);
    print_envelope(show, &arena);
    for (unsigned i = 0; i < show->message->group_count; i++)
        print_group(show, &show->message->groups[i], &arena);
    arena_fini(&arena);
    return ERR_OK;
}

/* ---- as JSON ----------------------------------------------------------------------------------
 */

static struct err print_json(const struct show *show)
{
    const struct queue_message *message = show->message;
    const struct queue_group *group = message->group_count ? message->groups : NULL;
    struct view view;
    struct buf text;

    buf_init(&text, 0);
    struct err e = ERR_OK;
    if (show->ctl->options & (CTL_HEADERS | CTL_BODY))
        e = write_message(show, &text);
    describe_message(show->backoffs, message, group, show->now, &view);
    json_open(NULL, '{');
    describe_json(show->backoffs, message, &view, show->now);
    json_text("client", message->client);
    json_text("client_name", message->client_name);
    json_number("client_port", message->client_port);
    json_text("protocol", message->protocol);
    json_text("hello", message->hello);
    json_text("from", message->from);
    json_text("subject", message->subject);
    json_text("message_id", message->message_id);
    json_bool("notification", message->flags & QUEUE_DSN);
    if (show->ctl->options & (CTL_HEADERS | CTL_BODY))
        json_text(show->ctl->options & CTL_BODY ? "message" : "headers", buf_span(&text));
    json_close('}');
    json_end_line();
    buf_fini(&text);
    return e;
}

enum ctl_exit ctl_show(struct ctl *ctl)
{
    struct show show = {.ctl = ctl, .now = clock_wall_ms()};
    uint64_t id;

    if (!ctl_parse_id(ctl->operands[0], &id))
        return CTL_USAGE;
    enum ctl_exit opened = ctl_open_store(ctl, true, &show.queue);
    if (opened != CTL_OK)
        return opened;
    struct err e = queue_load(show.queue, id, QUEUE_ALL_GROUPS, &show.message);
    if (!err_is(e))
        e = backoffs_load(show.queue, show.now, &show.backoffs);
    if (!err_is(e))
        e = ctl->json ? print_json(&show) : print_people(&show);
    backoffs_free(show.backoffs);
    queue_message_unref(show.message);
    queue_close(show.queue);
    return err_is(e) ? ctl_store_failed(id, e) : CTL_OK;
}
