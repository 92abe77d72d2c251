/* Where a destination's hosts are (written addresses, host names, or the MX of a domain), and so
 * which site it belongs to. */
#include "schedule/private.h"

#include "proto/ip.h"

#include <stdlib.h>
#include <sys/un.h>

enum {
    WRITTEN_FRESH_MS = 3600000, /* a list of written addresses never changes */
    FRESH_LEAST_MS = 1000,      /* what DNS gives no lifetime is not asked for at every message */
};

void targets_free(struct target *targets, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(targets[i].host);
        tls_session_free(targets[i].resume);
    }
    free(targets);
}

bool target_is_at(const struct target *target, const struct sockaddr_storage *address)
{
    return memcmp(&target->address, address, sizeof *address) == 0;
}

struct target *targets_find(struct target *targets, unsigned count,
                            const struct sockaddr_storage *address)
{
    for (unsigned i = 0; i < count; i++)
        if (target_is_at(&targets[i], address))
            return &targets[i];
    return NULL;
}

/* What else there is to say of `host`. */
static void add_target(struct destination *d, const char *host, const struct target *target)
{
    if (d->found_count == TARGETS_MAX)
        return;
    d->found = mem_realloc(d->found, (d->found_count + 1) * sizeof *d->found);
    d->found[d->found_count] = *target;
    d->found[d->found_count++].host = mem_strdup(host);
}

static void add_resolved(struct destination *d, const struct resolver_target *resolved,
                         const struct route_host *host, unsigned weight)
{
    struct target target = {
        .implicit_tls = host->implicit_tls, .preference = resolved->preference, .weight = weight};
    struct ip_address ip;

    if (!ip_from_sockaddr(&resolved->address.any, &ip))
        return;
    ip_to_sockaddr(&ip, host->port, &target.address);
    add_target(d, resolved->host, &target);
}

/* An address, or a socket's path, as it is written. */
static void add_written(struct destination *d, const struct route_host *host)
{
    struct target target = {.implicit_tls = host->implicit_tls,
                            .weight = host->weight * TARGET_SHARE};
    struct sockaddr_un *local = (struct sockaddr_un *)&target.address;
    struct ip_address ip;
    char text[IP_TEXT_MAX];

    if (host->is_path && host->name.len < sizeof local->sun_path) {
        char *name = span_to_text(host->name);
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, name, host->name.len);
        add_target(d, name, &target);
        free(name);
    } else if (host->is_address && ip_parse(host->name, &ip)) {
        ip_to_sockaddr(&ip, host->port, &target.address);
        ip_format(&ip, text);
        add_target(d, text, &target);
    }
}

/* What RFC 5321 and RFC 7505 say to each outcome, as a status. */
static struct status failure_of(const struct resolver_answer *answer)
{
    struct status status = {.code = 451, .enhanced = {4, 4, 3}};

    switch (answer->outcome) {
    case RESOLVER_OK:
    case RESOLVER_TEMPFAIL:
        break;
    case RESOLVER_NO_DOMAIN:
    case RESOLVER_BAD_NAME:
        status.code = 550;
        status.enhanced = (struct enhanced_code){5, 1, 2};
        break;
    case RESOLVER_NO_ADDRESS:
    case RESOLVER_NO_DATA: /* this and the next are not told of hosts */
    case RESOLVER_FORGED:
        status.code = 550;
        status.enhanced = (struct enhanced_code){5, 4, 4};
        break;
    case RESOLVER_NULL_MX:
        status.code = 556;
        status.enhanced = (struct enhanced_code){5, 1, 10};
        break;
    }
    status.text = span_cstr(answer->text);
    return status;
}

static const struct status unreadable = {
    .code = 451, .enhanced = {4, 4, 3}, .text = {"The next hop's address is not readable", 38}};

static const struct status circular = {
    .code = 554,
    .enhanced = {5, 4, 6},
    .text = {"The best MX host is this relay itself, which has no route for the domain", 72}};

static void resolve_next(struct destination *d);

static int compare_hosts(const void *a, const void *b)
{
    return strcmp(((const struct target *)a)->host, ((const struct target *)b)->host);
}

/* Names the hosts, whatever their order, where they are the MX of a domain: another domain with the
 * same ones, and the same way to treat them, is the same site. Any other next hop is its own. */
static void name_place(const struct destination *d, struct buf *out)
{
    struct span text = d->next_hop_text, sticky = d->next_hop.sticky, rest;
    const char *last = "";

    if (!d->next_hop.use_mx) {
        /* Domains that keep their hosts share them. */
        size_t len = sticky.len > 0 ? (size_t)(sticky.ptr - text.ptr) - strlen(";for=") : text.len;
        buf_add(out, span_head(text, len));
    } else {
        struct target *sorted = mem_alloc(d->found_count * sizeof *sorted);
        memcpy(sorted, d->found, d->found_count * sizeof *sorted);
        qsort(sorted, d->found_count, sizeof *sorted, compare_hosts);
        for (unsigned i = 0; i < d->found_count; i++) {
            if (strcmp(sorted[i].host, last) != 0)
                buf_addf(out, "%s%s", i ? "," : "mx-hosts:", sorted[i].host);
            last = sorted[i].host;
        }
        free(sorted);
        span_split(text, ';', &rest);
        buf_addf(out, ":%u;%.*s", d->next_hop.hosts[0].port, SPAN_ARG(rest));
    }
}

