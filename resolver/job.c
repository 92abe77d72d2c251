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
    struct need lead; /* MX, PTR or TXT; without an entry where only addresses are asked for */
    struct need hosts[RESOLVER_HOSTS_MAX];
    unsigned host_count;
    unsigned pending;
    void (*conclude)(struct job *job); /* once the hosts' addresses are known */
    union resolver_address address;    /* whose name is asked for */
    bool is_implicit;
    bool has_waited;
    bool has_started; /* a look-up of its own */
};

static struct job *create(struct resolver *resolver, struct resolver_query *query,
                          void (*conclude)(struct job *job))
{
    struct job *job = mem_zalloc(sizeof *job);

    job->resolver = resolver;
    job->query = query;
    job->conclude = conclude;
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
    release(&job->lead);
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

/* With what its first entry says. */
static void finish_as_lead(struct job *job)
{
    const struct entry *lead = job->lead.entry;
    struct resolver_answer *answer = answer_bare(lead->outcome, lead->text);

    answer->expires = lead->expires;
    finish(job, answer);
}

static uint64_t earliest_expiry(const struct job *job)
{
    uint64_t earliest = job->lead.entry != NULL ? job->lead.entry->expires : UINT64_MAX;

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

    if (job->lead.entry == NULL)
        return answer_bare(only->outcome, only->text);
    if (job->is_implicit && only->outcome == RESOLVER_NO_ADDRESS) {
        struct resolver_answer *answer = answer_bare(RESOLVER_NO_ADDRESS, "");
        answer->text = arena_printf(&answer->strings, "%s: neither MX nor address", job->name).ptr;
        return answer;
    }
    if (job->is_implicit)
        return answer_bare(only->outcome, only->text);
    for (unsigned i = 0; i < job->host_count; i++)
        may_come |= job->hosts[i].entry->outcome == RESOLVER_TEMPFAIL;
    struct resolver_answer *answer =
        answer_bare(may_come ? RESOLVER_TEMPFAIL : RESOLVER_NO_ADDRESS, "");
    answer->text =
        arena_printf(&answer->strings, "%s: no MX host has an address%s", job->name, notes).ptr;
    return answer;
}

static void conclude_targets(struct job *job)
{
    struct answer_host usable[RESOLVER_HOSTS_MAX];
    unsigned count = 0;
    struct buf notes;

    buf_init(&notes, 0);
    if (job->lead.entry != NULL)
        buf_add(&notes, span_cstr(job->lead.entry->text));
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

static bool has_address(const struct entry *entry, const union resolver_address *wanted)
{
    for (unsigned i = 0; entry->outcome == RESOLVER_OK && i < entry->count; i++) {
        const union resolver_address *one = &entry->addresses[i];
        if (one->any.sa_family != wanted->any.sa_family)
            continue;
        if (one->any.sa_family == AF_INET
                ? one->in4.sin_addr.s_addr == wanted->in4.sin_addr.s_addr
                : IN6_ARE_ADDR_EQUAL(&one->in6.sin6_addr, &wanted->in6.sin6_addr))
            return true;
    }
    return false;
}

static void conclude_name(struct job *job)
{
    enum resolver_outcome outcome = RESOLVER_FORGED;
    const char *name = job->hosts[0].entry->name;

    for (unsigned i = 0; i < job->host_count && outcome != RESOLVER_OK; i++) {
        const struct entry *host = job->hosts[i].entry;
        if (has_address(host, &job->address)) {
            outcome = RESOLVER_OK;
            name = host->name;
        } else if (host->outcome == RESOLVER_TEMPFAIL) {
            outcome = RESOLVER_TEMPFAIL;
        }
    }
    struct resolver_answer *answer = answer_bare(outcome, "");
    answer->name = arena_dup(&answer->strings, span_cstr(name)).ptr;
    answer->text = arena_printf(&answer->strings, "%s: %s%s", job->name, name,
                                outcome == RESOLVER_OK ? "" : " is not confirmed")
                       .ptr;
    answer->expires = earliest_expiry(job);
    finish(job, answer);
}

/* ---- steps ---- */

static void on_host(struct entry_wait *wait)
{
    struct job *job = container_of(wait, struct need, wait)->job;

    if (--job->pending == 0)
        job->conclude(job);
}

static void want_host(struct job *job, enum entry_kind kind, const char *name, uint16_t preference)
{
    struct need *need = &job->hosts[job->host_count++];

    need->preference = preference;
    want(need, job, kind, name, on_host);
}

static void have_mx(struct job *job)
{
    const struct entry *mx = job->lead.entry;

    if (mx->outcome != RESOLVER_OK) {
        finish_as_lead(job);
        return;
    }
    for (unsigned i = 0; i < mx->count; i++)
        want_host(job, ENTRY_ADDRESSES, mx->hosts[i].name, mx->hosts[i].preference);
    if (mx->count == 0) {
        job->is_implicit = true;
        want_host(job, ENTRY_ADDRESSES, job->name, 0);
    }
    if (job->pending == 0)
        job->conclude(job);
}

static void on_mx(struct entry_wait *wait)
{
    struct job *job = container_of(wait, struct need, wait)->job;

    job->pending--;
    have_mx(job);
}

/* The entry that decides what comes next. */
static void lead_with(struct job *job, enum entry_kind kind, const char *name,
                      void (*ready)(struct entry_wait *wait))
{
    want(&job->lead, job, kind, name, ready);
    job->name = job->lead.entry->name;
}

void job_start_mail(struct resolver *resolver, struct resolver_query *query, const char *name)
{
    struct job *job = create(resolver, query, conclude_targets);

    lead_with(job, ENTRY_MX, name, on_mx);
    if (job->pending == 0)
        have_mx(job);
}

/* The records alone. */
static void have_mx_records(struct job *job)
{
    const struct entry *mx = job->lead.entry;

    if (mx->outcome != RESOLVER_OK) {
        finish_as_lead(job);
        return;
    }
    struct resolver_answer *answer =
        answer_bare(mx->count > 0 ? RESOLVER_OK : RESOLVER_NO_DATA, mx->text);
    answer->mx = arena_alloc(&answer->strings, mx->count * sizeof *answer->mx);
    for (; answer->mx_count < mx->count; answer->mx_count++)
        answer->mx[answer->mx_count] = (struct resolver_mx){
            .host = arena_dup(&answer->strings, span_cstr(mx->hosts[answer->mx_count].name)).ptr,
            .preference = mx->hosts[answer->mx_count].preference,
        };
    answer->expires = mx->expires;
    finish(job, answer);
}

static void on_mx_records(struct entry_wait *wait)
{
    struct job *job = container_of(wait, struct need, wait)->job;

    job->pending--;
    have_mx_records(job);
}

void job_start_mx(struct resolver *resolver, struct resolver_query *query, const char *name)
{
    struct job *job = create(resolver, query, NULL);

    lead_with(job, ENTRY_MX, name, on_mx_records);
    if (job->pending == 0)
        have_mx_records(job);
}

static void start_addresses(struct resolver *resolver, struct resolver_query *query,
                            enum entry_kind kind, const char *name)
{
    struct job *job = create(resolver, query, conclude_targets);

    want_host(job, kind, name, 0);
    job->name = job->hosts[0].entry->name;
    if (job->pending == 0)
        job->conclude(job);
}

void job_start_addresses(struct resolver *resolver, struct resolver_query *query, const char *name)
{
    start_addresses(resolver, query, ENTRY_ADDRESSES, name);
}

void job_start_ipv4(struct resolver *resolver, struct resolver_query *query, const char *name)
{
    start_addresses(resolver, query, ENTRY_IPV4, name);
}

static void have_text(struct job *job)
{
    const struct entry *text = job->lead.entry;

    if (text->outcome != RESOLVER_OK) {
        finish_as_lead(job);
        return;
    }
    struct resolver_answer *answer = answer_bare(RESOLVER_OK, text->name);
    answer->texts = arena_alloc(&answer->strings, text->count * sizeof *answer->texts);
    for (; answer->text_count < text->count; answer->text_count++)
        answer->texts[answer->text_count] =
            arena_dup(&answer->strings, text->texts[answer->text_count]);
    answer->expires = text->expires;
    finish(job, answer);
}

static void on_text(struct entry_wait *wait)
{
    struct job *job = container_of(wait, struct need, wait)->job;

    job->pending--;
    have_text(job);
}

void job_start_text(struct resolver *resolver, struct resolver_query *query, const char *name)
{
    struct job *job = create(resolver, query, NULL);

    lead_with(job, ENTRY_TEXT, name, on_text);
    if (job->pending == 0)
        have_text(job);
}

static void have_names(struct job *job)
{
    const struct entry *names = job->lead.entry;
    bool is_v4 = job->address.any.sa_family == AF_INET;

    if (names->outcome != RESOLVER_OK) {
        finish_as_lead(job);
        return;
    }
    for (unsigned i = 0; i < names->count && i < RESOLVER_NAMES_MAX; i++)
        want_host(job, is_v4 ? ENTRY_IPV4 : ENTRY_ADDRESSES, names->hosts[i].name, 0);
    if (job->pending == 0)
        job->conclude(job);
}

static void on_names(struct entry_wait *wait)
{
    struct job *job = container_of(wait, struct need, wait)->job;

    job->pending--;
    have_names(job);
}

void job_start_name(struct resolver *resolver, struct resolver_query *query,
                    const union resolver_address *address, const char *name)
{
    struct job *job = create(resolver, query, conclude_name);

    job->address = *address;
    lead_with(job, ENTRY_NAMES, name, on_names);
    if (job->pending == 0)
        have_names(job);
}

void job_abort(struct job *job, const char *text)
{
    job->has_waited = job->has_started = true; /* neither a hit nor shared */
    finish(job, answer_bare(RESOLVER_TEMPFAIL, text));
}

void jobs_abort_all(struct resolver *resolver, const char *text)
{
    while (!list_is_empty(&resolver->jobs))
        job_abort(container_of(resolver->jobs.next, struct job, link), text);
}
