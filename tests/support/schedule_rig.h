/*
 * schedule_rig: one scheduler with all it needs, on a loop that the test turns: the queue's twin, a
 * resolver that asks a scripted name server, and a next hop (smtp_peer).
 */
#ifndef SMARTHOP_TESTS_SCHEDULE_RIG_H
#define SMARTHOP_TESTS_SCHEDULE_RIG_H

#include "queue/queue_memory.h"
#include "schedule/private.h"
#include "support/conf_text.h"
#include "support/dns_server.h"
#include "support/smtp_peer.h"

#include <unistd.h>

struct schedule_rig {
    struct loop *loop;
    struct queue *queue;
    struct dns_server *dns;
    struct resolver *resolver;
    struct tls_client *tls;
    struct conf *conf;
    struct follow *rules; /* of the response_rules file, where the configuration has one */
    struct scheduler *scheduler;
    struct schedule_set set;
    struct smtp_peer peer;
    struct arena arena;
    struct call stopped;
    bool has_stopped;
};

static inline void schedule_rig_on_stopped(struct call *call)
{
    container_of(call, struct schedule_rig, stopped)->has_stopped = true;
}

static inline void schedule_rig_follow_rules(struct schedule_rig *rig)
{
    struct buf messages;

    rig->rules = follow_create(&rules_follow, NULL);
    if (rig->conf->response_rules[0] != '/')
        return;
    buf_init(&messages, 0);
    assert_false(err_is(follow_set(rig->rules, rig->conf->response_rules, &messages)));
    buf_fini(&messages);
}

static inline void schedule_rig_make_scheduler(struct schedule_rig *rig)
{
    rig->scheduler = schedule_create(&(struct schedule_options){.loop = rig->loop,
                                                                .queue = rig->queue,
                                                                .resolver = rig->resolver,
                                                                .tls = rig->tls,
                                                                .set = &rig->set,
                                                                .rules = rig->rules,
                                                                .seed = 1});
    rig->set =
        (struct schedule_set){.count = 1, .members = &rig->scheduler, .budgets = budgets_create()};
    schedule_configure(rig->scheduler, rig->conf);
}

/* The peer does not listen yet. Notifications are held, so that they stay to be looked at. */
static inline void schedule_rig_open(struct schedule_rig *rig, const char *conf_text)
{
    static const char standard[] = "retry_first = 40ms\nretry_max = 10s\n"
                                   "route \"sender.test\" { hold = \"for the test\" }\n";
    struct buf text;

    *rig = (struct schedule_rig){.loop = turn_loop_create(), .dns = dns_server_start()};
    buf_init(&text, 0);
    buf_addf(&text, "%s%s%c", conf_text, standard, '\0');
    rig->conf = conf_from_text(buf_span(&text).ptr);
    buf_fini(&text);
    schedule_rig_follow_rules(rig);
    arena_init(&rig->arena);
    list_init(&rig->stopped.link);
    rig->stopped.done = schedule_rig_on_stopped;
    assert_false(err_is(queue_open(&(struct queue_options){.path = "twin"}, &rig->queue)));
    assert_false(err_is(tls_client_create(&rig->tls)));
    const struct sockaddr *servers[] = {dns_server_address(rig->dns)};
    struct resolver_options options = {.servers = servers,
                                       .server_count = 1,
                                       .timeout_ms = 2000,
                                       .tries = 1,
                                       .cache_max = 100,
                                       .ttl_max_ms = 60000,
                                       .negative_ttl_max_ms = 1000,
                                       .preference = RESOLVER_IPV4,
                                       .seed = 1};
    assert_false(err_is(resolver_create(rig->loop, &options, &rig->resolver)));
    schedule_rig_make_scheduler(rig);
    smtp_peer_open(&rig->peer, rig->loop);
    turn_once(rig->loop);
}

static inline void schedule_rig_stop(struct schedule_rig *rig)
{
    schedule_stop(rig->scheduler, &rig->stopped);
    assert_false(rig->has_stopped);
}

static inline void schedule_rig_free_scheduler(struct schedule_rig *rig)
{
    if (!rig->has_stopped) {
        schedule_rig_stop(rig);
        TURN_UNTIL(rig->loop, rig->has_stopped);
    }
    assert_int_equal(atomic_load(&schedule_counters(rig->scheduler)->connections), 0);
    schedule_free(rig->scheduler);
    budgets_free(rig->set.budgets);
    rig->has_stopped = false;
}

