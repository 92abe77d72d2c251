/* What the daemon would ask in the course of one message. */
#include "plugins/kit/private.h"

#include "base/memory.h"
#include "proto/address.h"
#include "proto/domain.h"

#include <string.h>

enum { REWRITES_MOST = 10, TARGETS_MOST = SMARTHOP_NEXT_HOPS_MAX };

struct dialogue {
    struct kit *kit;
    struct arena arena;
    struct smarthop_session session;
    struct smarthop_message message;
};

static struct smarthop_span text(const char *ptr)
{
    return smarthop_span_of(ptr, ptr != NULL ? strlen(ptr) : 0);
}

static struct scene scene_of(const struct dialogue *d)
{
    return (struct scene){.session = &d->session, .message = &d->message};
}

/* False: the client has been sent away, or the message has been decided about. */
static bool ask(struct dialogue *d, enum smarthop_hook hook, bool has_message)
{
    struct scene scene = {.session = &d->session, .message = has_message ? &d->message : NULL};
    struct smarthop_verdict verdict;

    kit_ask(d->kit, hook, &scene, &d->arena, &verdict);
    return verdict.action == SMARTHOP_PASS || verdict.action == SMARTHOP_ACCEPT;
}

/* What is no mailbox has no domain. */
static struct smarthop_recipient recipient_of(struct dialogue *d, struct span address)
{
    struct smarthop_recipient recipient = {.size = sizeof recipient,
                                           .address = plugin_text(address)};
    struct address parsed;
    struct span domain;

    if (address_parse(address, ADDRESS_ALLOW_UTF8, &parsed) != ADDRESS_OK)
        return recipient;
    recipient.local = smarthop_span_of(parsed.local.ptr, parsed.local.len);
    if (parsed.literal || !domain_to_ascii(parsed.domain, &d->arena, &domain))
        domain = parsed.domain;
    recipient.domain = plugin_text(domain);
    return recipient;
}

/* ---- after the route ----------------------------------------------------------------------- */

static const char *last_reply(enum smarthop_outcome outcome)
{
    static const char *const replies[] = {
        [SMARTHOP_DELIVERED] = "2.0.0 taken",
        [SMARTHOP_DEFERRED] = "4.2.0 try again later",
        [SMARTHOP_FAILED] = "5.1.1 nobody of that name",
        [SMARTHOP_EXPIRED] = "4.2.0 try again later",
    };

    return replies[outcome];
}

/* Hosts have addresses of documentation (RFC 5737). */
static uint32_t make_targets(struct dialogue *d, const struct smarthop_verdict *route,
                             struct smarthop_span domain,
                             struct smarthop_target targets[TARGETS_MOST])
{
    uint32_t count = route->next_hop_count;

    for (uint32_t i = 0; i < count; i++) {
        const struct smarthop_next_hop *hop = &route->next_hops[i];
        struct span address = arena_printf(&d->arena, "198.51.100.%u", i + 1);
        targets[i] = (struct smarthop_target){.host = hop->host,
                                              .address = plugin_text(address),
                                              .port = hop->port != 0 ? hop->port : 25,
                                              .preference = hop->priority,
                                              .weight = hop->weight};
    }
    if (count == 0)
        targets[count++] = (struct smarthop_target){.host = route->mx.len > 0 ? route->mx : domain,
                                                    .address = SMARTHOP_TEXT("198.51.100.1"),
                                                    .port = 25};
    return count;
}

static void attempt(struct dialogue *d, const struct smarthop_recipient *recipient,
                    const struct smarthop_verdict *route)
{
    enum smarthop_outcome outcome = d->kit->order->outcome;
    struct smarthop_target targets[TARGETS_MOST];
    uint32_t count = make_targets(d, route, recipient->domain, targets);
    struct span next_hop = arena_printf(&d->arena, "hosts:%.*s:%u", (int)targets[0].host.len,
                                        targets[0].host.ptr, targets[0].port);
    struct smarthop_attempt facts = {.size = sizeof facts, .next_hop = plugin_text(next_hop)};
    struct scene scene = {.attempt = &facts, .targets = targets, .target_count = count};
    struct smarthop_verdict verdict;

    kit_ask(d->kit, SMARTHOP_ON_TARGETS, &scene, &d->arena, &verdict);
    if (verdict.action != SMARTHOP_PASS)
        return;
    scene = (struct scene){.message = &d->message, .attempt = &facts};
    facts.host = verdict.target_count > 0 ? verdict.targets[0].host : targets[0].host;
    facts.address = verdict.target_count > 0 ? verdict.targets[0].address : targets[0].address;
    kit_ask(d->kit, SMARTHOP_ON_BEFORE_ATTEMPT, &scene, &d->arena, &verdict);
    if (verdict.action != SMARTHOP_PASS)
        return;
    facts.outcome = outcome;
    facts.reply = text(last_reply(outcome));
    for (int i = 0; i < 3; i++)
        facts.enhanced[i] = (uint8_t)(facts.reply.ptr[2 * i] - '0');
    facts.code = outcome == SMARTHOP_DELIVERED ? 250 : outcome == SMARTHOP_FAILED ? 550 : 450;
    scene.recipient = recipient;
    kit_ask(d->kit, SMARTHOP_ON_AFTER_ATTEMPT, &scene, &d->arena, &verdict);
    scene.attempt = NULL;
    if (outcome == SMARTHOP_FAILED || outcome == SMARTHOP_EXPIRED)
        kit_ask(d->kit, SMARTHOP_ON_BOUNCE, &scene, &d->arena, &verdict);
}

