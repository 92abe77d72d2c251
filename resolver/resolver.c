#include "internal.h"

#include <stdlib.h>

static void free_when_idle(struct resolver *resolver)
{
    if (!resolver->is_closing || resolver->is_waking || resolver->has_servers)
        return;
    cache_fini(&resolver->cache);
    free(resolver);
}

static void wake(struct resolver *resolver)
{
    if (resolver->is_waking)
        return;
    resolver->is_waking = true;
    loop_defer(resolver->loop, &resolver->wake);
}

static void complete_finished(struct resolver *resolver)
{
    struct list taken;

    list_init(&taken);
    list_splice(&taken, &resolver->finished);
    for (struct list *node; (node = list_pop(&taken)) != NULL;) {
        struct resolver_query *query = container_of(node, struct resolver_query, waiting);
        query->call.done(&query->call);
    }
}

/* Owners' code runs only here, on an empty stack: it may start, cancel and close as it likes. */
static void on_wake(struct call *call)
{
    struct resolver *resolver = container_of(call, struct resolver, wake);

    for (struct list *node; (node = list_pop(&resolver->landed)) != NULL;) {
        struct call *step = container_of(node, struct call, link);
        step->done(step);
    }
    complete_finished(resolver);
    resolver->is_waking = false;
    if (!list_is_empty(&resolver->landed) || !list_is_empty(&resolver->finished))
        wake(resolver);
    free_when_idle(resolver);
}

void resolver_defer(struct resolver *resolver, struct call *call)
{
    list_append(&resolver->landed, &call->link);
    wake(resolver);
}

void resolver_finish(struct resolver *resolver, struct resolver_query *query,
                     struct resolver_answer *answer)
{
    query->answer = answer;
    list_append(&resolver->finished, &query->waiting);
    wake(resolver);
}

static void on_servers_closed(struct servers *servers)
{
    struct resolver *resolver = container_of(servers, struct resolver, servers);

    resolver->has_servers = false;
    free_when_idle(resolver);
}

struct err resolver_create(struct loop *loop, const struct resolver_options *options,
                           struct resolver **out)
{
    struct resolver *resolver = mem_zalloc(sizeof *resolver);

    resolver->loop = loop;
    resolver->ttl_max_ms = options->ttl_max_ms;
    resolver->negative_ttl_max_ms = options->negative_ttl_max_ms;
    resolver->preference = options->preference;
    resolver->random = options->seed;
    resolver->wake.done = on_wake;
    list_init(&resolver->flights);
    list_init(&resolver->jobs);
    list_init(&resolver->landed);
    list_init(&resolver->finished);
    cache_init(&resolver->cache, options->cache_max, options->seed);
    resolver->has_servers = true;
    struct err e = servers_open(&resolver->servers, loop, options, on_servers_closed);
    if (err_is(e)) {
        resolver->is_closing = true;
        servers_close(&resolver->servers);
        return e;
    }
    *out = resolver;
    return ERR_OK;
}

void resolver_close(struct resolver *resolver)
{
    if (resolver->is_closing)
        return;
    resolver->is_closing = true;
    wake(resolver); /* keeps the resolver until this round's completions have run */
    jobs_abort_all(resolver, "the resolver is being closed");
    servers_close(&resolver->servers);
    flights_abandon(resolver);
}

static bool begin(struct resolver *resolver, struct resolver_query *query)
{
    resolver->stats.queries++;
    query->answer = NULL;
    query->job = NULL;
    list_init(&query->waiting);
    if (resolver->is_closing) {
        resolver_finish(resolver, query,
                        answer_bare(RESOLVER_TEMPFAIL, "the resolver is being closed"));
        return false;
    }
    return true;
}

static void refuse_name(struct resolver *resolver, struct resolver_query *query, const char *text)
{
    resolver_finish(resolver, query, answer_bare(RESOLVER_BAD_NAME, text));
}

void resolver_mail_hosts(struct resolver *resolver, struct resolver_query *query,
                         struct span domain)
{
    char name[NAME_MAX_LENGTH + 1];

    if (!begin(resolver, query))
        return;
    if (name_is_address(domain))
        refuse_name(resolver, query, "an address, not a domain");
    else if (!name_normalize(domain, name))
        refuse_name(resolver, query, "not a domain name");
    else
        job_start_mail(resolver, query, name);
}

void resolver_addresses(struct resolver *resolver, struct resolver_query *query, struct span host)
{
    char name[NAME_MAX_LENGTH + 1];

    if (!begin(resolver, query))
        return;
    if (name_is_address(host))
        resolver_finish(resolver, query, answer_literal(host));
    else if (!name_normalize(host, name))
        refuse_name(resolver, query, "not a host name");
    else
        job_start_addresses(resolver, query, name);
}

void resolver_ipv4(struct resolver *resolver, struct resolver_query *query, struct span name)
{
    char normal[NAME_MAX_LENGTH + 1];

    if (!begin(resolver, query))
        return;
    if (name_is_address(name) || !name_normalize(name, normal))
        refuse_name(resolver, query, "not a host name");
    else
        job_start_ipv4(resolver, query, normal);
}

void resolver_mx(struct resolver *resolver, struct resolver_query *query, struct span domain)
{
    char normal[NAME_MAX_LENGTH + 1];

    if (!begin(resolver, query))
        return;
    if (name_is_address(domain) || !name_normalize(domain, normal))
        refuse_name(resolver, query, "not a name");
    else
        job_start_mx(resolver, query, normal);
}

void resolver_text(struct resolver *resolver, struct resolver_query *query, struct span name)
{
    char normal[NAME_MAX_LENGTH + 1];

    if (!begin(resolver, query))
        return;
    if (name_is_address(name) || !name_normalize(name, normal))
        refuse_name(resolver, query, "not a name");
    else
        job_start_text(resolver, query, normal);
}

void resolver_name(struct resolver *resolver, struct resolver_query *query,
                   const struct sockaddr *address)
{
    char name[RESOLVER_NAME_SIZE];

    if (!begin(resolver, query))
        return;
    union resolver_address plain = name_unmapped(address);
    bool is_v4 = plain.any.sa_family == AF_INET;
    if (resolver_reverse(&plain.any, is_v4 ? SPAN("in-addr.arpa") : SPAN("ip6.arpa"), name))
        job_start_name(resolver, query, &plain, name);
    else
        refuse_name(resolver, query, "not an address");
}

void resolver_cancel(struct resolver *resolver, struct resolver_query *query)
{
    (void)resolver;
    if (query->job != NULL) {
        job_abort(query->job, "cancelled");
    } else if (list_is_linked(&query->waiting)) {
        resolver_answer_unref(query->answer);
        query->answer = answer_bare(RESOLVER_TEMPFAIL, "cancelled");
    }
}

void resolver_flush(struct resolver *resolver)
{
    cache_flush(&resolver->cache);
}

void resolver_stats(const struct resolver *resolver, struct resolver_stats *out)
{
    *out = resolver->stats;
}
