/*
 * utf8: is it UTF-8 (RFC 3629), is it ASCII? Pure.
 */
#ifndef SMARTHOP_PROTO_UTF8_H
#define SMARTHOP_PROTO_UTF8_H

#include "base/span.h"

/* Well-formed: shortest forms only, no surrogates, nothing past U+10FFFF. */
bool utf8_is_valid(struct span s);

/* Bytes of the well-formed character at the start; 0 where there is none. */
size_t utf8_length(struct span s);

/* No byte above 127. Quick enough for message bodies. */
bool utf8_is_ascii(struct span s);

#endif
