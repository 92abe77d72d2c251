/*
 * APPEND (RFC 9051 6.3.12), of several messages (RFC 3502), with APPENDUID (RFC 4315). Messages go
 * into drafts of the store as they come; input waits while the store has enough of them.
 *
 * What is refused is still read to its end where the client does not wait, and answered when its
 * command is whole.
 */
#include "plugins/drop/imap/append.h"
#include "plugins/drop/imap/write.h"

#include <stdlib.h>

enum { BINARY_MAX = 16 << 20 /* bytes of a message with NULs */ };

static void refuse(struct imap_append *append, const char *code, const char *problem)
{
    if (append->problem != NULL)
        return;
    append->code = code;
    append->problem = problem;
}

/* ---- the announcement --------------------------------------------------------------------- */

static void check_box(struct imap_session *s, const struct imap_append_literal *literal)
{
    struct imap_append *append = s->append;
    struct mailstore_user user;
    struct mailstore_box box;
    struct kv_txn *txn;
    struct err e = mailstore_read_begin(s->drop.worker->store, &txn);

    if (err_is(e))
        return; /* the operation will tell */
    e = mailstore_box_find(txn, imap_user(s), literal->name, &box);
    if (e.kind == ERR_NOT_FOUND)
        refuse(append, "TRYCREATE", "There is no such mailbox");
    e = mailstore_user_get(s->drop.worker->store, txn, imap_user(s), &user);
    if (!err_is(e) && user.bytes_max > 0 &&
        (user.bytes >= user.bytes_max || literal->size > user.bytes_max - user.bytes))
        refuse(append, "OVERQUOTA", "There is no room left in your quota");
    mailstore_read_end(txn);
}

static void check(struct imap_session *s, const struct imap_append_literal *literal)
{
    if (!imap_is_logged_in(s))
        refuse(s->append, NULL, "Log in first");
    else if (literal->size == 0)
        refuse(s->append, NULL, "A message without a byte cannot be stored");
    else if (literal->index == 0)
        check_box(s, literal);
}

static void on_drained(struct mailstore_draft *draft, void *owner)
{
    struct imap_session *s = owner;

    (void)draft;
    if (s->state != IMAP_SESSION_ROOM)
        return;
    imap_enter(s, IMAP_SESSION_APPEND);
    imap_run(s);
}

static const struct span *copy_keywords(struct imap_session *s, const struct imap_flags *flags)
{
    struct span *keywords = arena_alloc(&s->arena, (flags->keyword_count + 1) * sizeof *keywords);

    for (unsigned i = 0; i < flags->keyword_count; i++)
        keywords[i] = arena_dup(&s->arena, flags->keywords[i]);
    return keywords;
}

static void add_draft(struct imap_session *s, const struct imap_append_literal *literal)
{
    struct imap_append *append = s->append;
    struct mailstore_draft_handler handler = {.drained = on_drained, .owner = s};

    if (append->count == append->cap) {
        append->cap = append->cap > 0 ? append->cap * 2 : 1;
        append->drafts = mem_realloc(append->drafts, append->cap * sizeof append->drafts[0]);
        append->targets = mem_realloc(append->targets, append->cap * sizeof append->targets[0]);
    }
    append->targets[append->count] = (struct mailstore_target){
        .user = imap_user(s),
        .name = arena_dup(&s->arena, literal->name),
        .flags = literal->flags.flags,
        .keywords = copy_keywords(s, &literal->flags),
        .keyword_count = literal->flags.keyword_count,
        .internal_date = literal->has_date ? literal->date : 0,
        .internal_zone = (int16_t)(literal->has_date ? literal->zone : 0),
    };
    append->drafts[append->count++] =
        mailstore_draft_create(s->drop.worker->store, s->drop.worker->loop, &handler);
}

static void begin(struct imap_session *s)
{
    const struct imap_append_literal *literal = s->literal;

    s->literal = NULL;
    if (s->append == NULL)
        s->append = arena_alloc(&s->arena, sizeof *s->append);
    struct imap_append *append = s->append;
    append->left = literal->size;
    append->had_cr = false;
    append->is_binary = literal->is_utf8 && literal->size <= BINARY_MAX;
    check(s, literal);
    if (append->problem != NULL && literal->is_synchronizing) {
        imap_reader_refuse(s->reader);
        imap_enter(s, IMAP_SESSION_COMMAND);
        return;
    }
    if (append->problem == NULL)
        add_draft(s, literal);
    if (literal->is_synchronizing) {
        buf_add(imap_out(s), SPAN("+ OK\r\n"));
        imap_written(s);
    }
    imap_enter(s, IMAP_SESSION_APPEND);
}

/* A client that waits for "+" is told of what came before first. */
void imap_append_begin(struct imap_session *s, const struct imap_append_literal *literal)
{
    s->literal = literal;
    if (!literal->is_synchronizing || !imap_pipeline_holds(s, begin))
        begin(s);
}

/* ---- the bytes ---------------------------------------------------------------------------- */

