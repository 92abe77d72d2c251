#include "proto/base32.h"
#include "proto/utf8.h"
#include "report/parts.h"
#include "report/text.h"

#include <assert.h>
#include <stdio.h>

enum { BOUNDARY_MAX = 70 }; /* RFC 2046 5.1.1 */

struct dsn_header {
    struct span from;
    struct span subject;
    struct span message_id;
};

/* Whom it goes to. */
static struct span addressee(const struct report_options *options)
{
    return options->to.len > 0 ? options->to : options->message->reverse_path;
}

/* A Message-ID fit to be quoted: one, whole, and ASCII (ours is no SMTPUTF8 message for its sake).
 */
static bool is_message_id(struct span id)
{
    if (id.len < 3 || id.ptr[0] != '<' || id.ptr[id.len - 1] != '>')
        return false;
    for (size_t i = 1; i < id.len - 1; i++)
        if (id.ptr[i] <= ' ' || id.ptr[i] > '~' || id.ptr[i] == '<' || id.ptr[i] == '>')
            return false;
    return true;
}

static bool contains(const struct buf *content, const char *text)
{
    return buf_len(content) > 0 &&
           memmem(buf_span(content).ptr, buf_len(content), text, strlen(text)) != NULL;
}

/* Ids can be guessed, so whoever wrote the message may have put the boundary into it. */
static void choose_boundary(const struct dsn *dsn, char boundary[BOUNDARY_MAX])
{
    char id[ID_TEXT_SIZE];
    unsigned attempt = 0;

    id_format(dsn->options->id, id);
    do
        snprintf(boundary, BOUNDARY_MAX, "=_%s.%u", id, attempt++);
    while (contains(&dsn->returned.bytes, boundary) || contains(&dsn->human, boundary) ||
           contains(&dsn->machine, boundary));
}

static struct span choose_subject(const struct dsn *dsn)
{
    if (dsn->options->is_copy)
        return SPAN("Copy for the postmaster: a message could not be delivered");
    if (dsn->counts[REPORT_FAILED] == dsn->options->recipient_count)
        return SPAN("Your message could not be delivered");
    if (dsn->counts[REPORT_FAILED] > 0)
        return SPAN("Your message could not be delivered to some recipients");
    if (dsn->counts[REPORT_DELAYED] > 0)
        return SPAN("Your message is delayed");
    return dsn->counts[REPORT_RELAYED] > 0 ? SPAN("Your message has been passed on")
                                           : SPAN("Your message has been delivered");
}

static struct dsn_header make_header(const struct dsn *dsn, struct arena *arena)
{
    const struct report_options *options = dsn->options;
    const char *host = options->conf->hostname;
    char id[ID_TEXT_SIZE];

    return (struct dsn_header){
        .from = arena_printf(arena, "Mail Delivery System <MAILER-DAEMON@%s>", host),
        .subject = choose_subject(dsn),
        .message_id = arena_printf(arena, "<%s@%s>", id_format(options->id, id), host),
    };
}

static void write_header(struct dsn *dsn, const struct dsn_header *header, const char *boundary,
                         bool is_8bit, struct buf *out)
{
    const struct queue_message *message = dsn->options->message;
    struct span to = text_clean(&dsn->scratch, addressee(dsn->options), true);

    text_field(out, "Date", text_date(&dsn->scratch, dsn->options->now));
    text_field(out, "From", header->from);
    text_field(out, "To", arena_printf(&dsn->scratch, "<%.*s>", SPAN_ARG(to)));
    text_field(out, "Subject", header->subject);
    text_field(out, "Message-ID", header->message_id);
    if (is_message_id(message->message_id)) {
        text_field(out, "In-Reply-To", message->message_id);
        text_field(out, "References", message->message_id);
    }
    text_field(out, "Auto-Submitted", SPAN("auto-replied")); /* RFC 3834 5 */
    text_field(out, "MIME-Version", SPAN("1.0"));
    text_field(out, "Content-Type",
               arena_printf(&dsn->scratch,
                            "multipart/report; report-type=delivery-status; boundary=\"%s\"",
                            boundary));
    if (is_8bit)
        text_field(out, "Content-Transfer-Encoding", SPAN("8bit"));
    buf_add(out, SPAN("\r\nThis is a delivery status notification in MIME format.\r\n"));
}

