#include "plugins/drop/mime/preview.h"

#include "plugins/drop/mime/text.h"
#include "proto/utf8.h"

bool preview_part(const struct digest *digest, struct digest_part *out)
{
    unsigned within = MIME_DEPTH_MAX; /* what is deeper lies in a message */

    for (unsigned i = 0; digest_part_at(digest, i, out); i++) {
        if (out->depth <= within)
            within = out->kind == MIME_MESSAGE ? out->depth : MIME_DEPTH_MAX;
        if (out->depth <= within && out->kind == MIME_LEAF && out->is_text && out->body_len > 2)
            return true;
    }
    *out = (struct digest_part){0};
    return false;
}

/* To UTF-8. What is cut off is no mistake: nothing is told of a character that is not whole. */
static void decode(const struct digest_part *part, struct span body, struct buf *out)
{
    struct text_charset *charset = text_charset_create(part->charset);
    struct text_transfer transfer;
    struct buf content;

    buf_init(&content, 0);
    text_transfer_init(&transfer, part->encoding);
    text_transfer_feed(&transfer, body, &content);
    if (body.len == part->body_len)
        text_transfer_end(&transfer, &content);
    text_charset_feed(charset, buf_span(&content), out);
    if (body.len == part->body_len)
        text_charset_end(charset, out);
    text_charset_free(charset);
    buf_fini(&content);
}

/* C0, C1, and the blank that does not break. */
static bool is_blank(uint32_t character)
{
    return character <= ' ' || (character >= 0x7f && character <= 0xa0);
}

static size_t line_len(struct span text)
{
    size_t len = span_index(text, '\n');

    return len < text.len ? len + 1 : len;
}

/* As many characters as are shown, with one blank for many. Quotes ("> ...") are left out, unless
 * `has_quotes`. */
static void join(struct span text, bool has_quotes, struct buf *out)
{
    size_t begin = buf_len(out), len;
    unsigned left = PREVIEW_CHARACTERS;
    bool is_apart = false, at_line = true;

    for (; text.len > 0 && left > 0; text = span_from(text, len)) {
        if (at_line && !has_quotes && text.ptr[0] == '>') {
            len = line_len(text);
            continue;
        }
        uint32_t character = utf8_read(text, &len);
        len = len > 0 ? len : 1;
        at_line = character == '\n';
        if (is_blank(character)) {
            is_apart = buf_len(out) > begin;
            continue;
        }
        if (is_apart && left == 1)
            return;
        buf_add(out, span_head(SPAN(" "), is_apart));
        buf_add(out, span_head(text, len));
        left -= 1 + is_apart;
        is_apart = false;
    }
}

void preview_write(const struct digest_part *part, struct span body, struct buf *out)
{
    size_t begin = buf_len(out);
    struct buf text, plain;

    buf_init(&text, 0);
    buf_init(&plain, 0);
    decode(part, span_head(body, PREVIEW_SOURCE_MAX), &text);
    if (part->is_html)
        text_of_html(buf_span(&text), &plain);
    join(buf_span(part->is_html ? &plain : &text), part->is_html, out);
    if (buf_len(out) == begin) /* quotes are all there is */
        join(buf_span(part->is_html ? &plain : &text), true, out);
    buf_fini(&text);
    buf_fini(&plain);
}
