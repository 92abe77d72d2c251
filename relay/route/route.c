/* The routes of relay.conf. */
#include "route/private.h"

#include "proto/domain.h"
#include "proto/ip.h"

enum { SMTP_PORT = 25 };

static void reject(struct routing *r, struct status status)
{
    r->answer->verdict = ROUTE_REJECT;
    r->answer->status = status;
}

void routing_refuse_wishes(struct routing *r, const char *by)
{
    struct route_wishes all = r->query->wishes;

    if (r->verdict != NULL) {
        struct route_wishes own = route_wishes_of(r->verdict);
        route_wishes_add(&all, &own);
    }
    r->answer->verdict = ROUTE_DEFER;
    r->answer->status = route_wishes_refuse(&all, by, r->answer->recipient);
}

void routing_send(struct routing *r, struct route_next_hop *hop)
{
    struct arena *arena = r->query->arena;
    struct span tenant = r->query->tenant;

    wishes_apply(&r->query->wishes, hop);
    if (r->verdict != NULL) {
        struct route_wishes own = route_wishes_of(r->verdict);
        wishes_apply(&own, hop);
        if (r->verdict->tenant.len > 0)
            tenant = plugin_span(r->verdict->tenant);
    }
    r->answer->next_hop = route_next_hop_format(arena, hop);
    if (r->answer->next_hop.len == 0) {
        r->answer->verdict = ROUTE_DEFER;
        r->answer->status = STATUS(451, 4, 3, 5, "The route's host list is too long");
        return;
    }
    r->answer->verdict = ROUTE_SEND;
    r->answer->destination = route_destination(arena, r->answer->next_hop, tenant);
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

static void to_one(struct routing *r, struct route_next_hop hop, struct route_host host)
{
    hop.hosts[0] = host;
    hop.host_count = 1;
    routing_send(r, &hop);
}

/* user@[192.0.2.1]: that host, whatever its name (RFC 5321 4.1.3, 5.1). */
static bool to_literal(struct routing *r, struct span domain, uint16_t port,
                       const struct conf_route *route)
{
    struct ip_address ip;
    char text[IP_TEXT_MAX];

    if (domain.len == 0 || domain.ptr[0] != '[' || !ip_parse_literal(domain, &ip))
        return false;
    struct span name = span_of(text, ip_format(&ip, text));
    to_one(r, without_hosts(route),
           (struct route_host){.name = name, .port = port, .is_address = true});
    return true;
}

static void to_mx(struct routing *r, struct span domain, uint16_t port,
                  const struct conf_route *route)
{
    struct route_next_hop hop = without_hosts(route);

    if (to_literal(r, domain, port, route))
        return;
    if (!domain_is_valid_with(domain, DOMAIN_ALLOW_UNDERSCORE)) {
        reject(r, STATUS(550, 5, 1, 2, "The recipient's domain is not a valid name"));
        return;
    }
    hop.use_mx = true;
    to_one(r, hop, (struct route_host){.name = domain, .port = port});
}

static void balance(struct routing *r, const struct conf_route *route, struct route_next_hop *hop)
{
    hop->balance = route->balance;
    if (route->balance == CONF_BALANCE_STICKY_DOMAIN &&
        domain_is_valid_with(r->domain, DOMAIN_ALLOW_UNDERSCORE))
        hop->sticky = r->domain;
}

static void to_hosts(struct routing *r, const struct conf_route *route)
{
    struct route_next_hop hop = without_hosts(route);

    /* One host that is to be asked for its MX is the MX form; conf allows it only alone. */
    if (route->host_count == 1 && route->hosts[0].use_mx) {
        to_mx(r, span_cstr(route->hosts[0].host), route->hosts[0].port, route);
        return;
    }
    for (unsigned i = 0; i < route->host_count && i < ROUTE_HOSTS_MAX; i++) {
        hop.hosts[hop.host_count++] = (struct route_host){
            .name = span_cstr(route->hosts[i].host),
            .port = route->hosts[i].port,
            .is_address = route->hosts[i].is_address,
            .is_path = route->hosts[i].is_path,
            .implicit_tls = route->hosts[i].implicit_tls,
            .weight = route->hosts[i].weight,
        };
    }
    balance(r, route, &hop);
    routing_send(r, &hop);
}

/* What the query says must outlive the configuration. */
static struct span text_of(struct routing *r, const struct conf_route *route, const char *otherwise)
{
    return arena_dup(r->query->arena, span_cstr(route->text ? route->text : otherwise));
}

/* The text begins with an enhanced status code. */
static struct status rejection(struct routing *r, const struct conf_route *route)
{
    struct status status = STATUS(550, 5, 7, 1, "");
    struct span text = text_of(r, route, "Refused by local policy");

    status.text = span_from(text, enhanced_code_parse(text, &status.enhanced));
    return status;
}

static void follow(struct routing *r, const struct conf_route *route, struct span domain)
{
    struct span own = route->mx_domain ? span_cstr(route->mx_domain) : domain;

    switch (route->action) {
    case CONF_ROUTE_HOSTS:
        to_hosts(r, route);
        break;
    case CONF_ROUTE_MX:
        to_mx(r, own, route->port, route);
        break;
    case CONF_ROUTE_REJECT:
        reject(r, rejection(r, route));
        break;
    case CONF_ROUTE_DISCARD:
        r->answer->verdict = ROUTE_DISCARD;
        break;
    case CONF_ROUTE_HOLD:
        routing_hold(r, (struct status){.code = 450,
                                        .enhanced = {4, 7, 1},
                                        .text = text_of(r, route, "Held by a route")});
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

void routing_hold(struct routing *r, struct status status)
{
    to_mx(r, r->domain, SMTP_PORT, NULL);
    if (r->answer->verdict == ROUTE_SEND) {
        r->answer->verdict = ROUTE_HOLD;
        r->answer->status = status;
    }
}

void routing_by_conf(struct routing *r)
{
    const struct conf_route *route = conf_route_find(r->query->conf, r->domain);

    if (route != NULL)
        r->answer->route = arena_dup(r->query->arena, span_cstr(route->pattern));
    if (route != NULL)
        follow(r, route, r->domain);
    else
        to_mx(r, r->domain, SMTP_PORT, NULL);
}

void route_recipient(struct loop *loop, struct route_query *query)
{
    struct routing r = {.query = query, .domain = query->domain, .answer = &query->answer};

    query->answer = (struct route_answer){.recipient = query->recipient};
    query->asking = NULL;
    query->steps = NULL;
    if (plugin_worker_wants(query->plugins, SMARTHOP_ON_ROUTE)) {
        route_ask_plugins(loop, query);
        return;
    }
    if (route_wishes_are_sound(&query->wishes, query->conf))
        routing_by_conf(&r);
    else
        routing_refuse_wishes(&r, NULL);
    loop_defer(loop, &query->call);
}
