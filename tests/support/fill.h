/* fill: tells the writes by which kv gives its file room from those of LMDB. */
#ifndef SMARTHOP_TESTS_FILL_H
#define SMARTHOP_TESTS_FILL_H

#include <stdbool.h>
#include <string.h>

/* Nothing but zeros: no page that LMDB writes is, because of its header. */
static inline bool is_fill(const void *data, size_t len)
{
    const char *bytes = data;

    return len > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

#endif