/* ---- recipients ---------------------------------------------------------------------------- */

/* A recipient with its answer: to be tried once the message is there. */
struct routed {
    struct smarthop_recipient recipient;
    struct smarthop_verdict route;
};

struct plan {
    struct routed *items;
    unsigned count;
};

static bool is_among(struct span address, const struct smarthop_verdict *rewritten)
{
    for (uint32_t i = 0; i < rewritten->recipient_count; i++)
        if (span_equal_nocase(plugin_span(rewritten->recipients[i]), address))
            return true;
    return false;
}

/* `stays`: the plugin has rewritten it to itself and others, and is asked for its own route. */
static void route(struct dialogue *d, struct span address, unsigned rewrites, bool stays,
                  struct plan *plan)
{
    struct routed routed = {.recipient = recipient_of(d, address)};
    struct scene scene = scene_of(d);

    routed.recipient.flags = stays ? SMARTHOP_RECIPIENT_STAYS : 0;
    scene.recipient = &routed.recipient;
    kit_ask(d->kit, SMARTHOP_ON_ROUTE, &scene, &d->arena, &routed.route);
    if (routed.route.action == SMARTHOP_REWRITE && rewrites == REWRITES_MOST) {
        record_problem(d->kit, "it rewrites a recipient again and again");
        return;
    }
    bool goes_on = stays && is_among(address, &routed.route); /* behind the plugin */
    for (uint32_t i = 0; !goes_on && i < routed.route.recipient_count; i++) {
        struct span next = plugin_span(routed.route.recipients[i]);
        route(d, next, rewrites + 1, span_equal_nocase(next, address), plan);
    }
    if (goes_on)
        routed.route = (struct smarthop_verdict){.size = sizeof routed.route};
    if (routed.route.action != SMARTHOP_PASS && routed.route.action != SMARTHOP_SEND)
        return;
    plan->items = mem_realloc(plan->items, (plan->count + 1) * sizeof *plan->items);
    plan->items[plan->count++] = routed;
}

static bool admit(struct dialogue *d, const char *address)
{
    struct smarthop_recipient recipient = recipient_of(d, span_cstr(address));
    struct scene scene = scene_of(d);
    struct smarthop_verdict verdict;

    scene.recipient = &recipient;
    kit_ask(d->kit, SMARTHOP_ON_RCPT, &scene, &d->arena, &verdict);
    if (verdict.action != SMARTHOP_PASS && verdict.action != SMARTHOP_ACCEPT)
        return false;
    d->message.recipients++;
    return true;
}

/* What the message's routes need, before or behind it. */
static void take_recipients(struct dialogue *d, bool is_early, struct plan *plan,
                            const char **admitted, unsigned *admitted_count)
{
    const struct kit_texts *recipients = &d->kit->order->recipients;

    for (unsigned i = 0; i < recipients->count; i++) {
        if (!admit(d, recipients->items[i]))
            continue;
        admitted[(*admitted_count)++] = recipients->items[i];
        if (is_early)
            route(d, span_cstr(recipients->items[i]), 0, false, plan);
    }
}

static void transaction(struct dialogue *d)
{
    bool is_early = (d->kit->self->plugin.flags & SMARTHOP_READS_HEADER) == 0;
    const char **admitted = mem_zalloc(d->kit->order->recipients.count * sizeof *admitted);
    struct span all = buf_span(&d->kit->message);
    struct plan plan = {0};
    unsigned count = 0;

    take_recipients(d, is_early, &plan, admitted, &count);
    d->message.header = smarthop_span_of(all.ptr, d->kit->header_len);
    bool goes_on = count > 0 && ask(d, SMARTHOP_ON_HEADERS, true);
    d->message.bytes = all.len;
    if (goes_on && ask(d, SMARTHOP_ON_MESSAGE, true)) {
        for (unsigned i = 0; !is_early && i < count; i++)
            route(d, span_cstr(admitted[i]), 0, false, &plan);
        d->message.id = 1;
        for (unsigned i = 0; i < plan.count; i++)
            attempt(d, &plan.items[i].recipient, &plan.items[i].route);
    }
    free(plan.items);
    free(admitted);
}

static void converse(struct dialogue *d)
{
    const struct kit_order *order = d->kit->order;

    if (!ask(d, SMARTHOP_ON_CONNECT, false))
        return;
    d->session.helo = text(order->helo);
    if (!ask(d, SMARTHOP_ON_HELO, false))
        return;
    if (order->user != NULL) {
        d->session.user = text(order->user);
        d->session.mechanism = SMARTHOP_TEXT("PLAIN");
        d->session.flags |=
            SMARTHOP_SESSION_TLS | SMARTHOP_SESSION_LOGGED_IN | SMARTHOP_SESSION_MAY_RELAY;
        if (!ask(d, SMARTHOP_ON_AUTH, false))
            return;
    }
    if (ask(d, SMARTHOP_ON_MAIL, true))
        transaction(d);
}

void dialogue_run(struct kit *kit)
{
    const struct kit_order *order = kit->order;
    struct dialogue d = {.kit = kit};

    arena_init(&d.arena);
    d.session = (struct smarthop_session){.size = sizeof d.session,
                                          .id = 1,
                                          .address = text(order->client),
                                          .listener = SMARTHOP_TEXT("smtp"),
                                          .port = 40000};
    d.message = (struct smarthop_message){.size = sizeof d.message,
                                          .sender = text(order->sender),
                                          .arrival = kit_services.wall_time(kit->self)};
    converse(&d);
    arena_fini(&d.arena);
}
