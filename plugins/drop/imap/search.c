/*
 * search: a search's run. It goes over the entries of its ranges in slices: on the loop as long as
 * what it needs is in memory, on a pool thread where it would have to wait, or where a single
 * message, or putting in order what was found, takes longer than a loop can spare. It is on one of
 * them at a time, so that its state needs no lock.
 */
#include "plugins/drop/imap/search_private.h"

#include "base/clock.h"
#include "base/memory.h"
#include "plugins/drop/imap/view.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SEARCH_LOOP_NS = 3000000,  /* of a slice on the loop */
    SEARCH_POOL_NS = 30000000, /* of one on a pool thread: what pins the store's pages is bounded */
    SEARCH_ORDER_MAX = 2000,   /* messages that are put in order on the loop */
};

enum search_pace {
    SEARCH_GOES_ON, /* the slice's time is over */
    SEARCH_BLOCKS,  /* the next slice is for a pool thread */
    SEARCH_ENDS,
};

struct imap_search_state {
    struct imap_search_run *run;
    struct loop *loop;
    struct call turn;
    struct work work;
    atomic_bool is_cancelled;
    struct arena arena;
    struct search_plan plan;
    bool is_named; /* the keywords' bits are known */
    struct search_message message;
    struct search_sort sort;
    struct threader *threader;
    uint32_t cap; /* of run->found */

    enum search_pace pace;
    unsigned range;    /* of the plan, where it is */
    uint32_t next_uid; /* within it */
    uint32_t index;    /* into the view: not behind next_uid */
    uint64_t until;    /* clock_mono_ns of the slice's end */
};

const char *imap_search_check(const struct imap_search *program, const char **code_out)
{
    *code_out = NULL;
    if (program->charset.len == 0 || text_charset_is_known(program->charset))
        return NULL;
    *code_out = "BADCHARSET (US-ASCII UTF-8)";
    return "There is no such charset";
}

struct span imap_email_id(uint64_t message, char text[IMAP_EMAIL_ID_MAX])
{
    int len = snprintf(text, IMAP_EMAIL_ID_MAX, "M%llu", (unsigned long long)message);

    return span_of(text, (size_t)len);
}

/* ---- one message -------------------------------------------------------------------------- */

static enum search_answer search_take_thread(struct imap_search_state *s)
{
    struct search_message *m = &s->message;
    enum search_answer answer = search_message_header_or_none(m);
    struct thread_message message = {.index = s->index};
    struct buf fields;

    if (answer != SEARCH_YES)
        return answer;
    buf_init(&fields, 0);
    buf_clear(&m->window);
    message.date = search_message_sent_or_received(m);
    message.is_reply = text_base_subject(search_message_field(m, SPAN("Subject")), &m->window);
    message.subject = buf_span(&m->window);
    if (s->run->program->thread == IMAP_THREAD_REFERENCES) {
        buf_add(&fields, search_message_field(m, SPAN("Message-ID")));
        size_t id = buf_len(&fields);
        buf_add(&fields, search_message_field(m, SPAN("References")));
        size_t references = buf_len(&fields);
        buf_add(&fields, search_message_field(m, SPAN("In-Reply-To")));
        message.message_id = span_head(buf_span(&fields), id);
        message.references = span_from(span_head(buf_span(&fields), references), id);
        message.in_reply_to = span_from(buf_span(&fields), references);
    }
    threader_add(s->threader, &message);
    buf_fini(&fields);
    return SEARCH_YES;
}

/* What was found is kept as its kind of run needs it. */
static enum search_answer search_take(struct imap_search_state *s)
{
    struct imap_search_run *run = s->run;
    enum search_answer answer = SEARCH_YES;

    if (run->kind == IMAP_SEARCH_SORT)
        answer = search_sort_take(&s->sort, &s->message, s->index);
    else if (run->kind == IMAP_SEARCH_THREAD)
        answer = search_take_thread(s);
    if (answer != SEARCH_YES)
        return answer;
    if (run->found_count == s->cap) {
        s->cap = s->cap > 0 ? s->cap * 2 : 64;
        run->found = mem_realloc(run->found, s->cap * sizeof(*run->found));
    }
    run->found[run->found_count++] = s->index;
    if (s->message.entry->modseq > run->highest_modseq)
        run->highest_modseq = s->message.entry->modseq;
    return SEARCH_YES;
}

/* ---- a slice ------------------------------------------------------------------------------ */

struct search_walk {
    struct imap_search_state *s;
    struct kv_txn *txn;
    uint32_t last;   /* of the range */
    bool is_stopped; /* before the range's end */
};

static bool search_is_over(const struct imap_search_state *s)
{
    return clock_mono_ns() >= s->until || atomic_load(&s->is_cancelled);
}

/* Whether the message is one of the view's: what has come since is not. */
static bool search_is_in_view(struct imap_search_state *s, uint32_t uid)
{
    const struct imap_scope *scope = &s->run->scope;

    while (s->index < scope->count && scope->uids[s->index] < uid)
        s->index++;
    return s->index < scope->count && scope->uids[s->index] == uid;
}

static bool search_on_entry(void *context, const struct mailstore_entry *entry)
{
    struct search_walk *walk = context;
    struct imap_search_state *s = walk->s;

    if (entry->uid > walk->last)
        return false;
    s->next_uid = entry->uid;
    if (search_is_in_view(s, entry->uid)) {
        search_message_begin(&s->message, walk->txn, entry);
        enum search_answer answer = search_match(&s->plan, s->plan.root, &s->message);
        if (answer == SEARCH_YES)
            answer = search_take(s);
        if (answer == SEARCH_WAITS)
            s->pace = SEARCH_BLOCKS;
        if (answer == SEARCH_FAILED)
            s->run->result = s->message.error;
        walk->is_stopped = answer == SEARCH_WAITS || answer == SEARCH_FAILED;
        if (walk->is_stopped)
            return false;
    }
    s->next_uid = entry->uid + 1;
    walk->is_stopped = search_is_over(s);
    return !walk->is_stopped;
}

