/*
 * PREVIEW (RFC 8970): how a message's text begins.
 */
#include "plugins/drop/mime/preview.h"
#include "plugins/drop/imap/fetch.h"
#include "plugins/drop/imap/write.h"

enum fetch_result fetch_preview(struct imap_session *s, struct fetch_message *m)
{
    struct digest_part part;
    struct fetch_range range = {0, 0};
    struct buf bytes, text;

    bool has_text = fetch_digest(m) && preview_part(&m->digest, &part);
    if (has_text)
        range =
            fetch_range_of(m, part.body_at,
                           part.body_len < PREVIEW_SOURCE_MAX ? part.body_len : PREVIEW_SOURCE_MAX);
    if (!fetch_is_at_hand(s, m, range, range.end))
        return FETCH_DISK;
    buf_init(&bytes, 0);
    buf_init(&text, 0);
    bool is_read = fetch_read_range(m, range, &bytes);
    if (has_text && is_read)
        preview_write(&part, buf_span(&bytes), &text);
    buf_add(imap_out(s), SPAN("PREVIEW "));
    imap_write_string(imap_out(s), buf_span(&text));
    buf_fini(&bytes);
    buf_fini(&text);
    return is_read && m->has_digest ? FETCH_DONE : FETCH_BROKEN;
}
