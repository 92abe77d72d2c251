/*
 * address_list: the addresses of a header field (RFC 5322 3.4 with its obsolete forms) or of the
 * command line, as they go into the envelope: without names, comments, groups and source routes,
 * and with a domain.
 */
#ifndef SMARTHOP_SENDMAIL_ADDRESS_LIST_H
#define SMARTHOP_SENDMAIL_ADDRESS_LIST_H

#include "base/arena.h"
#include "base/span.h"

/* It owns the addresses. */
struct address_list {
    struct arena arena;
    struct span *items;
    size_t count;
    size_t room;
    bool utf8; /* in one of them */
};

void address_list_init(struct address_list *list);
void address_list_fini(struct address_list *list);

/* Appends the addresses of `text`; one without a domain gets `hostname`. False where something is
 * no address; what came before it has been appended then. */
bool address_list_add(struct address_list *list, struct span text, const char *hostname);

/* Appends those of `from`. */
void address_list_join(struct address_list *list, const struct address_list *from);

/* Each address once; their order is lost. */
void address_list_unique(struct address_list *list);

#endif
