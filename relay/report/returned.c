#include "report/parts.h"

enum {
    HEADER_MAX = 65536, /* of a header section that is returned alone */
    HEADER_STEP = 16,   /* chunks read at a time while its end has not come */
};

/* The length of the header section without the empty line behind it; false where its end is not in
 * `message`. */
static bool header_end(struct span message, size_t *len_out)
{
    if (message.len >= 2 && memcmp(message.ptr, "\r\n", 2) == 0) {
        *len_out = 0;
        return true;
    }
    const char *end = message.len ? memmem(message.ptr, message.len, "\r\n\r\n", 4) : NULL;
    *len_out = end ? (size_t)(end - message.ptr) + 2 : message.len;
    return end != NULL;
}

/* Up to the end of the last whole line within HEADER_MAX bytes. */
static size_t whole_lines(struct span header)
{
    struct span head = span_head(header, HEADER_MAX);
    size_t end = span_rindex(head, '\n');

    return end < head.len ? end + 1 : 0;
}

static void add_header(struct returned *returned, struct span message)
{
    size_t len;
    bool complete = header_end(message, &len);
    struct span header = span_head(message, len);

    if (len > HEADER_MAX) {
        header.len = whole_lines(header);
        returned->cut = true;
    } else if (!complete && returned->incomplete) {
        header.len = whole_lines(header);
    }
    buf_add(&returned->bytes, header);
}

/* Reads the body as far as it is wanted: all of it, or until its header section is in. */
static void read_body(const struct report_options *options, bool all, struct returned *returned,
                      struct buf *body)
{
    const struct queue_message *message = options->message;
    uint32_t step = all ? message->chunk_count : HEADER_STEP;
    size_t unused;

    for (uint32_t first = 0; first < message->chunk_count; first += step) {
        struct err e = queue_read_body(options->queue, message->id, first, step, body);
        if (err_is(e)) {
            returned->incomplete = true;
            return;
        }
        if (!all && (header_end(buf_span(body), &unused) || buf_len(body) > HEADER_MAX))
            return;
    }
    if (buf_len(body) != message->size)
        returned->incomplete = true;
}

/* RFC 3461 4.3: a notification that tells of no failure returns the header alone. So does any of a
 * message whose content may not leave as a notification does: in lines, and where there is no TLS
 * (RFC 8689 5). */
static bool is_wanted_whole(const struct dsn *dsn)
{
    const struct conf *conf = dsn->options->conf;
    const struct queue_message *message = dsn->options->message;
    bool full = message->ret == ESMTP_RET_NONE ? !conf->dsn_return_headers_only
                                               : message->ret == ESMTP_RET_FULL;

    bool free = (message->flags & (QUEUE_BODY_BINARY | QUEUE_REQUIRE_TLS)) == 0;

    return full && free && !dsn->options->is_copy && dsn->counts[REPORT_FAILED] > 0 &&
           message->trace.len + message->size <= conf->dsn_return_max;
}

void dsn_read_returned(struct dsn *dsn)
{
    const struct report_options *options = dsn->options;
    const struct queue_message *message = options->message;
    struct returned *returned = &dsn->returned;
    struct buf stored;

    returned->whole = is_wanted_whole(dsn);
    buf_init(&stored, 0);
    if (!message->body_in_memory)
        read_body(options, returned->whole, returned, &stored);
    struct span body = buf_span(message->body_in_memory ? &message->body : &stored);
    if (returned->incomplete)
        returned->whole = false;
    buf_add(&returned->bytes, message->trace);
    if (returned->whole)
        buf_add(&returned->bytes, body);
    else
        add_header(returned, body);
    buf_fini(&stored);
}
