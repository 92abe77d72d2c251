#include "receive/content.h"

#include "base/log.h"
#include "proto/base32.h"
#include "receive/edits.h"
#include "receive/session.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    PIECES = 2, /* on their way to the store at the same time */
    PIECE = 32 * QUEUE_CHUNK,
};

struct piece {
    struct queue_stage op;
    struct buf bytes;
    struct version *version;
    bool is_busy;
};

/* One content of the message: as it came, as a plugin wrote it, or with a new header. Its text is
 * `chunks` of the store and `tail`; of its header section `head` counts, which may be another. */
struct version {
    struct version *next;
    struct content *content;
    uint64_t id;
    uint64_t size;
    uint64_t size_max;
    uint32_t chunks;
    size_t accounted; /* of the tail, in the server's arriving_bytes */
    struct buf tail;
    struct buf head;
    uint64_t body_at; /* how long the header section in the text is */
    bool is_edited;
    bool is_8bit;
    bool is_too_large;
    bool is_doomed; /* under lock: nobody will want it */
    struct err error;
    struct arena arena;
    struct header_scanner scanner;
    struct line_checker lines;
    struct piece pieces[PIECES];
    unsigned busy; /* of the pieces; under lock, as is `error` */
};

struct content {
    struct plugin_content lent;
    struct transaction *tx;
    pthread_mutex_t lock;
    pthread_cond_t news;  /* a piece is in the store, or a version is doomed */
    pthread_mutex_t turn; /* one writes at a time */
    unsigned users;       /* under lock */
    bool is_ending;       /* under lock */
    struct call left;     /* it is ending, and nobody is in it any more */
    bool has_left;
    struct version *versions; /* all */
    struct version *now;      /* under lock: what there is */
    struct version *next;     /* under lock: what a plugin is writing; NULL = nothing */
    struct version *kept;     /* the one that is the transaction's */
    struct version *source;   /* of `kept`, which is to be written yet; else NULL */
    struct work rewriting;
    bool is_rewriting;
    struct queue_discard discard;
};

/* ---- versions ----------------------------------------------------------------------------- */

static struct version *version_create(struct content *c, uint64_t id)
{
    struct version *v = mem_zalloc(sizeof *v);
    const struct conf *conf = c->tx->conf;

    v->content = c;
    v->id = id;
    v->size_max = conf->message_size_max;
    arena_init(&v->arena);
    header_scanner_init(&v->scanner, &v->arena, NULL, 0, conf->header_size_max,
                        conf->header_fields_max);
    line_checker_init(&v->lines, conf->text_line_max, false);
    v->next = c->versions;
    c->versions = v;
    return v;
}

static void version_free(struct version *v)
{
    transaction_account(v->content->tx, 0, &v->accounted);
    buf_fini(&v->tail);
    buf_fini(&v->head);
    arena_fini(&v->arena);
    free(v);
}

static void check(struct content *c);

static void on_stored(struct call *call)
{
    struct piece *piece = container_of(call, struct piece, op.op.call);
    struct version *v = piece->version;
    struct content *c = v->content;

    buf_fini(&piece->bytes);
    pthread_mutex_lock(&c->lock);
    piece->is_busy = false;
    v->busy--;
    if (err_is(piece->op.op.result))
        v->error = piece->op.op.result;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
    if (c->has_left)
        check(c);
}

/* Waits for its turn; NULL = the version is not wanted, or cannot be stored. */
static struct piece *take_piece(struct version *v)
{
    struct content *c = v->content;
    struct piece *piece = NULL;

    pthread_mutex_lock(&c->lock);
    while (v->busy == PIECES && !v->is_doomed && !err_is(v->error))
        pthread_cond_wait(&c->news, &c->lock);
    if (!v->is_doomed && !err_is(v->error)) {
        piece = v->pieces[0].is_busy ? &v->pieces[1] : &v->pieces[0];
        piece->is_busy = true;
        v->busy++;
    }
    pthread_mutex_unlock(&c->lock);
    return piece;
}

/* Whole chunks of the tail go to the store. */
static bool store_tail(struct version *v)
{
    size_t whole = buf_len(&v->tail) / QUEUE_CHUNK * QUEUE_CHUNK;
    struct piece *piece = take_piece(v);

    if (piece == NULL)
        return false;
    struct span rest = span_from(buf_span(&v->tail), whole);
    piece->version = v;
    piece->bytes = v->tail;
    buf_init(&v->tail, 0);
    buf_add(&v->tail, rest);
    piece->op = (struct queue_stage){
        .id = v->id, .first_chunk = v->chunks, .data = span_head(buf_span(&piece->bytes), whole)};
    piece->op.op.home = v->content->tx->server->loop;
    piece->op.op.call.done = on_stored;
    v->chunks += (uint32_t)(whole / QUEUE_CHUNK);
    queue_stage(v->content->tx->server->queue, &piece->op);
    return true;
}

