/*
 * Routes the recipients of a group again. Each is asked for on the owner's loop, while the group's
 * job is in no line; what goes elsewhere now leaves the group for others, in the one transaction
 * that settles it, and their owners then find these in the store.
 *
 * So does an edit: a recipient whose address changes, or who is added, is routed and gets a group.
 */
#include "proto/xtext.h"
#include "schedule/private.h"

#include <stdlib.h>

struct reroute {
    struct call call; /* brings what came of it to the batch's home */
    struct schedule_batch *batch;
    struct scheduler *owner;
    struct queue_message *message;
    const struct queue_group *group;
    struct job *job; /* NULL: a dry run */
    struct conf *conf;
    struct arena arena;
    unsigned pending;                 /* queries, and who posts them */
    bool changes;                     /* some of it does not stay as it is */
    const struct schedule_edit *edit; /* NULL: all are routed again */
    struct queue_group *splits;
    unsigned split_count;
    enum settle_fate fates[QUEUE_GROUP_MAX];
    struct schedule_rerouted rows[QUEUE_GROUP_MAX + 1]; /* one a recipient, and one that is added */
    unsigned row_count;
    struct question {
        struct reroute *reroute;
        struct route_query query;
    } questions[];
};

/* ---- at the batch's home ------------------------------------------------------------------ */

static bool is_alike(const struct schedule_rerouted *a, const struct schedule_rerouted *b)
{
    return a->fate == b->fate && span_equal(a->from, b->from) && span_equal(a->to, b->to) &&
           span_equal(a->route, b->route);
}

static struct schedule_rerouted *new_row(struct schedule_reroute *order)
{
    /* A power of two is full. Arrays that became too small stay in the arena. */
    if ((order->row_count & (order->row_count - 1)) == 0) {
        unsigned room = order->row_count ? order->row_count * 2 : 1;
        struct schedule_rerouted *rows = arena_alloc(&order->arena, room * sizeof *rows);
        if (order->row_count > 0)
            memcpy(rows, order->rows, order->row_count * sizeof *rows);
        order->rows = rows;
    }
    return &order->rows[order->row_count++];
}

static void add_row(struct schedule_reroute *order, const struct schedule_rerouted *row)
{
    struct arena *arena = &order->arena;

    for (unsigned i = order->row_count; i > 0 && !order->names_recipients; i--) {
        if (is_alike(&order->rows[i - 1], row)) {
            order->rows[i - 1].recipients++;
            return;
        }
    }
    *new_row(order) = (struct schedule_rerouted){
        .from = arena_dup(arena, row->from),
        .to = arena_dup(arena, row->to),
        .route = arena_dup(arena, row->route),
        .fate = row->fate,
        .recipient = order->names_recipients ? arena_dup(arena, row->recipient) : SPAN_NONE,
        .recipients = 1,
    };
}

static void on_home(struct call *call)
{
    struct reroute *r = container_of(call, struct reroute, call);
    struct schedule_batch *batch = r->batch;

    for (unsigned i = 0; i < r->row_count; i++)
        add_row(batch->reroute, &r->rows[i]);
    if (r->changes)
        batch_told(batch, true);
    else
        batch_told_moot(batch);
    queue_message_unref(r->message);
    conf_unref(r->conf);
    arena_fini(&r->arena);
    free(r);
}

static void go_home(struct reroute *r)
{
    r->call.done = on_home;
    loop_post(r->batch->home, &r->call);
}

/* Nothing came of it: it is as it was. */
static void give_up(struct reroute *r)
{
    batch_told(r->batch, false);
    queue_message_unref(r->message);
    conf_unref(r->conf);
    arena_fini(&r->arena);
    free(r);
}

/* ---- what the answers mean ---------------------------------------------------------------- */

/* What a route has to say of it counts less than an operator's word. */
static struct span path_for(const struct reroute *r, const struct route_answer *answer)
{
    return r->group->has_sender ? r->group->reverse_path : answer->reverse_path;
}

