/*
 * address: whose mailboxes an address stands for: local domains, users, aliases, catch-alls, and
 * folders behind a separator. An immutable, counted snapshot; made anew when its files change.
 *
 * For alice+lists@example.org, where example.org is local, the first that is there of
 *   an alias of alice+lists@example.org, an alias alice+lists,
 *   a user "alice+lists@example.org", a user "alice+lists",
 *   the same four of alice, where a user gets it in his folder "lists",
 *   an alias of @example.org (everybody else).
 * Local parts are compared without regard to the case of ASCII letters. Postmaster is an address
 * like others.
 *
 * The aliases file has a line an alias, "address: target, target"; a target is an address (local or
 * not), or a name in the domain that was asked for. An alias without a domain holds in all local
 * domains. What stands behind an alias may be an alias in turn, ADDRESS_DEPTH_MAX deep; one that
 * meets itself is the user or address itself. smarthop-aliases(5) is the description.
 */
#ifndef SMARTHOP_DROP_ADDRESS_H
#define SMARTHOP_DROP_ADDRESS_H

#include "auth/users.h"
#include "base/arena.h"
#include "base/problems.h"

enum {
    ADDRESS_DEPTH_MAX = 20,
    ADDRESS_RESULTS_MAX = 1000,
    ADDRESS_FILE_MAX = 64 << 20, /* bytes */
    ADDRESS_LINE_MAX = 64 << 10,
};

struct addresses;

/* Blocks. `file` NULL = no aliases; mail is local in `domains`; what of `separator` ("" = none)
 * comes first sets a folder off. On failure *out is NULL and `messages` has a line a problem,
 * "file:line: what is wrong", of which the first PROBLEMS_TOLD_MAX are told. *st_out is of the
 * file that was read. */
struct err addresses_load(const char *file, const char *const *domains, unsigned domain_count,
                          const char *separator, struct stat *st_out, struct buf *messages,
                          struct addresses **out);
/* The same of a text in memory; `file` is its name in messages. */
struct err addresses_parse(struct span text, const char *file, const char *const *domains,
                           unsigned domain_count, const char *separator, struct buf *messages,
                           struct addresses **out);

/* Any thread, as all that follows. */
struct addresses *addresses_ref(struct addresses *addresses);
/* NULL is let be. */
void addresses_unref(struct addresses *addresses);

unsigned addresses_alias_count(const struct addresses *addresses);

enum address_answer {
    ADDRESS_FOREIGN, /* its domain is not local */
    ADDRESS_UNKNOWN, /* nobody: 550 5.1.1 */
    ADDRESS_KNOWN,
};

/* A mailbox that mail is put in, or an address elsewhere that an alias names. */
struct address_result {
    struct address_result *next;
    struct span user;    /* absent: `forward` */
    struct span folder;  /* "INBOX", or what stood behind the separator, as it was written */
    struct span forward; /* an address of another domain */
};

/* In lower-case ASCII form. */
bool addresses_is_local(const struct addresses *addresses, struct span domain);
/*
 * `local` without needless quotes (address_canonical_local), `domain` in lower-case ASCII form;
 * without one (Postmaster alone) the first local domain is meant. `users` is the snapshot that
 * names are looked up in; NULL = there are none. What is found lies in the arena; each mailbox is
 * told once. Of more than ADDRESS_RESULTS_MAX the rest is left out.
 */
enum address_answer addresses_find(const struct addresses *addresses, const struct users *users,
                                   struct span local, struct span domain, struct arena *arena,
                                   struct address_result **out);

#endif