static void name_shape(const struct destination *d, struct buf *out)
{
    struct span shape =
        shape_name(d->owner->conf, span_cstr(d->found[0].host), d->next_hop.hosts[0].name);

    if (shape.len > 0)
        buf_addf(out, ";shape=%.*s", SPAN_ARG(shape));
}

/* Two hosts may have one address. */
static void drop_twins(struct destination *d)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < d->found_count; i++) {
        if (targets_find(d->found, kept, &d->found[i].address) == NULL)
            d->found[kept++] = d->found[i];
        else
            free(d->found[i].host);
    }
    d->found_count = kept;
}

static void find_site(struct destination *d)
{
    struct buf key;

    buf_init(&key, 0);
    name_place(d, &key);
    size_t group_len = buf_len(&key);
    drop_twins(d);
    balance_arrange(d, &key);
    name_shape(d, &key);
    site_attach(d, buf_span(&key), group_len, d->found, d->found_count);
    buf_fini(&key);
    d->found = NULL;
    d->found_count = 0;
}

void targets_found(struct destination *d)
{
    d->resolving = false;
    find_site(d);
    destination_run(d);
}

void targets_refused(struct destination *d, const struct status *why)
{
    targets_free(d->found, d->found_count);
    d->found = NULL;
    d->found_count = 0;
    d->resolving = false;
    destination_back_off(d, why);
}

static void resolved(struct destination *d)
{
    struct job *job;

    if (d->found_count > 0) {
        lookup_succeeded(d);
        if (!hook_targets(d))
            targets_found(d);
        return;
    }
    d->resolving = false;
    const struct status *why = d->resolve_failure.code != 0 ? &d->resolve_failure : &unreadable;
    if (!status_is_permanent(why)) {
        destination_back_off(d, why);
        lookup_failed(d);
        return;
    }
    site_withdraw(d);
    while ((job = line_take(&d->ready)) != NULL)
        job_conclude(job, why);
    destination_run(d);
}

/* RFC 5321 5.1: of MX hosts only those before ourselves, or mail would go in circles. */
static void add_answer(struct destination *d, const struct resolver_answer *answer)
{
    const struct route_host *host = &d->next_hop.hosts[d->resolving_host];
    unsigned most = OURSELVES_NOWHERE;

    if (d->next_hop.use_mx)
        most = ourselves_preference(d->owner->conf, answer, host->port);
    for (unsigned i = 0; i < answer->target_count; i++)
        if (answer->targets[i].preference < most)
            add_resolved(d, &answer->targets[i], host,
                         host->weight * TARGET_SHARE / answer->target_count);
    if (most != OURSELVES_NOWHERE && d->found_count == 0)
        d->resolve_failure = circular;
}

/* A host that was not found is looked for again as soon as that is forgotten: the others serve
 * meanwhile. */
static void note_expiry(struct destination *d, const struct resolver_answer *answer)
{
    uint64_t soonest = loop_now(d->owner->loop) + FRESH_LEAST_MS;
    uint64_t expires = answer->expires > soonest ? answer->expires : soonest;

    if (expires < d->site_expires)
        d->site_expires = expires;
}

static void on_answer(struct call *call)
{
    struct resolver_query *query = container_of(call, struct resolver_query, call);
    struct destination *d = container_of(query, struct destination, query);
    struct resolver_answer *answer = query->answer;

    d->pending--;
    d->owner->working--;
    add_answer(d, answer);
    note_expiry(d, answer);
    if (answer->outcome != RESOLVER_OK &&
        (d->resolve_failure.code == 0 || !status_is_permanent(&d->resolve_failure) ||
         answer->outcome == RESOLVER_TEMPFAIL)) {
        /* As long as one of the hosts may come back nothing is permanent. */
        struct status failure = failure_of(answer);
        if (d->resolve_failure.code == 0 || !status_is_permanent(&failure))
            d->resolve_failure = status_dup(&d->failure_arena, &failure);
    }
    resolver_answer_unref(answer);
    d->resolving_host++;
    resolve_next(d);
    scheduler_check_stopped(d->owner);
}

static void ask(struct destination *d, struct span name)
{
    d->pending++;
    d->owner->working++;
    d->query = (struct resolver_query){.call.done = on_answer};
    list_init(&d->query.call.link);
    list_init(&d->query.waiting);
    if (d->next_hop.use_mx)
        resolver_mail_hosts(d->owner->resolver, &d->query, name);
    else
        resolver_addresses(d->owner->resolver, &d->query, name);
}

static void resolve_next(struct destination *d)
{
    for (; d->resolving_host < d->next_hop.host_count; d->resolving_host++) {
        const struct route_host *host = &d->next_hop.hosts[d->resolving_host];
        if (!host->is_address && !host->is_path) {
            ask(d, host->name);
            return;
        }
        add_written(d, host);
    }
    resolved(d);
}

void targets_resolve(struct destination *d)
{
    if (d->resolving)
        return;
    if (!route_next_hop_parse(d->next_hop_text, &d->next_hop)) {
        destination_back_off(d, &unreadable);
        return;
    }
    list_remove(&d->unfound);
    arena_fini(&d->failure_arena);
    d->failure = d->resolve_failure = (struct status){0};
    d->site_expires = loop_now(d->owner->loop) + WRITTEN_FRESH_MS;
    if (d->next_hop.refusal.len > 0)
        d->resolve_failure = route_refusal_status(d->next_hop.refusal);
    d->resolving = true;
    d->resolving_host = 0;
    resolve_next(d);
}
