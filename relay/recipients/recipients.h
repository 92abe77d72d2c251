/*
 * recipients: which addresses there are in the domains that are ours, as an immutable,
 * reference-counted snapshot of the recipients file.
 *
 * One line an address, `user@domain`, or `@domain` for all of a domain; smarthop-recipients(5) is
 * the description. A snapshot never changes, so any thread may read it; whoever holds one keeps it
 * until it lets go.
 */
#ifndef SMARTHOP_RECIPIENTS_RECIPIENTS_H
#define SMARTHOP_RECIPIENTS_RECIPIENTS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/follow.h"
#include "proto/address.h"

enum {
    RECIPIENTS_FILE_MAX = 256 << 20, /* bytes */
    RECIPIENTS_LINE_MAX = 1024,      /* without the line end */
};

struct recipients;

/* Reads and checks `file`. Blocks. On failure *out is NULL and `messages` has a line a problem,
 * "file:line: what is wrong; what to do", of which the first PROBLEMS_TOLD_MAX are told. A
 * file without any address is a failure, too: it would have all mail refused. */
struct err recipients_load(const char *file, struct buf *messages, struct recipients **out);

/* The same of text that comes in pieces; `file` is its name in messages, both are kept by
 * reference. recipients_reader_end frees the reader. */
struct recipients_reader;
struct recipients_reader *recipients_reader_create(const char *file, struct buf *messages);
void recipients_reader_feed(struct recipients_reader *reader, struct span piece);
struct err recipients_reader_end(struct recipients_reader *reader, struct recipients **out);

struct recipients *recipients_ref(struct recipients *recipients);
/* NULL is let be. */
void recipients_unref(struct recipients *recipients);

/* Lines that say something new. */
uint64_t recipients_count(const struct recipients *recipients);
/* Bytes of memory. */
size_t recipients_size(const struct recipients *recipients);

enum recipients_answer {
    RECIPIENTS_FOREIGN, /* nothing is known of the domain */
    RECIPIENTS_KNOWN,
    RECIPIENTS_UNKNOWN, /* there are others in the domain */
};

/* `domain` is the address's in lower-case ASCII form. ASCII letters of the local part are the same
 * in either case, and "x y"@d is found however it is quoted. An address that is not there is known
 * without what follows the first of `delimiters` (NULL = none), too. `scratch` takes what quoted
 * local parts need. */
enum recipients_answer recipients_find(const struct recipients *recipients,
                                       const struct address *address, struct span domain,
                                       const char *delimiters, struct arena *scratch);

/* To follow a file whose snapshots are struct recipients; it has none yet. */
struct follow *recipients_follow(void);

#endif
