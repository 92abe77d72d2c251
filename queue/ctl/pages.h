/* pages: lists that the running daemon tells line by line; printed as they come. */
#ifndef SMARTHOP_QUEUE_CTL_PAGES_H
#define SMARTHOP_QUEUE_CTL_PAGES_H

#include "queue/ctl/client.h"

struct pages {
    const char *command; /* of the control socket; its lines have the list under the same name */
    /* False: the item is not to be shown. NULL = all are. */
    bool (*wanted)(const json_t *item, void *context);
    /* For people; `shown` is how many came before. */
    void (*print)(const json_t *item, uint64_t shown, void *context);
    void *context;
};

/* As a JSON array, or for people. *shown_out is the number of items. Complains. */
enum ctl_exit pages_print(const struct ctl *ctl, const struct pages *pages, uint64_t *shown_out);

#endif
