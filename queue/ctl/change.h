/* change: what can be done to queued mail, for change.c (by id) and bulk.c (by filter). */
#ifndef SMARTHOP_QUEUE_CTL_CHANGE_H
#define SMARTHOP_QUEUE_CTL_CHANGE_H

#include "queue/ctl/ctl.h"
#include "queue/ctl/offline.h"

#include <jansson.h>

struct change_verb {
    const char *name;
    const char *done; /* "removed" */
    bool is_final;    /* it cannot be taken back */
    bool offline;     /* can be done without a daemon */
    enum offline_verb offline_verb;
    const char *instead; /* what can; or NULL */
};

/* Complains that only the daemon can do it. */
enum ctl_exit change_needs_daemon(const struct change_verb *verb);
/* Complains of groups that were left as they are. */
enum ctl_exit change_left_busy(uint64_t groups);

/* A verb of which the daemon is told more, and tells more. All but the verb may be 0. */
struct change_order {
    const struct change_verb *verb;
    const json_t *fields; /* of each command: then the daemon is asked for a dry run, too */
    unsigned batch;       /* groups of a command; 0 = as many as it may have */
    void *context;
    void (*take)(void *context, const json_t *answer); /* a batch is done */
    void (*tell)(void *context);                       /* all are: before the result, or in it */
};
/* All that the filter lets pass; with CTL_DRY_RUN it is only counted. Memory and what is under way
 * at a time are bounded; the daemon delivers meanwhile. *groups_out, where it is not NULL: how many
 * were meant. */
enum ctl_exit bulk_change(struct ctl *ctl, const struct change_order *order, uint64_t *groups_out);

#endif
