/*
 * address: whose mailboxes an address stands for: local domains, users, aliases, catch-alls, and
 * folders behind a separator. An immutable, counted snapshot; made anew when its files change.
 *
 * For alice+lists@example.org, where example.org is local, the first that is there of
 *   an alias of alice+lists@example.org, of alice@example.org, a user "alice@example.org", a user
 *   "alice", an alias of @example.org (everybody else).
 * The separator's folder holds for users alone, who are named with it left off. Local parts are
 * compared without regard to case. postmaster@ of a local domain goes to the alias or user of that
 * name, or to what the alias "postmaster" says.
 *
 * The aliases file has a line an alias, "address: target, target"; a target is an address (local or
 * not), or a user. An alias without a domain holds in all local domains. What stands behind an
 * alias may be an alias in turn, ADDRESS_DEPTH_MAX deep; one that meets itself is the user or
 * address itself.
 */
#ifndef SMARTHOP_DROP_ADDRESS_H
#define SMARTHOP_DROP_ADDRESS_H

#include "auth/users.h"
#include "base/arena.h"
#include "base/buf.h"

enum { ADDRESS_DEPTH_MAX = 20, ADDRESS_RESULTS_MAX = 1000 };

struct addresses;

/* Blocks. `users` is the snapshot that names are looked up in at the time of asking. Messages as
 * users_load has them. `file` NULL = no aliases. */
struct err addresses_load(const char *file, const char *const *domains, unsigned domain_count,
                          const char *separator, struct buf *messages, struct addresses **out);
struct addresses *addresses_ref(struct addresses *addresses);
void addresses_unref(struct addresses *addresses);

enum address_kind {
    ADDRESS_FOREIGN, /* its domain is not local */
    ADDRESS_UNKNOWN, /* nobody: 550 5.1.1 */
    ADDRESS_KNOWN,
};

/* A mailbox that mail is put in, or an address elsewhere that an alias names. */
struct address_result {
    struct address_result *next;
    struct span user;    /* absent: `forward` */
    struct span folder;  /* "INBOX", or what stood behind the separator */
    struct span forward; /* an address of another domain */
};

bool addresses_is_local(const struct addresses *addresses, struct span domain);
/* `domain` in lower case. What is found lies in the arena; each mailbox once. */
enum address_kind addresses_find(const struct addresses *addresses, const struct users *users,
                                 struct span local, struct span domain, struct arena *arena,
                                 struct address_result **out);

#endif
