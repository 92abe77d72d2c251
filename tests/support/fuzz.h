/*
 * fuzz: what the fuzz targets share. MUST holds in every build type, which assert does not.
 */
#ifndef SMARTHOP_TESTS_SUPPORT_FUZZ_H
#define SMARTHOP_TESTS_SUPPORT_FUZZ_H

#include "base/span.h"

#include <stdlib.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte of an input chooses how the others are cut. */
static inline uint32_t fuzz_seed(struct span *input)
{
    uint32_t seed = input->len > 0 ? (unsigned char)input->ptr[0] : 0;

    *input = span_from(*input, 1);
    return seed;
}

/* Length of the next piece of the `left` bytes, at least 1; seed 0 gives single bytes. */
static inline size_t fuzz_piece(uint32_t *seed, size_t left)
{
    if (*seed == 0)
        return 1;
    *seed = *seed * 1664525u + 1013904223u;
    size_t len = 1 + (*seed >> 16) % (*seed & 0x100 ? 7 : 300);
    return len < left ? len : left;
}

static inline bool fuzz_is_inside(struct span part, struct span whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

#endif
