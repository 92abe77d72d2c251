/* What holds where: the route of a domain, and the values that a listener has of its own or takes
 * from the globals. */
#include "conf/load.h"
#include "conf/pattern.h"

static struct conf_patterns of_routes(const struct conf *conf)
{
    return (struct conf_patterns){conf->routes, conf->route_count, sizeof *conf->routes};
}

static struct conf_patterns of_domains(const struct conf_domains *domains)
{
    return (struct conf_patterns){domains->items, domains->count, sizeof *domains->items};
}

void conf_sort(struct conf *conf)
{
    conf_patterns_sort(of_routes(conf));
    conf_patterns_sort(of_domains(&conf->relay_domains));
    for (unsigned i = 0; i < conf->listener_count; i++)
        conf_patterns_sort(of_domains(&conf->listeners[i].relay_domains));
}

const struct conf_route *conf_route_find(const struct conf *conf, struct span domain)
{
    const struct conf_route *route = conf_pattern_find(of_routes(conf), domain);

    return route != NULL ? route : conf_pattern_find(of_routes(conf), SPAN("*"));
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
