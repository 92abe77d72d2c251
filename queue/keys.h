/*
 * keys: the keys of the store's tables. Numbers are big-endian, so that rows lie in the order of
 * their numbers. Pure; for queue/ only.
 *
 *   message      id
 *   group        id, group number
 *   body         id, chunk number
 *   due          destination number, due time, id, group number     (KEY_FUTURE, or no value)
 *   destination  destination number
 *   deadline     deliver-by time, id                                 (no value)
 *   suspension   pattern, as text
 */
#ifndef SMARTHOP_QUEUE_KEYS_H
#define SMARTHOP_QUEUE_KEYS_H

#include "base/key.h"
#include "queue/queue.h"

enum { KEY_DUE_LEN = 28 };
/* The value of the due row of a group that waits for its message's release. */
#define KEY_FUTURE SPAN("f")

static inline struct key key_of_due(uint64_t destination, const struct queue_due *due)
{
    struct key key = key_of(destination);

    key_add64(&key, due->due);
    key_add64(&key, due->id);
    key_add32(&key, due->group);
    return key;
}

static inline struct key key_of_deadline(const struct queue_deadline *deadline)
{
    struct key key = key_of(deadline->at);

    key_add64(&key, deadline->id);
    return key;
}

static inline bool key_read_deadline(struct span key, struct queue_deadline *out)
{
    if (key.len != sizeof out->at + sizeof out->id)
        return false;
    out->at = wire_get64(key.ptr);
    out->id = wire_get64(key.ptr + sizeof out->at);
    return true;
}

/* From a row of the table due. */
static inline bool key_read_due(struct span key, struct span value, struct queue_due *out)
{
    if (key.len != KEY_DUE_LEN)
        return false;
    out->is_future = span_equal(value, KEY_FUTURE);
    out->due = wire_get64(key.ptr + 8);
    out->id = wire_get64(key.ptr + 16);
    out->group = wire_get32(key.ptr + 24);
    return true;
}

#endif
