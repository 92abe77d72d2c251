/*
 * APPENDs that a client sends without waiting for their answers: while the store commits one, the
 * next are taken, so that many become durable at once. They are answered in their order, and before
 * any other command is executed. Bounded by their number and their bytes.
 */
#include "plugins/drop/imap/append.h"

#include <stdlib.h>

enum { COMMITS_MAX = 64, BYTES_MAX = 1 << 20 };

/* One that is on its way. */
struct commit {
    struct list link; /* of the session's, in their order */
    struct imap_session *session;
    struct mailstore_append op;
    struct imap_append *append;
    struct arena arena; /* of what the operation points to */
    struct span tag;
    uint64_t bytes;
    bool is_done;
};

bool imap_pipeline_is_full(const struct imap_session *s)
{
    return s->commit_count >= COMMITS_MAX || s->commit_bytes >= BYTES_MAX;
}

static void answer(struct imap_session *s, struct commit *commit)
{
    struct imap_verdict verdict = imap_verdict_of(s, &commit->op.op, "TRYCREATE");

    if (verdict.outcome == IMAP_OK)
        verdict =
            (struct imap_verdict){IMAP_OK, append_uids(commit->append, &commit->arena), "Appended"};
    imap_write_answer(s, commit->tag, verdict.outcome, verdict.code, verdict.text);
}

static void commit_free(struct commit *commit)
{
    commit->session->commit_count--;
    commit->session->commit_bytes -= commit->bytes;
    list_remove(&commit->link);
    append_free(commit->append);
    arena_fini(&commit->arena);
    free(commit);
}

static void go_on_behind(struct imap_session *s)
{
    imap_step *held = s->held;

    s->held = NULL;
    if (held != NULL)
        held(s);
    else if (s->state == IMAP_SESSION_OUTPUT)
        imap_enter(s, IMAP_SESSION_COMMAND);
}

/* Between commands, what is new in the selected mailbox goes before the last answer. Not an EXPUNGE
 * where a command waits already, which may count without it. */
static bool is_synced_first(const struct imap_session *s, const struct commit *commit)
{
    bool is_last = commit->link.next == &s->commits;

    return is_last && imap_is_selected(s) && (s->held != NULL || s->state == IMAP_SESSION_COMMAND);
}

static void drain(struct imap_session *s)
{
    while (!list_is_empty(&s->commits)) {
        struct commit *commit = container_of(s->commits.next, struct commit, link);
        if (!commit->is_done)
            return;
        if (is_synced_first(s, commit)) {
            s->synced = commit;
            imap_sync_start(s, s->held == NULL);
            return;
        }
        answer(s, commit);
        commit_free(commit);
    }
    go_on_behind(s);
}

void imap_pipeline_synced(struct imap_session *s)
{
    struct commit *commit = s->synced;

    s->synced = NULL;
    answer(s, commit);
    commit_free(commit);
    go_on_behind(s);
}

static void on_committed(struct mailstore_op *op)
{
    struct commit *commit = container_of(op, struct commit, op.op);
    struct imap_session *s = commit->session;

    commit->is_done = true;
    s->pending--;
    if (s->state == IMAP_SESSION_CLOSED) {
        imap_release(s);
        return;
    }
    drain(s);
    imap_run(s);
}

void imap_pipeline_abandon(struct imap_session *s)
{
    while (!list_is_empty(&s->commits))
        commit_free(container_of(s->commits.next, struct commit, link));
}

void imap_pipeline_add(struct imap_session *s)
{
    struct commit *commit = mem_zalloc(sizeof *commit);

    commit->session = s;
    commit->append = s->append;
    commit->arena = s->arena;
    commit->tag = arena_dup(&commit->arena, s->command->tag);
    for (unsigned i = 0; i < s->append->count; i++)
        commit->bytes += mailstore_draft_size(s->append->drafts[i]);
    s->append = NULL;
    s->command = NULL;
    arena_init(&s->arena);
    list_append(&s->commits, &commit->link);
    s->commit_count++;
    s->commit_bytes += commit->bytes;
    append_prepare(commit->append, &commit->op);
    commit->op.op.done = on_committed;
    s->pending++;
    mailstore_submit(s->drop.worker->store, &commit->op.op, s->drop.worker->loop);
    imap_enter(s, IMAP_SESSION_COMMAND);
}

bool imap_pipeline_holds(struct imap_session *s, imap_step *then)
{
    if (list_is_empty(&s->commits))
        return false;
    s->held = then;
    imap_enter(s, IMAP_SESSION_STORE);
    return true;
}
