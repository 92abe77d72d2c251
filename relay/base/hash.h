/* hash: 64 bits of any bytes, for checksums and tables. Not secret. Pure. */
#ifndef SMARTHOP_BASE_HASH_H
#define SMARTHOP_BASE_HASH_H

#include "base/span.h"

/* The same on every machine and in every version: stores depend on it. */
uint64_t hash64(struct span bytes, uint64_t seed);

#endif
