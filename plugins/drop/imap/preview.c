/*
 * PREVIEW (RFC 8970): how a message's text begins.
 */
#include "plugins/drop/imap/fetch.h"
#include "plugins/drop/imap/write.h"
#include "plugins/drop/mime/text.h"

enum {
    CHARACTERS_MAX = 200, /* RFC 8970 3.2 */
    LOOKED_AT = 16 << 10, /* bytes of the part */
};

/* The first text, plain rather than HTML. */
static bool find_text(const struct digest *digest, struct digest_part *out)
{
    struct digest_part part;
    bool has_any = false;

    for (unsigned i = 0; digest_part_at(digest, i, &part); i++) {
        if (part.kind != MIME_LEAF || !part.is_text)
            continue;
        if (!has_any)
            *out = part;
        has_any = true;
        if (!part.is_html) {
            *out = part;
            return true;
        }
    }
    return has_any;
}

static void decode(const struct digest_part *part, struct span bytes, struct buf *out)
{
    struct text_charset *charset = text_charset_create(part->charset);
    struct text_transfer transfer;
    struct buf content, text;

    buf_init(&content, 0);
    buf_init(&text, 0);
    text_transfer_init(&transfer, part->encoding);
    (void)text_transfer_feed(&transfer, bytes, &content);
    text_charset_feed(charset, buf_span(&content), part->is_html ? &text : out);
    text_charset_end(charset, part->is_html ? &text : out);
    if (part->is_html)
        text_of_html(buf_span(&text), out);
    text_charset_free(charset);
    buf_fini(&content);
    buf_fini(&text);
}

/* Blanks and line ends joined to one blank, cut between characters. */
static void squeeze(struct span text, struct buf *out)
{
    unsigned characters = 0;
    bool has_gap = false;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c == 0x7f) {
            has_gap = buf_len(out) > 0;
            continue;
        }
        bool begins = (c & 0xc0) != 0x80;
        characters += begins ? 1u + has_gap : 0;
        if (begins && characters > CHARACTERS_MAX)
            return;
        if (begins && has_gap)
            buf_add(out, SPAN(" "));
        has_gap = has_gap && !begins;
        buf_add(out, span_of(text.ptr + i, 1));
    }
}

enum fetch_result fetch_preview(struct imap_session *s, struct fetch_message *m)
{
    struct digest_part part = {.body_len = 0};
    struct buf bytes, text, preview;

    if (!fetch_digest(m)) {
        buf_add(imap_out(s), SPAN("PREVIEW NIL"));
        return FETCH_BROKEN;
    }
    bool has_text = find_text(&m->digest, &part);
    struct fetch_range range = {0, 0};
    if (has_text)
        range =
            fetch_range_of(m, part.body_at, part.body_len < LOOKED_AT ? part.body_len : LOOKED_AT);
    if (!fetch_is_at_hand(s, m, range, range.end))
        return FETCH_DISK;
    buf_init(&bytes, 0);
    buf_init(&text, 0);
    buf_init(&preview, 0);
    bool is_read = fetch_read_range(m, range, &bytes);
    if (has_text && is_read)
        decode(&part, buf_span(&bytes), &text);
    squeeze(buf_span(&text), &preview);
    buf_add(imap_out(s), SPAN("PREVIEW "));
    imap_write_string(imap_out(s), buf_span(&preview));
    buf_fini(&bytes);
    buf_fini(&text);
    buf_fini(&preview);
    return is_read ? FETCH_DONE : FETCH_BROKEN;
}
