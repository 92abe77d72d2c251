/* The mailbox: its messages as they were at the log-in, and what is to become of them. */
#include "base/memory.h"
#include "plugins/drop/pop3/private.h"

#include <stdlib.h>

/* ---- opening ------------------------------------------------------------------------------ */

static bool add_entry(void *context, const struct mailstore_entry *entry)
{
    struct pop3_drop *drop = context;

    if (drop->count == drop->cap) {
        drop->cap = drop->cap > 0 ? 2 * drop->cap : 16;
        drop->entries = mem_realloc(drop->entries, drop->cap * sizeof *drop->entries);
    }
    drop->entries[drop->count++] = (struct pop3_entry){.uid = entry->uid, .size = entry->size};
    drop->bytes += entry->size;
    return true;
}

/* A user who never got mail has no mailbox yet. */
static struct err read_drop(struct kv_txn *txn, struct span user, struct pop3_drop *drop)
{
    struct mailstore_box box;
    struct err e = mailstore_box_find(txn, user, SPAN("INBOX"), &box);

    if (e.kind == ERR_NOT_FOUND)
        return ERR_OK;
    if (err_is(e))
        return e;
    drop->box = box.id;
    drop->uid_validity = box.uid_validity;
    drop->cap = box.exists;
    drop->entries = mem_alloc((box.exists + 1) * sizeof *drop->entries);
    e = mailstore_entry_walk(txn, box.id, 0, add_entry, drop);
    drop->left = drop->count;
    return e;
}

/* Off the loop: there may be many, and they may have to come from the disk. */
static void run_opening(struct work *work)
{
    struct pop3_job *job = container_of(work, struct pop3_job, work);
    struct kv_txn *txn;

    job->drop.error = mailstore_read_begin(job->store, &txn);
    if (err_is(job->drop.error))
        return;
    job->drop.error = read_drop(txn, job->user, &job->drop);
    mailstore_read_end(txn);
}

static void on_opened(struct call *call)
{
    struct work *work = container_of(call, struct work, call);
    struct pop3_job *job = container_of(work, struct pop3_job, work);
    struct pop3_session *s = job->session;

    s->drop = job->drop;
    free(job);
    s->pending--;
    if (s->state != POP3_OPEN) {
        pop3_release(s);
        return;
    }
    if (err_is(s->drop.error)) {
        log_failure(LOG_ERROR, "mailbox-unreadable", s->drop.error, "user", s->base.user);
        pop3_say(s, "-ERR [SYS/TEMP] The mailbox cannot be read, try again later");
        pop3_end(s, "mailbox cannot be read");
        return;
    }
    pop3_say(s, "+OK Logged in");
    pop3_enter(s, POP3_COMMAND);
    pop3_run(s);
}

void pop3_open(struct pop3_session *s)
{
    struct pop3_job *job;

    if (!drop_session_claim(&s->base)) {
        pop3_say(s, "-ERR [IN-USE] Another session has the mailbox open");
        pop3_end(s, "mailbox in use");
        return;
    }
    job = mem_zalloc(sizeof *job);
    job->session = s;
    job->store = s->base.worker->store;
    job->user = span_cstr(s->base.user);
    job->work.run = run_opening;
    job->work.call.done = on_opened;
    list_init(&job->work.call.link);
    s->pending++;
    pop3_enter(s, POP3_OPEN);
    loop_work(s->base.worker->loop, &job->work);
}

/* ---- lists -------------------------------------------------------------------------------- */

struct pop3_entry *pop3_entry(struct pop3_session *s, uint32_t number)
{
    if (number >= 1 && number <= s->drop.count && !s->drop.entries[number - 1].is_deleted)
        return &s->drop.entries[number - 1];
    pop3_say(s, "-ERR There is no such message");
    return NULL;
}

void pop3_stat(struct pop3_session *s, const struct pop3_command *command)
{
    struct buf *out = conn_output(s->base.conn);

    (void)command;
    buf_add(out, SPAN("+OK "));
    buf_add_u64(out, s->drop.left);
    buf_add(out, SPAN(" "));
    buf_add_u64(out, s->drop.bytes);
    buf_add(out, SPAN("\r\n"));
    conn_written(s->base.conn);
}

static void add_hex(struct buf *out, uint32_t value)
{
    char text[8];

    for (int i = 0; i < 8; i++)
        text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    buf_add(out, span_of(text, sizeof text));
}