static bool has_8bit(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 0x80)
            return true;
    return false;
}

/* What it takes to judge it when it is complete. */
static void look_at(struct version *v, struct span part)
{
    const struct conf *conf = v->content->tx->conf;
    uint64_t header_before = v->scanner.bytes;

    header_scan(&v->scanner, part);
    if (v->scanner.bytes <= conf->header_size_max)
        buf_add(&v->head, span_head(part, (size_t)(v->scanner.bytes - header_before)));
    line_checker_feed(&v->lines, part);
    v->is_8bit = v->is_8bit || has_8bit(part);
    v->size += part.len;
    v->is_too_large = v->size > v->size_max;
}

static bool version_add(struct version *v, struct span bytes)
{
    struct transaction *tx = v->content->tx;

    while (bytes.len > 0 && !v->is_too_large) {
        struct span part = span_head(bytes, bytes.len < PIECE ? bytes.len : PIECE);
        look_at(v, part);
        buf_add(&v->tail, part);
        transaction_account(tx, buf_len(&v->tail), &v->accounted);
        if (buf_len(&v->tail) >= transaction_memory_most(tx, v->chunks > 0) && !store_tail(v))
            return false;
        bytes = span_from(bytes, part.len);
    }
    return !v->is_too_large;
}

/* From `at` of its text; there is that much. */
static int64_t read_stored(struct version *v, uint64_t at, char *bytes, size_t len)
{
    size_t skip = (size_t)(at % QUEUE_CHUNK), most = PIECE;
    uint32_t first = (uint32_t)(at / QUEUE_CHUNK);
    struct buf out;

    if (len < most)
        most = len;
    uint32_t count = (uint32_t)((skip + most + QUEUE_CHUNK - 1) / QUEUE_CHUNK);
    if (count > v->chunks - first)
        count = v->chunks - first;
    buf_init(&out, 0);
    struct err e = queue_read_body(v->content->tx->server->queue, v->id, first, count, &out);
    struct span got = span_from(buf_span(&out), skip);
    if (got.len > most)
        got.len = most;
    if (got.len > 0)
        memcpy(bytes, got.ptr, got.len);
    buf_fini(&out);
    return err_is(e) || got.len == 0 ? -1 : (int64_t)got.len;
}

static int64_t copy(struct span from, uint64_t at, char *bytes, size_t len)
{
    struct span rest = span_from(from, at < from.len ? (size_t)at : from.len);

    if (rest.len > len)
        rest.len = len;
    if (rest.len > 0)
        memcpy(bytes, rest.ptr, rest.len);
    return (int64_t)rest.len;
}

static int64_t version_read(struct version *v, uint64_t offset, char *bytes, size_t len)
{
    struct content *c = v->content;
    int64_t got = 0;

    pthread_mutex_lock(&c->lock);
    size_t head = buf_len(&v->head);
    if (offset < head)
        got = copy(buf_span(&v->head), offset, bytes, len);
    while (got == 0 && v->busy > 0)
        pthread_cond_wait(&c->news, &c->lock);
    bool is_lost = err_is(v->error);
    pthread_mutex_unlock(&c->lock);
    if (got > 0 || len == 0)
        return got;
    if (is_lost)
        return -1;
    uint64_t at = v->body_at + (offset - head), stored = (uint64_t)v->chunks * QUEUE_CHUNK;
    return at < stored ? read_stored(v, at, bytes, len)
                       : copy(buf_span(&v->tail), at - stored, bytes, len);
}

/* ---- what plugins call -------------------------------------------------------------------- */

static struct content *content_of(struct plugin_content *lent)
{
    return container_of(lent, struct content, lent);
}

static void on_left(struct call *call)
{
    struct content *c = container_of(call, struct content, left);

    c->has_left = true;
    check(c);
}

static void enter(struct plugin_content *lent)
{
    struct content *c = content_of(lent);

    pthread_mutex_lock(&c->lock);
    c->users++;
    pthread_mutex_unlock(&c->lock);
}

static void leave(struct plugin_content *lent)
{
    struct content *c = content_of(lent);

    pthread_mutex_lock(&c->lock);
    if (--c->users == 0 && c->is_ending)
        loop_post(c->tx->server->loop, &c->left);
    pthread_mutex_unlock(&c->lock);
}

static int64_t read_content(struct plugin_content *lent, uint64_t offset, void *bytes, size_t len)
{
    struct content *c = content_of(lent);

    pthread_mutex_lock(&c->lock);
    struct version *v = c->now;
    pthread_mutex_unlock(&c->lock);
    return version_read(v, offset, bytes, len);
}

