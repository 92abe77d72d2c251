/*
 * fingerprint: the SHA-256 digest of a whole certificate, and its text "sha256:HEX" in
 * configuration files, in the users file and in the log. Pure.
 */
#ifndef SMARTHOP_BASE_FINGERPRINT_H
#define SMARTHOP_BASE_FINGERPRINT_H

#include "base/span.h"

enum {
    FINGERPRINT_BYTES = 32,
    FINGERPRINT_TEXT_SIZE = sizeof "sha256:" + FINGERPRINT_BYTES * 2, /* with the NUL */
};

struct fingerprint {
    unsigned char bytes[FINGERPRINT_BYTES];
};

/* In any case; a colon may stand between two bytes, as openssl(1) writes it. */
bool fingerprint_parse(struct span text, struct fingerprint *out);
/* In lower case, without colons between the bytes. Returns `text`. */
const char *fingerprint_format(const struct fingerprint *fingerprint,
                               char text[FINGERPRINT_TEXT_SIZE]);

static inline int fingerprint_compare(const struct fingerprint *a, const struct fingerprint *b)
{
    return memcmp(a->bytes, b->bytes, FINGERPRINT_BYTES);
}

#endif