/* The split for such recipients. With VERP each has its own: the reverse-path names it. */
static struct queue_group *split_for(struct reroute *r, const struct route_answer *answer,
                                     enum queue_group_state state)
{
    const struct queue_group *group = r->group;
    bool alone = (r->message->flags & QUEUE_VERP) != 0;

    for (unsigned i = 0; i < r->split_count && !alone; i++)
        if (r->splits[i].state == state && span_equal(r->splits[i].next_hop, answer->next_hop) &&
            span_equal(r->splits[i].destination, answer->destination) &&
            r->splits[i].recipient_count < QUEUE_GROUP_MAX &&
            span_equal(r->splits[i].reverse_path, path_for(r, answer)))
            return &r->splits[i];
    struct queue_group *split = &r->splits[r->split_count++];
    uint64_t now = clock_steady_ms();
    *split = *group;
    split->state = state;
    /* Not what a delivered group was due: it may have had the number that this one gets. */
    split->due = queue_group_is_early(group, now) ? group->due : now + 1;
    split->destination = answer->destination;
    split->next_hop = answer->next_hop;
    split->reverse_path = path_for(r, answer);
    split->routed_by = route_decision(&r->arena, answer);
    split->recipient_count = 0;
    split->recipients =
        arena_alloc(&r->arena, (group->recipient_count + 1) * sizeof *split->recipients);
    return split;
}

static enum settle_fate place(struct reroute *r, unsigned index, struct schedule_rerouted *row)
{
    const struct route_answer *answer = &r->questions[index].query.answer;
    const struct queue_group *group = r->group;
    bool is_held = answer->verdict == ROUTE_HOLD;
    enum queue_group_state state = is_held ? QUEUE_GROUP_HELD : group->state;

    row->to = answer->next_hop;
    if (state == group->state && span_equal(answer->next_hop, group->next_hop) &&
        span_equal(answer->destination, group->destination) &&
        span_equal(path_for(r, answer), group->reverse_path)) {
        row->fate = "same";
        return SETTLE_KEEP;
    }
    row->fate = is_held ? "held" : "moved";
    struct queue_group *split = split_for(r, answer, state);
    struct queue_recipient *moved = &split->recipients[split->recipient_count++];
    *moved = group->recipients[index];
    moved->address = answer->recipient;
    return SETTLE_MOVED;
}

static enum settle_fate judge(struct reroute *r, unsigned index)
{
    const struct route_answer *answer = &r->questions[index].query.answer;
    struct schedule_rerouted *row = &r->rows[r->row_count++];

    *row = (struct schedule_rerouted){
        .from = r->group->next_hop,
        .to = answer->status.text,
        .route = answer->route,
        .recipient = r->group->recipients[index].address,
    };
    if (answer->next != NULL) {
        row->to = SPAN("stands for several recipients now: edit the message");
        row->fate = "undecided";
        return SETTLE_KEEP;
    }
    switch (answer->verdict) {
    case ROUTE_SEND:
    case ROUTE_HOLD:
        return place(r, index, row);
    case ROUTE_REJECT:
        row->fate = "returned";
        return SETTLE_FAILED;
    case ROUTE_DISCARD:
        row->fate = "dropped";
        return SETTLE_REMOVED;
    case ROUTE_DEFER:
    case ROUTE_LATER:
        break;
    }
    row->fate = "undecided";
    return SETTLE_KEEP;
}

/* ---- edits -------------------------------------------------------------------------------- */

static bool is_meant(const struct reroute *r, unsigned index)
{
    return span_equal_nocase(r->group->recipients[index].address, r->edit->recipient);
}

/* RFC 3461 4.2: where it was addressed to first. Empty where that cannot be said in ASCII. */
static struct span original_of(struct reroute *r, struct span address)
{
    for (size_t i = 0; i < address.len; i++)
        if ((unsigned char)address.ptr[i] >= 0x80)
            return SPAN_NONE;
    struct span text =
        arena_printf(&r->arena, "rfc822;%.*s", SPAN_ARG(xtext_encode(address, &r->arena)));
    return text.len <= ESMTP_ORCPT_MAX ? text : SPAN_NONE;
}

