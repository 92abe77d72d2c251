/* Connections to a site's targets: opened when there is mail, kept for the next one. */
#include "schedule/private.h"

#include <stdlib.h>

static enum deliver_tls tls_of(const struct site *site, const struct target *target)
{
    if (target->address.ss_family == AF_UNIX)
        return DELIVER_TLS_NONE;
    switch (site->next_hop.tls) {
    case CONF_ROUTE_TLS_NONE:
        return DELIVER_TLS_NONE;
    case CONF_ROUTE_TLS_REQUIRED:
        return DELIVER_TLS_REQUIRED;
    case CONF_ROUTE_TLS_OPPORTUNISTIC:
        break;
    }
    return DELIVER_TLS_OPPORTUNISTIC;
}

static enum deliver_eight_bit eight_bit_of(const struct conf *conf)
{
    switch (conf->eight_bit_conversion) {
    case CONF_EIGHT_BIT_BOUNCE:
        return DELIVER_EIGHT_BIT_DECLINE;
    case CONF_EIGHT_BIT_SEND:
        return DELIVER_EIGHT_BIT_SEND;
    case CONF_EIGHT_BIT_CONVERT:
        break;
    }
    return DELIVER_EIGHT_BIT_CONVERT;
}

/* Keeps the TLS session for the next connection to the same host. */
static void remember_tls(struct connection *c)
{
    struct site *site = c->site;
    struct target *target = targets_find(site->targets, site->target_count, &c->address);

    if (target == NULL)
        return;
    struct ssl_session_st *session = deliver_session_resume(c->session);
    if (session == NULL)
        return;
    tls_session_free(target->resume);
    target->resume = session;
}

static void close_idle(struct connection *c)
{
    list_remove(&c->link);
    timer_stop(c->site->owner->loop, &c->idle);
    remember_tls(c);
    deliver_close(c->session);
}

void connection_retire(struct connection *c)
{
    close_idle(c);
}

static void on_idle(struct timer *timer)
{
    close_idle(container_of(timer, struct connection, idle));
}

void connections_stop(struct site *site)
{
    for (struct list *node = site->members.next, *next; node != &site->members; node = next) {
        struct connection *c = container_of(node, struct connection, member);
        next = node->next;
        if (list_is_linked(&c->link))
            close_idle(c);
        else if (c->job == NULL || !c->job->attempt.sent)
            deliver_close(c->session);
    }
}

void connection_use(struct connection *c, struct job *job)
{
    c->detour = NULL;
    timer_stop(c->site->owner->loop, &c->idle);
    list_remove(&c->link);
    list_remove(&c->near);
    *(c->job == NULL ? &c->job : &c->next) = job;
    job_start(job, c);
}

/* Behind those that try their host again: the next job is theirs, or they would never know. */
static struct list *front_of(struct site *site)
{
    struct list *front = &site->idle;

    while (front->next != &site->idle && container_of(front->next, struct connection, link)->tries)
        front = front->next;
    return front;
}

/* It leads to the host's address of the other family, which was connected first. */
static void change_address(struct connection *c)
{
    struct site *site = c->site;
    const struct sockaddr_storage *peer = deliver_session_peer(c->session);
    struct target *old = targets_find(site->targets, site->target_count, &c->address);
    struct target *new = targets_find(site->targets, site->target_count, peer);

    if (old == new)
        return;
    if (old != NULL)
        old->connections--;
    if (new != NULL)
        new->connections++;
    c->address = *peer;
}

static void on_ready(struct connection *c)
{
    struct site *site = c->site;
    struct scheduler *s = site->owner;

    if (!c->ready) {
        change_address(c);
        c->ready = true;
        site->opening--;
        if (c->is_aside)
            site->trying--;
    }
    if (c->detour != NULL) {
        connection_use(c, c->detour);
        return;
    }
    /* The last used is used next; the others may time out. */
    list_prepend(front_of(site), &c->link);
    if (s->is_stopping || c->passed_over ||
        deliver_session_messages(c->session) >= site->shape.messages_per_connection ||
        balance_is_stand_in(site, c)) {
        close_idle(c);
        return;
    }
    timer_start(s->loop, &c->idle, s->conf->connection_idle_timeout, on_idle);
    site_run(site);
}

static void on_closed(struct connection *c)
{
    struct site *site = c->site;
    struct scheduler *s = site->owner;
    const struct status *why = deliver_session_failure(c->session);
    struct job *detour = c->detour;

    if (!c->ready)
        change_address(c);
    struct target *target = targets_find(site->targets, site->target_count, &c->address);

    list_remove(&c->link);
    list_remove(&c->near);
    list_remove(&c->member);
    timer_stop(s->loop, &c->idle);
    site->connections--;
    budget_release(site->budget);
    bump(&s->counters.connections, -1);
    if (target != NULL)
        target->connections--;
    if (c->origin != NULL)
        budget_unref(c->origin);
    if (!c->ready) {
        site->opening--;
        if (c->is_aside)
            site->trying--;
    }
    if (why->code != 0 && (!c->ready || why->scope == STATUS_SCOPE_HOST))
        site_failed(site, &c->address, why);
    balance_let_go(c);
    free(c);
    if (detour != NULL)
        detour_go_on(detour);
    site_run(site);
    scheduler_check_stopped(s);
}

