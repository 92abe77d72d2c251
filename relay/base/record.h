/*
 * record: a value of a store, to bytes and back. A record is a version byte, its fields in a fixed
 * order (numbers big-endian, texts behind their length), and a checksum of all that. Who uses it
 * seeds the checksum with the record's key, so that a record under a wrong key is noticed.
 *
 * Pure. An encoder is run twice: with `room` NULL it only tells the length. A decoder trusts no
 * byte; what does not fit is ERR_CORRUPT.
 */
#ifndef SMARTHOP_BASE_RECORD_H
#define SMARTHOP_BASE_RECORD_H

#include "base/err.h"
#include "base/span.h"
#include "base/wire.h"

enum { RECORD_CHECKSUM = 8 };

struct record_writer {
    char *room; /* NULL = measure only */
    size_t len;
};

struct record_writer record_begin(char *room, unsigned version);

/* In the header: a store's records are made of little else. */
static inline void record_put_bytes(struct record_writer *w, const void *bytes, size_t len)
{
    if (w->room != NULL && len > 0)
        memcpy(w->room + w->len, bytes, len);
    w->len += len;
}

static inline void record_put8(struct record_writer *w, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    record_put_bytes(w, &byte, 1);
}

static inline void record_put16(struct record_writer *w, unsigned value)
{
    record_put8(w, value >> 8 & 0xff);
    record_put8(w, value & 0xff);
}

static inline void record_put32(struct record_writer *w, uint32_t value)
{
    char bytes[sizeof value];

    wire_put32(bytes, value);
    record_put_bytes(w, bytes, sizeof bytes);
}

static inline void record_put64(struct record_writer *w, uint64_t value)
{
    char bytes[sizeof value];

    wire_put64(bytes, value);
    record_put_bytes(w, bytes, sizeof bytes);
}

/* Cut to `most` bytes, of which there may be 65535. */
void record_put_text(struct record_writer *w, struct span text, size_t most);
/* Of a key that is a number and a part of it. */
static inline uint64_t record_seed(uint64_t number, uint32_t part)
{
    return number + (uint64_t)part * 0x9e3779b97f4a7c15u;
}

/* The record's length. */
size_t record_seal(struct record_writer *w, uint64_t seed);

/* After the first read past the end everything reads as zero and `bad` stays set, so that callers
 * need to look only once. They set it themselves where a value does not fit. */
struct record_reader {
    struct span rest;
    bool bad;
};

struct record_reader record_open(struct span record, unsigned version, uint64_t seed);
unsigned record_get8(struct record_reader *r);
uint16_t record_get16(struct record_reader *r);
uint32_t record_get32(struct record_reader *r);
uint64_t record_get64(struct record_reader *r);
/* Points into the record. */
struct span record_get_text(struct record_reader *r, size_t most);
unsigned record_get_at_most(struct record_reader *r, unsigned most);
/* ERR_CORRUPT where something did not fit or is left over; `where` is static. */
struct err record_close(const struct record_reader *r, const char *where);

#endif
