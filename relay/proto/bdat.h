/*
 * bdat: the argument of BDAT (RFC 3030 2) and the counting of its chunks. What is in a chunk is
 * for the line rules of dot.h.
 *
 * Pure. One counter belongs to one transaction.
 */
#ifndef SMARTHOP_PROTO_BDAT_H
#define SMARTHOP_PROTO_BDAT_H

#include "base/span.h"
#include "proto/parse.h"

struct bdat_args {
    uint64_t size;
    bool last;
};

/* "1000", "0 LAST". False for any other syntax and for a size past 64 bits; nobody knows then where
 * the next command begins, so the session is to answer 501 and close. */
bool bdat_parse(struct span args, struct bdat_args *out);

struct bdat_counter {
    uint64_t total; /* of all chunks that were announced; UINT64_MAX where the sum would pass it */
    uint64_t left;  /* bytes of the current chunk that are still to come */
    bool last;      /* the current chunk ends the message */
};

/* At the start of a transaction. */
void bdat_counter_init(struct bdat_counter *c);

/* For each BDAT, once the chunk before is complete. Compare c->total with the bound on messages
 * then, before anything of the chunk is kept. */
void bdat_begin(struct bdat_counter *c, const struct bdat_args *args);

/* Takes from the front of *input what belongs to the chunk. PARSE_DONE: the chunk is complete (one
 * of no bytes at once); PARSE_MORE: all of *input belonged to it. PARSE_BAD is never answered. */
enum parse_result bdat_take(struct bdat_counter *c, struct span *input, struct span *data_out);

#endif
