/*
 * thread_private: message ids, and the two ways of making threads of what threader_add has brought,
 * among themselves.
 */
#ifndef SMARTHOP_DROP_IMAP_THREAD_PRIVATE_H
#define SMARTHOP_DROP_IMAP_THREAD_PRIVATE_H

#include "plugins/drop/imap/forest.h"
#include "plugins/drop/imap/thread.h"

/* Stands for a text where only sameness counts. */
struct thread_name {
    uint64_t a, b;
};

/* A message, or one that is only referred to. */
struct thread_node {
    struct thread_name id;
    struct thread_name subject;
    int64_t date;
    uint32_t index;    /* UINT32_MAX = it is not there */
    uint32_t parent;   /* while references are gathered; 0 = none */
    uint32_t children; /* likewise: how many */
    uint32_t child;    /* from then on: the first */
    uint32_t last;
    uint32_t next;
    bool has_subject;
    bool is_reply;
};

/* Names to nodes: open addressing, at most half full. */
struct thread_table {
    uint32_t *slots; /* node numbers; 0 = free */
    uint32_t size;   /* a power of two */
    uint32_t used;
};

struct threader {
    enum imap_thread_algorithm algorithm;
    uint64_t seed;
    struct thread_node *nodes; /* from 1 */
    uint32_t count;
    uint32_t cap;
    struct thread_table ids;
    struct forest forest; /* which message's ways end where; node numbers are the same */
};

struct thread_name thread_name_of(const struct threader *threader, struct span text);
bool thread_is_same(struct thread_name a, struct thread_name b);
uint32_t thread_add_node(struct threader *threader);

enum thread_key { THREAD_BY_ID, THREAD_BY_SUBJECT };
/* The slot of that name, free or not; until the next call. */
uint32_t *thread_slot(struct threader *threader, struct thread_table *table, enum thread_key key,
                      struct thread_name name);

/* thread_ids.c: the next message id of a field, "<left@right>" without the brackets, quotes and
 * blanks, in `text`; false at the end. *rest_inout is behind it then. */
enum { THREAD_ID_MAX = 1000 };
bool thread_next_id(struct span *rest_inout, char text[THREAD_ID_MAX], size_t *len_out);

/* thread_references.c */
void thread_add_references(struct threader *threader, const struct thread_message *message);
/* A list of nodes by `next`, from the first; 0 = there is none. */
uint32_t thread_by_references(struct threader *threader);

/* By sent date, then by the order in the mailbox; of a message that is not there its first child
 * counts. */
void thread_sort(const struct threader *threader, uint32_t *nodes, uint32_t count);
/* Chains them by `next`: the first. */
uint32_t thread_chain(struct threader *threader, const uint32_t *nodes, uint32_t count);

#endif
