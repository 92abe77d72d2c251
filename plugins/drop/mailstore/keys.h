/*
 * keys: the keys of the mailstore's tables. Numbers are big-endian, so that rows lie in the order
 * of their numbers. Pure; for mailstore/ only.
 *
 *   meta          "mailstore"
 *   user          the user's name
 *   box           mailbox
 *   name          user, NUL, name of the mailbox                     (value: mailbox)
 *   entry         mailbox, UID
 *   change        mailbox, modification sequence, UID                (no value)
 *   vanished      mailbox, modification sequence, first UID          (value: last UID)
 *   message       message
 *   digest        message
 *   body          message, chunk number
 *   staged        message that is still coming in                    (value: chunks so far)
 *   garbage       'b', mailbox or 'm', message                       (no value)
 *   subscription  user, NUL, name                                    (no value)
 */
#ifndef SMARTHOP_DROP_MAILSTORE_KEYS_H
#define SMARTHOP_DROP_MAILSTORE_KEYS_H

#include "base/key.h"
#include "plugins/drop/mailstore/mailstore.h"

enum { KEY_NAME_MAX = MAILSTORE_USER_MAX + 1 + MAILSTORE_NAME_MAX };

struct name_key {
    char bytes[KEY_NAME_MAX];
    size_t len;
};

static inline struct span name_key_span(const struct name_key *key)
{
    return span_of(key->bytes, key->len);
}

/* A mailbox's row, or the prefix of all that are its. */
static inline struct key key_of_box(uint32_t box)
{
    struct key key = {.len = 0};

    key_add32(&key, box);
    return key;
}

static inline struct key key_of_entry(uint32_t box, uint32_t uid)
{
    struct key key = key_of_box(box);

    key_add32(&key, uid);
    return key;
}

/* Of the tables change and vanished. */
static inline struct key key_of_change(uint32_t box, uint64_t modseq, uint32_t uid)
{
    struct key key = key_of_box(box);

    key_add64(&key, modseq);
    key_add32(&key, uid);
    return key;
}

enum key_garbage { KEY_GARBAGE_BOX = 'b', KEY_GARBAGE_MESSAGE = 'm' };

static inline struct key key_of_garbage(enum key_garbage kind, uint64_t id)
{
    struct key key = {.bytes = {(char)kind}, .len = 1};

    key_add64(&key, id);
    return key;
}

static inline bool key_read_garbage(struct span key, enum key_garbage *kind_out, uint64_t *id_out)
{
    if (key.len != 1 + sizeof *id_out)
        return false;
    *kind_out = key.ptr[0] == KEY_GARBAGE_BOX ? KEY_GARBAGE_BOX : KEY_GARBAGE_MESSAGE;
    *id_out = wire_get64(key.ptr + 1);
    return true;
}

static inline bool key_read_entry(struct span key, uint32_t *box_out, uint32_t *uid_out)
{
    if (key.len != sizeof *box_out + sizeof *uid_out)
        return false;
    *box_out = wire_get32(key.ptr);
    *uid_out = wire_get32(key.ptr + sizeof *box_out);
    return true;
}

static inline bool key_read_change(struct span key, uint32_t *box_out, uint64_t *modseq_out,
                                   uint32_t *uid_out)
{
    if (key.len != sizeof *box_out + sizeof *modseq_out + sizeof *uid_out)
        return false;
    *box_out = wire_get32(key.ptr);
    *modseq_out = wire_get64(key.ptr + 4);
    *uid_out = wire_get32(key.ptr + 12);
    return true;
}

/* Of a name that is valid, or the prefix of all of a user's where it is empty. */
static inline struct name_key key_of_name(struct span user, struct span name)
{
    struct name_key key;

    memcpy(key.bytes, user.ptr, user.len);
    key.bytes[user.len] = '\0';
    if (name.len > 0)
        memcpy(key.bytes + user.len + 1, name.ptr, name.len);
    key.len = user.len + 1 + name.len;
    return key;
}

/* Whether the key is that of a name of the user; the name. */
static inline bool key_read_name(struct span key, struct span user, struct span *name_out)
{
    if (key.len <= user.len || key.ptr[user.len] != '\0' ||
        memcmp(key.ptr, user.ptr, user.len) != 0)
        return false;
    *name_out = span_from(key, user.len + 1);
    return true;
}

#endif
