/*
 * Which of its hosts a site uses: the first that serves, each by its weight, or the one that a
 * tenant or a domain keeps. Hosts that failed are passed over as health.h says.
 *
 * With weights the hosts have turns as destinations have: each message costs its host a time that
 * is the shorter the greater its weight, and the next message goes to the host that has spent
 * least. A host whose connections are free sooner waits for it, one message ahead at most, so that
 * the shares hold whatever host is the faster; but not for long: one that does not take its turns
 * is left behind, and saves up no more than a few messages.
 */
#include "schedule/private.h"

#include <stdlib.h>

enum {
    COST = 65536,       /* of a message, for a host of weight 1 */
    SAVED = 8,          /* messages that a host that was not used may catch up with */
    LOOK_MS = 20,       /* between two looks whether a host may be tried again */
    PATIENCE_MS = 1000, /* how long a host's turn is waited for */
};

static struct health *health_of(const struct site *site)
{
    return budgets_health(site->owner->set->budgets);
}

static struct health_host host_of(const struct site *site, const struct sockaddr_storage *address)
{
    return (struct health_host){.group = site->group, .address = address};
}

/* What is the only host is not passed over: the site backs off. */
static enum health_answer look(const struct site *site, const struct target *target)
{
    struct health_host host = host_of(site, &target->address);

    if (!origins_serve(site, target))
        return HEALTH_DOWN;
    if (site->target_count == 1)
        return HEALTH_GOOD;
    return health_look(health_of(site), &host, loop_now(site->owner->loop));
}

bool balance_may_use(const struct site *site, const struct target *target)
{
    return look(site, target) != HEALTH_DOWN;
}

static bool is_weighted(const struct site *site)
{
    return site->next_hop.balance == CONF_BALANCE_WEIGHTED;
}

static unsigned port_of(const struct target *target)
{
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)&target->address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&target->address;

    if (target->address.ss_family == AF_INET6)
        return ntohs(in6->sin6_port);
    return target->address.ss_family == AF_INET ? ntohs(in4->sin_port) : 0;
}

/* ---- hosts -------------------------------------------------------------------------------- */

/* A host that was not used for a while has not saved up all of it. */
static uint64_t spent_of(const struct site *site, const struct target *target)
{
    uint64_t saved = (uint64_t)SAVED * COST, turn = site->turn_of_targets;

    return turn > saved && target->spent < turn - saved ? turn - saved : target->spent;
}

/* Of two hosts the one that lacks more of its share of the connections. */
static bool is_better(const struct target *a, const struct target *b)
{
    uint64_t of_a = (uint64_t)(a->connections + 1) * b->weight;
    uint64_t of_b = (uint64_t)(b->connections + 1) * a->weight;

    return of_a != of_b ? of_a < of_b : a->spent < b->spent;
}

struct target *balance_choose(const struct site *site)
{
    struct target *good = NULL, *due = NULL;

    for (unsigned i = 0; i < site->target_count; i++) {
        struct target *target = &site->targets[i];
        enum health_answer answer = look(site, target);
        if (answer == HEALTH_DUE && due == NULL)
            due = target;
        if (answer != HEALTH_GOOD)
            continue;
        if (!is_weighted(site))
            return target;
        if (good == NULL || is_better(target, good))
            good = target;
    }
    return good != NULL ? good : due;
}

struct target *balance_due(struct site *site)
{
    uint64_t now = loop_now(site->owner->loop);

    if (now < site->look_at)
        return NULL;
    site->look_at = now + LOOK_MS;
    for (unsigned i = 0; i < site->target_count; i++)
        if (look(site, &site->targets[i]) == HEALTH_DUE)
            return &site->targets[i];
    return NULL;
}

struct target *balance_missing(const struct site *site)
{
    struct target *least = NULL;

    if (!is_weighted(site))
        return NULL;
    for (unsigned i = 0; i < site->target_count; i++) {
        struct target *target = &site->targets[i];
        if ((least == NULL || target->spent < least->spent) && look(site, target) == HEALTH_GOOD)
            least = target;
    }
    return least != NULL && least->connections == 0 ? least : NULL;
}

/* Two addresses of one host and port, whichever of which a connection is made to. */
static bool are_of_both_families(const struct target *a, const struct target *b)
{
    return a->address.ss_family != b->address.ss_family && port_of(a) == port_of(b) &&
           strcmp(a->host, b->host) == 0;
}

