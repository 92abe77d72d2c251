/*
 * users_private: what reading, following and editing the users file share.
 */
#ifndef SMARTHOP_AUTH_USERS_PRIVATE_H
#define SMARTHOP_AUTH_USERS_PRIVATE_H

#include "auth/users.h"

#include <stdatomic.h>
#include <sys/stat.h>

/* Whose certificate it is. */
struct users_owner {
    const struct fingerprint *fingerprint;
    const struct users_entry *entry;
};

struct users {
    atomic_uint references;
    struct users_entry *entries; /* sorted by name */
    unsigned count;
    struct users_entry **hashed; /* those with a hash, for decoys */
    unsigned hashed_count;
    struct users_entry **keyed; /* those with SCRAM keys */
    unsigned keyed_count;
    bool has_rates;
    struct span *addresses;           /* of all entries' send_as */
    struct fingerprint *fingerprints; /* of all entries' certificates */
    struct users_owner *owners;       /* sorted by fingerprint */
    unsigned owner_count;
    char *text; /* what the entries point into; parsing cuts it up */
    size_t text_len;
};

/* Cuts a line at its first two colons; false where there is none. `fields` is empty where there is
 * only one. */
bool users_line_split(struct span line, struct span *name_out, struct span *hash_out,
                      struct span *fields_out);
/* A line that holds no user. */
bool users_line_is_comment(struct span line);

/* The whole file, into `out`, which has no bound; `st_out` is of the very file that was read. Tells
 * in `messages` what is wrong with it as a file. */
struct err users_file_read(const char *file, struct buf *out, struct stat *st_out,
                           struct buf *messages);
/* users_load, telling which file it was; *st_out stays as it was where there is none. */
struct err users_file_load(const char *file, struct stat *st_out, struct buf *messages,
                           struct users **out);
/* Erases what the buf holds and releases it. */
void users_file_forget(struct buf *text);

/* The keys of the third part of a line. */
#define USERS_FIELD_SCRAM       "scram"
#define USERS_FIELD_SEND_AS     "send_as"
#define USERS_FIELD_CERTIFICATE "certificate"

#endif
