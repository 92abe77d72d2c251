/* What relay.conf says of a site: its `destination` section, or what holds for all. */
#include "schedule/private.h"

/* By the host first: a provider's hosts tell more than the domains that it serves. */
static const struct conf_destination *find(const struct conf *conf, struct span host,
                                           struct span domain)
{
    const struct conf_destination *by_host = conf_destination_find(conf, host);

    if (by_host != NULL && strcmp(by_host->pattern, "*") != 0)
        return by_host;
    return conf_destination_find(conf, domain);
}

struct span shape_name(const struct conf *conf, struct span host, struct span domain)
{
    const struct conf_destination *section = find(conf, host, domain);

    return section != NULL ? span_cstr(section->pattern) : SPAN("");
}

static unsigned number(unsigned own, unsigned common)
{
    return own != 0 ? own : common;
}

static uint64_t duration(uint64_t own, uint64_t common)
{
    return own != 0 ? own : common;
}

void shape_read(struct shape *shape, const struct conf *conf, struct span host, struct span domain)
{
    static const struct conf_destination nothing;
    const struct conf_destination *section = find(conf, host, domain);

    if (section == NULL)
        section = &nothing;
    *shape = (struct shape){
        .limits = {.connections = number(section->connections, conf->connections_per_destination),
                   .rates = {[BUDGET_SECOND] = section->messages_per_second,
                             [BUDGET_MINUTE] = section->messages_per_minute,
                             [BUDGET_HOUR] = section->messages_per_hour,
                             [BUDGET_DAY] = section->messages_per_day}},
        .messages_per_connection =
            number(section->messages_per_connection, conf->messages_per_connection),
        .recipients_per_transaction =
            number(section->recipients_per_transaction, conf->recipients_per_transaction),
        .retry_first = duration(section->retry_first, conf->retry_first),
        .retry_max = duration(section->retry_max, conf->retry_max),
    };
}

void shape_of(struct shape *shape, const struct destination *d)
{
    if (d->site != NULL)
        *shape = d->site->shape;
    else
        shape_read(shape, d->owner->conf, SPAN(""), d->next_hop.hosts[0].name);
}