const struct target *balance_other_family(const struct site *site, const struct target *target)
{
    for (unsigned i = 0; i < site->target_count; i++) {
        const struct target *other = &site->targets[i];
        if (are_of_both_families(other, target) && look(site, other) == HEALTH_GOOD)
            return other;
    }
    return NULL;
}

/* ---- connections -------------------------------------------------------------------------- */

static struct target *target_of(const struct site *site, const struct connection *c)
{
    return targets_find(site->targets, site->target_count, &c->address);
}

static uint64_t cost_of(const struct target *target)
{
    return (uint64_t)COST * TARGET_SHARE / (target->weight > 0 ? target->weight : 1);
}

/* Of the hosts that are waited for, the one whose turn it is; NULL: none is. */
static struct target *whose_turn(const struct site *site)
{
    struct target *least = NULL;

    for (unsigned i = 0; i < site->target_count; i++) {
        struct target *target = &site->targets[i];
        if (!target->lags && target->connections > 0 && look(site, target) == HEALTH_GOOD &&
            (least == NULL || spent_of(site, target) < spent_of(site, least)))
            least = target;
    }
    return least;
}

static bool may_take(const struct site *site, const struct target *target,
                     const struct target *least)
{
    return least == NULL || spent_of(site, target) <= spent_of(site, least) + cost_of(target);
}

bool balance_may_take(const struct site *site, const struct connection *c)
{
    const struct target *target = is_weighted(site) ? target_of(site, c) : NULL;

    return target == NULL || may_take(site, target, whose_turn(site));
}

/* The first of the list is the one that was used last: it is used next. */
static struct connection *first_idle(const struct site *site)
{
    return list_is_empty(&site->idle) ? NULL
                                      : container_of(site->idle.next, struct connection, link);
}

static struct connection *idle_by_turn(const struct site *site)
{
    const struct target *turn = whose_turn(site);
    struct connection *best = NULL;
    uint64_t least = UINT64_MAX;

    for (const struct list *node = site->idle.next; node != &site->idle; node = node->next) {
        struct connection *c = container_of(node, struct connection, link);
        const struct target *target = target_of(site, c);
        if (target == NULL)
            return c;
        if (spent_of(site, target) < least && may_take(site, target, turn)) {
            least = spent_of(site, target);
            best = c;
        }
    }
    return best;
}

/* Those that are idle may go on without the hosts that have been waited for. */
static struct connection *leave_behind(struct site *site)
{
    struct connection *c = NULL;
    struct target *late;

    while (c == NULL && (late = whose_turn(site)) != NULL) {
        late->lags = true;
        c = idle_by_turn(site);
    }
    return c;
}

struct connection *balance_idle(struct site *site)
{
    struct scheduler *s = site->owner;
    uint64_t now = loop_now(s->loop);

    if (!is_weighted(site))
        return first_idle(site);
    struct connection *c = idle_by_turn(site);
    if (c == NULL && !list_is_empty(&site->idle)) {
        if (site->held_since == 0)
            site->held_since = now;
        uint64_t until = site->held_since + PATIENCE_MS;
        if (now < until) {
            timer_start(s->loop, &site->wake, until - now, site_on_wake);
            return NULL;
        }
        c = leave_behind(site);
    }
    site->held_since = 0;
    return c;
}

void balance_charge(struct site *site, const struct connection *c)
{
    struct target *target = is_weighted(site) ? target_of(site, c) : NULL;

    if (target == NULL)
        return;
    target->spent = spent_of(site, target);
    if (target->spent > site->turn_of_targets)
        site->turn_of_targets = target->spent;
    target->spent += cost_of(target);
    const struct target *turn = target->lags ? whose_turn(site) : NULL;
    target->lags = turn != NULL && target->spent < spent_of(site, turn);
}

bool balance_has_others(const struct site *site, const struct connection *c)
{
    if (site->connections > 1)
        return true;
    for (unsigned i = 0; i < site->target_count; i++)
        if (!target_is_at(&site->targets[i], &c->address) &&
            look(site, &site->targets[i]) == HEALTH_GOOD)
            return true;
    return false;
}

