#include "actions.h"

#include "base/clock.h"
#include "pages.h"
#include "plugin_looks.h"
#include "proto/ip.h"
#include "route/route.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- operations on messages ----------------------------------------------------------------- */

struct relayed_operation {
    struct schedule_operation inner;
    struct schedule_reroute reroute;
    struct control_operation *outer;
};

static void tell_routes(const struct schedule_reroute *in, struct control_reroute *out)
{
    out->rows = arena_alloc(&out->arena, in->row_count * sizeof *out->rows);
    for (unsigned i = 0; i < in->row_count; i++) {
        const struct schedule_rerouted *row = &in->rows[i];
        out->rows[out->row_count++] = (struct control_rerouted){
            .from = arena_dup(&out->arena, row->from),
            .to = arena_dup(&out->arena, row->to),
            .route = arena_dup(&out->arena, row->route),
            .fate = row->fate,
            .recipient = arena_dup(&out->arena, row->recipient),
            .recipients = row->recipients,
        };
    }
}

static void on_operated(struct call *call)
{
    struct relayed_operation *op = container_of(call, struct relayed_operation, inner.call);
    struct control_operation *outer = op->outer;

    outer->affected = op->inner.affected;
    outer->busy = op->inner.busy;
    outer->moot = op->inner.moot;
    outer->result = op->inner.result;
    if (outer->reroute != NULL)
        tell_routes(&op->reroute, outer->reroute);
    arena_fini(&op->reroute.arena);
    free(op);
    outer->call.done(&outer->call);
}

static void operate(void *context, struct control_operation *operation)
{
    static const enum schedule_verb verbs[] = {
        [CONTROL_RETRY] = SCHEDULE_RETRY,   [CONTROL_REMOVE] = SCHEDULE_REMOVE,
        [CONTROL_HOLD] = SCHEDULE_HOLD,     [CONTROL_RELEASE] = SCHEDULE_RELEASE,
        [CONTROL_BOUNCE] = SCHEDULE_BOUNCE, [CONTROL_REROUTE] = SCHEDULE_REROUTE,
    };
    static const enum schedule_edit_kind edits[] = {
        [CONTROL_EDIT_NONE] = SCHEDULE_EDIT_NONE, [CONTROL_CHANGE] = SCHEDULE_EDIT_CHANGE,
        [CONTROL_ADD] = SCHEDULE_EDIT_ADD,        [CONTROL_DROP] = SCHEDULE_EDIT_DROP,
        [CONTROL_SENDER] = SCHEDULE_EDIT_SENDER,
    };
    struct actions *actions = context;
    struct relayed_operation *op = mem_zalloc(sizeof *op);

    op->outer = operation;
    op->inner.home = operation->home;
    op->inner.verb = verbs[operation->verb];
    op->inner.id = operation->id;
    op->inner.groups = operation->groups;
    op->inner.group_count = operation->group_count;
    arena_init(&op->reroute.arena);
    if (operation->reroute != NULL) {
        op->reroute.dry_run = operation->reroute->dry_run;
        op->reroute.names_recipients = operation->reroute->names_recipients;
        op->reroute.next_hop = operation->reroute->next_hop;
        op->reroute.edit.kind = edits[operation->reroute->edit];
        op->reroute.edit.recipient = operation->reroute->recipient;
        op->reroute.edit.to = operation->reroute->to;
        op->inner.reroute = &op->reroute;
    }
    list_init(&op->inner.call.link);
    op->inner.call.done = on_operated;
    schedule_operate(actions->shared->set, actions->shared->queue, &op->inner);
}

/* ---- explanations --------------------------------------------------------------------------- */

struct relayed_inquiry {
    struct schedule_inquiry inner;
    struct actions *actions;
    struct control_explanation *outer;
};

/* When the first of its recipients is given up. */
static void tell_end(const struct conf *conf, struct control_explanation *out)
{
    const struct queue_message *message = out->message;
    uint64_t age = UINT64_MAX;

    for (unsigned i = 0; i < message->group_count; i++) {
        uint64_t one = route_expire_after(conf, message->reverse_path, message->groups[i].next_hop);
        age = one < age ? one : age;
    }
    out->expires = queue_message_start(message) + age;
    out->by_deadline = message->by == ESMTP_BY_RETURN && message->deliver_by < out->expires;
    if (out->by_deadline)
        out->expires = message->deliver_by;
}

