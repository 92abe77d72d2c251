/*
 * verify: what a process knows of its users, and the checking of passwords without holding up a
 * loop.
 *
 * A struct auth is shared by all workers: the users file, the back-off table, the secret from which
 * users that do not exist are made up, and a gate that lets a few passwords be hashed at a time,
 * some more wait, and turns away the rest. Passwords are copied, never logged, and erased.
 */
#ifndef SMARTHOP_AUTH_VERIFY_H
#define SMARTHOP_AUTH_VERIFY_H

#include "auth/users.h"
#include "base/loop.h"

#include <sys/socket.h>

enum {
    AUTH_HASHING_MAX = 2, /* the pool's threads have other things to do, too */
    AUTH_WAITING_MAX = 256,
};

struct auth_options {
    const char *users_file;
    unsigned hashing_max; /* 0 = AUTH_HASHING_MAX */
    unsigned waiting_max; /* 0 = AUTH_WAITING_MAX */
};

struct auth;

/* Loads the users file; `messages` as users_load has them. Blocks. */
struct err auth_create(const struct auth_options *options, struct buf *messages, struct auth **out);
/* No verification may be under way. NULL is let be. */
void auth_free(struct auth *auth);

/* Any thread. How many ms a password that was right need not be hashed again (auth/recall.h); 0, as
 * it is at first: each is. */
void auth_set_recall(struct auth *auth, uint64_t ms);

/* follow_poll of the file; one thread, every second or so. */
bool auth_poll(struct auth *auth);

/* The rest: any thread. */

/* The newest snapshot, for the caller to unref. */
struct users *auth_users(struct auth *auth);
const struct crypto_secret *auth_secret(const struct auth *auth);
/* How many ms to hold back a try from here, for this (prepared) name: 0 = none. `user` may be
 * empty, `client` NULL. */
uint64_t auth_delay(struct auth *auth, const struct sockaddr *client, struct span user);
/* How a try ended that was not an auth_verify: each once. */
void auth_note(struct auth *auth, const struct sockaddr *client, struct span user, bool succeeded);
/* Passwords hashed since the start. */
uint64_t auth_hash_count(struct auth *auth);

enum auth_result {
    AUTH_GOOD,
    AUTH_BAD,   /* no such user, no password, a wrong one: nobody can tell which */
    AUTH_LATER, /* not looked at: held back, too many waiting, or cancelled (454 4.7.0) */
};

/* A password being checked. Embedded in its owner, zeroed; call.done set by it. */
struct auth_verify {
    struct call call;
    enum auth_result result; /* when call.done runs */

    /* verify.c's own. */
    struct auth *auth;
    struct loop *loop;
    struct sockaddr_storage client;
    struct call turn; /* carried by the gate, then by the loop */
    struct work work;
    struct users *users;
    const char *hash; /* in `users` */
    char *name;
    char *password;
    bool has_user; /* else the hash is a decoy's */
    bool is_cancelled;
};

/* On `loop`'s thread. Copies what it is given; `user` is a prepared name, `client` may be NULL.
 * Completes on the loop, later; one password is hashed whether there is such a user or not
 * (unless it is recalled), and the outcome is noted for the back-off. */
void auth_verify_start(struct auth_verify *verify, struct auth *auth, struct loop *loop,
                       const struct sockaddr *client, struct span user, struct span password);
/* The owner has lost interest: what is waiting will not be hashed. The completion still comes. */
void auth_verify_cancel(struct auth_verify *verify);

#endif
