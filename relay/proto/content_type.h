/*
 * content_type: as much of Content-Type (RFC 2045 5.1) as one must know to find a message's parts.
 * Pure.
 */
#ifndef SMARTHOP_PROTO_CONTENT_TYPE_H
#define SMARTHOP_PROTO_CONTENT_TYPE_H

#include "base/span.h"

enum { CONTENT_BOUNDARY_MAX = 70 }; /* RFC 2046 5.1.1 */

enum content_kind {
    CONTENT_LEAF = 0,  /* no parts in it; also what cannot be read (RFC 2045 5.2: text/plain) */
    CONTENT_MULTIPART, /* with `boundary` */
    CONTENT_SEALED,    /* the same, and it must stay as it is: signed, encrypted (RFC 1847) */
    CONTENT_MESSAGE,   /* a message with its header: message/rfc822, message/global */
    CONTENT_OPAQUE,    /* any other message/..., or a multipart without a boundary */
};

struct content_type {
    enum content_kind kind;
    bool is_digest; /* parts without a type are messages (RFC 2046 5.1.5) */
    size_t boundary_len;
    char boundary[CONTENT_BOUNDARY_MAX];
};

/* The field's value, folded or not. */
void content_type_parse(struct span value, struct content_type *out);

#endif
