/* Where a destination's hosts are: written addresses, host names, or the MX of a domain. */
#include "schedule/private.h"

#include "proto/ip.h"

#include <stdlib.h>
#include <sys/un.h>

enum {
    WRITTEN_FRESH_MS = 3600000, /* a list of written addresses never changes */
};

static void target_fini(struct target *target)
{
    free(target->host);
    tls_session_free(target->resume);
}

void targets_clear(struct destination *d)
{
    for (unsigned i = 0; i < d->target_count; i++)
        target_fini(&d->targets[i]);
    free(d->targets);
    d->targets = NULL;
    d->target_count = 0;
}

bool targets_are_fresh(const struct destination *d)
{
    return d->target_count > 0 && !d->resolving && loop_now(d->owner->loop) < d->targets_expire;
}

bool target_is_at(const struct target *target, const struct sockaddr_storage *address)
{
    return memcmp(&target->address, address, sizeof *address) == 0;
}

struct target *targets_find(struct destination *d, const struct sockaddr_storage *address)
{
    for (unsigned i = 0; i < d->target_count; i++)
        if (target_is_at(&d->targets[i], address))
            return &d->targets[i];
    return NULL;
}

struct target *targets_choose(struct destination *d)
{
    uint64_t now = loop_now(d->owner->loop);

    for (unsigned i = 0; i < d->target_count; i++)
        if (d->targets[i].bad_until <= now)
            return &d->targets[i];
    return NULL;
}

static void add_target(struct destination *d, const char *host,
                       const struct sockaddr_storage *address)
{
    if (d->target_count == TARGETS_MAX || targets_find(d, address) != NULL)
        return;
    d->targets[d->target_count++] = (struct target){.host = mem_strdup(host), .address = *address};
}

static void add_resolved(struct destination *d, const struct resolver_target *resolved,
                         uint16_t port)
{
    struct sockaddr_storage address = {0};
    struct ip_address ip;

    if (!ip_from_sockaddr(&resolved->address.any, &ip))
        return;
    ip_to_sockaddr(&ip, port, &address);
    add_target(d, resolved->host, &address);
}

/* An address, or a socket's path, as it is written. */
static void add_written(struct destination *d, const struct route_host *host)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_un *local = (struct sockaddr_un *)&address;
    struct ip_address ip;
    char text[IP_TEXT_MAX];

    if (host->is_path && host->name.len < sizeof local->sun_path) {
        char *name = span_to_text(host->name);
        local->sun_family = AF_UNIX;
        memcpy(local->sun_path, name, host->name.len);
        add_target(d, name, &address);
        free(name);
    } else if (host->is_address && ip_parse(host->name, &ip)) {
        ip_to_sockaddr(&ip, host->port, &address);
        ip_format(&ip, text);
        add_target(d, text, &address);
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

static void resolve_next(struct destination *d);

static void resolved(struct destination *d)
{
    d->resolving = false;
    if (d->target_count == 0) {
        const struct status *why = d->resolve_failure.code != 0 ? &d->resolve_failure : &unreadable;
        if (status_is_permanent(why)) {
            while (!list_is_empty(&d->ready)) {
                struct job *job = container_of(d->ready.next, struct job, line);
                job_conclude(job, why);
            }
        } else {
            destination_back_off(d, why);
        }
    }
    destination_run(d);
}

static void on_answer(struct call *call)
{
    struct resolver_query *query = container_of(call, struct resolver_query, call);
    struct destination *d = container_of(query, struct destination, query);
    struct resolver_answer *answer = query->answer;
    const struct route_host *host = &d->next_hop.hosts[d->resolving_host];

    d->pending--;
    d->owner->working--;
    for (unsigned i = 0; i < answer->target_count; i++)
        add_resolved(d, &answer->targets[i], host->port);
    if (answer->outcome == RESOLVER_OK) {
        if (answer->expires < d->targets_expire)
            d->targets_expire = answer->expires;
    } else if (d->resolve_failure.code == 0 || !status_is_permanent(&d->resolve_failure) ||
               answer->outcome == RESOLVER_TEMPFAIL) {
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
    targets_clear(d);
    arena_fini(&d->failure_arena);
    d->failure = (struct status){0};
    if (!route_next_hop_parse(d->next_hop_text, &d->next_hop)) {
        destination_back_off(d, &unreadable);
        destination_run(d);
        return;
    }
    d->resolve_failure = (struct status){0};
    d->targets = mem_zalloc((TARGETS_MAX + 1) * sizeof *d->targets);
    d->targets_expire = loop_now(d->owner->loop) + WRITTEN_FRESH_MS;
    d->resolving = true;
    d->resolving_host = 0;
    resolve_next(d);
}
