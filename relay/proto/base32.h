/*
 * base32: message ids as text: 13 characters of Crockford's alphabet (digits and letters without
 * I, L, O and U), most significant first, so that the text sorts as the number does. Pure.
 */
#ifndef SMARTHOP_PROTO_BASE32_H
#define SMARTHOP_PROTO_BASE32_H

#include "base/span.h"

enum {
    ID_TEXT_LEN = 13,
    ID_TEXT_SIZE = ID_TEXT_LEN + 1, /* with the NUL */
};

/* Upper case, NUL-terminated; returns `out`. */
const char *id_format(uint64_t id, char out[ID_TEXT_SIZE]);

/* Exactly 13 characters, either case, with I and L read as 1 and O as 0; false on anything else and
 * on overflow. */
bool id_parse(struct span text, uint64_t *id_out);

#endif