static void on_explained(struct call *call)
{
    struct relayed_inquiry *r = container_of(call, struct relayed_inquiry, inner.call);
    struct control_explanation *out = r->outer;

    out->result = r->inner.result;
    out->message = r->inner.message;
    if (!err_is(out->result)) {
        unsigned count = out->message->group_count;
        out->now = clock_steady_ms();
        tell_end(*r->actions->conf, out);
        out->gates = arena_alloc(&out->arena, count * sizeof *out->gates);
        for (unsigned i = 0; i < count; i++) {
            const struct schedule_explanation *one = &r->inner.explanations[i];
            out->gates[i] = (struct control_gate){
                .name = schedule_gate_name(one->gate),
                .until = one->until,
                .since = one->since,
                .why = arena_dup(&out->arena, span_of(one->why, one->why_len)),
            };
        }
    }
    free(r->inner.explanations);
    free(r);
    out->call.done(&out->call);
}

static void explain(void *context, struct control_explanation *explanation)
{
    struct actions *actions = context;
    struct relayed_inquiry *r = mem_zalloc(sizeof *r);

    r->actions = actions;
    r->outer = explanation;
    r->inner.home = explanation->home;
    r->inner.id = explanation->id;
    r->inner.call.done = on_explained;
    list_init(&r->inner.call.link);
    schedule_explain(actions->shared->set, actions->shared->queue, &r->inner);
}

/* ---- suspensions ---------------------------------------------------------------------------- */

struct relayed_suspension {
    struct schedule_suspend inner;
    struct control_suspension *outer;
};

static void on_suspended(struct call *call)
{
    struct relayed_suspension *r = container_of(call, struct relayed_suspension, inner.call);
    struct control_suspension *outer = r->outer;

    outer->result = r->inner.result;
    free(r);
    outer->call.done(&outer->call);
}

static void suspend(void *context, struct control_suspension *suspension)
{
    struct actions *actions = context;
    struct relayed_suspension *r = mem_zalloc(sizeof *r);

    r->outer = suspension;
    r->inner.home = suspension->home;
    r->inner.call.done = on_suspended;
    list_init(&r->inner.call.link);
    r->inner.change.suspension = (struct queue_suspension){
        .pattern = suspension->pattern,
        .reason = suspension->reason,
        .since = clock_steady_ms(),
        .until = suspension->until,
    };
    schedule_suspend(actions->shared->set, actions->shared->queue, &r->inner);
}

/* ---- imports -------------------------------------------------------------------------------- */

/* All pieces of one go to the same worker. */
struct relayed_import {
    struct receive_import_piece piece;
    struct call call; /* to the worker and back */
    struct actions *actions;
    struct worker *worker;
    struct control_import *outer;
};

static void on_import_home(struct call *call)
{
    struct relayed_import *r = container_of(call, struct relayed_import, call);
    struct control_import *outer = r->outer;

    outer->import = r->piece.is_refused ? 0 : r->piece.import;
    outer->is_stored = r->piece.is_stored;
    outer->id = r->piece.id;
    outer->recipients = r->piece.recipients;
    outer->line = r->piece.line;
    snprintf(outer->why, sizeof outer->why, "%s", r->piece.why);
    free(r);
    outer->call.done(&outer->call);
}

static void on_piece_taken(struct call *call)
{
    struct relayed_import *r = container_of(call, struct relayed_import, piece.call);

    r->call.done = on_import_home;
    loop_post(r->actions->loop, &r->call);
}

static void on_piece(struct call *call)
{
    struct relayed_import *r = container_of(call, struct relayed_import, call);

    receive_server_import(r->worker->receive, &r->piece);
}

static void import(void *context, struct control_import *import)
{
    struct actions *actions = context;
    struct relayed_import *r = mem_zalloc(sizeof *r);
    bool is_first = import->import == 0;
    uint64_t number = is_first ? ++actions->import_count : import->import;

    r->actions = actions;
    r->worker = &actions->workers[number % actions->worker_count];
    r->outer = import;
    r->piece = (struct receive_import_piece){
        .call.done = on_piece_taken,
        .import = number,
        .is_first = is_first,
        .is_last = import->is_last,
        .data = import->data,
    };
    list_init(&r->piece.call.link);
    list_init(&r->call.link);
    r->call.done = on_piece;
    loop_post(r->worker->loop, &r->call);
}

/* ---- status --------------------------------------------------------------------------------- */

