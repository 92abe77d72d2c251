/*
 * Binary messages (RFC 3516 4.4): parts of a transfer encoding "binary" that have a NUL are stored
 * in base64, so that everybody can be told of them.
 */
#include "plugins/drop/imap/append.h"

#include "auth/base64.h"
#include "plugins/drop/mime/mime.h"

enum { LINE = 57 /* bytes that become 76 characters */ };

static void write_header(struct span header, struct buf *out)
{
    struct span field, name, value;
    bool is_over = false;

    while (!is_over && mime_next_field(&header, &field, &name, &value)) {
        if (span_equal_nocase(name, SPAN("Content-Transfer-Encoding")))
            buf_add(out, SPAN("Content-Transfer-Encoding: base64\r\n"));
        else
            buf_add(out, field);
        is_over = field.len <= 2;
    }
    if (!is_over)
        buf_add(out, SPAN("\r\n"));
}

static void write_body(struct span body, struct buf *out)
{
    char text[BASE64_TEXT_LEN(LINE)];

    for (; body.len > 0; body = span_from(body, LINE)) {
        size_t len = base64_encode(span_head(body, LINE), text);
        buf_add(out, span_of(text, len));
        buf_add(out, SPAN("\r\n"));
    }
}

/* The next part in the message's order; NULL behind the last one. */
static const struct mime_part *next_part(const struct mime_part *part)
{
    if (part->child != NULL)
        return part->child;
    while (part != NULL && part->next == NULL)
        part = part->parent;
    return part != NULL ? part->next : NULL;
}

static struct span cut(struct span message, uint64_t from, uint64_t to)
{
    return span_of(message.ptr + from, (size_t)(to - from));
}

static bool has_nul(struct span bytes)
{
    return span_index(bytes, '\0') < bytes.len;
}

bool append_encode(struct span message, struct buf *out)
{
    struct arena arena;
    struct mime_scanner *scanner;
    uint64_t at = 0;

    arena_init(&arena);
    scanner = mime_scanner_create(&arena);
    mime_scanner_feed(scanner, message);
    for (const struct mime_part *part = mime_scanner_end(scanner); part != NULL;
         part = next_part(part)) {
        if (part->kind != MIME_LEAF || part->encoding != MIME_BINARY || !part->has_nul)
            continue;
        buf_add(out, cut(message, at, part->header_at));
        write_header(cut(message, part->header_at, part->header_at + part->header_len), out);
        write_body(cut(message, part->body_at, part->body_at + part->body_len), out);
        at = part->body_at + part->body_len;
    }
    buf_add(out, cut(message, at, message.len));
    mime_scanner_free(scanner);
    arena_fini(&arena);
    return !has_nul(buf_span(out));
}
