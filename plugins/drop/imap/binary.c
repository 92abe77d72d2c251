/*
 * BINARY and BINARY.SIZE (RFC 3516, RFC 9051 6.4.5.1): a part's content, its transfer encoding
 * taken off. Its length has to be told first, so encoded parts are decoded twice, piece by piece
 * both times.
 */
#include "plugins/drop/imap/fetch.h"
#include "plugins/drop/mime/text.h"

enum { PIECE = 64 << 10 /* encoded bytes of one go */ };

struct fetch_binary {
    struct fetch_range range; /* what is left to be decoded */
    struct text_transfer transfer;
    uint64_t len; /* of the content */
    bool has_nul;
    bool is_counted;
    uint64_t skip; /* of what is decoded, in front */
    uint64_t left; /* to be sent */
};

static void begin(struct fetch_binary *binary, struct fetch_range range,
                  enum mime_encoding encoding)
{
    binary->range = range;
    text_transfer_init(&binary->transfer, encoding);
}

/* The next piece's content into `out`. */
static enum fetch_result decode(struct imap_session *s, struct fetch_message *m, struct buf *out)
{
    struct fetch_binary *binary = ((struct fetch *)s->job)->binary;
    struct fetch_range piece = {binary->range.at, binary->range.at + PIECE};
    struct buf bytes;

    if (piece.end > binary->range.end)
        piece.end = binary->range.end;
    if (!fetch_is_at_hand(s, m, piece, binary->range.end))
        return FETCH_DISK;
    buf_init(&bytes, 0);
    bool is_good = fetch_read_range(m, piece, &bytes);
    if (is_good)
        is_good = text_transfer_feed(&binary->transfer, buf_span(&bytes), out);
    buf_fini(&bytes);
    binary->range.at = piece.end;
    if (is_good && piece.end == binary->range.end)
        is_good = text_transfer_end(&binary->transfer, out);
    return is_good ? FETCH_DONE : FETCH_BROKEN;
}

static enum fetch_result count(struct imap_session *s, struct fetch_message *m)
{
    struct fetch_binary *binary = ((struct fetch *)s->job)->binary;
    struct buf content;

    if (binary->range.at == binary->range.end) {
        binary->is_counted = true;
        return FETCH_DONE;
    }
    buf_init(&content, 0);
    enum fetch_result result = decode(s, m, &content);
    binary->len += buf_len(&content);
    if (span_index(buf_span(&content), '\0') < buf_len(&content))
        binary->has_nul = true;
    buf_fini(&content);
    return result == FETCH_DONE ? FETCH_ROOM : result;
}

/* As much of the content as is wanted. */
static void put(struct fetch_binary *binary, struct span content, struct buf *out)
{
    uint64_t skip = binary->skip < content.len ? binary->skip : content.len;

    content = span_from(content, (size_t)skip);
    binary->skip -= skip;
    if (content.len > binary->left)
        content.len = (size_t)binary->left;
    binary->left -= content.len;
    buf_add(out, content);
}

static enum fetch_result stream(struct imap_session *s, struct fetch_message *m)
{
    struct fetch *job = s->job;
    struct fetch_binary *binary = job->binary;
    struct buf content;

    if (binary->left == 0) {
        job->is_streaming = false;
        job->is_decoding = false;
        return FETCH_DONE;
    }
    buf_init(&content, 0);
    enum fetch_result result = decode(s, m, &content);
    put(binary, buf_span(&content), imap_out(s));
    imap_written(s);
    buf_fini(&content);
    if (result == FETCH_BROKEN)
        return FETCH_CUT;
    return result == FETCH_DONE ? FETCH_ROOM : result;
}

static enum fetch_result refuse(struct imap_session *s, const struct imap_fetch_item *item)
{
    struct fetch *job = s->job;
    struct buf *out = imap_out(s);

    job->is_decoding = false;
    job->is_opaque = true;
    fetch_write_name(out, item);
    buf_add_text(out, item->form == IMAP_FORM_BINARY_SIZE ? " 0" : " NIL");
    return FETCH_DONE;
}

static enum fetch_result announce(struct imap_session *s, struct fetch_message *m,
                                  const struct imap_fetch_item *item, struct fetch_range range,
                                  enum mime_encoding encoding)
{
    struct fetch *job = s->job;
    struct fetch_binary *binary = job->binary;
    struct buf *out = imap_out(s);

    fetch_write_name(out, item);
    if (item->form == IMAP_FORM_BINARY_SIZE) {
        buf_addf(out, " %llu", (unsigned long long)binary->len);
        job->is_decoding = false;
        return FETCH_DONE;
    }
    struct fetch_range part = {0, binary->len};
    fetch_cut_partial(item, &part);
    binary->skip = part.at;
    binary->left = part.end - part.at;
    buf_addf(out, " %s{%llu}\r\n", binary->has_nul ? "~" : "", (unsigned long long)binary->left);
    begin(binary, range, encoding);
    job->is_streaming = true;
    return stream(s, m);
}

enum fetch_result fetch_binary(struct imap_session *s, struct fetch_message *m,
                               const struct imap_fetch_item *item, struct fetch_range range,
                               enum mime_encoding encoding)
{
    struct fetch *job = s->job;

    if (job->is_streaming)
        return stream(s, m);
    if (encoding == MIME_OTHER)
        return refuse(s, item);
    if (job->binary == NULL)
        job->binary = arena_alloc(&s->arena, sizeof *job->binary);
    if (!job->is_decoding) {
        *job->binary = (struct fetch_binary){.len = 0};
        begin(job->binary, range, encoding);
    }
    job->is_decoding = true;
    enum fetch_result result = count(s, m);
    if (result == FETCH_BROKEN)
        return refuse(s, item);
    if (result != FETCH_DONE)
        return result;
    return announce(s, m, item, range, encoding);
}
