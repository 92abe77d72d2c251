/* Compression of a conn (RFC 4978): between the owner's bytes and those that TLS or the socket has.
 */
#include "net/conn_private.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    LEVEL = 3,          /* the text of mail shrinks little more by those above, at twice the cost */
    OUTPUT_WINDOW = 13, /* bits; with MEMORY some 48 KiB a conn */
    MEMORY = 5,
    INPUT_WINDOW = 15, /* what a peer may use */
    PIECE = 16384,
};

struct conn_squeeze {
    z_stream input;
    z_stream output;
    struct buf kept; /* arrived while the owner had paused */
    bool has_more;   /* the last piece was full: there may be more of it inside */
};

void conn_compress(struct conn *c)
{
    struct conn_squeeze *squeeze = mem_zalloc(sizeof *squeeze);

    /* What was gathered before leaves as it is. */
    if (c->tls != NULL) {
        conn_tls_encrypt(c);
    } else {
        buf_add(&c->wire, buf_span(&c->out));
        buf_fini(&c->out);
    }
    if (inflateInit2(&squeeze->input, -INPUT_WINDOW) != Z_OK ||
        deflateInit2(&squeeze->output, LEVEL, Z_DEFLATED, -OUTPUT_WINDOW, MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        abort(); /* out of memory, which is fatal everywhere */
    buf_init(&squeeze->kept, 0);
    buf_add(&squeeze->kept, conn_input(c));
    c->view = SPAN_NONE;
    buf_fini(&c->in);
    c->full = false;
    c->squeeze = squeeze;
    conn_later(c);
}

void conn_squeeze_free(struct conn *c)
{
    if (c->squeeze == NULL)
        return;
    inflateEnd(&c->squeeze->input);
    deflateEnd(&c->squeeze->output);
    buf_fini(&c->squeeze->kept);
    free(c->squeeze);
}

/* zlib's own type of bytes; it changes none of its input. */
static Bytef *bytes_of(const char *ptr)
{
    return (Bytef *)(uintptr_t)ptr;
}

void conn_squeeze_output(struct conn *c)
{
    z_stream *z = &c->squeeze->output;
    struct span plain = buf_span(&c->out);
    struct buf packed;

    if (plain.len == 0)
        return;
    buf_init(&packed, 0);
    z->next_in = bytes_of(plain.ptr);
    z->avail_in = (uInt)plain.len;
    do {
        z->next_out = bytes_of(buf_reserve(&packed, PIECE));
        z->avail_out = PIECE;
        deflate(z, Z_SYNC_FLUSH);
        buf_commit(&packed, PIECE - z->avail_out);
    } while (z->avail_out == 0);
    buf_fini(&c->out);
    c->out = packed;
}

/* One piece to the owner. False when there is no more for now. */
static bool inflate_piece(struct conn *c)
{
    struct conn_squeeze *squeeze = c->squeeze;
    z_stream *z = &squeeze->input;
    char plain[PIECE];

    z->next_out = (Bytef *)plain;
    z->avail_out = sizeof plain;
    int rc = inflate(z, Z_SYNC_FLUSH);
    if (rc != Z_OK && rc != Z_BUF_ERROR) { /* an end of the stream is none of the protocol's */
        conn_fail(c, err_make(ERR_INVALID, "compressed input"), "compressed input: broken");
        return false;
    }
    size_t len = sizeof plain - z->avail_out;
    squeeze->has_more = z->avail_out == 0;
    if (len == 0)
        return false;
    conn_tell_plain(c, span_of(plain, len));
    return !c->closing;
}

void conn_squeeze_pump(struct conn *c, struct span packed)
{
    struct conn_squeeze *squeeze = c->squeeze;
    z_stream *z = &squeeze->input;
    bool from_kept = buf_len(&squeeze->kept) > 0;

    if (from_kept) {
        buf_add(&squeeze->kept, packed);
        packed = buf_span(&squeeze->kept);
    }
    z->next_in = bytes_of(packed.ptr);
    z->avail_in = (uInt)packed.len;
    while (!c->paused && !c->full && !c->failed && (z->avail_in > 0 || squeeze->has_more) &&
           inflate_piece(c))
        ;
    struct span rest = span_from(packed, packed.len - z->avail_in);
    if (from_kept)
        buf_consume(&squeeze->kept, packed.len - rest.len);
    else
        buf_add(&squeeze->kept, rest);
}

bool conn_squeeze_has_waiting(const struct conn *c)
{
    return buf_len(&c->squeeze->kept) > 0 || c->squeeze->has_more;
}
