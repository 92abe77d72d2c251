/*
 * A message on its way in: its recipients, its body, and its commit. A body that outgrows
 * memory_body_max, or arrives when too much of such memory is in use, goes to the store in pieces
 * while it arrives, two at a time.
 */
#include "receive/session.h"

#include "base/clock.h"

#include <fnmatch.h>
#include <stdlib.h>

enum {
    BODY_FIRST = 4096 + 512,
    STAGE_PIECE = 32 * QUEUE_CHUNK, /* about 128 KiB */
};

struct transaction *transaction_create(struct session *s)
{
    struct transaction *tx = mem_zalloc(sizeof *tx);

    tx->session = s;
    tx->sid = s->id;
    tx->server = s->server;
    tx->conf = conf_ref(s->conf);
    tx->message = queue_message_create();
    arena_init(&tx->asking);
    arena_init(&tx->facts);
    return tx;
}

static void transaction_free(struct transaction *tx)
{
    struct receive_server *server = tx->server;

    if (tx->session == NULL) {
        server->detached--;
        server_check_stopped(server);
    }
    transaction_account(tx, 0, &tx->accounted);
    queue_message_unref(tx->message);
    arena_fini(&tx->asking);
    arena_fini(&tx->facts);
    buf_fini(&tx->head);
    conf_unref(tx->conf);
    free(tx->recipients);
    free(tx->stages);
    free(tx);
}

static void on_discarded(struct call *call)
{
    /* Whatever came of it: recovery removes what is left. */
    transaction_free(container_of(call, struct transaction, discard.op.call));
}

/* Nothing of it is under way any more. */
static void dispose(struct transaction *tx)
{
    if (tx->chunks_staged == 0) {
        transaction_free(tx);
        return;
    }
    tx->discard.id = tx->message->id;
    tx->discard.op.home = tx->server->loop;
    tx->discard.op.call.done = on_discarded;
    queue_discard(tx->server->queue, &tx->discard);
}

static void dispose_of_idle(struct transaction *tx)
{
    if (tx->stages_busy == 0 && !tx->complete && !tx->routing && tx->content == NULL)
        dispose(tx);
}

void transaction_drop(struct transaction *tx)
{
    receive_seat_account(&tx->session->seat, -(int64_t)tx->accounted);
    tx->session->tx = NULL;
    tx->session = NULL;
    tx->server->detached++;
    if (tx->routing)
        route_cancel(&tx->route);
    if (tx->content != NULL && !tx->complete)
        content_end(tx->content);
    dispose_of_idle(tx);
}

void transaction_content_ended(struct transaction *tx)
{
    tx->content = NULL;
    if (tx->complete)
        transaction_commit(tx);
    else
        dispose_of_idle(tx);
}

static void on_routed(struct call *call)
{
    struct transaction *tx = container_of(call, struct transaction, route.call);

    tx->routing = false;
    if (tx->session == NULL)
        dispose_of_idle(tx);
    else if (tx->is_placing)
        place_routed(tx->session);
    else
        envelope_routed(tx->session);
}

void transaction_route(struct transaction *tx)
{
    tx->routing = true;
    list_init(&tx->route.call.link);
    tx->route.call.done = on_routed;
    route_recipient(tx->server->loop, &tx->route);
}

static struct tx_recipient *add_recipient(struct transaction *tx)
{
    if (tx->recipient_count == tx->recipient_cap) {
        tx->recipient_cap = tx->recipient_cap ? tx->recipient_cap * 2 : 4;
        tx->recipients =
            mem_realloc(tx->recipients, tx->recipient_cap * sizeof(struct tx_recipient));
    }
    return &tx->recipients[tx->recipient_count++];
}

void transaction_add_recipients(struct transaction *tx, unsigned notify, struct span original)
{
    struct arena *arena = &tx->message->arena;
    const struct route_answer *answer = &tx->route.answer;

    original = arena_dup(arena, original);
    for (; answer != NULL; answer = answer->next) {
        if (answer->tags.len > 0)
            tx->message->tags = route_join_tags(arena, tx->message->tags, answer->tags);
        *add_recipient(tx) = (struct tx_recipient){
            .address = arena_dup(arena, answer->recipient),
            .domain =
                answer->verdict == ROUTE_LATER ? arena_dup(arena, tx->route.domain) : SPAN_NONE,
            .destination = arena_dup(arena, answer->destination),
            .next_hop = arena_dup(arena, answer->next_hop),
            .reverse_path = arena_dup(arena, answer->reverse_path),
            .routed_by = route_decision(arena, answer),
            .wishes = route_wishes_format(arena, &tx->route.wishes),
            .told = answer->told,
            .notify = notify,
            .original = original,
            .verdict = answer->verdict,
            .status = status_dup(arena, &answer->status),
        };
    }
}

/* ---- groups ------------------------------------------------------------------------------- */

