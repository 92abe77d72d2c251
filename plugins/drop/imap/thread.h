/*
 * thread: messages to threads, ORDEREDSUBJECT and REFERENCES (RFC 5256 3). Pure. Whatever
 * references say, time grows with their number and its logarithm, and nothing recurses.
 */
#ifndef SMARTHOP_DROP_IMAP_THREAD_H
#define SMARTHOP_DROP_IMAP_THREAD_H

#include "plugins/drop/imap/search.h"

enum { THREAD_REFERENCES_MAX = 100 }; /* of one message; of more, the last */

/* Spans until the call returns: fields unfolded, ptr NULL where there is none. */
struct thread_message {
    uint32_t index;
    int64_t date; /* sent date (RFC 5256 2.2) */
    struct span message_id;
    struct span references;
    struct span in_reply_to;
    struct span subject; /* base subject, folded */
    bool is_reply;       /* or a forward */
};

struct threader;
struct threader *threader_create(enum imap_thread_algorithm algorithm);
/* In the order of the mailbox. */
void threader_add(struct threader *threader, const struct thread_message *message);
/* The first thread; once. Any thread. What is handed out is in the arena. */
struct imap_thread *threader_end(struct threader *threader, struct arena *arena);
/* NULL is let be. */
void threader_free(struct threader *threader);

#endif
