/*
 * mailbox: the drop's store as relay.conf names it, for the commands of `smarthopctl mailbox`.
 */
#ifndef SMARTHOP_QUEUE_CTL_MAILBOX_H
#define SMARTHOP_QUEUE_CTL_MAILBOX_H

#include "plugins/drop/ctl/mailbox_ctl.h"
#include "queue/ctl/ctl.h"

/* Complains. CTL_NO_DAEMON: another process has it open for writing. */
enum ctl_exit mailbox_open(const struct ctl *ctl, bool read_only, struct mailstore **out);
enum ctl_exit mailbox_store_failed(struct err e);
/* The name of the drop's section, or NULL. */
const char *mailbox_plugin(const struct ctl *ctl);

/* "\r123 of 456 messages " on a terminal; for callbacks. */
void mailbox_progress(void *context, uint64_t done, uint64_t all);
void mailbox_progress_end(void);

#endif
