/*
 * How commands end: what is new in the mailbox is told, then the tagged line.
 */
#include "plugins/drop/imap/session.h"

#include <stdio.h>

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
    s->ending = code != NULL ? arena_printf(&s->arena, "[%s] %s", code, text)
                             : arena_dup(&s->arena, span_cstr(text));
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
    s->ending = span_cstr(text);
    imap_answer(s);
}

void imap_fail(struct imap_session *s, struct err error)
{
    char text[ERR_TEXT_MAX];
    struct log_line line;

    if (error.kind == ERR_NO_SPACE) {
        imap_say_no(s, "UNAVAILABLE", "There is no room on the server now");
        return;
    }
    if (drop_session_log(&s->drop, &line, LOG_ERROR, "imap-store-failed")) {
        log_text(&line, "error", err_text(error, text));
        log_end(&line);
    }
    imap_say_no(s, "SERVERBUG", "The mailbox cannot be read or changed now");
}

bool imap_is_done(struct imap_session *s, const struct mailstore_op *op, const char *missing)
{
    if (err_is(op->result)) {
        imap_fail(s, op->result);
        return false;
    }
    switch (op->refusal) {
    case MAILSTORE_FINE:
        return true;
    case MAILSTORE_NO_BOX:
        imap_say_no(s, missing, "There is no such mailbox");
        break;
    case MAILSTORE_EXISTS:
        imap_say_no(s, "ALREADYEXISTS", "There is such a mailbox already");
        break;
    case MAILSTORE_BAD_NAME:
        imap_say_no(s, "CANNOT", "A mailbox cannot have this name");
        break;
    case MAILSTORE_INBOX:
        imap_say_no(s, "CANNOT", "INBOX is always there");
        break;
    case MAILSTORE_OVER_QUOTA:
        imap_say_no(s, "OVERQUOTA", "There is no room left in your quota");
        break;
    case MAILSTORE_TOO_MANY:
        imap_say_no(s, "LIMIT", "There are as many of them as there may be");
        break;
    case MAILSTORE_STALE:
        imap_say_no(s, NULL, "The mailbox is not the one that it was");
        break;
    }
    return false;
}

void imap_answer(struct imap_session *s)
{
    static const char *const words[] = {"OK", "NO", "BAD"};
    struct buf *out = imap_out(s);

    if (s->state == IMAP_SESSION_CLOSED)
        return;
    buf_add(out, s->command->tag.len > 0 ? s->command->tag : SPAN("*"));
    buf_addf(out, " %s %.*s\r\n", words[s->outcome], SPAN_ARG(s->ending));
    imap_written(s);
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
    else
        imap_answer(s);
}