/* Gives a recipient the way that its new address has; false where it has none: then nothing is
 * changed, since nobody has asked for it to be lost. */
static bool place_edited(struct reroute *r, unsigned index, const struct queue_recipient *as,
                         const char *fate)
{
    const struct route_answer *answer = &r->questions[index].query.answer;
    bool has_way = answer->verdict == ROUTE_SEND || answer->verdict == ROUTE_HOLD;
    struct schedule_rerouted *row = &r->rows[r->row_count++];

    *row = (struct schedule_rerouted){
        .from = r->group->next_hop,
        .to = answer->next_hop,
        .route = answer->route,
        .recipient = as->address,
        .fate = fate,
    };
    if (!has_way || answer->next != NULL) {
        row->fate = "undecided";
        row->to = has_way                            ? SPAN("it stands for several recipients")
                  : answer->verdict == ROUTE_DISCARD ? SPAN("a route discards it")
                                                     : answer->status.text;
        return false;
    }
    struct queue_group *split =
        split_for(r, answer, answer->verdict == ROUTE_HOLD ? QUEUE_GROUP_HELD : r->group->state);
    struct queue_recipient *placed = &split->recipients[split->recipient_count++];
    *placed = *as;
    placed->address = answer->recipient;
    return true;
}

static enum settle_fate change(struct reroute *r, unsigned index)
{
    struct queue_recipient as = r->group->recipients[index];

    if (as.original.len == 0)
        as.original = original_of(r, as.address);
    as.address = r->edit->to;
    as.last = (struct status){0};
    return place_edited(r, index, &as, "changed") ? SETTLE_MOVED : SETTLE_KEEP;
}

static enum settle_fate drop(struct reroute *r, unsigned index)
{
    r->rows[r->row_count++] = (struct schedule_rerouted){
        .from = r->group->next_hop,
        .recipient = r->group->recipients[index].address,
        .fate = "dropped",
    };
    return SETTLE_REMOVED;
}

static void add(struct reroute *r)
{
    struct queue_recipient as = {.address = r->edit->to, .index = r->edit->index};

    r->changes = place_edited(r, r->group->recipient_count, &as, "added");
}

static bool adds_here(const struct reroute *r)
{
    return r->edit != NULL && r->edit->kind == SCHEDULE_EDIT_ADD &&
           r->group->number == r->edit->group;
}

/* RFC 5321 6.1: what has the null reverse-path is a notification, and stays one. */
static bool gets_sender(const struct reroute *r)
{
    return r->edit != NULL && r->edit->kind == SCHEDULE_EDIT_SENDER &&
           r->message->reverse_path.len > 0 &&
           !(r->group->has_sender && span_equal(r->group->reverse_path, r->edit->to));
}

static enum settle_fate edit(struct reroute *r, unsigned index)
{
    switch (r->edit->kind) {
    case SCHEDULE_EDIT_CHANGE:
        return is_meant(r, index) ? change(r, index) : SETTLE_KEEP;
    case SCHEDULE_EDIT_DROP:
        return is_meant(r, index) ? drop(r, index) : SETTLE_KEEP;
    case SCHEDULE_EDIT_ADD:
    case SCHEDULE_EDIT_SENDER:
    case SCHEDULE_EDIT_NONE:
        break;
    }
    return SETTLE_KEEP;
}

