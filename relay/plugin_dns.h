/*
 * plugin_dns: what plugins look up, asked of a worker's resolver. Embedded in the worker:
 *
 *   plugin_dns_init(&worker->plugin_dns, worker->loop, worker->resolver);
 *   worker->plugins = plugin_worker_create(home, index, worker->loop, &worker->plugin_dns.backend);
 *
 * All of it runs on the loop; the resolver is there until that has ended.
 */
#ifndef SMARTHOP_RELAY_PLUGIN_DNS_H
#define SMARTHOP_RELAY_PLUGIN_DNS_H

#include "plugins/host/host.h"
#include "resolver/resolver.h"

struct plugin_dns {
    struct plugin_backend backend;
    struct loop *loop;
    struct resolver *resolver;
};

void plugin_dns_init(struct plugin_dns *dns, struct loop *loop, struct resolver *resolver);

#endif