/* Marks of a group that has been in the queue before stay with its recipients. */
static void mark(struct queue_group *group, const struct queue_group *was)
{
    group->tries = was->tries;
    group->delay_warned = was->delay_warned;
    group->late_told = was->late_told;
    group->has_sender = was->has_sender;
}

static bool is_marked_so(const struct queue_group *group, const struct queue_group *was)
{
    return was == NULL ||
           (group->tries == was->tries && group->delay_warned == was->delay_warned &&
            group->late_told == was->late_told && group->has_sender == was->has_sender);
}

static enum queue_group_state state_for(const struct queue_message *message,
                                        const struct tx_recipient *recipient)
{
    if (recipient->verdict == ROUTE_HOLD)
        return QUEUE_GROUP_HELD;
    if (recipient->was != NULL && recipient->was->state == QUEUE_GROUP_WAITING)
        return QUEUE_GROUP_WAITING; /* an operator has let it go before its time */
    return message->release > message->arrival ? QUEUE_GROUP_FUTURE : QUEUE_GROUP_WAITING;
}

static bool fits(const struct queue_message *message, const struct queue_group *group,
                 const struct tx_recipient *recipient)
{
    return group->recipient_count < QUEUE_GROUP_MAX &&
           group->state == state_for(message, recipient) && is_marked_so(group, recipient->was) &&
           span_equal(group->destination, recipient->destination) &&
           span_equal(group->reverse_path, recipient->reverse_path) &&
           span_equal(group->wishes, recipient->wishes);
}

static struct queue_group *group_for(struct transaction *tx, const struct tx_recipient *recipient)
{
    struct queue_message *message = tx->message;
    bool alone = (message->flags & QUEUE_VERP) != 0;

    /* From the newest: recipients of one domain mostly come one after the other. */
    for (unsigned i = message->group_count; i > 0 && !alone; i--)
        if (fits(message, &message->groups[i - 1], recipient))
            return &message->groups[i - 1];
    struct queue_group *group = &message->groups[message->group_count];
    unsigned most = alone ? 1 : QUEUE_GROUP_MAX;
    unsigned room = tx->recipient_count < most ? tx->recipient_count : most;
    *group = (struct queue_group){
        .number = message->group_count++,
        .state = state_for(message, recipient),
        .late_told = message->by == ESMTP_BY_NOTIFY && message->deliver_by <= message->arrival,
        .due = queue_message_start(message),
        .destination = recipient->destination,
        .next_hop = recipient->next_hop,
        .reverse_path = recipient->reverse_path,
        .routed_by = recipient->routed_by,
        .wishes = recipient->wishes,
        .recipients = arena_alloc(&message->arena, room * sizeof(struct queue_recipient)),
    };
    if (recipient->was != NULL)
        mark(group, recipient->was);
    return group;
}

