/* Answers of several lines: lists and messages, as fast as the client reads them. */
#include "base/memory.h"
#include "plugins/drop/pop3/private.h"

#include <stdlib.h>

enum {
    SLICE = 65536,       /* bytes of a message that are read at once */
    LINES_AT_ONCE = 1000 /* of a list */
};

struct pop3_answer *pop3_answer_begin(struct pop3_session *s, enum pop3_verb verb)
{
    s->answer = mem_zalloc(sizeof *s->answer);
    s->answer->verb = verb;
    pop3_enter(s, POP3_SEND);
    return s->answer;
}

static void finish(struct pop3_session *s)
{
    free(s->answer);
    s->answer = NULL;
    pop3_enter(s, POP3_COMMAND);
}

/* ---- lists -------------------------------------------------------------------------------- */

static void send_list(struct pop3_session *s)
{
    struct pop3_answer *answer = s->answer;
    struct buf *out = conn_output(s->base.conn);

    for (int lines = 0; lines < LINES_AT_ONCE && answer->next < s->drop.count; answer->next++) {
        if (s->drop.entries[answer->next].is_deleted)
            continue;
        pop3_list_line(&s->drop, answer->verb, answer->next, out);
        lines++;
    }
    bool is_done = answer->next == s->drop.count;
    if (is_done)
        buf_add(out, SPAN(".\r\n"));
    conn_written(s->base.conn);
    if (is_done)
        finish(s);
    else
        pop3_enter(s, POP3_SEND); /* the deadline starts anew */
}

/* ---- messages ----------------------------------------------------------------------------- */

/* TOP: as much of the bytes as is to be sent; answer->lines becomes 0 with the last. */
static struct span cut_lines(struct pop3_answer *answer, struct span bytes)
{
    size_t at = 0;

    while (at < bytes.len && !(answer->is_body && answer->lines == 0)) {
        struct span rest = span_from(bytes, at);
        size_t len = span_index(rest, '\n');
        answer->line_len += len;
        at += len;
        if (len == rest.len)
            break;
        at++;
        if (answer->is_body)
            answer->lines--;
        else
            answer->is_body = answer->line_len <= 1; /* its CR */
        answer->line_len = 0;
    }
    return span_head(bytes, at);
}

static bool is_over(const struct pop3_answer *answer)
{
    return answer->is_body && answer->lines == 0;
}

static bool send_bytes(void *context, struct span bytes)
{
    struct pop3_session *s = context;
    struct pop3_answer *answer = s->answer;

    if (answer->verb == POP3_TOP)
        bytes = cut_lines(answer, bytes);
    answer->offset += bytes.len;
    dot_encode(&answer->dot, &bytes, conn_output(s->base.conn), SIZE_MAX);
    return !is_over(answer);
}

static void end_message(struct pop3_session *s)
{
    if (!dot_encode_end(&s->answer->dot, conn_output(s->base.conn)))
        abort(); /* the output has no bound of its own */
    conn_written(s->base.conn);
    finish(s);
}

/* The whole of it, or a slice. `entry` is what the answer is about. */
static struct err send_slice(struct pop3_session *s, struct kv_txn *txn,
                             const struct mailstore_entry *entry)
{
    struct pop3_answer *answer = s->answer;
    uint64_t before = answer->offset;
    struct err e = ERR_OK;

    if (answer->offset < entry->prefix.len)
        send_bytes(s, span_from(entry->prefix, answer->offset));
    if (answer->offset >= entry->prefix.len && !is_over(answer))
        e = mailstore_content_walk(txn, entry->message, answer->offset - entry->prefix.len, SLICE,
                                   send_bytes, s);
    conn_written(s->base.conn);
    if (!err_is(e) && answer->offset == before && before < entry->size)
        e = err_make(ERR_CORRUPT, "length of a message");
    return e;
}

/* ---- what is not in memory ---------------------------------------------------------------- */

static bool look_at(void *context, struct span bytes)
{
    (void)context, (void)bytes;
    return true;
}

/* Looking at its checksums brings it there; what is wrong with it is seen by who sends it. */
static void run_touching(struct work *work)
{
    struct pop3_job *job = container_of(work, struct pop3_job, work);
    struct kv_txn *txn;

    job->drop.error = mailstore_read_begin(job->store, &txn);
    if (err_is(job->drop.error))
        return;
    job->drop.error =
        mailstore_content_walk(txn, job->message, job->offset, job->len, look_at, NULL);
    mailstore_read_end(txn);
}

