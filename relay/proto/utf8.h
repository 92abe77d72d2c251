/*
 * utf8: is it UTF-8 (RFC 3629), is it ASCII? Pure.
 */
#ifndef SMARTHOP_PROTO_UTF8_H
#define SMARTHOP_PROTO_UTF8_H

#include "base/arena.h"
#include "base/span.h"

/* Well-formed: shortest forms only, no surrogates, nothing past U+10FFFF. */
bool utf8_is_valid(struct span s);

/* Bytes of the well-formed character at the start; 0 where there is none. */
size_t utf8_length(struct span s);

/* That character; *len_out is as above, and where it is 0 there is none. */
uint32_t utf8_read(struct span s, size_t *len_out);

enum { UTF8_MAX = 4 };
/* Of a character up to U+10FFFF; returns how many bytes it has. */
size_t utf8_write(uint32_t character, char *out);

/* What a reader of ASCII can be given: a copy in the arena with "?" for each character that is
 * none, and for each byte that is no UTF-8; or `s` itself. */
struct span utf8_to_ascii(struct span s, struct arena *arena);

/* No byte above 127. Quick enough for message bodies. */
bool utf8_is_ascii(struct span s);

#endif