/* Stops the scheduler, unless that was done. */
static inline void schedule_rig_close(struct schedule_rig *rig)
{
    schedule_rig_free_scheduler(rig);
    smtp_peer_close(&rig->peer);
    resolver_close(rig->resolver);
    turn_once(rig->loop);
    loop_free(rig->loop);
    dns_server_stop(rig->dns);
    tls_client_unref(rig->tls);
    queue_close(rig->queue);
    arena_fini(&rig->arena);
    follow_free(rig->rules);
    conf_unref(rig->conf);
}

/* ---- mail --------------------------------------------------------------------------------- */

struct schedule_rig_insert {
    struct queue_insert insert;
    bool done;
};

static inline void schedule_rig_on_inserted(struct call *call)
{
    container_of(call, struct schedule_rig_insert, insert.op.call)->done = true;
}

/* The next hop that is the peer. */
static inline const char *schedule_rig_peer_hop(struct schedule_rig *rig)
{
    return arena_printf(&rig->arena, "hosts:[127.0.0.1]:%u;tls=none", rig->peer.port).ptr;
}

/* By the MX of a domain, at the peer's port. */
static inline const char *schedule_rig_mx_hop(struct schedule_rig *rig, const char *domain)
{
    return arena_printf(&rig->arena, "mx:%s:%u;tls=none", domain, rig->peer.port).ptr;
}

/* r0@rcpt.test and so on, in one group. */
static inline struct queue_message *schedule_rig_message(struct schedule_rig *rig,
                                                         const char *next_hop, unsigned recipients)
{
    struct queue_message *m = queue_message_create();
    struct queue_group *group = arena_alloc(&m->arena, sizeof *group);

    m->id = queue_new_id(rig->queue);
    m->arrival = clock_steady_ms();
    m->reverse_path = SPAN("a@sender.test");
    m->trace = SPAN("Received: by test\r\n");
    m->group_count = 1;
    m->groups = group;
    m->body_in_memory = true;
    buf_add(&m->body, SPAN("Subject: x\r\n\r\nbody\r\n"));
    m->size = buf_len(&m->body);
    group->state = QUEUE_GROUP_WAITING;
    group->due = m->arrival;
    group->destination = group->next_hop = arena_dup(&m->arena, span_cstr(next_hop));
    group->recipient_count = recipients;
    group->recipients = arena_alloc(&m->arena, recipients * sizeof *group->recipients);
    for (uint32_t i = 0; i < recipients; i++) {
        group->recipients[i].index = i;
        group->recipients[i].address = arena_printf(&m->arena, "r%u@rcpt.test", i);
    }
    return m;
}

/* Puts it into the store and lets go of it; what is not submitted only the store knows. */
static inline uint64_t schedule_rig_add(struct schedule_rig *rig, struct queue_message *m,
                                        bool submit)
{
    struct schedule_rig_insert insert = {.insert.message = m};
    uint64_t id = m->id;

    insert.insert.op.home = rig->loop;
    insert.insert.op.call.done = schedule_rig_on_inserted;
    queue_insert(rig->queue, &insert.insert);
    TURN_UNTIL(rig->loop, insert.done);
    assert_false(err_is(insert.insert.op.result));
    if (submit)
        schedule_submit(&rig->set, m);
    queue_message_unref(m);
    return id;
}

static inline uint64_t schedule_rig_send(struct schedule_rig *rig, const char *next_hop,
                                         unsigned recipients)
{
    return schedule_rig_add(rig, schedule_rig_message(rig, next_hop, recipients), true);
}

/* ---- what is in the store ----------------------------------------------------------------- */

/* A group as the store has it; NULL where it has gone. Until the next call. */
static inline const struct queue_group *schedule_rig_group(struct schedule_rig *rig, uint64_t id)
{
    static struct queue_message *loaded;

    queue_message_unref(loaded);
    loaded = NULL;
    if (rig == NULL || err_is(queue_load(rig->queue, id, QUEUE_ALL_GROUPS, &loaded)))
        return NULL;
    return &loaded->groups[0];
}

static inline bool schedule_rig_is_gone(struct schedule_rig *rig, uint64_t id)
{
    return schedule_rig_group(rig, id) == NULL;
}

