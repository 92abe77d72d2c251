/*
 * filter: says of a hash whether a table may have it, for one line of the processor's cache. Bits
 * in blocks of 32 bytes, eight a hash, one in each word of its block; with 16 bits a hash one in
 * some 1,500 that are not there is taken for one that is.
 */
#ifndef SMARTHOP_TABLE_FILTER_H
#define SMARTHOP_TABLE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILTER_WORDS = 8 };

static inline uint64_t filter_blocks(uint64_t entries)
{
    return entries / 16 + 1;
}

/* The bits of a hash in its block. */
static inline void filter_bits(uint64_t hash, uint32_t *bits)
{
    static const uint32_t odd[FILTER_WORDS] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                               0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};

    for (int i = 0; i < FILTER_WORDS; i++)
        bits[i] = 1u << ((uint32_t)hash * odd[i] >> 27);
}

static inline uint64_t filter_block(uint64_t hash, uint64_t blocks)
{
    return (uint64_t)((unsigned __int128)hash * blocks >> 64);
}

static inline void filter_add(uint32_t *words, uint64_t blocks, uint64_t hash)
{
    uint32_t *block = words + filter_block(hash, blocks) * FILTER_WORDS;
    uint32_t bits[FILTER_WORDS];

    filter_bits(hash, bits);
    for (int i = 0; i < FILTER_WORDS; i++)
        block[i] |= bits[i];
}

static inline bool filter_may_have(const uint32_t *words, uint64_t blocks, uint64_t hash)
{
    const uint32_t *block = words + filter_block(hash, blocks) * FILTER_WORDS;
    uint32_t bits[FILTER_WORDS];
    uint32_t missing = 0;

    filter_bits(hash, bits);
    for (int i = 0; i < FILTER_WORDS; i++)
        missing |= bits[i] & ~block[i];
    return missing == 0;
}

#endif
