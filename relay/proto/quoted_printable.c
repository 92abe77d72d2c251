#include "proto/quoted_printable.h"

enum { LINE_MOST = 75 /* with the "=" of a soft line break: 76 */ };

static void put(struct qp_encoder *e, const char *text, size_t len, struct buf *out)
{
    if (e->column + len > LINE_MOST) {
        buf_add(out, SPAN("=\r\n"));
        e->column = 0;
    }
    buf_add(out, span_of(text, len));
    e->column += len;
}

static void put_encoded(struct qp_encoder *e, char c, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned char byte = (unsigned char)c;
    const char text[3] = {'=', hex[byte >> 4], hex[byte & 15]};

    put(e, text, sizeof text, out);
}

static bool is_literal(char c)
{
    return c > ' ' && c <= '~' && c != '=';
}

/* What was held stands at the end of a line, or does not. */
static void release(struct qp_encoder *e, bool at_end, struct buf *out)
{
    char held = e->held;

    e->held = '\0';
    if (held == '\0')
        return;
    if (held == '\r' || at_end)
        put_encoded(e, held, out);
    else
        put(e, &held, 1, out);
}

static void encode_byte(struct qp_encoder *e, char c, struct buf *out)
{
    if (c == '\n' && e->held == '\r') {
        e->held = '\0';
        buf_add(out, SPAN("\r\n"));
        e->column = 0;
        return;
    }
    release(e, c == '\r', out);
    if (c == ' ' || c == '\t' || c == '\r')
        e->held = c;
    else if (is_literal(c))
        put(e, &c, 1, out);
    else
        put_encoded(e, c, out);
}

void qp_encode(struct qp_encoder *e, struct span input, struct buf *out)
{
    for (size_t i = 0; i < input.len; i++)
        encode_byte(e, input.ptr[i], out);
}

void qp_encode_end(struct qp_encoder *e, struct buf *out)
{
    release(e, true, out);
}
