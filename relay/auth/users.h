/*
 * users: who may log in, as an immutable, reference-counted snapshot of the users file.
 *
 * One line a user, `name:hash` or `name:hash:key=value,key=value`; smarthop-users(5) is the
 * description. A snapshot never changes, so any thread may read it; whoever holds one keeps it
 * until it lets go. users_follow has the newest one of a file that changes.
 */
#ifndef SMARTHOP_AUTH_USERS_H
#define SMARTHOP_AUTH_USERS_H

#include "auth/scram.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fingerprint.h"
#include "base/follow.h"

enum {
    USERS_FILE_MAX = 64 << 20, /* bytes */
    USERS_LINE_MAX = 64 << 10,
    USERS_MAX = 1000000,
    USERS_RATE_MAX = 1000000,
};

#define USERS_NO_RATE UINT32_MAX /* the file does not say */

struct users_entry {
    struct span name; /* as auth_name_prepare writes it */
    const char *hash; /* libcrypt's; NULL = no PLAIN or LOGIN */
    bool has_keys;    /* else no SCRAM */
    struct scram_keys keys;
    const struct span *send_as; /* addresses, "@domain" or "*": what senders it may use */
    unsigned send_as_count;     /* 0 = the file does not say */
    const struct fingerprint *certificates; /* by which EXTERNAL knows the user */
    unsigned certificate_count;
    uint32_t messages_per_hour; /* 0 = no bound; or USERS_NO_RATE */
    uint32_t recipients_per_hour;
    unsigned line;
};

struct users;

/* Reads and checks `file`, which must not be open to everybody. Blocks. On failure *out is NULL and
 * `messages` has a line a problem, "file:line: what is wrong", of which the first
 * PROBLEMS_TOLD_MAX are told. */
struct err users_load(const char *file, struct buf *messages, struct users **out);
/* The same of a text in memory; `file` is its name in messages. */
struct err users_parse(struct span text, const char *file, struct buf *messages,
                       struct users **out);

struct users *users_ref(struct users *users);
/* The last one erases it from memory. NULL is let be. */
void users_unref(struct users *users);

unsigned users_count(const struct users *users);
/* Whether one of them has a rate. */
bool users_have_rates(const struct users *users);
/* Sorted by name. */
const struct users_entry *users_at(const struct users *users, unsigned index);
/* By a prepared name; NULL = there is no such user. Lives as long as the snapshot. */
const struct users_entry *users_find(const struct users *users, struct span name);

/* Who has this certificate, which no two users do; NULL = nobody. */
const struct users_entry *users_find_certificate(const struct users *users,
                                                 const struct fingerprint *fingerprint);

/* For a name that is not there: what to compute with, so that it costs what a user's would. The
 * same number gives the same user's as long as the file does not change; what numbers give is
 * spread as methods and costs are among the users. */
const char *users_decoy_hash(const struct users *users, uint32_t number);
/* Iterations and length of the salt, the rest zero. */
struct scram_keys users_decoy_keys(const struct users *users, uint32_t number);

/* Loads the file, as users_load does, and follows it; its snapshots are struct users. */
struct err users_follow(const char *file, struct buf *messages, struct follow **out);

#endif
