/*
 * recipients_private: how the table of recipients is laid out; for those who make and ask it.
 *
 * Three kinds of entries cannot be taken for each other: "local@domain", "@domain", and "domain"
 * for every domain that one of the others has.
 */
#ifndef SMARTHOP_RECIPIENTS_RECIPIENTS_PRIVATE_H
#define SMARTHOP_RECIPIENTS_RECIPIENTS_PRIVATE_H

#include "recipients/recipients.h"
#include "recipients/table.h"

#include <stdatomic.h>

struct recipients {
    atomic_uint references;
    uint64_t count;
    struct table table;
};

enum { RECIPIENTS_KEY_MAX = ADDRESS_TEXT_MAX + 1 + DOMAIN_MAX };

/* The entry of an address, in `room` (RECIPIENTS_KEY_MAX bytes); an empty `local` makes that of all
 * of a domain. `local` is a canonical one of at most ADDRESS_TEXT_MAX bytes. */
struct span recipients_key(struct span local, struct span domain, char *room);

#endif