struct relayed_status {
    struct work work;
    struct queue *queue;
    struct control_status *status;
};

static void count_workers(const struct actions *actions, struct control_status *status)
{
    for (unsigned i = 0; i < actions->worker_count; i++) {
        const struct receive_counters *in = receive_server_counters(actions->workers[i].receive);
        const struct schedule_counters *out = schedule_counters(actions->workers[i].scheduler);
        status->accepted += atomic_load(&in->accepted);
        status->rejected += atomic_load(&in->rejected);
        status->gave_way += atomic_load(&in->gave_way);
        status->delivered += atomic_load(&out->delivered);
        status->deferred += atomic_load(&out->deferred);
        status->failed += atomic_load(&out->failed);
        status->destinations += atomic_load(&out->destinations);
        status->connections += atomic_load(&out->connections);
        status->overdue += atomic_load(&out->overdue);
        status->swept += atomic_load(&out->swept); /* one of them sweeps */
    }
}

static bool note_oldest(void *context, struct queue_message *message)
{
    *(uint64_t *)context = queue_message_start(message);
    return false;
}

static bool count_suspension(void *context, const struct queue_suspension *suspension)
{
    if (suspension->until > clock_steady_ms())
        ++*(uint64_t *)context;
    return true;
}

/* On a pool thread: counting rows may touch the disk. */
static void collect_status(struct work *work)
{
    struct relayed_status *r = container_of(work, struct relayed_status, work);
    struct control_status *status = r->status;
    struct queue_counts counts = {0};

    queue_count(r->queue, &counts);
    queue_scan(r->queue, 0, note_oldest, &status->oldest);
    queue_suspensions(r->queue, count_suspension, &status->suspensions);
    status->messages = counts.messages;
    status->groups = counts.groups;
    status->commits = counts.store.commits;
    status->store_operations = counts.store.operations;
    status->map_used = counts.store.map_used;
    status->map_size = counts.store.map_size;
    status->disk_free = counts.store.disk_free;
    status->store_low = counts.store.low;
    status->store_broken = queue_is_broken(r->queue); /* counting may fail then */
}

static void on_collected(struct call *call)
{
    struct relayed_status *r = container_of(call, struct relayed_status, work.call);
    struct control_status *status = r->status;

    free(r);
    status->call.done(&status->call);
}

static void tell_status(void *context, struct control_status *status)
{
    struct actions *actions = context;
    struct relayed_status *r = mem_zalloc(sizeof *r);

    status->started_wall_ms = actions->started;
    status->workers = actions->worker_count;
    status->sessions = receive_limits_sessions(actions->shared->limits);
    status->stress = receive_limits_are_stressed(actions->shared->limits);
    snprintf(status->configuration, sizeof status->configuration, "%s", (*actions->conf)->file);
    count_workers(actions, status);
    r->queue = actions->shared->queue;
    r->status = status;
    list_init(&r->work.call.link);
    r->work.run = collect_status;
    r->work.call.done = on_collected;
    loop_work(actions->loop, &r->work);
}

/* ---- sessions ------------------------------------------------------------------------------- */

/* From worker to worker until one has it. */
struct relayed_ending {
    struct call call;
    struct actions *actions;
    unsigned worker;
    struct control_ending *ending;
};

static void on_end_session(struct call *call);

static void on_session_ended(struct call *call)
{
    struct relayed_ending *r = container_of(call, struct relayed_ending, call);
    struct control_ending *ending = r->ending;

    if (!ending->found && ++r->worker < r->actions->worker_count && !r->actions->is_over) {
        r->call.done = on_end_session;
        loop_post(r->actions->workers[r->worker].loop, &r->call);
        return;
    }
    free(r);
    ending->call.done(&ending->call);
}

static void on_end_session(struct call *call)
{
    struct relayed_ending *r = container_of(call, struct relayed_ending, call);
    struct worker *worker = &r->actions->workers[r->worker];

    r->ending->found = receive_server_end_session(worker->receive, r->ending->session);
    r->call.done = on_session_ended;
    loop_post(r->actions->loop, &r->call);
}

static void end_session(void *context, struct control_ending *ending)
{
    struct relayed_ending *r = mem_zalloc(sizeof *r);

    r->actions = context;
    r->ending = ending;
    list_init(&r->call.link);
    r->call.done = on_end_session;
    loop_post(r->actions->workers[0].loop, &r->call);
}

