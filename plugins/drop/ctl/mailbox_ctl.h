/*
 * mailbox_ctl: what `smarthopctl mailbox` does with the mailboxes' store, for the command line and,
 * as far as it changes something, for the running daemon in its place. Everything blocks; any
 * thread that is no loop's.
 */
#ifndef SMARTHOP_DROP_MAILBOX_CTL_H
#define SMARTHOP_DROP_MAILBOX_CTL_H

#include "plugins/drop/mailstore/mailstore.h"

/*
 * One of
 *
 *     create USER NAME
 *     delete USER NAME, delete USER (all that he has)
 *     quota USER, quota USER BYTES [MESSAGES]: numbers, "none", or "default"
 *
 * Appends what came of it, in lines for people. The exit status: 0 done, 1 failed, 2 wrong usage.
 */
int mailbox_order(struct mailstore *store, const struct span *words, unsigned count,
                  struct buf *out);

/* ---- files -------------------------------------------------------------------------------- */

enum mailbox_format {
    MAILBOX_MAILDIR, /* Maildir++: folders ".Name", flags in the files' names */
    MAILBOX_MBOX,    /* mboxrd: a file a mailbox, flags in Status and X-Status */
};

struct mailbox_transfer {
    struct mailstore *store;
    struct span user;
    struct span name; /* of the mailbox; export: empty = all; import: empty = as the files say */
    const char *path;
    enum mailbox_format format;                                   /* of an export */
    void (*progress)(void *context, uint64_t done, uint64_t all); /* messages; may be NULL */
    void *context;

    uint64_t messages; /* that were transferred */
    uint64_t boxes;
    uint64_t all;
};

/* Into the folder `path`, which is made where it is missing; what is in its way is not overwritten.
 * False: `problem` has a line; what was written stays. */
bool mailbox_export(struct mailbox_transfer *transfer, struct buf *problem);
/* From a maildir, an mbox file, or a folder of files NAME.mbox. Mailboxes are made where they are
 * missing; no quota holds. False likewise: what was imported stays, and `messages` counts it. */
bool mailbox_import(struct mailbox_transfer *transfer, struct buf *problem);

#endif
