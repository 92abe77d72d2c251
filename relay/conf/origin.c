#include "conf/origin.h"

#include "conf/address.h"

#include <arpa/inet.h>

bool conf_origin_parse(struct span text, struct conf_origin_address *out, struct buf *why)
{
    *out = (struct conf_origin_address){0};
    if (!conf_weight_parse(&text, &out->weight, why))
        return false;
    if (!conf_is_address(text) || !conf_address_parse(text, 1, &out->address, why)) {
        buf_addf(why, "is not an address; expected one like 192.0.2.1, 192.0.2.1*3 or 2001:db8::1");
        return false;
    }
    if (out->address.any.sa_family == AF_INET)
        out->address.in4.sin_port = 0;
    else
        out->address.in6.sin6_port = 0;
    return true;
}

void conf_origin_print(const struct conf_origin_address *origin, struct buf *out)
{
    const struct conf_address *address = &origin->address;
    char text[INET6_ADDRSTRLEN];

    if (address->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address->in4.sin_addr, text, sizeof text);
    else
        inet_ntop(AF_INET6, &address->in6.sin6_addr, text, sizeof text);
    buf_addf(out, "%s", text);
    conf_weight_print(origin->weight, out);
}

const struct conf_origin *conf_origin_find(const struct conf *conf, struct span name)
{
    for (unsigned i = 0; i < conf->origin_count; i++)
        if (span_equal(span_cstr(conf->origins[i].name), name))
            return &conf->origins[i];
    return NULL;
}

void conf_check_origins(struct conf_loading *loading)
{
    const struct conf *conf = loading->conf;

    for (unsigned i = 0; i < conf->origin_count; i++) {
        if (!conf_is_plain_name(span_cstr(conf->origins[i].name)))
            conf_source_problem(&loading->source, loading->places.items[CONF_ORIGIN][i].line,
                                "\"%.64s\" does not name a source; expected up to 64 letters, "
                                "digits and -_.",
                                conf->origins[i].name);
    }
}

void conf_check_balance(struct conf_loading *loading, const struct conf_route *route, unsigned line)
{
    struct conf_source *source = &loading->source;

    if (route->source != NULL && conf_origin_find(loading->conf, span_cstr(route->source)) == NULL)
        conf_source_problem(source, line, "route \"%s\": there is no source \"%s\"", route->pattern,
                            route->source);
    if (route->balance != CONF_BALANCE_ORDERED && route->action != CONF_ROUTE_HOSTS)
        conf_source_problem(source, line, "route \"%s\": balance goes with hosts only",
                            route->pattern);
    for (unsigned i = 0; i < route->host_count; i++) {
        if (route->hosts[i].weight > 1 && route->balance != CONF_BALANCE_WEIGHTED) {
            conf_source_problem(source, line,
                                "route \"%s\": weights of hosts go with balance = weighted only",
                                route->pattern);
            break;
        }
    }
}
