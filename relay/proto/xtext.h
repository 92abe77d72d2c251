/*
 * xtext: the encoding of ENVID, ORCPT and AUTH= values (RFC 3461 section 4). Pure.
 */
#ifndef SMARTHOP_PROTO_XTEXT_H
#define SMARTHOP_PROTO_XTEXT_H

#include "base/arena.h"
#include "base/span.h"

/* Into the arena, never longer than the input; false where it is no xtext: a byte outside "!".."~",
 * a bare "=", or "+" without two upper-case hexadecimal digits. The result may hold any byte. */
bool xtext_decode(struct span text, struct arena *arena, struct span *out);

/* Into the arena; three bytes for each that needs it. */
struct span xtext_encode(struct span plain, struct arena *arena);

#endif