bool balance_is_stand_in(const struct site *site, const struct connection *c)
{
    const struct target *own = target_of(site, c);

    if (site->target_count == 1 || is_weighted(site) || site->next_hop.use_mx)
        return false;
    for (unsigned i = 0; i < site->target_count; i++) {
        const struct target *other = &site->targets[i];
        if (other == own)
            return false;
        if ((own == NULL || !are_of_both_families(other, own)) && look(site, other) == HEALTH_GOOD)
            return true;
    }
    return false;
}

/* ---- what is told of hosts ---------------------------------------------------------------- */

static void log_host(const struct site *site, enum log_level level, const char *event,
                     const struct target *target, const struct status *why)
{
    struct log_line line;

    if (!log_begin(&line, level, event))
        return;
    log_text(&line, "host", target->host);
    log_u64(&line, "port", port_of(target));
    log_span(&line, "destination", site->group);
    if (why != NULL) {
        log_span(&line, "by", why->by);
        log_span(&line, "text", why->text);
    }
    log_end(&line);
}

static uint64_t delay_of(void *context, uint32_t failures)
{
    struct scheduler *s = context;
    const struct shape waits = {.retry_first = s->conf->host_retry_first,
                                .retry_max = s->conf->host_retry_max};

    return scheduler_retry_delay(s, &waits, failures);
}

void balance_failed(struct site *site, const struct target *target, const struct status *why)
{
    struct scheduler *s = site->owner;
    struct health_host host = host_of(site, &target->address);

    if (site->target_count > 1 &&
        health_failed(health_of(site), &host, loop_now(s->loop), delay_of, s))
        log_host(site, LOG_WARN, "host-down", target, why);
}

void balance_forgive(struct site *site, const struct target *target)
{
    struct health_host host = host_of(site, &target->address);

    if (site->target_count > 1)
        health_forgive(health_of(site), &host);
}

void balance_opened(struct connection *c)
{
    const struct site *site = c->site;
    struct health_host host = host_of(site, &c->address);

    if (site->target_count == 1)
        return;
    c->tries = health_try(health_of(site), &host, loop_now(site->owner->loop));
    c->is_aside = c->tries && balance_choose(site) != NULL;
}

/* Connections from before it failed may go on: they do not say that it takes new ones. */
void balance_answered(struct connection *c)
{
    const struct target *target = c->tries ? target_of(c->site, c) : NULL;
    struct health_host host = host_of(c->site, &c->address);

    if (!c->tries)
        return;
    c->tries = false;
    if (health_answered(health_of(c->site), &host) && target != NULL)
        log_host(c->site, LOG_INFO, "host-up", target, NULL);
}

void balance_let_go(struct connection *c)
{
    struct health_host host = host_of(c->site, &c->address);

    if (c->tries)
        health_let_go(health_of(c->site), &host);
}

/* ---- hosts that are kept ------------------------------------------------------------------ */

/* Rendezvous: who keeps a host goes to the one that scores highest with it, so that a host that
 * comes or goes changes nothing for the others. */
static uint64_t score(const struct target *target, struct span keeper)
{
    struct buf text;

    buf_init(&text, 0);
    buf_addf(&text, "%.*s %s %u", SPAN_ARG(keeper), target->host, port_of(target));
    uint64_t hash = span_hash(buf_span(&text));
    buf_fini(&text);
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdu;
    return hash ^ hash >> 33;
}

static void bring_best(struct target *targets, unsigned count, struct span keeper)
{
    unsigned best = 0;

    for (unsigned i = 1; i < count; i++)
        if (score(&targets[i], keeper) > score(&targets[best], keeper))
            best = i;
    struct target moved = targets[best];
    memmove(targets + 1, targets, best * sizeof *targets);
    targets[0] = moved;
}

static struct span keeper_of(const struct destination *d)
{
    if (d->next_hop.balance == CONF_BALANCE_STICKY_TENANT)
        return d->tenant;
    return d->next_hop.balance == CONF_BALANCE_STICKY_DOMAIN ? d->next_hop.sticky : SPAN_NONE;
}

/* All that keep one host share its stand-ins, as they share its site. */
void balance_arrange(struct destination *d, struct buf *key)
{
    struct span keeper = keeper_of(d);

    if (keeper.len == 0)
        return;
    bring_best(d->found, d->found_count, keeper);
    struct span first = span_cstr(d->found[0].host);
    for (unsigned i = 1; i < d->found_count; i++)
        bring_best(d->found + i, d->found_count - i, first);
    buf_addf(key, ";first=%.*s:%u", SPAN_ARG(first), port_of(&d->found[0]));
}
