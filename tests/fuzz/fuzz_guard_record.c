/*
 * A row of the guard: the first bytes are its key, the others its record, taken as it is and with a
 * checksum that fits. Whatever is read is written again: it must come out as the same bytes.
 */
#include "base/hash.h"
#include "base/record.h"
#include "guard/private.h"
#include "tests/support/fuzz.h"

enum { KEY = 6, RECORD_MOST = 256 };

static void try(struct span key, struct span record)
{
    char written[GUARD_STORE_RECORD], room[GUARD_STORE_KEY_MAX];
    struct guard_entry entry;

    if (err_is(guard_store_read(key, record, &entry)))
        return;
    MUST(entry.kind < GUARD_KINDS);
    MUST(span_equal(guard_store_key(entry.kind, span_from(key, 1), room), key));
    guard_store_write(&entry, key, written);
    MUST(span_equal(span_of(written, sizeof written), record));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    struct span key = span_head(input, KEY), record = span_from(input, KEY);
    char sealed[RECORD_MOST + RECORD_CHECKSUM];

    if (size <= KEY || record.len > RECORD_MOST)
        return 0;
    try(key, record);
    memcpy(sealed, record.ptr, record.len);
    wire_put64(sealed + record.len, hash64(record, hash64(key, 0)));
    try(key, span_of(sealed, record.len + RECORD_CHECKSUM));
    return 0;
}
