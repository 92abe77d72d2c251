/*
 * private: how a snapshot of addresses is laid out; for the files of address/ only.
 */
#ifndef SMARTHOP_DROP_ADDRESS_PRIVATE_H
#define SMARTHOP_DROP_ADDRESS_PRIVATE_H

#include "plugins/drop/address/address.h"

#include <stdatomic.h>

/* What a line says on its right: the parts of an address. */
struct alias_target {
    struct span local;  /* as written, without needless quotes */
    struct span domain; /* in lower-case ASCII form; empty = the one that was asked for */
};

struct alias {
    struct span key; /* "local@domain", "local", "@domain"; in lower case */
    struct alias_target *targets;
    unsigned target_count;
    unsigned line;
};

struct addresses {
    atomic_uint references;
    struct arena arena; /* of all below */
    struct span *domains;
    unsigned domain_count;
    struct span first_domain; /* as they were named */
    struct span separator;    /* its characters; empty = none */
    struct alias *aliases;    /* on the heap; sorted by key */
    unsigned alias_count;
    unsigned alias_cap;
};

int address_compare(struct span a, struct span b);
struct span address_lower(struct span text, struct arena *arena);

#endif