static void write_part(struct buf *out, const char *boundary, const char *type,
                       const char *description, const struct buf *content)
{
    buf_addf(out, "\r\n--%s\r\n", boundary);
    text_field(out, "Content-Type", span_cstr(type));
    text_field(out, "Content-Description", span_cstr(description));
    if (!utf8_is_ascii(buf_span(content)))
        text_field(out, "Content-Transfer-Encoding", SPAN("8bit"));
    buf_add(out, SPAN("\r\n"));
    buf_add(out, buf_span(content));
}

/* RFC 6522 3 (3), RFC 6533 4 and 5. */
static const char *returned_type(const struct dsn *dsn)
{
    bool global = dsn->options->message->flags & QUEUE_SMTPUTF8;

    if (dsn->returned.whole)
        return global ? "message/global" : "message/rfc822";
    return global ? "message/global-headers" : "text/rfc822-headers";
}

static void write_parts(const struct dsn *dsn, const char *boundary, struct buf *out)
{
    write_part(out, boundary,
               utf8_is_ascii(buf_span(&dsn->human)) ? "text/plain; charset=us-ascii"
                                                    : "text/plain; charset=utf-8",
               "Notification", &dsn->human);
    write_part(out, boundary,
               dsn->utf8_recipients ? "message/global-delivery-status" : "message/delivery-status",
               "Delivery report", &dsn->machine);
    write_part(out, boundary, returned_type(dsn),
               dsn->returned.whole ? "Undelivered message" : "Header of the message",
               &dsn->returned.bytes);
    buf_addf(out, "\r\n--%s--\r\n", boundary);
}

static void fill_envelope(const struct report_options *options, const struct dsn_header *header,
                          struct queue_message *out)
{
    out->id = options->id;
    out->arrival = options->now;
    out->flags = QUEUE_DSN;
    out->tenant = arena_dup(&out->arena, options->message->tenant);
    out->message_id = header->message_id;
    out->subject = header->subject;
    out->from = header->from;
    out->size = buf_len(&out->body);
    out->body_in_memory = true;
}

struct queue_message *report_dsn(const struct report_options *options)
{
    struct dsn dsn = {.options = options};
    struct queue_message *out = queue_message_create();
    char boundary[BOUNDARY_MAX];

    assert(options->message->reverse_path.len > 0); /* a notification of a notification: a loop */
    arena_init(&dsn.scratch);
    for (unsigned i = 0; i < options->recipient_count; i++)
        dsn.counts[options->recipients[i].action]++;
    dsn_read_returned(&dsn);
    dsn_write_machine(&dsn);
    dsn_write_human(&dsn);
    choose_boundary(&dsn, boundary);

    struct dsn_header header = make_header(&dsn, &out->arena);
    bool is_8bit = !utf8_is_ascii(buf_span(&dsn.returned.bytes)) ||
                   !utf8_is_ascii(buf_span(&dsn.machine)) || !utf8_is_ascii(buf_span(&dsn.human));
    write_header(&dsn, &header, boundary, is_8bit, &out->body);
    write_parts(&dsn, boundary, &out->body);
    fill_envelope(options, &header, out);
    if (is_8bit)
        out->flags |= QUEUE_BODY_8BIT;
    if (!utf8_is_ascii(addressee(options))) /* it stands in the header */
        out->flags |= QUEUE_SMTPUTF8;
    buf_fini(&dsn.returned.bytes);
    buf_fini(&dsn.machine);
    buf_fini(&dsn.human);
    arena_fini(&dsn.scratch);
    return out;
}