/* A new one is the plugin's that is being asked; what others still write is theirs. */
static struct version *being_written(struct content *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->next == NULL && !c->is_ending)
        c->next = version_create(c, queue_new_id(c->tx->server->queue));
    struct version *v = c->next;
    pthread_mutex_unlock(&c->lock);
    return v;
}

static int write_content(struct plugin_content *lent, struct span bytes)
{
    struct content *c = content_of(lent);

    pthread_mutex_lock(&c->turn);
    struct version *v = being_written(c);
    bool is_good = v != NULL && version_add(v, bytes);
    pthread_mutex_unlock(&c->turn);
    return is_good ? 0 : -1;
}

/* NULL, or why it cannot be the message. */
static const char *judge(struct content *c, struct version *v)
{
    if (v == NULL)
        return "a body is to be replaced, and nothing has been written";
    pthread_mutex_lock(&c->lock);
    bool is_busy = c->users > 0, is_lost = err_is(v->error);
    pthread_mutex_unlock(&c->lock);
    if (is_busy)
        return "a body is to be replaced that is still being written";
    unsigned faults = line_checker_end(&v->lines);
    header_scan_end(&v->scanner);
    if (is_lost)
        return "a body that could not be stored";
    if (faults & BODY_NUL)
        return "a body with a NUL";
    if (faults & (BODY_BARE_CR | BODY_BARE_LF))
        return "a body with a line that does not end with CRLF";
    if (v->is_too_large)
        return "a body that is larger than message_size_max";
    if (faults & BODY_LONG_LINE)
        return "a body with a line that is longer than text_line_max";
    if (v->scanner.flags & (HEADER_TOO_LARGE | HEADER_TOO_MANY))
        return "a body whose header is too large or has too many fields";
    return NULL;
}

/* What the plugin has written is not wanted, or is taken already. */
static void forget_next(struct content *c, bool is_doomed)
{
    pthread_mutex_lock(&c->lock);
    if (c->next != NULL)
        c->next->is_doomed = is_doomed;
    c->next = NULL;
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->lock);
}