/* ---- traces --------------------------------------------------------------------------------- */

/* A tap in all workers. It goes when it has ended and no call about it is under way. */
struct relayed_trace {
    struct actions *actions;
    struct control_trace *trace; /* NULL = ended */
    struct tap *tap;
    unsigned pending; /* calls */
};

struct tap_call {
    struct call call;
    struct relayed_trace *trace;
    struct worker *worker;
    bool joins;
};

static void release_trace(struct relayed_trace *r)
{
    if (r->trace != NULL || r->pending > 0)
        return;
    r->actions->trace_count--;
    tap_unref(r->tap);
    free(r);
}

static void on_tap_changed(struct call *call)
{
    struct tap_call *change = container_of(call, struct tap_call, call);
    struct relayed_trace *r = change->trace;

    free(change);
    if (--r->pending == 0 && r->trace != NULL)
        r->trace->begun(r->trace);
    release_trace(r);
}

static void on_change_tap(struct call *call)
{
    struct tap_call *change = container_of(call, struct tap_call, call);

    if (change->joins)
        receive_server_add_tap(change->worker->receive, change->trace->tap);
    else
        receive_server_remove_tap(change->worker->receive, change->trace->tap);
    change->call.done = on_tap_changed;
    loop_post(change->trace->actions->loop, &change->call);
}

static void change_taps(struct relayed_trace *r, bool joins)
{
    for (unsigned i = 0; i < r->actions->worker_count; i++) {
        struct tap_call *change = mem_zalloc(sizeof *change);
        change->trace = r;
        change->worker = &r->actions->workers[i];
        change->joins = joins;
        list_init(&change->call.link);
        change->call.done = on_change_tap;
        r->pending++;
        loop_post(change->worker->loop, &change->call);
    }
}

static void on_lines(void *context)
{
    struct relayed_trace *r = context;

    r->trace->ready(r->trace);
}

/* "local" stands for the clients of our sockets. */
static bool parse_clients(struct span text, struct ip_network *out, struct buf *why)
{
    *out = (struct ip_network){.family = AF_UNIX};
    if (span_equal_nocase(text, SPAN("local")))
        return true;
    enum ip_network_error error = ip_network_parse(text, out);
    if (error != IP_NETWORK_OK)
        buf_addf(why, "%s", ip_network_error_text(error));
    return error == IP_NETWORK_OK;
}

static bool begin_trace(void *context, struct span text, struct control_trace *trace,
                        struct buf *why)
{
    struct actions *actions = context;
    struct ip_network network;

    if (!parse_clients(text, &network, why))
        return false;
    if (actions->trace_count == RECEIVE_TAPS_MAX) {
        buf_addf(why, "%d traces are under way, and more are not allowed", RECEIVE_TAPS_MAX);
        return false;
    }
    struct relayed_trace *r = mem_zalloc(sizeof *r);
    actions->trace_count++;
    r->actions = actions;
    r->trace = trace;
    r->tap = tap_create(&network, actions->loop, on_lines, r);
    trace->action = r;
    change_taps(r, true);
    return true;
}

static uint64_t take_lines(void *context, struct control_trace *trace, control_tell_line *tell,
                           void *tell_context)
{
    struct relayed_trace *r = trace->action;
    struct tap_line line;
    struct buf lines;

    (void)context;
    uint64_t lost = tap_take(r->tap, &lines);
    for (struct span rest = buf_span(&lines); tap_next(&rest, &line);) {
        struct control_trace_line out = {
            .wall_ms = line.wall_ms,
            .session = line.session,
            .client = line.client,
            .text = line.text,
        };
        tell(&out, tell_context);
    }
    buf_fini(&lines);
    return lost;
}

static void end_trace(void *context, struct control_trace *trace)
{
    struct relayed_trace *r = trace->action;

    (void)context;
    tap_close(r->tap);
    r->trace = NULL;
    if (r->actions->is_over)
        release_trace(r);
    else
        change_taps(r, false);
}

void actions_fill(struct actions *actions, struct control_actions *out)
{
    out->context = actions;
    out->operate = operate;
    out->status = tell_status;
    out->explain = explain;
    out->suspend = suspend;
    out->route = looks_route;
    out->import = import;
    out->sessions = pages_tell_sessions;
    out->destinations = pages_tell_destinations;
    out->end_session = end_session;
    out->trace = begin_trace;
    out->trace_take = take_lines;
    out->trace_end = end_trace;
}
