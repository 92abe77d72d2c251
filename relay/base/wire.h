/* wire: numbers as big-endian bytes, so that keys made of them lie in their order. Pure. */
#ifndef SMARTHOP_BASE_WIRE_H
#define SMARTHOP_BASE_WIRE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void wire_put32(char *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static inline void wire_put64(char *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

static inline uint32_t wire_get32(const char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static inline uint64_t wire_get64(const char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

#endif
