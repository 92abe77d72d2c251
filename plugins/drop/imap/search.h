/*
 * search: which messages of a view a search program finds, and SORT and THREAD of them. Runs in
 * slices of a bounded time on the session's loop; where bytes have to come from the disk it has
 * them brought to memory off the loop first. What is cheap is looked at first (flags, sizes and
 * dates before headers, headers before bodies).
 *
 * Semantics: RFC 9051 6.4.4, RFC 5256, RFC 5182, RFC 5032, RFC 7162, RFC 8474, RFC 8514. Texts are
 * compared as substrings of what they mean (decoded, folded), not of what is sent.
 */
#ifndef SMARTHOP_DROP_IMAP_SEARCH_H
#define SMARTHOP_DROP_IMAP_SEARCH_H

#include "plugins/drop/imap/command.h"

/* What a session sees of its mailbox: sequence number n is uids[n - 1]. It must not change while a
 * search runs: the session holds back what happens meanwhile (no EXPUNGE during SEARCH). */
struct imap_scope {
    struct mailstore *store;
    uint32_t box;
    const uint32_t *uids; /* ascending */
    uint32_t count;
    uint32_t recent_from; /* UIDs from here below recent_end are \Recent */
    uint32_t recent_end;
    const struct mailstore_range *saved; /* "$": UIDs, in order */
    unsigned saved_count;
};

/* One message of THREAD's answer. Siblings by `next`. Index into `uids`; UINT32_MAX = a message
 * that is missing, whose children stand together. */
struct imap_thread {
    struct imap_thread *child;
    struct imap_thread *next;
    uint32_t index;
};

enum imap_search_kind { IMAP_SEARCH_PLAIN, IMAP_SEARCH_SORT, IMAP_SEARCH_THREAD };

/* Embedded in its owner, zeroed; the upper part filled. */
struct imap_search_run {
    struct call call; /* done: on the loop, once */
    enum imap_search_kind kind;
    struct imap_scope scope;
    const struct imap_search *program; /* until done; imap_search_check has passed it */

    struct err result; /* ERR_CANCELLED where imap_search_cancel came first */
    uint32_t *found; /* indexes into uids: ascending, or sorted; the run's until imap_search_fini */
    uint32_t found_count;
    uint64_t highest_modseq;     /* of what was found */
    struct imap_thread *threads; /* THREAD */

    struct imap_search_state *state; /* search.c's own */
};

/* Why the program cannot be run: NULL = it can. *code_out is the response code, "BADCHARSET (...)"
 * or NULL. */
const char *imap_search_check(const struct imap_search *program, const char **code_out);
void imap_search_start(struct imap_search_run *run, struct loop *loop);
/* The completion still comes, soon. */
void imap_search_cancel(struct imap_search_run *run);
/* Behind the completion. */
void imap_search_fini(struct imap_search_run *run);

/* A set in terms of a view: ranges of UIDs, ascending, apart from each other, in the arena. None
 * reaches beyond the view's first and last UID; what lies between and is not in the view has been
 * expunged, and does not come back. `is_uid`: the set's numbers are UIDs. False: it has a sequence
 * number that there is not, which makes a command BAD ("*" in an empty mailbox is one, too); the
 * ranges are then those that there are. */
bool imap_set_resolve(const struct imap_set *set, bool is_uid, const struct imap_scope *scope,
                      struct arena *arena, struct mailstore_range **out, unsigned *count_out);

enum { IMAP_EMAIL_ID_MAX = 32 };
/* RFC 8474: the EMAILID of shared bytes, as FETCH tells it and SEARCH asks for it; in `text`. */
struct span imap_email_id(uint64_t message, char text[IMAP_EMAIL_ID_MAX]);
enum { IMAP_THREAD_ID_MAX = 32 };
/* Its THREADID, likewise: by the message ids in its header. */
struct span imap_thread_id(struct span header, uint64_t message, char text[IMAP_THREAD_ID_MAX]);

/* What follows "THREAD" of the answer (RFC 5256 4): " (2)(3 6 (4 23)(44 7 96))", or nothing. UIDs
 * of the scope's view, or sequence numbers. However deep threads are, it does not recurse. */
void imap_thread_write(const struct imap_thread *first, const struct imap_scope *scope, bool by_uid,
                       struct buf *out);

#endif
