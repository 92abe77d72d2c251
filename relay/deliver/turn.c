/*
 * Whose turn it is on a connection: one attempt after the other, and with PIPELINING the commands
 * of the next one behind the end of data of the one under way (RFC 2920 3.1).
 *
 * Replies come in the order of the commands, so all of them belong to the attempt under way until
 * it has been concluded, and from then on to the next one. Of that only commands are sent ahead,
 * never message data: whatever ends the connection before, nothing of it can have been taken.
 */
#include "deliver/session.h"

#include <stdlib.h>

static void finish(struct deliver_session *s, struct deliver_attempt *attempt)
{
    attempt->finished_ms = loop_now(s->options.loop);
    deliver_tell(s, DELIVER_FINISHED, attempt);
}

static void finish_current(struct deliver_session *s)
{
    struct deliver_attempt *attempt = s->attempt;

    s->attempt = NULL;
    finish(s, attempt);
}

/* ---- one after the other ------------------------------------------------------------------- */

static void on_declined(struct call *call)
{
    struct deliver_session *s = container_of(call, struct deliver_session, decline);

    s->declining = false;
    if (s->state != DELIVER_STATE_DECLINED) {
        deliver_release_if_free(s);
        return;
    }
    struct status status = verdict_of_own(s->objection);
    status.by = s->transaction.by;
    s->attempt->declined = true;
    deliver_transaction_settle(s, &status);
    deliver_enter(s, DELIVER_STATE_READY);
    finish_current(s);
    deliver_announce_ready(s);
}

static void begin(struct deliver_session *s, struct deliver_attempt *attempt)
{
    deliver_transaction_prepare(s, attempt);
    deliver_phases_begin(s);
    if (!deliver_is_declined(s)) {
        deliver_transaction_begin(s);
        return;
    }
    deliver_enter(s, DELIVER_STATE_DECLINED);
    s->declining = true;
    s->decline.done = on_declined;
    loop_defer(s->options.loop, &s->decline);
}

static struct deliver_attempt *take_next(struct deliver_session *s)
{
    struct deliver_attempt *next = s->next;

    s->next = NULL;
    return next;
}

/* RFC 9422 4.1: `more` transactions would be too many. */
static bool is_used_up(const struct deliver_session *s, unsigned more)
{
    return s->offer.mail_max != 0 && s->messages + more > s->offer.mail_max;
}

void deliver_announce_ready(struct deliver_session *s)
{
    if (s->state != DELIVER_STATE_READY)
        return;
    if (s->next != NULL) {
        begin(s, take_next(s));
        return;
    }
    buf_fini(&s->reply_text);
    if (is_used_up(s, 1)) {
        deliver_quit(s);
        return;
    }
    deliver_enter(s, DELIVER_STATE_IDLE);
    deliver_tell(s, DELIVER_READY, NULL);
}

/* ---- one behind the other ------------------------------------------------------------------ */

/* Small messages by BDAT leave with their envelope, in one round trip anyway; and XFORWARD tells of
 * the one message that comes next. */
static bool may_follow(const struct deliver_session *s)
{
    return deliver_is_offered(s, SMTP_EXT_PIPELINING) && s->xforward == 0 &&
           !s->transaction.at_once && s->transaction.accepted > 0 && !is_used_up(s, 2);
}

void deliver_offer_turn(struct deliver_session *s)
{
    s->follow = may_follow(s);
    if (s->follow)
        deliver_tell(s, DELIVER_FOLLOW, NULL);
}

bool deliver_can_follow(const struct deliver_session *s)
{
    return s->follow;
}

/* What cannot go along waits until the other one is over. */
static void follow(struct deliver_session *s, struct deliver_attempt *attempt)
{
    struct deliver_attempt *current = s->attempt;
    struct deliver_transaction transaction = s->transaction;

    s->follow = false;
    deliver_transaction_prepare(s, attempt);
    if (!deliver_is_declined(s))
        deliver_transaction_send_ahead(s);
    s->next = attempt;
    s->following = s->transaction;
    s->attempt = current;
    s->transaction = transaction;
}

/* An idle connection has just ended, and its owner is still to be told so. */
static void come_too_late(struct deliver_session *s, struct deliver_attempt *attempt)
{
    deliver_transaction_prepare(s, attempt);
    s->following = s->transaction;
    s->attempt = NULL;
    s->next = attempt;
}

void deliver_send(struct deliver_session *s, struct deliver_attempt *attempt)
{
    bool has_ended = s->state == DELIVER_STATE_CLOSED && s->attempt == NULL && s->next == NULL;

    if (attempt->recipient_count == 0 ||
        (s->state != DELIVER_STATE_IDLE && !s->follow && !has_ended))
        abort();
    if (has_ended)
        come_too_late(s, attempt);
    else if (s->follow)
        follow(s, attempt);
    else
        begin(s, attempt);
}

/* From the next reply on it is about the one that followed. */
static void go_on(struct deliver_session *s)
{
    struct deliver_attempt *over = s->attempt;

    s->attempt = take_next(s);
    s->attempt->started_ms = loop_now(s->options.loop);
    s->transaction = s->following;
    deliver_enter(s, DELIVER_STATE_MAIL);
    finish(s, over);
    deliver_phases_begin(s);
}

void deliver_conclude(struct deliver_session *s, bool clean)
{
    s->messages++;
    s->follow = false;
    deliver_body_end(&s->body);
    if (s->next != NULL && s->following.sent > 0) {
        go_on(s);
        return;
    }
    if (clean) {
        deliver_enter(s, DELIVER_STATE_READY);
    } else {
        conn_write(s->conn, SPAN("RSET\r\n"));
        deliver_enter(s, DELIVER_STATE_RSET);
    }
    finish_current(s);
}

void deliver_turns_end(struct deliver_session *s)
{
    if (s->attempt != NULL)
        finish_current(s);
    if (s->next == NULL)
        return;
    struct status status = verdict_of_own(VERDICT_CANCELLED);
    s->attempt = take_next(s);
    s->attempt->untouched = true;
    status.by = s->following.by;
    deliver_transaction_settle(s, &status);
    finish_current(s);
}
