/* What holds where: the sections of a domain or a tenant, and the values that a listener has of its
 * own or takes from the globals. */
#include "conf/load.h"
#include "conf/pattern.h"

static struct conf_patterns of_routes(const struct conf *conf)
{
    return (struct conf_patterns){conf->routes, conf->route_count, sizeof *conf->routes};
}

static struct conf_patterns of_destinations(const struct conf *conf)
{
    return (struct conf_patterns){conf->destinations, conf->destination_count,
                                  sizeof *conf->destinations};
}

static struct conf_patterns of_domains(const struct conf_domains *domains)
{
    return (struct conf_patterns){domains->items, domains->count, sizeof *domains->items};
}

void conf_sort(struct conf *conf)
{
    conf_patterns_sort(of_routes(conf));
    conf_patterns_sort(of_destinations(conf));
    conf_patterns_sort(of_domains(&conf->relay_domains));
    for (unsigned i = 0; i < conf->listener_count; i++)
        conf_patterns_sort(of_domains(&conf->listeners[i].relay_domains));
}

/* The pattern "*" stands in for all others. */
static const void *find(struct conf_patterns patterns, struct span domain)
{
    const void *item = conf_pattern_find(patterns, domain);

    return item != NULL ? item : conf_pattern_find(patterns, SPAN("*"));
}

const struct conf_route *conf_route_find(const struct conf *conf, struct span domain)
{
    return find(of_routes(conf), domain);
}

const struct conf_destination *conf_destination_find(const struct conf *conf, struct span name)
{
    return find(of_destinations(conf), name);
}

unsigned conf_tenant_weight(const struct conf *conf, struct span tenant)
{
    for (unsigned i = 0; i < conf->tenant_count; i++)
        if (span_equal_nocase(span_cstr(conf->tenants[i].name), tenant))
            return conf->tenants[i].weight;
    return 1;
}

bool conf_domains_contain(const struct conf_domains *domains, struct span domain)
{
    return conf_pattern_find(of_domains(domains), domain) != NULL;
}

const struct conf_listener *conf_listener_find(const struct conf *conf, const char *name)
{
    for (unsigned i = 0; i < conf->listener_count; i++) {
        if (strcmp(conf->listeners[i].name, name) == 0)
            return &conf->listeners[i];
    }
    return NULL;
}

const struct conf_networks *conf_relay_networks(const struct conf *conf,
                                                const struct conf_listener *listener)
{
    return listener != NULL && listener->has_relay_networks ? &listener->relay_networks
                                                            : &conf->relay_networks;
}

const struct conf_domains *conf_relay_domains(const struct conf *conf,
                                              const struct conf_listener *listener)
{
    return listener != NULL && listener->has_relay_domains ? &listener->relay_domains
                                                           : &conf->relay_domains;
}
