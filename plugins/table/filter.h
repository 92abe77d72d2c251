/*
 * filter: says of a hash whether a table may have it, for one line of the processor's cache. Words
 * of 64 bits, four bits a hash in one of them; with 16 bits a hash one in some 130 that are not
 * there is taken for one that is.
 */
#ifndef SMARTHOP_TABLE_FILTER_H
#define SMARTHOP_TABLE_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t filter_words(uint64_t entries)
{
    return entries / 4 + 1;
}

static inline uint64_t filter_word(uint64_t hash, uint64_t words)
{
    return (uint64_t)((unsigned __int128)hash * words >> 64);
}

/* The upper bits choose the word, the lower ones those in it. */
static inline uint64_t filter_bits(uint64_t hash)
{
    return 1ull << (hash & 63) | 1ull << (hash >> 6 & 63) | 1ull << (hash >> 12 & 63) |
           1ull << (hash >> 18 & 63);
}

/* Within a table it lies at any address. */
static inline void filter_add(char *filter, uint64_t words, uint64_t hash)
{
    char *at = filter + filter_word(hash, words) * sizeof(uint64_t);
    uint64_t word;

    memcpy(&word, at, sizeof word);
    word |= filter_bits(hash);
    memcpy(at, &word, sizeof word);
}

static inline bool filter_may_have(const char *filter, uint64_t words, uint64_t hash)
{
    uint64_t word;

    memcpy(&word, filter + filter_word(hash, words) * sizeof word, sizeof word);
    return (~word & filter_bits(hash)) == 0;
}

#endif
