/*
 * compat: the queue as Postfix's mailq and `postqueue -j` write it, for what reads these.
 */
#ifndef SMARTHOP_QUEUE_CTL_COMPAT_H
#define SMARTHOP_QUEUE_CTL_COMPAT_H

#include "queue/ctl/filter.h"

struct compat;

/* "mailq" or "postqueue-json"; NULL for others. */
const struct compat *compat_find(const char *format);

struct compat_totals {
    uint64_t bytes;
    uint64_t messages;
};

/* A message of which the filter wants at least one recipient; writes those that it wants, and adds
 * to the totals. */
void compat_write(const struct compat *format, const struct filter *filter,
                  const struct backoffs *backoffs, const struct queue_message *message,
                  uint64_t now, struct compat_totals *totals);
void compat_end(const struct compat *format, const struct compat_totals *totals);

#endif
