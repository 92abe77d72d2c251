/*
 * prepare: which names and passwords there are, and which of them are the same. The same rules
 * hold where a password is stored and where it is checked.
 *
 * A name is 1 to AUTH_NAME_MAX bytes of UTF-8 without control characters, blanks and colons, and
 * does not begin with '#'; ASCII letters are the same in either case, all other characters are
 * taken as they come (RFC 8265's UsernameCaseMapped without its tables: no normalization to NFC). A
 * password is 1 to AUTH_PASSWORD_MAX bytes of UTF-8 without control characters, compared byte for
 * byte (OpaqueString without NFC; RFC 5802's SASLprep likewise). Who types such characters by
 * different compositions is not recognized. Pure.
 */
#ifndef SMARTHOP_AUTH_PREPARE_H
#define SMARTHOP_AUTH_PREPARE_H

#include "base/span.h"

enum {
    AUTH_NAME_MAX = 255,
    AUTH_PASSWORD_MAX = 511, /* libcrypt takes no more */
};

/* Writes the name in lower case, as long as it was; false where it is none. `out` may be where the
 * name is. */
bool auth_name_prepare(struct span name, char out[AUTH_NAME_MAX]);

bool auth_password_is_valid(struct span password);

#endif
