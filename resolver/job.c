#include "internal.h"

#include "base/buf.h"

#include <stdlib.h>

struct job;

/* One entry that a job needs. */
struct need {
    struct entry_wait wait;
    struct job *job;
    struct entry *entry;
    uint16_t preference;
};

struct job {
    struct list link;
    struct resolver *resolver;
    struct resolver_query *query;
    const char *name; /* of the entry that was wanted first */
    struct need mx;   /* without an entry where only addresses are asked for */
    struct need hosts[RESOLVER_HOSTS_MAX];
    unsigned host_count;
    unsigned pending;
    bool is_implicit;
    bool has_waited;
    bool has_started; /* a look-up of its own */
};

static struct job *create(struct resolver *resolver, struct resolver_query *query)
{
    struct job *job = mem_zalloc(sizeof *job);

    job->resolver = resolver;
    job->query = query;
    query->job = job;
    list_append(&resolver->jobs, &job->link);
    return job;
}

static void release(struct need *need)
{
    if (need->entry == NULL)
        return;
    list_remove(&need->wait.link);
    entry_unref(need->entry);
}

static void finish(struct job *job, struct resolver_answer *answer)
{
    struct resolver *resolver = job->resolver;
    struct resolver_query *query = job->query;

    if (!job->has_waited)
        resolver->stats.hits++;
    else if (!job->has_started)
        resolver->stats.shared++;
    release(&job->mx);
    for (unsigned i = 0; i < job->host_count; i++)
        release(&job->hosts[i]);
    list_remove(&job->link);
    free(job);
    query->job = NULL;
    resolver_finish(resolver, query, answer);
}

/* Takes hold of an entry; counts as pending until it is filled. */
static void want(struct need *need, struct job *job, enum entry_kind kind, const char *name,
                 void (*ready)(struct entry_wait *wait))
{
    struct resolver *resolver = job->resolver;
    bool is_new;

    need->job = job;
    need->wait.ready = ready;
    list_init(&need->wait.link);
    need->entry = cache_get(&resolver->cache, kind, name, loop_now(resolver->loop), &is_new);
    if (need->entry->is_filled)
        return;
    list_append(&need->entry->waiting, &need->wait.link);
    job->pending++;
    job->has_waited = true;
    if (is_new) {
        job->has_started = true;
        flight_start(resolver, need->entry);
    }
}

/* ---- when all is known ---- */

static uint64_t earliest_expiry(const struct job *job)
{
    uint64_t earliest = job->mx.entry != NULL ? job->mx.entry->expires : UINT64_MAX;

    for (unsigned i = 0; i < job->host_count; i++)
        if (job->hosts[i].entry->expires < earliest)
            earliest = job->hosts[i].entry->expires;
    return earliest;
}

/* Of one host: what it says itself. Of many: whether any of them may still be found. */
static struct resolver_answer *no_addresses(const struct job *job, const char *notes)
{
    const struct entry *only = job->hosts[0].entry;
    bool may_come = false;

    if (job->mx.entry == NULL)
        return answer_failure(only->outcome, only->text);
    if (job->is_implicit && only->outcome == RESOLVER_NO_ADDRESS) {
        struct resolver_answer *answer = answer_failure(RESOLVER_NO_ADDRESS, "");
        answer->text = arena_printf(&answer->strings, "%s: neither MX nor address", job->name).ptr;
        return answer;
    }
    if (job->is_implicit)
        return answer_failure(only->outcome, only->text);
    for (unsigned i = 0; i < job->host_count; i++)
        may_come |= job->hosts[i].entry->outcome == RESOLVER_TEMPFAIL;
    struct resolver_answer *answer =
        answer_failure(may_come ? RESOLVER_TEMPFAIL : RESOLVER_NO_ADDRESS, "");
    answer->text =
        arena_printf(&answer->strings, "%s: no MX host has an address%s", job->name, notes).ptr;
    return answer;
}

static void conclude(struct job *job)
{
    struct answer_host usable[RESOLVER_HOSTS_MAX];
    unsigned count = 0;
    struct buf notes;

    buf_init(&notes, 0);
    if (job->mx.entry != NULL)
        buf_add(&notes, span_cstr(job->mx.entry->text));
    for (unsigned i = 0; i < job->host_count; i++) {
        const struct need *host = &job->hosts[i];
        if (host->entry->outcome == RESOLVER_OK)
            usable[count++] = (struct answer_host){host->preference, host->entry};
        else
            buf_addf(&notes, "; %s", host->entry->text);
    }
    buf_add(&notes, span_of("", 1));
    const char *text = buf_span(&notes).ptr;
    struct resolver_answer *answer =
        count > 0 ? answer_compose(job->resolver, job->name, usable, count, text)
                  : no_addresses(job, text);
    buf_fini(&notes);
    answer->implicit_mx = job->is_implicit;
    answer->expires = earliest_expiry(job);
    finish(job, answer);
}

/* ---- steps ---- */

static void on_host(struct entry_wait *wait)
{
    struct job *job = container_of(wait, struct need, wait)->job;

    if (--job->pending == 0)
        conclude(job);
}

static void want_host(struct job *job, const char *name, uint16_t preference)
{
    struct need *need = &job->hosts[job->host_count++];

    need->preference = preference;
    want(need, job, ENTRY_ADDRESSES, name, on_host);
}

static void have_mx(struct job *job)
{
    const struct entry *mx = job->mx.entry;

    if (mx->outcome != RESOLVER_OK) {
        struct resolver_answer *answer = answer_failure(mx->outcome, mx->text);
        answer->expires = mx->expires;
        finish(job, answer);
        return;
    }
    for (unsigned i = 0; i < mx->count; i++)
        want_host(job, mx->hosts[i].name, mx->hosts[i].preference);
    if (mx->count == 0) {
        job->is_implicit = true;
        want_host(job, job->name, 0);
    }
    if (job->pending == 0)
        conclude(job);
}

static void on_mx(struct entry_wait *wait)
{
    struct job *job = container_of(wait, struct need, wait)->job;

    job->pending--;
    have_mx(job);
}

void job_start_mail(struct resolver *resolver, struct resolver_query *query, const char *name)
{
    struct job *job = create(resolver, query);

    want(&job->mx, job, ENTRY_MX, name, on_mx);
    job->name = job->mx.entry->name;
    if (job->pending == 0)
        have_mx(job);
}

void job_start_addresses(struct resolver *resolver, struct resolver_query *query, const char *name)
{
    struct job *job = create(resolver, query);

    want_host(job, name, 0);
    job->name = job->hosts[0].entry->name;
    if (job->pending == 0)
        conclude(job);
}

void job_abort(struct job *job, const char *text)
{
    job->has_waited = job->has_started = true; /* neither a hit nor shared */
    finish(job, answer_failure(RESOLVER_TEMPFAIL, text));
}

void jobs_abort_all(struct resolver *resolver, const char *text)
{
    while (!list_is_empty(&resolver->jobs))
        job_abort(container_of(resolver->jobs.next, struct job, link), text);
}