static void log_edit(const struct reroute *r)
{
    static const char *const kinds[] = {[SCHEDULE_EDIT_NONE] = "",
                                        [SCHEDULE_EDIT_CHANGE] = "recipient",
                                        [SCHEDULE_EDIT_ADD] = "added",
                                        [SCHEDULE_EDIT_DROP] = "dropped",
                                        [SCHEDULE_EDIT_SENDER] = "sender"};
    struct log_line line;
    char id[ID_TEXT_SIZE];

    if (!log_begin(&line, LOG_INFO, "edited"))
        return;
    log_text(&line, "id", id_format(r->message->id, id));
    log_text(&line, "what", kinds[r->edit->kind]);
    log_span(&line, "before",
             r->edit->kind == SCHEDULE_EDIT_SENDER ? r->message->reverse_path : r->edit->recipient);
    log_span(&line, "now", r->edit->to);
    log_span(&line, "destination",
             r->split_count > 0 ? r->splits[0].destination : r->group->destination);
    log_end(&line);
}

static void tell_edit(const struct reroute *r)
{
    log_edit(r);
    for (unsigned i = 0; i < r->split_count; i++)
        event_moved(r->job, &r->splits[i], "edited");
    for (unsigned i = 0; i < r->group->recipient_count; i++)
        if (r->fates[i] == SETTLE_REMOVED || r->edit->kind == SCHEDULE_EDIT_SENDER)
            event_recipient(r->job, &r->group->recipients[i], "edited");
}

/* ---- recording ---------------------------------------------------------------------------- */

static void log_move(const struct reroute *r, const struct queue_group *to)
{
    struct log_line line;
    char id[ID_TEXT_SIZE];

    if (!log_begin(&line, LOG_INFO, "rerouted"))
        return;
    log_text(&line, "id", id_format(r->message->id, id));
    log_span(&line, "from", r->message->reverse_path);
    log_span(&line, "to", to->recipients[0].address);
    log_u64(&line, "recipients", to->recipient_count);
    log_span(&line, "destination", to->destination);
    log_span(&line, "before", r->group->destination);
    log_end(&line);
}

static void tell_moves(const struct reroute *r)
{
    for (unsigned i = 0; i < r->split_count; i++) {
        event_moved(r->job, &r->splits[i], "rerouted");
        log_move(r, &r->splits[i]);
    }
}

static void apply(struct reroute *r)
{
    struct job *job = r->job;
    struct settle_plan plan = {
        .fates = r->fates,
        .state = r->group->state,
        .due = r->group->due,
        .tries = r->group->tries,
        .splits = r->splits,
        .split_count = r->split_count,
        .reroute = r,
        .sender = gets_sender(r) ? r->edit->to : SPAN_NONE,
    };

    if (r->edit != NULL)
        tell_edit(r);
    else
        tell_moves(r);
    for (unsigned i = 0; i < r->row_count; i++)
        if (r->fates[i] == SETTLE_FAILED)
            job_refuse(job, i, &r->questions[i].query.answer.status);
    settle_start(job, &plan);
}

static void decide(struct reroute *r)
{
    struct scheduler *s = r->owner;
    struct job *job = r->job;

    s->working--;
    if (s->is_stopping) {
        give_up(r);
        if (job != NULL)
            action_release(job);
        scheduler_check_stopped(s);
        return;
    }
    r->splits = arena_alloc(&r->arena, (r->group->recipient_count + 1) * sizeof *r->splits);
    r->changes = gets_sender(r);
    if (adds_here(r))
        add(r);
    for (unsigned i = 0; i < r->group->recipient_count; i++) {
        r->fates[i] = r->edit != NULL ? edit(r, i) : judge(r, i);
        r->changes = r->changes || r->fates[i] != SETTLE_KEEP;
    }
    if (job != NULL && r->changes) {
        apply(r);
        return;
    }
    go_home(r);
    if (job != NULL)
        action_release(job);
}

/* ---- asking ------------------------------------------------------------------------------- */

static void answered(struct reroute *r)
{
    if (--r->pending == 0)
        decide(r);
}

static void on_routed(struct call *call)
{
    struct route_query *query = container_of(call, struct route_query, call);

    answered(container_of(query, struct question, query)->reroute);
}

