/*
 * verp: reverse-paths that name the recipient, so that whatever comes back tells which address it
 * is about: from list@example.org to user@example.net as list+user=example.net@example.org. Pure.
 */
#ifndef SMARTHOP_PROTO_VERP_H
#define SMARTHOP_PROTO_VERP_H

#include "base/arena.h"
#include "base/span.h"

/* In the arena. The reverse-path as it is where it is null, or where that cannot be written: a
 * quoted local part, an address literal, or more than ADDRESS_TEXT_MAX bytes. */
struct span verp_reverse_path(struct span reverse_path, struct span recipient, struct arena *arena);

#endif