static void on_touched(struct call *call)
{
    struct work *work = container_of(call, struct work, call);
    struct pop3_job *job = container_of(work, struct pop3_job, work);
    struct pop3_session *s = job->session;

    free(job);
    s->pending--;
    s->is_touched = true;
    if (s->state == POP3_TOUCH) {
        pop3_enter(s, POP3_SEND);
        pop3_run(s);
    }
    pop3_release(s);
}

static void touch(struct pop3_session *s, uint64_t message, uint64_t offset)
{
    struct pop3_job *job = mem_zalloc(sizeof *job);

    job->session = s;
    job->store = s->base.worker->store;
    job->message = message;
    job->offset = offset;
    job->len = SLICE;
    job->work.run = run_touching;
    job->work.call.done = on_touched;
    list_init(&job->work.call.link);
    s->pending++;
    pop3_enter(s, POP3_TOUCH);
    loop_work(s->base.worker->loop, &job->work);
}

/* True where it has to be waited for. */
static bool is_far(struct pop3_session *s, struct kv_txn *txn, const struct mailstore_entry *entry)
{
    uint64_t before = entry->prefix.len, offset = s->answer->offset;

    offset = offset > before ? offset - before : 0;
    if (s->is_touched || mailstore_content_is_resident(txn, entry->message, offset, SLICE))
        return false;
    touch(s, entry->message, offset);
    return true;
}

/* ---- RETR and TOP ------------------------------------------------------------------------- */

/* What was announced cannot be sent: the client must not take what it has for the whole. */
static void fail(struct pop3_session *s, struct err e)
{
    log_failure(LOG_ERROR, "message-unreadable", e, "user", s->base.user);
    pop3_cut(s, "message cannot be read");
}

/* Nothing has been said yet. */
static void refuse(struct pop3_session *s, struct err e)
{
    bool is_gone = e.kind == ERR_NOT_FOUND; /* by IMAP */

    if (!is_gone)
        log_failure(LOG_ERROR, "message-unreadable", e, "user", s->base.user);
    pop3_say(s, is_gone ? "-ERR The message is not there any more"
                        : "-ERR [SYS/TEMP] The message cannot be read, try again later");
    finish(s);
}

static void announce(struct pop3_session *s, uint64_t size)
{
    struct buf *out = conn_output(s->base.conn);

    buf_add(out, SPAN("+OK "));
    if (s->answer->verb == POP3_RETR) {
        buf_add_u64(out, size);
        buf_add(out, SPAN(" octets"));
    }
    buf_add(out, SPAN("\r\n"));
}

static void send_message(struct pop3_session *s, struct kv_txn *txn)
{
    struct pop3_answer *answer = s->answer;
    struct mailstore_entry entry;
    struct err e = mailstore_entry_get(txn, s->drop.box, answer->uid, &entry);
    bool is_begun = answer->is_begun;

    if (!err_is(e) && is_far(s, txn, &entry))
        return;
    s->is_touched = false;
    if (!err_is(e) && !is_begun) {
        announce(s, entry.size);
        answer->is_begun = is_begun = true;
    }
    if (!err_is(e))
        e = send_slice(s, txn, &entry);
    if (err_is(e) && is_begun)
        fail(s, e);
    else if (err_is(e))
        refuse(s, e);
    else if (is_over(answer) || answer->offset >= entry.size)
        end_message(s);
    else
        pop3_enter(s, POP3_SEND); /* the deadline starts anew */
}

void pop3_retr(struct pop3_session *s, const struct pop3_command *command)
{
    const struct pop3_entry *entry = pop3_entry(s, command->number);

    if (entry == NULL)
        return;
    struct pop3_answer *answer = pop3_answer_begin(s, command->verb);
    answer->uid = entry->uid;
    answer->is_body = command->verb == POP3_RETR; /* nobody looks where its header ends */
    answer->lines = command->verb == POP3_RETR ? UINT64_MAX : command->lines;
    dot_encoder_init(&answer->dot);
    s->is_touched = false;
}

bool pop3_send(struct pop3_session *s)
{
    struct kv_txn *txn;

    if (s->answer->verb == POP3_LIST || s->answer->verb == POP3_UIDL) {
        send_list(s);
        return true;
    }
    struct err e = mailstore_read_begin(s->base.worker->store, &txn);
    if (err_is(e)) {
        fail(s, e);
        return false;
    }
    send_message(s, txn);
    mailstore_read_end(txn);
    return s->state != POP3_TOUCH;
}
