/*
 * users_edit: changes of the users file, one at a time, for smarthopctl.
 *
 * A change replaces the file: the new one is written beside it, synced, renamed over it, and the
 * folder synced, so that after a crash there is the old file or the new one. Those who edit take
 * turns by a lock on the folder. Comments, the order of lines, other users' lines and the fields
 * that a change is not about stay as they are, byte for byte. The file keeps its owner; its mode is
 * 0600, or 0640 where its group could read it before. Blocks.
 */
#ifndef SMARTHOP_AUTH_USERS_EDIT_H
#define SMARTHOP_AUTH_USERS_EDIT_H

#include "auth/users.h"

enum users_edit_kind {
    USERS_ADD,    /* ERR_CONFLICT where the user is there; makes the file where there is none */
    USERS_CHANGE, /* the password; ERR_NOT_FOUND where the user is not there */
    USERS_ALLOW,  /* only more senders and certificates; likewise */
    USERS_REMOVE, /* likewise */
};

struct users_edit {
    enum users_edit_kind kind;
    struct span name;     /* prepared */
    struct span password; /* valid, or empty: none; of USERS_ADD and USERS_CHANGE */
    /* What the user may use besides what the file has; not with USERS_REMOVE. */
    const struct span *send_as;
    unsigned send_as_count;
    const struct fingerprint *certificates;
    unsigned certificate_count;
};

/* Nothing is changed where the file is not good as it stands, or would not be behind the change:
 * `messages` tells why, as users_load does. Takes long. */
struct err users_edit(const char *file, const struct users_edit *edit, struct buf *messages);

#endif
