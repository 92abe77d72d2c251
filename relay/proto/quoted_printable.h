/*
 * quoted_printable: encodes text whose lines end by CRLF (RFC 2045 6.7), piece by piece: any split
 * gives the same result. Pure, of fixed size.
 */
#ifndef SMARTHOP_PROTO_QUOTED_PRINTABLE_H
#define SMARTHOP_PROTO_QUOTED_PRINTABLE_H

#include "base/buf.h"

struct qp_encoder {
    size_t column; /* characters of the present line */
    char held;     /* a blank, a tab or a CR whose follower is not known yet; 0 = none */
};

/* A zeroed encoder is at the start of a body. Appends to `out`, which is unbounded: at most four
 * bytes for one. */
void qp_encode(struct qp_encoder *e, struct span input, struct buf *out);
/* At the end of the body. */
void qp_encode_end(struct qp_encoder *e, struct buf *out);

#endif
