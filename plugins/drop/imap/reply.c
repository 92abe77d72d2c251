/*
 * How commands end: what is new in the mailbox is told, then the tagged line.
 */
#include "plugins/drop/imap/session.h"

/* During these an EXPUNGE would change the numbers that the client has just used, or the answer has
 * (RFC 9051 7.5.1). */
static bool may_expunge(const struct imap_command *command)
{
    switch (command->verb) {
    case IMAP_FETCH:
    case IMAP_STORE:
    case IMAP_SEARCH:
    case IMAP_SORT:
    case IMAP_THREAD:
        return command->is_uid;
    default:
        return true;
    }
}

void imap_finish(struct imap_session *s, enum imap_outcome outcome, const char *code,
                 const char *text)
{
    s->outcome = outcome;
    s->code = code;
    s->text = text;
    imap_sync_start(s, may_expunge(s->command));
}

void imap_say_ok(struct imap_session *s, const char *text)
{
    imap_finish(s, IMAP_OK, NULL, text);
}

void imap_say_no(struct imap_session *s, const char *code, const char *text)
{
    imap_finish(s, IMAP_NO, code, text);
}

/* Of what could not be understood nothing is known, so nothing but that is told. */
void imap_say_bad(struct imap_session *s, const char *text)
{
    s->outcome = IMAP_BAD;
    s->code = NULL;
    s->text = text;
    imap_answer(s);
}

void imap_fail(struct imap_session *s, struct err error)
{
    struct mailstore_op op = {.result = error};
    struct imap_verdict verdict = imap_verdict_of(s, &op, NULL);

    imap_finish(s, verdict.outcome, verdict.code, verdict.text);
}

void imap_fail_to_find(struct imap_session *s, struct err error)
{
    if (error.kind == ERR_NOT_FOUND)
        imap_say_no(s, "NONEXISTENT", "There is no such mailbox");
    else
        imap_fail(s, error);
}

bool imap_read_begin(struct imap_session *s, struct kv_txn **out)
{
    struct err e = mailstore_read_begin(s->drop.worker->store, out);

    if (err_is(e))
        imap_fail(s, e);
    return !err_is(e);
}

static struct imap_verdict verdict_of_error(struct imap_session *s, struct err error)
{
    char text[ERR_TEXT_MAX];
    struct log_line line;

    if (error.kind == ERR_NO_SPACE)
        return (struct imap_verdict){IMAP_NO, "UNAVAILABLE", "There is no room on the server now"};
    if (drop_session_log(&s->drop, &line, LOG_ERROR, "imap-store-failed")) {
        log_text(&line, "error", err_text(error, text));
        log_end(&line);
    }
    return (struct imap_verdict){IMAP_NO, "SERVERBUG", "The mailbox cannot be used now"};
}

struct imap_verdict imap_verdict_of(struct imap_session *s, const struct mailstore_op *op,
                                    const char *missing)
{
    static const struct imap_verdict verdicts[] = {
        [MAILSTORE_FINE] = {IMAP_OK, NULL, "Done"},
        [MAILSTORE_NO_BOX] = {IMAP_NO, NULL, "There is no such mailbox"},
        [MAILSTORE_EXISTS] = {IMAP_NO, "ALREADYEXISTS", "There is such a mailbox already"},
        [MAILSTORE_BAD_NAME] = {IMAP_NO, "CANNOT", "A mailbox cannot have this name"},
        [MAILSTORE_INBOX] = {IMAP_NO, "CANNOT", "INBOX is always there"},
        [MAILSTORE_OVER_QUOTA] = {IMAP_NO, "OVERQUOTA", "There is no room left in your quota"},
        [MAILSTORE_TOO_MANY] = {IMAP_NO, "LIMIT", "There are as many of them as there may be"},
    };

    if (err_is(op->result))
        return verdict_of_error(s, op->result);
    struct imap_verdict verdict = verdicts[op->refusal];
    if (op->refusal == MAILSTORE_NO_BOX)
        verdict.code = missing;
    return verdict;
}

bool imap_is_done(struct imap_session *s, const struct mailstore_op *op, const char *missing)
{
    struct imap_verdict verdict = imap_verdict_of(s, op, missing);

    if (verdict.outcome != IMAP_OK)
        imap_finish(s, verdict.outcome, verdict.code, verdict.text);
    return verdict.outcome == IMAP_OK;
}

void imap_write_answer(struct imap_session *s, struct span tag, enum imap_outcome outcome,
                       const char *code, const char *text)
{
    static const char *const words[] = {"OK", "NO", "BAD"};
    struct buf *out = imap_out(s);

    buf_add(out, tag.len > 0 ? tag : SPAN("*"));
    buf_addf(out, " %s ", words[outcome]);
    if (code != NULL)
        buf_addf(out, "[%s] ", code);
    buf_addf(out, "%s\r\n", text);
    imap_written(s);
}

void imap_answer(struct imap_session *s)
{
    if (s->state == IMAP_SESSION_CLOSED)
        return;
    imap_write_answer(s, s->command->tag, s->outcome, s->code, s->text);
    imap_append_abandon(s);
    arena_fini(&s->arena);
    arena_init(&s->arena);
    s->command = NULL;
    s->job = NULL;
    s->own_modseq = 0;
    if (s->outcome == IMAP_BAD && ++s->errors >= s->drop.worker->settings->errors_max)
        imap_bye(s, "Too many errors", "too many errors");
    else
        imap_enter(s, IMAP_SESSION_COMMAND);
}

void imap_synced(struct imap_session *s)
{
    if (s->is_idling)
        imap_enter(s, IMAP_SESSION_IDLE);
    else if (s->synced != NULL)
        imap_pipeline_synced(s);
    else
        imap_answer(s);
}