/* What went along with the job is the connection's now. */
static void on_finished(struct connection *c, struct deliver_attempt *attempt)
{
    list_remove(&c->near);
    c->job = c->next;
    c->next = NULL;
    if (attempt->scope != STATUS_SCOPE_HOST && !attempt->untouched)
        balance_answered(c);
    job_finished(container_of(attempt, struct job, attempt), c);
    if (c->job != NULL && c->site->owner->is_stopping)
        deliver_close(c->session);
}

static void on_event(struct deliver_session *session, enum deliver_event event,
                     struct deliver_attempt *attempt, void *owner)
{
    struct connection *c = owner;

    (void)session;
    switch (event) {
    case DELIVER_READY:
        on_ready(c);
        break;
    case DELIVER_FOLLOW:
        follow_begin(c);
        break;
    case DELIVER_FINISHED:
        on_finished(c, attempt);
        break;
    case DELIVER_CLOSED:
        on_closed(c);
        break;
    }
}

/* Without a user where a reload has taken them away: then the session says so. */
static struct deliver_credentials credentials_of(const struct site *site)
{
    const struct conf_credentials *found =
        conf_credentials_find(site->owner->conf, site->next_hop.credentials);

    return (struct deliver_credentials){
        .name = site->next_hop.credentials,
        .user = found != NULL ? span_cstr(found->user) : SPAN_NONE,
        .password = found != NULL ? span_cstr(found->secret) : SPAN_NONE,
        .without_tls = site->next_hop.auth_without_tls,
    };
}

static const char *hello_of(const struct site *site)
{
    const struct conf *conf = site->owner->conf;
    const struct conf_origin *source = conf_origin_find(conf, site->next_hop.source);

    return source != NULL && source->hello != NULL ? source->hello : conf->hostname;
}

/* Not where it is one address that matters: it is tried, or has ours beside it, or a message that
 * goes on from host to host. */
static const struct target *second_of(const struct connection *c, const struct target *target)
{
    bool may = !c->tries && c->detour == NULL && c->site->origin_count == 0;

    return may ? balance_other_family(c->site, target) : NULL;
}

void connection_open(struct site *site, struct target *target, struct origin *origin,
                     struct job *detour)
{
    struct scheduler *s = site->owner;
    const struct conf *conf = s->conf;
    struct connection *c = mem_zalloc(sizeof *c);
    struct deliver_credentials credentials = credentials_of(site);
    struct deliver_options options = {
        .loop = s->loop,
        .queue = s->queue,
        .hello = hello_of(site),
        .peer = (const struct sockaddr *)&target->address,
        .local = origin != NULL ? (const struct sockaddr *)&origin->address : NULL,
        .host = target->host,
        .is_told = !site->next_hop.use_mx,
        .lmtp = site->next_hop.lmtp,
        .eight_bit = eight_bit_of(conf),
        .xforward = site->next_hop.xforward,
        .credentials = credentials.name.len > 0 ? &credentials : NULL,
        .tls = tls_of(site, target),
        .implicit_tls = target->implicit_tls,
        .second_after = conf->connect_attempt_delay,
        .tls_client = s->tls,
        .resume = target->resume,
        .deadlines = {.connect = conf->connect_timeout,
                      .greeting = conf->greeting_timeout,
                      .hello = conf->hello_timeout,
                      .mail = conf->mail_timeout,
                      .rcpt = conf->rcpt_timeout,
                      .data_init = conf->data_init_timeout,
                      .data_block = conf->data_block_timeout,
                      .data_final = conf->data_final_timeout,
                      .quit = conf->quit_timeout},
    };

    list_init(&c->link);
    list_init(&c->near);
    list_append(&site->members, &c->member);
    c->site = site;
    c->detour = detour;
    c->address = target->address;
    c->origin = origin != NULL && origin->budget != NULL ? budget_ref(origin->budget) : NULL;
    if (origin != NULL)
        origin_charge(origin);
    target->connections++;
    site->connections++;
    site->opening++;
    balance_opened(c);
    if (c->is_aside)
        site->trying++;
    bump(&s->counters.connections, 1);
    const struct target *second = second_of(c, target);
    if (second != NULL)
        options.second = (const struct sockaddr *)&second->address;
    c->session = deliver_open(&options, on_event, c);
}