static const char *settle(struct plugin_content *lent, const struct smarthop_verdict *verdict)
{
    struct content *c = content_of(lent);
    struct version *written = c->next;
    const char *problem = verdict->replace_body ? judge(c, written) : NULL;

    if (problem != NULL)
        return problem;
    forget_next(c, !verdict->replace_body);
    pthread_mutex_lock(&c->lock);
    if (verdict->replace_body) {
        written->body_at = written->scanner.bytes;
        c->now = written;
    }
    if (verdict->edit_count > 0) {
        edits_apply(&c->now->head, verdict->edits, verdict->edit_count);
        c->now->is_edited = true;
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* ---- the beginning ------------------------------------------------------------------------ */

struct content *content_create(struct transaction *tx)
{
    struct content *c = mem_zalloc(sizeof *c);
    struct queue_message *message = tx->message;

    c->tx = tx;
    c->lent = (struct plugin_content){enter, leave, read_content, write_content, settle};
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->turn, NULL);
    pthread_cond_init(&c->news, NULL);
    list_init(&c->left.link);
    c->left.done = on_left;
    struct version *v = version_create(c, message->id);
    v->size = message->size;
    v->chunks = tx->chunks_staged;
    v->tail = message->body;
    buf_init(&message->body, 0);
    buf_add(&v->head, buf_span(&tx->head));
    v->body_at = tx->header.bytes;
    v->is_edited = tx->head_edited;
    c->now = c->kept = v;
    return c;
}

struct plugin_content *content_lend(struct content *c)
{
    return &c->lent;
}

/* ---- the end ------------------------------------------------------------------------------ */

/* The header anew, in front of a body in memory. */
static void splice(struct version *v)
{
    struct buf whole;

    buf_init(&whole, 0);
    buf_reserve(&whole, (size_t)v->size);
    buf_add(&whole, buf_span(&v->head));
    buf_add(&whole, span_from(buf_span(&v->tail), (size_t)v->body_at));
    buf_fini(&v->tail);
    v->tail = whole;
}

static void tell_replaced(const struct content *c, uint64_t was)
{
    char id[ID_TEXT_SIZE];
    struct log_line line;

    if (c->tx->message->id == was || !log_begin(&line, LOG_INFO, "content-replaced"))
        return;
    log_text(&line, "id", id_format(c->tx->message->id, id));
    log_text(&line, "was", id_format(was, id));
    log_u64(&line, "sid", c->tx->sid);
    log_u64(&line, "size", c->tx->message->size);
    log_end(&line);
}

static void flag_8bit(struct queue_message *message, const struct version *v, bool is_replaced)
{
    bool is_8bit = v->is_8bit || (v->is_edited && has_8bit(buf_span(&v->head)));

    if (is_replaced)
        message->flags &= ~(unsigned)(QUEUE_BODY_8BIT | QUEUE_BODY_BINARY);
    if (is_8bit && !(message->flags & QUEUE_BODY_BINARY))
        message->flags |= QUEUE_BODY_8BIT;
}

void content_take(struct content *c)
{
    struct transaction *tx = c->tx;
    struct queue_message *message = tx->message;
    struct version *v = c->now;
    bool is_replaced = v != c->kept;
    uint64_t was = message->id;

    c->kept = v;
    flag_8bit(message, v, is_replaced);
    message->size = v->size;
    if (v->is_edited)
        message->size = v->size - v->body_at + buf_len(&v->head);
    if (v->is_edited && v->chunks > 0) {
        c->source = v;
        c->kept = version_create(c, queue_new_id(tx->server->queue));
        c->kept->size_max = UINT64_MAX;
    } else if (v->is_edited) {
        v->size = message->size;
        splice(v);
    }
    if (is_replaced || v->is_edited) {
        buf_clear(&tx->head);
        buf_add(&tx->head, buf_span(&v->head));
        data_scan_again(tx, buf_span(&v->head));
    }
    if (c->kept->chunks > 0 || c->source != NULL)
        message->id = c->kept->id;
    tx->chunks_staged = c->kept->chunks;
    tell_replaced(c, was);
}

static void rewrite(struct work *work)
{
    struct content *c = container_of(work, struct content, rewriting);
    char *room = mem_alloc(PIECE);
    uint64_t offset = 0;
    int64_t got;

    while ((got = version_read(c->source, offset, room, PIECE)) > 0) {
        if (!version_add(c->kept, span_of(room, (size_t)got)))
            break;
        offset += (uint64_t)got;
    }
    free(room);
    pthread_mutex_lock(&c->lock);
    if (got != 0 && !err_is(c->kept->error))
        c->kept->error = err_make(ERR_CORRUPT, "copy of a body");
    pthread_mutex_unlock(&c->lock);
}

static void on_rewritten(struct call *call)
{
    struct content *c = container_of(call, struct content, rewriting.call);

    c->source = NULL;
    c->is_rewriting = false;
    check(c);
}

static void on_discarded(struct call *call)
{
    check(container_of(call, struct content, discard.op.call));
}

/* True: the next version that is not the transaction's is being removed from the store. */
static bool discards(struct content *c)
{
    for (struct version *v = c->versions; v != NULL; v = v->next) {
        if (v == c->kept || v->chunks == 0)
            continue;
        v->chunks = 0;
        c->discard.id = v->id;
        c->discard.op.home = c->tx->server->loop;
        c->discard.op.call.done = on_discarded;
        queue_discard(c->tx->server->queue, &c->discard);
        return true;
    }
    return false;
}

/* What is left is the transaction's. */
static void finish(struct content *c)
{
    struct transaction *tx = c->tx;

    tx->chunks_staged = c->kept->chunks;
    tx->message->body = c->kept->tail;
    buf_init(&c->kept->tail, 0);
    if (err_is(c->kept->error)) {
        tx->stage_failed = true;
        tx->stage_error = c->kept->error;
    }
    while (c->versions != NULL) {
        struct version *v = c->versions;
        c->versions = v->next;
        version_free(v);
    }
    pthread_cond_destroy(&c->news);
    pthread_mutex_destroy(&c->turn);
    pthread_mutex_destroy(&c->lock);
    free(c);
    transaction_content_ended(tx);
}

static bool is_idle(struct content *c)
{
    pthread_mutex_lock(&c->lock);
    bool is = c->users == 0;
    for (const struct version *v = c->versions; v != NULL; v = v->next)
        is = is && v->busy == 0;
    pthread_mutex_unlock(&c->lock);
    return is && !c->is_rewriting;
}

/* It is ending: the next step, once the one before is done. */
static void check(struct content *c)
{
    if (!is_idle(c))
        return;
    if (c->source != NULL && c->tx->complete) {
        c->is_rewriting = true;
        c->rewriting.run = rewrite;
        c->rewriting.call.done = on_rewritten;
        list_init(&c->rewriting.call.link);
        loop_work(c->tx->server->loop, &c->rewriting);
    } else if (!discards(c)) {
        finish(c);
    }
}

void content_end(struct content *c)
{
    forget_next(c, true);
    pthread_mutex_lock(&c->lock);
    c->is_ending = true;
    if (c->users == 0)
        loop_post(c->tx->server->loop, &c->left);
    pthread_mutex_unlock(&c->lock);
}
