/* key: keys of a store's tables that are made of numbers, big-endian, so that rows lie in their
 * order. Pure. */
#ifndef SMARTHOP_BASE_KEY_H
#define SMARTHOP_BASE_KEY_H

#include "base/span.h"
#include "base/wire.h"

enum { KEY_ROOM = 32 }; /* bytes of the longest */

struct key {
    char bytes[KEY_ROOM];
    size_t len;
};

static inline struct span key_span(const struct key *key)
{
    return span_of(key->bytes, key->len);
}

static inline void key_add32(struct key *key, uint32_t value)
{
    wire_put32(key->bytes + key->len, value);
    key->len += sizeof value;
}

static inline void key_add64(struct key *key, uint64_t value)
{
    wire_put64(key->bytes + key->len, value);
    key->len += sizeof value;
}

/* Of one number: a row, or the prefix of all rows that begin with it. */
static inline struct key key_of(uint64_t number)
{
    struct key key;

    key.len = 0;
    key_add64(&key, number);
    return key;
}

static inline bool key_is_of(struct span key, uint64_t number)
{
    return key.len >= sizeof number && wire_get64(key.ptr) == number;
}

/* A number, and a part of it. */
static inline struct key key_of_part(uint64_t number, uint32_t part)
{
    struct key key = key_of(number);

    key_add32(&key, part);
    return key;
}

/* False where the key has not that length. */
static inline bool key_read_part(struct span key, uint64_t *number_out, uint32_t *part_out)
{
    if (key.len != sizeof *number_out + sizeof *part_out)
        return false;
    *number_out = wire_get64(key.ptr);
    *part_out = wire_get32(key.ptr + sizeof *number_out);
    return true;
}

#endif
