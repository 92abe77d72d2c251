#include "route/route.h"

#include "proto/domain.h"
#include "proto/ip.h"

enum { SMTP_PORT = 25 };

static void reject(struct route_query *query, struct status status)
{
    query->verdict = ROUTE_REJECT;
    query->status = status;
}

static void send_to(struct route_query *query, const struct route_next_hop *hop)
{
    query->next_hop = route_next_hop_format(query->arena, hop);
    if (query->next_hop.len == 0) {
        query->verdict = ROUTE_DEFER;
        query->status = STATUS(451, 4, 3, 5, "The route's host list is too long");
        return;
    }
    query->verdict = ROUTE_SEND;
    query->destination = route_destination(query->arena, query->next_hop, query->tenant);
}

/* What the route says of any host; NULL = no route. */
static struct route_next_hop without_hosts(const struct conf_route *route)
{
    if (route == NULL)
        return (struct route_next_hop){.tls = CONF_ROUTE_TLS_OPPORTUNISTIC};
    return (struct route_next_hop){
        .tls = route->tls,
        .lmtp = route->protocol == CONF_ROUTE_LMTP,
        .xforward = route->xforward,
        .credentials = span_cstr(route->credentials),
        .auth_without_tls = route->auth_without_tls,
        .source = span_cstr(route->source),
    };
}

static void to_one(struct route_query *query, struct route_next_hop hop, struct route_host host)
{
    hop.hosts[0] = host;
    hop.host_count = 1;
    send_to(query, &hop);
}

/* user@[192.0.2.1]: that host, whatever its name (RFC 5321 4.1.3, 5.1). */
static bool to_literal(struct route_query *query, struct span domain, uint16_t port,
                       const struct conf_route *route)
{
    struct ip_address ip;
    char text[IP_TEXT_MAX];

    if (domain.len == 0 || domain.ptr[0] != '[' || !ip_parse_literal(domain, &ip))
        return false;
    struct span name = span_of(text, ip_format(&ip, text));
    to_one(query, without_hosts(route),
           (struct route_host){.name = name, .port = port, .is_address = true});
    return true;
}

static void to_mx(struct route_query *query, struct span domain, uint16_t port,
                  const struct conf_route *route)
{
    struct route_next_hop hop = without_hosts(route);

    if (to_literal(query, domain, port, route))
        return;
    if (!domain_is_valid_with(domain, DOMAIN_ALLOW_UNDERSCORE)) {
        reject(query, STATUS(550, 5, 1, 2, "The recipient's domain is not a valid name"));
        return;
    }
    hop.use_mx = true;
    to_one(query, hop, (struct route_host){.name = domain, .port = port});
}

static void balance(struct route_query *query, const struct conf_route *route,
                    struct route_next_hop *hop)
{
    hop->balance = route->balance;
    if (route->balance == CONF_BALANCE_STICKY_DOMAIN &&
        domain_is_valid_with(query->domain, DOMAIN_ALLOW_UNDERSCORE))
        hop->sticky = query->domain;
}

static void to_hosts(struct route_query *query, const struct conf_route *route)
{
    struct route_next_hop hop = without_hosts(route);

    /* One host that is to be asked for its MX is the MX form; conf allows it only alone. */
    if (route->host_count == 1 && route->hosts[0].use_mx) {
        to_mx(query, span_cstr(route->hosts[0].host), route->hosts[0].port, route);
        return;
    }
    for (unsigned i = 0; i < route->host_count && i < ROUTE_HOSTS_MAX; i++) {
        hop.hosts[hop.host_count++] = (struct route_host){
            .name = span_cstr(route->hosts[i].host),
            .port = route->hosts[i].port,
            .is_address = route->hosts[i].is_address,
            .is_path = route->hosts[i].is_path,
            .weight = route->hosts[i].weight,
        };
    }
    balance(query, route, &hop);
    send_to(query, &hop);
}

/* What the query says must outlive the configuration. */
static struct span text_of(struct route_query *query, const struct conf_route *route,
                           const char *otherwise)
{
    return arena_dup(query->arena, span_cstr(route->text ? route->text : otherwise));
}

/* The text begins with an enhanced status code. */
static struct status rejection(struct route_query *query, const struct conf_route *route)
{
    struct status status = STATUS(550, 5, 7, 1, "");
    struct span text = text_of(query, route, "Refused by local policy");

    status.text = span_from(text, enhanced_code_parse(text, &status.enhanced));
    return status;
}

static void follow(struct route_query *query, const struct conf_route *route, struct span domain)
{
    struct span own = route->mx_domain ? span_cstr(route->mx_domain) : domain;

    switch (route->action) {
    case CONF_ROUTE_HOSTS:
        to_hosts(query, route);
        break;
    case CONF_ROUTE_MX:
        to_mx(query, own, route->port, route);
        break;
    case CONF_ROUTE_REJECT:
        reject(query, rejection(query, route));
        break;
    case CONF_ROUTE_DISCARD:
        query->verdict = ROUTE_DISCARD;
        break;
    case CONF_ROUTE_HOLD:
        to_mx(query, domain, SMTP_PORT, NULL);
        if (query->verdict == ROUTE_SEND) {
            query->verdict = ROUTE_HOLD;
            query->status = (struct status){.code = 450,
                                            .enhanced = {4, 7, 1},
                                            .text = text_of(query, route, "Held by a route")};
        }
        break;
    }
}

struct span route_domain(struct arena *arena, struct span mailbox)
{
    struct span domain = span_from(mailbox, span_rindex(mailbox, '@') + 1), ascii = domain;

    if (domain.len > 0 && domain.ptr[0] != '[')
        domain_to_ascii(domain, arena, &ascii);
    return ascii;
}

void route_recipient(struct loop *loop, struct route_query *query)
{
    const struct conf_route *route = conf_route_find(query->conf, query->domain);

    query->next_hop = query->destination = SPAN_NONE;
    query->status = (struct status){0};
    query->route = route ? arena_dup(query->arena, span_cstr(route->pattern)) : SPAN_NONE;
    if (route != NULL)
        follow(query, route, query->domain);
    else
        to_mx(query, query->domain, SMTP_PORT, NULL);
    loop_defer(loop, &query->call);
}