static inline bool schedule_rig_is_empty(struct schedule_rig *rig)
{
    return queue_memory_rows(rig->queue) == 0;
}

struct schedule_rig_back_off {
    unsigned records; /* destinations that back off */
    uint64_t until;
    uint32_t failures;
    uint16_t code;
};

static inline bool schedule_rig_visit(void *context, const struct queue_destination *destination)
{
    struct schedule_rig_back_off *found = context;

    if (destination->until != 0) {
        found->records++;
        found->until = destination->until;
        found->failures = destination->failures;
        found->code = destination->status.code;
    }
    return true;
}

static inline struct schedule_rig_back_off schedule_rig_back_off(struct schedule_rig *rig)
{
    struct schedule_rig_back_off found = {0};

    assert_false(err_is(queue_destinations(rig->queue, schedule_rig_visit, &found)));
    return found;
}

/* ---- what tests ask ------------------------------------------------------------------------ */

static inline uint64_t schedule_rig_counted(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static inline void schedule_rig_open_listening(struct schedule_rig *rig, const char *conf)
{
    schedule_rig_open(rig, conf);
    smtp_peer_listen(&rig->peer);
}

/* Every message has gone, and nothing is kept of it in memory. */
static inline bool schedule_rig_is_idle(struct schedule_rig *rig)
{
    return schedule_rig_is_empty(rig) &&
           schedule_rig_counted(&schedule_counters(rig->scheduler)->jobs) == 0;
}

/* The only message left is a notification to the sender. */
static inline void schedule_rig_assert_only_a_dsn(struct schedule_rig *rig, uint64_t original)
{
    struct queue_counts counts;

    assert_true(schedule_rig_is_gone(rig, original));
    assert_false(err_is(queue_count(rig->queue, &counts)));
    assert_int_equal(counts.messages, 1);
}

static inline bool schedule_rig_keep_message(void *context, struct queue_message *message)
{
    struct queue_message **kept = context;

    queue_message_unref(*kept);
    *kept = queue_message_ref(message);
    return true;
}

/* The newest message is a notification with this text. */
static inline void schedule_rig_assert_dsn(struct schedule_rig *rig, const char *text)
{
    struct queue_message *dsn = NULL;
    struct buf body;

    assert_false(err_is(queue_scan(rig->queue, 0, schedule_rig_keep_message, &dsn)));
    assert_non_null(dsn);
    assert_true(dsn->flags & QUEUE_DSN);
    assert_int_equal(dsn->reverse_path.len, 0);
    assert_true(span_equal(dsn->groups[0].recipients[0].address, SPAN("a@sender.test")));
    buf_init(&body, 0);
    assert_false(err_is(queue_read_body(rig->queue, dsn->id, 0, UINT32_MAX, &body)));
    assert_non_null(memmem(buf_span(&body).ptr, buf_len(&body), text, strlen(text)));
    buf_fini(&body);
    queue_message_unref(dsn);
}

/* For the end of a group of tests. */
static inline int schedule_rig_forget_loaded(void **state)
{
    (void)state;
    schedule_rig_group(NULL, 0);
    return 0;
}

/* ---- operations --------------------------------------------------------------------------- */

struct schedule_rig_operation {
    struct schedule_operation operation;
    bool done;
};

static inline void schedule_rig_on_operated(struct call *call)
{
    container_of(call, struct schedule_rig_operation, operation.call)->done = true;
}

/* `op` has its operation filled in. */
static inline void schedule_rig_begin(struct schedule_rig *rig, struct schedule_rig_operation *op)
{
    op->done = false;
    op->operation.home = rig->loop;
    list_init(&op->operation.call.link);
    op->operation.call.done = schedule_rig_on_operated;
    schedule_operate(&rig->set, rig->queue, &op->operation);
}

static inline struct schedule_operation schedule_rig_run(struct schedule_rig *rig,
                                                         const struct schedule_operation *operation)
{
    struct schedule_rig_operation op = {.operation = *operation};

    schedule_rig_begin(rig, &op);
    TURN_UNTIL(rig->loop, op.done);
    return op.operation;
}

static inline struct schedule_operation schedule_rig_operate(struct schedule_rig *rig,
                                                             enum schedule_verb verb, uint64_t id)
{
    return schedule_rig_run(rig, &(struct schedule_operation){.verb = verb, .id = id});
}

#endif
