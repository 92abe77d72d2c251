/*
 * split: the ways in which a parser's input may arrive: whole, byte by byte, and cut once at every
 * point. Each way must give the same result.
 *
 *     for (size_t way = 0; way < split_ways(input.len); way++)
 *         for (size_t at = 0, len; at < input.len; at += len) {
 *             len = split_piece(way, input.len, at);
 *             feed(span_of(input.ptr + at, len));
 *         }
 *
 * Also checks that name the case of a table in which they fail.
 */
#ifndef SMARTHOP_TESTS_SUPPORT_SPLIT_H
#define SMARTHOP_TESTS_SUPPORT_SPLIT_H

#include "base/span.h"

enum { SPLIT_WHOLE = 0, SPLIT_BYTES = 1, SPLIT_CUT = 2 };

static inline size_t split_ways(size_t len)
{
    return SPLIT_CUT + (len > 1 ? len - 1 : 0);
}

/* Length of the piece that begins at `at`, which is inside the input. */
static inline size_t split_piece(size_t way, size_t len, size_t at)
{
    if (way == SPLIT_BYTES)
        return 1;
    size_t cut = way < SPLIT_CUT ? len : way - SPLIT_CUT + 1;
    return at < cut ? cut - at : len - at;
}

#define CHECK(name, condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s: %s", (name), #condition);                                                \
    } while (0)

#define CHECK_SPAN(name, actual, expected)                                                         \
    do {                                                                                           \
        struct span actual_ = (actual);                                                            \
        struct span expected_ = (expected);                                                        \
        if (!span_equal(actual_, expected_))                                                       \
            fail_msg("%s: %s is \"%.*s\", not \"%.*s\"", (name), #actual, SPAN_ARG(actual_),       \
                     SPAN_ARG(expected_));                                                         \
    } while (0)

#endif
