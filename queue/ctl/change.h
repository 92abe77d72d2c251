/* change: what can be done to queued mail, for change.c (by id) and bulk.c (by filter). */
#ifndef SMARTHOP_QUEUE_CTL_CHANGE_H
#define SMARTHOP_QUEUE_CTL_CHANGE_H

#include "queue/ctl/ctl.h"
#include "queue/ctl/offline.h"

struct change_verb {
    const char *name;
    const char *done; /* "removed" */
    bool is_final;    /* it cannot be taken back */
    bool offline;     /* can be done without a daemon */
    enum offline_verb offline_verb;
};

/* Complains that only the daemon can do it. */
enum ctl_exit change_needs_daemon(void);
/* Complains of groups that were left as they are. */
enum ctl_exit change_left_busy(uint64_t groups);
/* All that the filter lets pass; with CTL_DRY_RUN it is only counted. Memory and what is under way
 * at a time are bounded; the daemon delivers meanwhile. */
enum ctl_exit bulk_change(struct ctl *ctl, const struct change_verb *verb);

#endif
