/*
 * plugin_desk: where a test plugin (tests/plugins/probe.c) gets what it does from. Its section
 * names the desk by its address, `desk = "0x..."`; the functions are the test's.
 */
#ifndef SMARTHOP_TESTS_PLUGIN_DESK_H
#define SMARTHOP_TESTS_PLUGIN_DESK_H

#include "plugins/smarthop_plugin.h"

#include <stdatomic.h>

struct plugin_desk {
    /* NULL = nothing is done there; `ask` NULL = pass. */
    int (*start)(struct plugin_desk *desk);
    int (*ask)(struct plugin_desk *desk, const struct smarthop_event *event,
               struct smarthop_verdict *verdict);
    void (*stop)(struct plugin_desk *desk);
    void (*metrics)(struct plugin_desk *desk);
    int self_test; /* what these two return */
    int reload;

    const struct smarthop_host *host;
    struct smarthop_self *self;
    void *user;

    atomic_uint starts, stops, asked, cancels, reloads;
    _Atomic uint64_t token;     /* of the last asking */
    _Atomic uint64_t cancelled; /* of the last that was cancelled */
    atomic_uint inside;         /* calls that are going on */
    atomic_uint inside_most;
};

#endif