/* Lines are stored with CRLF, whatever the client takes for a line's end. */
static void add_lines(struct imap_append *append, struct span bytes)
{
    struct mailstore_draft *draft = append->drafts[append->count - 1];
    size_t from = 0;

    for (size_t at = 0; (at += span_index(span_from(bytes, at), '\n')) < bytes.len; at++) {
        bool has_cr = at > 0 ? bytes.ptr[at - 1] == '\r' : append->had_cr;
        if (has_cr)
            continue;
        mailstore_draft_add(draft, span_of(bytes.ptr + from, at - from));
        mailstore_draft_add(draft, SPAN("\r"));
        from = at;
    }
    mailstore_draft_add(draft, span_from(bytes, from));
    append->had_cr = bytes.ptr[bytes.len - 1] == '\r';
}

static void add(struct imap_append *append, struct span bytes)
{
    if (append->problem != NULL || bytes.len == 0)
        return;
    if (append->is_binary)
        buf_add(&append->held, bytes);
    else if (span_index(bytes, '\0') < bytes.len)
        refuse(append, "UNKNOWN-CTE", "A message with NULs cannot be stored");
    else
        add_lines(append, bytes);
}

/* A message that was held is whole. */
static void add_held(struct imap_append *append)
{
    struct span message = buf_span(&append->held);
    struct buf encoded;

    append->is_binary = false;
    buf_init(&encoded, 0);
    if (span_index(message, '\0') == message.len)
        add_lines(append, message);
    else if (append_encode(message, &encoded))
        mailstore_draft_add(append->drafts[append->count - 1], buf_span(&encoded));
    else
        refuse(append, "UNKNOWN-CTE", "A message with NULs cannot be stored");
    buf_fini(&encoded);
    buf_fini(&append->held);
}

bool imap_append_take(struct imap_session *s)
{
    struct imap_append *append = s->append;
    struct span input = conn_input(s->drop.conn);

    if (append->left > 0 && input.len == 0)
        return false;
    if (input.len > append->left)
        input.len = (size_t)append->left;
    add(append, input);
    append->left -= input.len;
    conn_consume(s->drop.conn, input.len);
    if (append->left == 0) {
        if (append->is_binary && append->problem == NULL)
            add_held(append);
        if (append->problem == NULL)
            imap_reader_taken(s->reader);
        else
            imap_reader_dropped(s->reader);
        imap_enter(s, IMAP_SESSION_COMMAND);
    } else if (append->problem == NULL &&
               mailstore_draft_is_full(append->drafts[append->count - 1])) {
        imap_enter(s, IMAP_SESSION_ROOM);
        return false;
    }
    return true;
}

/* ---- the command -------------------------------------------------------------------------- */

void append_free(struct imap_append *append)
{
    for (unsigned i = 0; i < append->count; i++)
        mailstore_draft_free(append->drafts[i]);
    free(append->drafts);
    free(append->targets);
    buf_fini(&append->held);
}

void imap_append_abandon(struct imap_session *s)
{
    if (s->append != NULL)
        append_free(s->append);
    s->append = NULL;
}

void append_prepare(struct imap_append *append, struct mailstore_append *op)
{
    op->op.kind = MAILSTORE_APPEND;
    op->drafts = append->drafts;
    op->draft_count = append->count;
    op->targets = append->targets;
    op->target_count = append->count;
    op->is_whole = true;
}

const char *append_uids(const struct imap_append *append, struct arena *arena)
{
    struct imap_set_writer set = {0};
    struct buf text;

    buf_init(&text, 0);
    buf_addf(&text, "APPENDUID %u ", append->targets[0].uid_validity);
    for (unsigned i = 0; i < append->count; i++)
        imap_set_add(&set, &text, append->targets[i].uid, append->targets[i].uid);
    imap_set_end(&set, &text);
    const char *code = arena_dup(arena, buf_span(&text)).ptr;
    buf_fini(&text);
    return code;
}

/* Those that were sent before it are answered first. */
static void appended(struct imap_session *s)
{
    if (!imap_pipeline_holds(s, appended) && imap_is_done(s, &s->operation->op, "TRYCREATE"))
        imap_finish(s, IMAP_OK, append_uids(s->append, &s->arena), "Appended");
}

bool imap_append_is_ready(const struct imap_session *s)
{
    return s->append != NULL && s->append->count > 0 && s->append->problem == NULL;
}

/* With nothing behind it what is new in the selected mailbox is told together with its answer. */
void imap_do_append(struct imap_session *s)
{
    const struct imap_append *append = s->append;

    if (!imap_append_is_ready(s)) {
        bool has_problem = append != NULL && append->problem != NULL;
        imap_say_no(s, has_problem ? append->code : NULL,
                    has_problem ? append->problem : "There was no message");
    } else if (conn_input(s->drop.conn).len > 0) {
        imap_pipeline_add(s);
    } else {
        struct imap_operation *operation = imap_operation_create(s, MAILSTORE_APPEND);
        append_prepare(s->append, &operation->append);
        imap_submit(s, operation, appended);
    }
}