/* RFC 1939 7: a UID is never used again, so that this never names another message. */
void pop3_list_line(const struct pop3_drop *drop, enum pop3_verb verb, uint32_t index,
                    struct buf *out)
{
    buf_add_u64(out, index + 1);
    buf_add(out, SPAN(" "));
    if (verb == POP3_UIDL) {
        add_hex(out, drop->uid_validity);
        add_hex(out, drop->entries[index].uid);
    } else {
        buf_add_u64(out, drop->entries[index].size);
    }
    buf_add(out, SPAN("\r\n"));
}

void pop3_list(struct pop3_session *s, const struct pop3_command *command)
{
    if (!command->has_number) {
        pop3_say(s, "+OK");
        pop3_answer_begin(s, command->verb);
        return;
    }
    if (pop3_entry(s, command->number) == NULL)
        return;
    buf_add(conn_output(s->base.conn), SPAN("+OK "));
    pop3_list_line(&s->drop, command->verb, command->number - 1, conn_output(s->base.conn));
    conn_written(s->base.conn);
}

/* ---- deleting ----------------------------------------------------------------------------- */

void pop3_dele(struct pop3_session *s, const struct pop3_command *command)
{
    struct pop3_entry *entry = pop3_entry(s, command->number);

    if (entry == NULL)
        return;
    entry->is_deleted = true;
    s->drop.left--;
    s->drop.bytes -= entry->size;
    pop3_say(s, "+OK Marked to be deleted");
}

void pop3_rset(struct pop3_session *s, const struct pop3_command *command)
{
    (void)command;
    s->drop.bytes = 0;
    s->drop.left = s->drop.count;
    for (uint32_t i = 0; i < s->drop.count; i++) {
        s->drop.entries[i].is_deleted = false;
        s->drop.bytes += s->drop.entries[i].size;
    }
    pop3_say(s, "+OK");
}

/* Between two neighbours of the list there is no other UID, and there never will be. */
static struct mailstore_range *deleted_ranges(const struct pop3_drop *drop, unsigned *count_out)
{
    struct mailstore_range *ranges = mem_alloc((drop->count + 1) * sizeof *ranges);
    unsigned count = 0;

    for (uint32_t i = 0; i < drop->count; i++) {
        const struct pop3_entry *entry = &drop->entries[i];
        if (!entry->is_deleted)
            continue;
        if (i == 0 || !drop->entries[i - 1].is_deleted)
            ranges[count++].first = entry->uid;
        ranges[count - 1].last = entry->uid;
    }
    *count_out = count;
    return ranges;
}

/* The client may come back before its connection is gone. */
static void leave(struct pop3_session *s, const char *text)
{
    drop_session_unclaim(&s->base);
    pop3_say(s, text);
    pop3_end(s, "quit");
}

struct update {
    struct mailstore_expunge expunge;
    struct pop3_session *session;
    struct mailstore_range *ranges;
};

static void log_update(struct pop3_session *s, const struct mailstore_expunge *expunge,
                       bool is_done)
{
    struct log_line line;

    if (!drop_session_log(&s->base, &line, is_done ? LOG_INFO : LOG_ERROR,
                          is_done ? "expunged" : "expunge-failed"))
        return;
    log_u64(&line, "messages", is_done ? expunge->expunged : 0);
    if (!is_done)
        log_err(&line, expunge->op.result);
    log_end(&line);
}

static void on_expunged(struct mailstore_op *op)
{
    struct mailstore_expunge *expunge = container_of(op, struct mailstore_expunge, op);
    struct update *update = container_of(expunge, struct update, expunge);
    struct pop3_session *s = update->session;
    bool is_done = !err_is(op->result) && op->refusal == MAILSTORE_FINE;

    log_update(s, expunge, is_done);
    free(update->ranges);
    free(update);
    s->pending--;
    if (s->state == POP3_UPDATE)
        leave(s, is_done ? "+OK Bye" : "-ERR [SYS/TEMP] No message has been removed");
    pop3_release(s);
}

void pop3_quit(struct pop3_session *s, const struct pop3_command *command)
{
    struct update *update;

    (void)command;
    if (s->drop.left == s->drop.count) {
        leave(s, "+OK Bye");
        return;
    }
    update = mem_zalloc(sizeof *update);
    update->session = s;
    update->ranges = deleted_ranges(&s->drop, &update->expunge.uid_count);
    update->expunge.uids = update->ranges;
    update->expunge.op.kind = MAILSTORE_EXPUNGE;
    update->expunge.op.done = on_expunged;
    update->expunge.box = s->drop.box;
    update->expunge.is_any = true;
    s->pending++;
    pop3_enter(s, POP3_UPDATE);
    mailstore_submit(s->base.worker->store, &update->expunge.op, s->base.worker->loop);
}
