/*
 * SEARCH, SORT and THREAD (RFC 9051 6.4.4, RFC 4731, RFC 5182, RFC 5256, RFC 7162 3.1.5): what was
 * found, as the command wants to be told of it.
 */
#include "plugins/drop/imap/session.h"
#include "plugins/drop/imap/write.h"

#include <stdlib.h>

enum { NUMBERS_MOST = 1000 /* of a step */ };

struct find {
    struct imap_search_run run;
    struct imap_session *session;
    uint32_t at;
    struct imap_set_writer set;
};

static const struct imap_search *program(const struct imap_session *s)
{
    return &s->command->search;
}

/* Once IMAP4rev2 is enabled there is no other answer to a SEARCH. */
static bool is_extended(const struct imap_session *s)
{
    return s->command->verb == IMAP_SEARCH &&
           (program(s)->is_extended || imap_has(s, IMAP_ENABLE_REV2));
}

static bool returns(const struct imap_session *s, enum imap_search_return what)
{
    unsigned wanted = program(s)->is_extended ? program(s)->returns : IMAP_RETURN_ALL;

    return (wanted & (unsigned)what) != 0;
}

static uint32_t number_of(const struct imap_session *s, uint32_t index)
{
    return s->command->is_uid ? s->view.uids[index] : index + 1;
}

static uint64_t modseq_of(const struct imap_session *s, uint32_t index)
{
    struct mailstore_entry entry = {.modseq = 0};
    struct kv_txn *txn;

    if (err_is(mailstore_read_begin(s->drop.worker->store, &txn)))
        return 0;
    struct err e = mailstore_entry_get(txn, s->view.box, s->view.uids[index], &entry);
    mailstore_read_end(txn);
    return err_is(e) ? 0 : entry.modseq;
}

/* RFC 4731 3.2: of the messages that are told. */
static uint64_t highest_modseq(const struct imap_session *s)
{
    const struct find *job = s->job;
    uint64_t low = 0, high = 0;

    if (!is_extended(s) || returns(s, IMAP_RETURN_ALL) || returns(s, IMAP_RETURN_COUNT))
        return job->run.highest_modseq;
    if (returns(s, IMAP_RETURN_MIN))
        low = modseq_of(s, job->run.found[0]);
    if (returns(s, IMAP_RETURN_MAX))
        high = modseq_of(s, job->run.found[job->run.found_count - 1]);
    return low > high ? low : high;
}

static bool tells_modseq(const struct imap_session *s)
{
    const struct find *job = s->job;

    return program(s)->wants_modseq && job->run.found_count > 0;
}

/* ---- "$" ---------------------------------------------------------------------------------- */

static void save_range(struct imap_session *s, unsigned *cap, uint32_t uid)
{
    struct mailstore_range *last = s->saved_count > 0 ? &s->saved[s->saved_count - 1] : NULL;

    if (last != NULL && last->last + 1 >= uid) {
        last->last = uid;
        return;
    }
    if (s->saved_count == *cap) {
        *cap = *cap > 0 ? *cap * 2 : 8;
        s->saved = mem_realloc(s->saved, *cap * sizeof s->saved[0]);
    }
    s->saved[s->saved_count++] = (struct mailstore_range){uid, uid};
}

/* RFC 5182 2.4: the least and the greatest alone where nothing but these is asked for. */
static void save(struct imap_session *s)
{
    const struct find *job = s->job;
    unsigned ends = program(s)->returns & (IMAP_RETURN_MIN | IMAP_RETURN_MAX);
    bool is_all = ends == 0 || (program(s)->returns & (IMAP_RETURN_ALL | IMAP_RETURN_COUNT)) != 0;
    unsigned cap = 0;

    free(s->saved);
    s->saved = NULL;
    s->saved_count = 0;
    for (uint32_t i = 0; i < job->run.found_count; i++)
        if (is_all || (i == 0 && (ends & IMAP_RETURN_MIN)) ||
            (i == job->run.found_count - 1 && (ends & IMAP_RETURN_MAX)))
            save_range(s, &cap, s->view.uids[job->run.found[i]]);
}

/* ---- the answers -------------------------------------------------------------------------- */

static void found_over(struct imap_session *s)
{
    struct find *job = s->job;

    imap_search_fini(&job->run);
    imap_say_ok(s, s->command->verb == IMAP_SEARCH ? "Searched"
                   : s->command->verb == IMAP_SORT ? "Sorted"
                                                   : "Threaded");
}

static void numbers_step(struct imap_session *s)
{
    struct find *job = s->job;
    struct buf *out = imap_out(s);

    for (unsigned i = 0; i < NUMBERS_MOST && job->at < job->run.found_count; i++)
        buf_addf(out, " %u", number_of(s, job->run.found[job->at++]));
    bool is_over = job->at == job->run.found_count;
    if (is_over && tells_modseq(s))
        buf_addf(out, " (MODSEQ %llu)", (unsigned long long)highest_modseq(s));
    if (is_over)
        buf_add(out, SPAN("\r\n"));
    imap_written(s);
    if (is_over)
        found_over(s);
}

