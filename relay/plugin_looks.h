/*
 * plugin_looks: what the control socket asks about routes and plugins. For actions.c.
 */
#ifndef SMARTHOP_PLUGIN_LOOKS_H
#define SMARTHOP_PLUGIN_LOOKS_H

#include "actions.h"

/* Asked of the first worker, as a client of its would be answered. */
void looks_route(void *context, struct control_routing *routing);

#endif
