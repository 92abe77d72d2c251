/*
 * filter: which of the queued mail a command is about. Its terms hold together: a group is chosen
 * where all that is asked of its message and of itself is true, and all that is asked of a
 * recipient is true of the same one.
 *
 * Pure; a filter that is all zero lets everything pass. Its texts stay the caller's.
 */
#ifndef SMARTHOP_QUEUE_CTL_FILTER_H
#define SMARTHOP_QUEUE_CTL_FILTER_H

#include "queue/ctl/view.h"

enum filter_term {
    FILTER_SENDER, /* a part of it, or a pattern with * and ?; "<>" is the null reverse-path */
    FILTER_RECIPIENT,
    FILTER_DOMAIN,      /* of a recipient: the whole, or a pattern */
    FILTER_DESTINATION, /* a part of the next hop, or a pattern */
    FILTER_TENANT,      /* the whole, or a pattern */
    FILTER_STATE,       /* a word of view_state_detail or of view_state_name */
    FILTER_OLDER,       /* a duration, as in the configuration */
    FILTER_NEWER,
    FILTER_LARGER, /* a size, as in the configuration */
    FILTER_SMALLER,
    FILTER_TRIES,  /* at least so many */
    FILTER_STATUS, /* a part of what was said last of a recipient, or a pattern */
    FILTER_ID,     /* any of those that are given */
    FILTER_TERMS,
};

struct filter {
    unsigned terms; /* bits 1 << enum filter_term: those that were given */
    struct span texts[FILTER_TERMS];
    uint64_t numbers[FILTER_TERMS];
    uint64_t *ids;
    unsigned id_count;
};

/* "sender" */
const char *filter_name(enum filter_term term);
/* Adds a term; the last value counts, but for FILTER_ID. False with the reason in `why`. */
bool filter_take(struct filter *filter, enum filter_term term, const char *value, struct buf *why);
void filter_fini(struct filter *filter);

static inline bool filter_has(const struct filter *filter, enum filter_term term)
{
    return filter->terms & 1u << term;
}

/* Does all hold that is asked of the message alone? */
bool filter_message(const struct filter *filter, const struct queue_message *message, uint64_t now);
/* Of a group that stands so, in such a message: its first recipient that is asked for, or NULL. */
const struct queue_recipient *filter_group(const struct filter *filter,
                                           const struct queue_group *group, enum view_state state,
                                           uint64_t now);
bool filter_recipient(const struct filter *filter, const struct queue_recipient *recipient);
/* Is a message wanted of which no group can be read? */
bool filter_damaged(const struct filter *filter);

#endif
