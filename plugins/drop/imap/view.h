/*
 * view: a mailbox as one session sees it: which message has which sequence number, and up to which
 * state of the mailbox the client has been told. Pure; what the mailbox has become meanwhile is
 * brought in by sync.c, when the protocol allows it to be told.
 */
#ifndef SMARTHOP_DROP_IMAP_VIEW_H
#define SMARTHOP_DROP_IMAP_VIEW_H

#include "plugins/drop/mailstore/mailstore.h"

struct imap_view {
    uint32_t box; /* 0 = no mailbox is selected */
    bool is_read_only;
    uint32_t uid_validity;
    uint32_t *uids; /* sequence number n is uids[n - 1]; ascending */
    uint32_t count;
    uint32_t cap;
    uint32_t uid_next;    /* entries from here are not in it yet */
    uint64_t changed;     /* flags that were changed up to this modification sequence were told */
    uint64_t vanished;    /* what was expunged up to this one has been taken out */
    uint32_t recent_from; /* UIDs from here to below `recent_end` are \Recent */
    uint32_t recent_end;
    uint32_t recent_told;
    unsigned keywords_told; /* by FLAGS */
};

void view_fini(struct imap_view *view);
/* `uid` is greater than all. */
void view_add(struct imap_view *view, uint32_t uid);
/* Sequence number of a UID; 0 = it is not there. */
uint32_t view_find(const struct imap_view *view, uint32_t uid);
/* Index of the first of these UIDs, which are ascending, that is >= `uid`; `count` where there is
 * none. */
uint32_t uids_seek(const uint32_t *uids, uint32_t count, uint32_t uid);
/* The same in a view. */
uint32_t view_seek(const struct imap_view *view, uint32_t uid);
/* Takes messages out; the ranges of UIDs are in descending order, apart from each other. */
void view_remove(struct imap_view *view, const struct mailstore_range *ranges, unsigned count);
/* How many of its messages are \Recent. */
uint32_t view_recent(const struct imap_view *view);

static inline bool view_is_recent(const struct imap_view *view, uint32_t uid)
{
    return uid >= view->recent_from && uid < view->recent_end;
}

#endif
