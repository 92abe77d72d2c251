/*
 * How long mail is tried, and when its sender hears that it is late: by the `destination` section
 * of a route's first host, or of the domain whose MX it is for. The names of MX hosts do not count
 * here, since mail may wait just because they cannot be found.
 */
#include "route/route.h"

static const struct conf_destination *section_of(const struct conf *conf, struct span next_hop)
{
    static const struct conf_destination nothing;
    struct route_next_hop hop;

    if (conf->destination_count == 0 || !route_next_hop_parse(next_hop, &hop))
        return &nothing;
    const struct conf_destination *section = conf_destination_find(conf, hop.hosts[0].name);
    return section != NULL ? section : &nothing;
}

uint64_t route_expire_after(const struct conf *conf, struct span reverse_path, struct span next_hop)
{
    if (reverse_path.len == 0)
        return conf->bounce_expire_after;
    uint64_t own = section_of(conf, next_hop)->expire_after;
    return own != 0 ? own : conf->expire_after;
}

uint64_t route_warning_after(const struct conf *conf, struct span next_hop)
{
    uint64_t own = section_of(conf, next_hop)->delay_warning_after;

    return own != 0 ? own : conf->delay_warning_after;
}