static void ask(struct reroute *r, struct question *question, struct span recipient)
{
    struct span forced = r->batch->reroute->next_hop;
    struct route_query *query = &question->query;

    question->reroute = r;
    *query = (struct route_query){
        .call.done = on_routed,
        .conf = r->conf,
        .reverse_path = r->group->has_sender ? r->group->reverse_path : r->message->reverse_path,
        .recipient = recipient,
        .domain = route_domain(&r->arena, recipient),
        .tenant = r->message->tenant,
        .arena = &r->arena,
        .plugins = r->owner->plugins,
        .message = route_message_facts(r->message, &r->arena),
        .tries = r->group->tries,
    };
    route_wishes_parse(r->group->wishes, &query->wishes);
    list_init(&query->call.link);
    r->pending++;
    if (forced.len == 0) {
        route_recipient(r->owner->loop, query);
        return;
    }
    query->answer = (struct route_answer){.verdict = ROUTE_SEND, .recipient = recipient};
    query->answer.next_hop = arena_dup(&r->arena, forced);
    query->answer.destination = route_destination(&r->arena, query->answer.next_hop, query->tenant);
    loop_defer(r->owner->loop, &query->call);
}

static void on_asked(struct call *call)
{
    answered(container_of(call, struct reroute, call));
}

static void ask_all(struct reroute *r)
{
    for (unsigned i = 0; i < r->group->recipient_count; i++) {
        if (r->edit == NULL)
            ask(r, &r->questions[i], r->group->recipients[i].address);
        else if (r->edit->kind == SCHEDULE_EDIT_CHANGE && is_meant(r, i))
            ask(r, &r->questions[i], r->edit->to);
    }
    if (adds_here(r))
        ask(r, &r->questions[r->group->recipient_count], r->edit->to);
    /* There may be nothing to ask. */
    r->pending++;
    r->call.done = on_asked;
    loop_defer(r->owner->loop, &r->call);
}

void reroute_start(struct schedule_batch *batch, struct scheduler *s, struct queue_message *message,
                   const struct queue_group *group, struct job *job)
{
    unsigned count = group->recipient_count;
    struct reroute *r = mem_zalloc(sizeof *r + (count + 1) * sizeof r->questions[0]);

    list_init(&r->call.link);
    arena_init(&r->arena);
    r->batch = batch;
    r->owner = s;
    r->message = queue_message_ref(message);
    r->group = group;
    r->job = job;
    r->conf = conf_ref(s->conf);
    s->working++;
    if (batch->reroute->edit.kind != SCHEDULE_EDIT_NONE)
        r->edit = &batch->reroute->edit;
    ask_all(r);
}

/* ---- the new groups come to their owners -------------------------------------------------- */

struct arrival {
    struct call call;
    struct scheduler *owner;
    struct queue_due due;
    struct arena arena;
    struct span destination;
};

static void on_arrival(struct call *call)
{
    struct arrival *arrival = container_of(call, struct arrival, call);
    struct destination *d = scheduler_destination(arrival->owner, arrival->destination);

    destination_note(d, &arrival->due);
    destination_run(d);
    arena_fini(&arrival->arena);
    free(arrival);
}

static void hand_over(const struct reroute *r, const struct queue_group *group)
{
    struct arrival *arrival;

    if (group->state == QUEUE_GROUP_HELD)
        return;
    arrival = mem_zalloc(sizeof *arrival);
    list_init(&arrival->call.link);
    arena_init(&arrival->arena);
    arrival->call.done = on_arrival;
    arrival->owner = schedule_owner(r->owner->set, group->destination);
    arrival->destination = arena_dup(&arrival->arena, group->destination);
    arrival->due =
        (struct queue_due){.due = group->due, .is_future = group->state == QUEUE_GROUP_FUTURE};
    loop_post(arrival->owner->loop, &arrival->call);
}

void reroute_recorded(struct reroute *r, bool recorded)
{
    if (!recorded) {
        give_up(r);
        return;
    }
    for (unsigned i = 0; i < r->split_count; i++)
        hand_over(r, &r->splits[i]);
    go_home(r);
}
