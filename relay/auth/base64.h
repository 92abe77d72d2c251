/*
 * base64: RFC 4648 section 4, strictly: the one alphabet, padding where it belongs, no white space,
 * and no encoding but the canonical one (section 3.5: the bits behind the last byte are zero), so
 * that each text stands for one sequence of bytes. Pure.
 */
#ifndef SMARTHOP_AUTH_BASE64_H
#define SMARTHOP_AUTH_BASE64_H

#include "base/span.h"

/* Characters that `bytes` become, and the most bytes that `characters` can become; both are
 * constant expressions, for buffers. */
#define BASE64_TEXT_LEN(bytes)       (((bytes) + 2) / 3 * 4)
#define BASE64_BYTES_MAX(characters) ((characters) / 4 * 3)

/* Writes BASE64_TEXT_LEN(bytes.len) characters and no NUL; returns their number. */
size_t base64_encode(struct span bytes, char *text);

/* False where the text is none, or where its bytes would be more than `room`; what has been
 * written to `bytes` by then means nothing. `bytes` may be where the text is. */
bool base64_decode(struct span text, char *bytes, size_t room, size_t *len_out);

#endif
