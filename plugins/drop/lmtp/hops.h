/*
 * hops: where a message has been, as its header tells while its bytes pass by: how many Received
 * and Delivered-To fields there are, and which addresses the latter name (RFC 9228, RFC 5321 6.3).
 * It changes nothing and keeps little.
 *
 * Pure. One for each message; any split of the bytes gives the same result.
 */
#ifndef SMARTHOP_DROP_LMTP_HOPS_H
#define SMARTHOP_DROP_LMTP_HOPS_H

#include "base/arena.h"
#include "base/span.h"

enum {
    HOPS_ADDRESS_MAX = 256,   /* bytes of an address that are looked at; no longer one is ours */
    HOPS_ADDRESSES_MAX = 100, /* kept; with more of them hops_max is at its end as well */
    HOPS_NAME_MAX = 13,       /* "Delivered-To:" */
};

enum hops_state {
    HOPS_LINE,  /* within the first HOPS_NAME_MAX bytes of a line */
    HOPS_VALUE, /* the rest of a Delivered-To line */
    HOPS_SKIP,  /* the rest of any other */
    HOPS_BODY,
};

struct hops {
    uint64_t count; /* of both fields */
    unsigned address_count;
    struct span addresses[HOPS_ADDRESSES_MAX]; /* in the arena; as written, without brackets */

    struct arena *arena;
    enum hops_state state;
    size_t len; /* of `text` */
    char text[HOPS_ADDRESS_MAX];
};

void hops_init(struct hops *hops, struct arena *arena);
/* True: the header has ended, and what follows need not be shown any more. */
bool hops_scan(struct hops *hops, struct span bytes);
/* Whether mail was put there before; in any case of the letters. */
bool hops_has(const struct hops *hops, struct span address);

#endif