static void end_extended(struct imap_session *s)
{
    if (tells_modseq(s))
        buf_addf(imap_out(s), " MODSEQ %llu", (unsigned long long)highest_modseq(s));
    buf_add(imap_out(s), SPAN("\r\n"));
    imap_written(s);
    found_over(s);
}

static void set_step(struct imap_session *s)
{
    struct find *job = s->job;
    struct buf *out = imap_out(s);

    for (unsigned i = 0; i < NUMBERS_MOST && job->at < job->run.found_count; i++) {
        uint32_t number = number_of(s, job->run.found[job->at++]);
        imap_set_add(&job->set, out, number, number);
    }
    imap_written(s);
    if (job->at < job->run.found_count)
        return;
    imap_set_end(&job->set, out);
    end_extended(s);
}

static void tell_extended(struct imap_session *s)
{
    const struct find *job = s->job;
    uint32_t count = job->run.found_count;
    struct buf *out = imap_out(s);

    buf_add(out, SPAN("* ESEARCH (TAG "));
    imap_write_string(out, s->command->tag);
    buf_add_text(out, s->command->is_uid ? ") UID" : ")");
    if (count > 0 && returns(s, IMAP_RETURN_MIN))
        buf_addf(out, " MIN %u", number_of(s, job->run.found[0]));
    if (count > 0 && returns(s, IMAP_RETURN_MAX))
        buf_addf(out, " MAX %u", number_of(s, job->run.found[count - 1]));
    if (returns(s, IMAP_RETURN_COUNT))
        buf_addf(out, " COUNT %u", count);
    if (count > 0 && returns(s, IMAP_RETURN_ALL)) {
        buf_add(out, SPAN(" ALL "));
        imap_write_on(s, set_step);
    } else {
        end_extended(s);
    }
}

static void tell_threads(struct imap_session *s)
{
    const struct find *job = s->job;
    struct buf *out = imap_out(s);

    buf_add(out, SPAN("* THREAD"));
    imap_thread_write(job->run.threads, &job->run.scope, s->command->is_uid, out);
    buf_add(out, SPAN("\r\n"));
    imap_written(s);
    found_over(s);
}

static void tell(struct imap_session *s)
{
    bool is_saving = program(s)->is_extended && returns(s, IMAP_RETURN_SAVE);

    if (is_saving)
        save(s);
    if (s->command->verb == IMAP_THREAD) {
        tell_threads(s);
    } else if (is_saving && program(s)->returns == IMAP_RETURN_SAVE) {
        found_over(s);
    } else if (is_extended(s)) {
        tell_extended(s);
    } else {
        buf_add_text(imap_out(s), s->command->verb == IMAP_SORT ? "* SORT" : "* SEARCH");
        imap_write_on(s, numbers_step);
    }
}

/* ---- the search --------------------------------------------------------------------------- */

static void on_found(struct call *call)
{
    struct find *job = container_of(call, struct find, run.call);
    struct imap_session *s = job->session;
    struct err e = job->run.result;

    s->pending--;
    s->is_searching = false;
    if (s->state == IMAP_SESSION_CLOSED || err_is(e)) {
        imap_search_fini(&job->run);
        if (s->state == IMAP_SESSION_CLOSED) {
            imap_release(s);
            return;
        }
        imap_fail(s, e);
    } else {
        imap_write_on(s, tell);
    }
    imap_run(s);
}

void imap_search_abandon(struct imap_session *s)
{
    struct find *job = s->job;

    if (s->is_searching)
        imap_search_cancel(&job->run);
}

/* RFC 5182 2.1: a search that fails leaves nothing in "$". */
static void forget_saved(struct imap_session *s)
{
    if (!program(s)->is_extended || !returns(s, IMAP_RETURN_SAVE))
        return;
    free(s->saved);
    s->saved = NULL;
    s->saved_count = 0;
}

void imap_do_search(struct imap_session *s)
{
    struct find *job;
    const char *code = NULL;
    const char *problem = imap_search_check(program(s), &code);

    if (problem != NULL) {
        forget_saved(s);
        imap_say_no(s, code, problem);
        return;
    }
    if (program(s)->wants_modseq)
        imap_use_condstore(s);
    job = arena_alloc(&s->arena, sizeof *job);
    s->job = job;
    job->session = s;
    job->run.call.done = on_found;
    list_init(&job->run.call.link);
    job->run.kind = s->command->verb == IMAP_SEARCH ? IMAP_SEARCH_PLAIN
                    : s->command->verb == IMAP_SORT ? IMAP_SEARCH_SORT
                                                    : IMAP_SEARCH_THREAD;
    job->run.scope = imap_scope_of(s);
    job->run.program = program(s);
    s->pending++;
    s->is_searching = true;
    imap_enter(s, IMAP_SESSION_SEARCH);
    imap_search_start(&job->run, s->drop.worker->loop);
}