static bool wants_verp(const struct transaction *tx)
{
    const char *pattern = tx->conf->verp_sender;
    struct span path = tx->message->reverse_path;

    if (pattern == NULL || path.len == 0)
        return false;
    const char *text = arena_printf(&tx->message->arena, "%.*s", SPAN_ARG(path)).ptr;
    return fnmatch(pattern, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}

void transaction_make_groups(struct transaction *tx)
{
    struct queue_message *message = tx->message;

    if (wants_verp(tx))
        message->flags |= QUEUE_VERP;
    message->groups =
        arena_alloc(&message->arena, tx->recipient_count * sizeof(struct queue_group));
    for (unsigned i = 0; i < tx->recipient_count; i++) {
        const struct tx_recipient *recipient = &tx->recipients[i];
        if (recipient->verdict == ROUTE_DISCARD)
            continue;
        struct queue_group *group = group_for(tx, recipient);
        group->recipients[group->recipient_count++] = (struct queue_recipient){
            .address = recipient->address,
            .index = i,
            .notify = recipient->notify,
            .original = recipient->original,
            .last = recipient->status,
        };
    }
}

/* ---- the body ----------------------------------------------------------------------------- */

static void on_staged(struct call *call)
{
    struct stage *stage = container_of(call, struct stage, op.op.call);
    struct transaction *tx = stage->tx;

    buf_fini(&stage->piece);
    stage->busy = false;
    tx->stages_busy--;
    if (err_is(stage->op.op.result) && !tx->stage_failed) {
        tx->stage_failed = true;
        tx->stage_error = stage->op.op.result;
    }
    if (tx->complete)
        transaction_commit(tx);
    else if (tx->session != NULL)
        data_staged(tx->session);
    else
        dispose_of_idle(tx);
}

bool transaction_must_wait(const struct transaction *tx)
{
    return tx->stages_busy == STAGES;
}

void transaction_account(struct transaction *tx, size_t held, size_t *accounted)
{
    atomic_fetch_add_explicit(&tx->server->arriving_bytes, held - *accounted, memory_order_relaxed);
    *accounted = held;
}

size_t transaction_memory_most(const struct transaction *tx, bool has_chunks)
{
    uint64_t share = tx->conf->receive_memory_max / tx->server->workers;
    uint64_t held = atomic_load_explicit(&tx->server->arriving_bytes, memory_order_relaxed);
    uint64_t most = tx->conf->memory_body_max;

    return (has_chunks || held > share) && most > STAGE_PIECE ? STAGE_PIECE : most;
}

/* Keeps the worker's and the client's sums of what arriving bodies hold. */
static void account(struct transaction *tx)
{
    size_t held = buf_len(&tx->message->body);

    receive_seat_account(&tx->session->seat, (int64_t)held - (int64_t)tx->accounted);
    transaction_account(tx, held, &tx->accounted);
}

/* How much of the body may gather before it goes to the store. */
static size_t memory_most(const struct transaction *tx)
{
    return transaction_memory_most(
        tx, tx->chunks_staged > 0 ||
                receive_seat_is_over(&tx->session->seat, tx->conf->client_memory_max));
}

/* Whole chunks go to the store; what is left begins the next piece. */
static void stage_body(struct transaction *tx)
{
    struct buf *body = &tx->message->body;
    size_t whole = buf_len(body) / QUEUE_CHUNK * QUEUE_CHUNK;

    if (tx->stages == NULL)
        tx->stages = mem_zalloc(STAGES * sizeof *tx->stages);
    struct stage *stage = tx->stages[0].busy ? &tx->stages[1] : &tx->stages[0];
    struct span rest = span_from(buf_span(body), whole);
    stage->piece = *body;
    buf_init(body, 0);
    buf_reserve(body, STAGE_PIECE + LOOP_SCRATCH);
    buf_add(body, rest);
    account(tx);
    stage->tx = tx;
    stage->busy = true;
    tx->stages_busy++;
    stage->op = (struct queue_stage){.id = tx->message->id,
                                     .first_chunk = tx->chunks_staged,
                                     .data = span_head(buf_span(&stage->piece), whole)};
    stage->op.op.home = tx->server->loop;
    stage->op.op.call.done = on_staged;
    tx->chunks_staged += (uint32_t)(whole / QUEUE_CHUNK);
    queue_stage(tx->server->queue, &stage->op);
}

/* What of the run is header, for plugins. */
static void keep_head(struct transaction *tx, struct span run)
{
    uint64_t have = buf_len(&tx->head);

    if (tx->head_edited)
        return;
    if (tx->header.bytes > have && tx->header.bytes <= tx->conf->header_size_max)
        buf_add(&tx->head, span_head(run, (size_t)(tx->header.bytes - have)));
}

void transaction_append(struct transaction *tx, struct span run)
{
    struct buf *body = &tx->message->body;

    if (tx->keeps_head)
        keep_head(tx, run);
    tx->message->size += run.len;
    if (tx->message->size > tx->conf->message_size_max)
        tx->too_large = true;
    if (tx->too_large || tx->stage_failed || tx->refusal.code != 0) {
        buf_fini(body); /* it will be refused: only its end is waited for */
        account(tx);
        return;
    }
    if (buf_len(body) == 0 && body->cap == 0) {
        uint64_t expected = tx->declared_size ? tx->declared_size + 64 : BODY_FIRST;
        if (expected > tx->conf->memory_body_max)
            expected = tx->conf->memory_body_max;
        buf_reserve(body, expected > run.len ? (size_t)expected : run.len);
    }
    buf_add(body, run);
    account(tx);
    if (buf_len(body) >= memory_most(tx) && !transaction_must_wait(tx))
        stage_body(tx);
}

/* ---- commit ------------------------------------------------------------------------------- */

static void finish(struct transaction *tx)
{
    if (tx->session != NULL)
        data_committed(tx->session, tx);
    else
        dispose(tx);
}

static void on_inserted(struct call *call)
{
    struct transaction *tx = container_of(call, struct transaction, insert.op.call);

    if (!err_is(tx->insert.op.result)) {
        count(&tx->server->counters.accepted);
        data_log_accepted(tx);
    }
    if (!err_is(tx->insert.op.result) && tx->message->group_count > 0) {
        tx->chunks_staged = 0; /* they belong to the message now */
        tx->server->accepted(tx->message, tx->server->context);
    }
    finish(tx);
}

void transaction_commit(struct transaction *tx)
{
    tx->complete = true;
    if (tx->stages_busy > 0)
        return; /* on_staged comes here again */
    if (tx->content != NULL) {
        content_end(tx->content); /* likewise its end */
        return;
    }
    tx->insert.op.home = tx->server->loop;
    tx->insert.op.call.done = on_inserted;
    if (tx->stage_failed || tx->message->group_count == 0) {
        /* Nothing to store: the store failed already, or every recipient was to be discarded. */
        tx->insert.op.result = tx->stage_error;
        loop_defer(tx->server->loop, &tx->insert.op.call);
        return;
    }
    tx->insert.message = tx->message;
    tx->insert.staged_chunks = tx->chunks_staged;
    tx->message->body_in_memory = tx->chunks_staged == 0;
    queue_insert(tx->server->queue, &tx->insert);
}