/* From where it is to the end of the present range; false where it stops within. */
static bool search_range(struct imap_search_state *s, struct kv_txn *txn)
{
    const struct mailstore_range *range = &s->plan.ranges[s->range];
    struct search_walk walk = {.s = s, .txn = txn, .last = range->last};

    if (s->next_uid < range->first)
        s->next_uid = range->first;
    s->index = uids_seek(s->run->scope.uids, s->run->scope.count, s->next_uid);
    struct err e =
        mailstore_entry_walk(txn, s->run->scope.box, s->next_uid, search_on_entry, &walk);
    if (err_is(e) && e.kind != ERR_NOT_FOUND)
        s->run->result = e;
    if (walk.is_stopped || err_is(s->run->result))
        return false;
    s->range++;
    return true;
}

static void search_name(struct imap_search_state *s, struct kv_txn *txn)
{
    struct mailstore_box box;

    if (s->is_named)
        return;
    s->is_named = true;
    struct err e = mailstore_box_get(txn, s->run->scope.box, &box);
    if (!err_is(e))
        search_plan_name(&s->plan, &box);
    else if (e.kind != ERR_NOT_FOUND) /* a mailbox that has gone has no messages */
        s->run->result = e;
}

static void search_order(struct imap_search_state *s)
{
    struct imap_search_run *run = s->run;

    if (run->kind == IMAP_SEARCH_SORT)
        search_sort_order(&s->sort, run->found);
    else if (run->kind == IMAP_SEARCH_THREAD)
        run->threads = threader_end(s->threader, &s->arena);
}

static void search_slice(struct imap_search_state *s, bool may_block, uint64_t ns)
{
    struct imap_search_run *run = s->run;
    struct kv_txn *txn;

    s->pace = SEARCH_GOES_ON;
    s->until = clock_mono_ns() + ns;
    s->message.may_block = may_block;
    run->result = mailstore_read_begin(run->scope.store, &txn);
    if (!err_is(run->result)) {
        search_name(s, txn);
        while (s->range < s->plan.range_count && !err_is(run->result) && search_range(s, txn))
            if (search_is_over(s))
                break;
        mailstore_read_end(txn);
    }
    if (atomic_load(&s->is_cancelled) && !err_is(run->result))
        run->result = err_make(ERR_CANCELLED, "search");
    if (err_is(run->result)) {
        s->pace = SEARCH_ENDS;
    } else if (s->range == s->plan.range_count) {
        bool is_much = run->kind != IMAP_SEARCH_PLAIN && run->found_count > SEARCH_ORDER_MAX;
        s->pace = is_much && !may_block ? SEARCH_BLOCKS : SEARCH_ENDS;
        if (s->pace == SEARCH_ENDS)
            search_order(s);
    }
}

/* ---- its turns ---------------------------------------------------------------------------- */

static void search_go_on(struct imap_search_state *s)
{
    struct imap_search_run *run = s->run;

    if (s->pace == SEARCH_GOES_ON)
        loop_post(s->loop, &s->turn); /* sockets have their turn first */
    else if (s->pace == SEARCH_BLOCKS)
        loop_work(s->loop, &s->work);
    else
        run->call.done(&run->call);
}

static void search_on_turn(struct call *call)
{
    struct imap_search_state *s = container_of(call, struct imap_search_state, turn);

    search_slice(s, false, SEARCH_LOOP_NS);
    search_go_on(s);
}

static void search_on_work(struct work *work)
{
    search_slice(container_of(work, struct imap_search_state, work), true, SEARCH_POOL_NS);
}

static void search_on_worked(struct call *call)
{
    search_go_on(container_of(call, struct imap_search_state, work.call));
}

void imap_search_start(struct imap_search_run *run, struct loop *loop)
{
    struct imap_search_state *s = mem_zalloc(sizeof(*s));

    run->result = ERR_OK;
    run->found = NULL;
    run->found_count = 0;
    run->highest_modseq = 0;
    run->threads = NULL;
    run->state = s;
    s->run = run;
    s->loop = loop;
    s->turn.done = search_on_turn;
    s->work.run = search_on_work;
    s->work.call.done = search_on_worked;
    arena_init(&s->arena);
    search_plan_make(&s->plan, run->program, &run->scope, &s->arena);
    search_message_init(&s->message);
    s->message.is_cancelled = &s->is_cancelled;
    s->sort = (struct search_sort){.program = run->program, .arena = &s->arena};
    if (run->kind == IMAP_SEARCH_THREAD)
        s->threader = threader_create(run->program->thread);
    loop_defer(loop, &s->turn);
}

void imap_search_cancel(struct imap_search_run *run)
{
    atomic_store(&run->state->is_cancelled, true);
}

void imap_search_fini(struct imap_search_run *run)
{
    struct imap_search_state *s = run->state;

    free(run->found);
    run->found = NULL;
    run->found_count = 0;
    run->threads = NULL;
    if (s == NULL)
        return;
    threader_free(s->threader);
    search_sort_fini(&s->sort);
    search_message_fini(&s->message);
    arena_fini(&s->arena);
    free(s);
    run->state = NULL;
}
