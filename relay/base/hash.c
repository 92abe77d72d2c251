#include "base/hash.h"

#include <xxhash.h>

uint64_t hash64(struct span bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.ptr, bytes.len, seed);
}
