/*
 * What plugins have said of where a message goes, beside its route: limits, a source, credentials,
 * TLS, the tenant. Said up to auth it is for all messages of the session, at rcpt for that
 * recipient alone, else for the message. Routes that were found before it was said are changed.
 */
#include "receive/session.h"

#include <stdlib.h>

static struct route_wishes copy_of(struct arena *arena, const struct route_wishes *wishes)
{
    return (struct route_wishes){
        .tls = wishes->tls,
        .limits = arena_dup(arena, wishes->limits),
        .source = arena_dup(arena, wishes->source),
        .credentials = arena_dup(arena, wishes->credentials),
    };
}

static void add(struct route_wishes *into, struct arena *arena, const struct route_wishes *said)
{
    struct route_wishes copy = copy_of(arena, said);

    route_wishes_add(into, &copy);
}

static void keep_for_session(struct session *s, struct arena *scratch,
                             const struct route_wishes *said)
{
    struct route_wishes all = {0};

    if (s->wishes != NULL)
        route_wishes_parse(span_cstr(s->wishes), &all);
    route_wishes_add(&all, said);
    char *text = span_to_text(route_wishes_format(scratch, &all));
    free(s->wishes);
    s->wishes = text;
}

/* False: it has become too long. */
static bool change_route(struct transaction *tx, struct tx_recipient *recipient,
                         const struct route_wishes *said)
{
    struct arena *arena = &tx->message->arena;
    struct span tenant = recipient->told & ROUTE_TOLD_TENANT
                             ? route_destination_tenant(recipient->destination)
                             : tx->message->tenant;
    struct route_wishes all;

    route_wishes_parse(recipient->wishes, &all);
    route_wishes_add(&all, said);
    recipient->wishes = route_wishes_format(arena, &all);
    if (recipient->next_hop.len == 0)
        return true; /* it has none yet, or is dropped */
    recipient->next_hop = route_next_hop_with(arena, recipient->next_hop, said, recipient->told);
    recipient->destination = route_destination(arena, recipient->next_hop, tenant);
    return recipient->next_hop.len > 0;
}

static bool keep_for_message(struct transaction *tx, const struct route_wishes *said)
{
    bool fits = true;

    add(&tx->wishes, &tx->message->arena, said);
    for (unsigned i = 0; i < tx->recipient_count; i++)
        fits &= change_route(tx, &tx->recipients[i], said);
    return fits;
}

static bool keep_tenant(struct session *s, struct span tenant)
{
    static const struct route_wishes none = {0};

    if (s->tx != NULL) {
        s->tx->message->tenant = arena_dup(&s->tx->message->arena, tenant);
        return keep_for_message(s->tx, &none);
    }
    free(s->tenant);
    s->tenant = span_to_text(tenant);
    return true;
}

static bool keep(struct session *s, const struct plugin_run *run, const struct route_wishes *said)
{
    if (s->tx == NULL)
        keep_for_session(s, run->arena, said);
    else if (run->hook == SMARTHOP_ON_RCPT)
        add(&s->tx->route.wishes, s->tx->route.arena, said);
    else
        return keep_for_message(s->tx, said);
    return true;
}

void wishes_keep(struct session *s, const struct plugin_run *run, struct status *refusal)
{
    struct route_wishes said = route_wishes_of(&run->verdict);
    struct span tenant = plugin_span(run->verdict.tenant);
    bool fits = true;

    if (tenant.len > 0)
        fits = keep_tenant(s, tenant);
    if (!route_wishes_are_sound(&said, s->conf))
        *refusal = route_wishes_refuse(&said, run->spoke, SPAN_NONE);
    else if (route_wishes_exist(&said))
        fits &= keep(s, run, &said);
    if (!fits)
        *refusal = STATUS(451, 4, 3, 5, "The route's host list is too long");
}
