/* The message that a plugin is asked about. The server has it: readings and writings ask for a
 * piece and wait for the answer, so that no more than a piece of each is here at any time. What is
 * less is gathered; what has been written goes at the latest when the work that wrote ends. */
#include "plugins/process/process.h"

#include "base/memory.h"

/* A piece that a thread waits for. */
struct fetch {
    struct list among; /* child's; under its lock, as the rest */
    uint64_t id;
    bool is_done;
    int64_t result;
    char *room; /* NULL = nothing is read */
};

static struct asked *asked_of(struct plugin_content *content)
{
    return container_of(content, struct asked, content);
}

static void enter(struct plugin_content *content)
{
    struct asked *asked = asked_of(content);
    struct child *child = asked->lane->child;

    pthread_mutex_lock(&child->lock);
    asked->users++;
    pthread_mutex_unlock(&child->lock);
}

static void leave(struct plugin_content *content)
{
    asked_unref(asked_of(content));
}

/* As body_read and body_write. */
static int64_t fetch(struct asked *asked, enum wire_kind kind, struct wire_parcel *wanted,
                     char *room)
{
    struct lane *lane = asked->lane;
    struct child *child = lane->child;
    struct fetch fetch = {.room = room, .result = -1};

    list_init(&fetch.among);
    pthread_mutex_lock(&child->lock);
    fetch.id = wanted->id = ++child->next_id;
    list_append(&child->fetches, &fetch.among);
    pthread_mutex_unlock(&child->lock);
    lane_send(lane, kind, asked->token, wire_write_parcel, wanted);
    pthread_mutex_lock(&child->lock);
    while (!fetch.is_done && !lane->is_closed)
        pthread_cond_wait(&child->news, &child->lock);
    list_remove(&fetch.among);
    pthread_mutex_unlock(&child->lock);
    return fetch.result;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* In turn. What there is from `offset` on; -1 = it cannot be read. */
static int64_t read_ahead(struct asked *asked, uint64_t offset)
{
    struct wire_parcel wanted = {.number = (int64_t)offset, .len = WIRE_PIECE_MOST};

    buf_clear(&asked->ahead);
    char *room = buf_reserve(&asked->ahead, WIRE_PIECE_MOST);
    int64_t got = fetch(asked, WIRE_READ, &wanted, room);
    if (got > 0)
        buf_commit(&asked->ahead, (size_t)got);
    asked->ahead_at = offset;
    return got;
}

static int64_t read_there(struct plugin_content *content, uint64_t offset, void *bytes, size_t len)
{
    struct asked *asked = asked_of(content);
    int64_t got = 1;

    pthread_mutex_lock(&asked->turn);
    if (offset < asked->ahead_at || offset - asked->ahead_at >= buf_len(&asked->ahead))
        got = read_ahead(asked, offset);
    if (got > 0) {
        struct span rest = span_from(buf_span(&asked->ahead), (size_t)(offset - asked->ahead_at));
        rest = span_head(rest, rest.len < len ? rest.len : len);
        if (rest.len > 0)
            memcpy(bytes, rest.ptr, rest.len);
        got = (int64_t)rest.len;
    }
    pthread_mutex_unlock(&asked->turn);
    return got;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* In turn. */
static int send_piece(struct asked *asked, struct span piece)
{
    struct wire_parcel wanted = {.bytes = plugin_text(piece)};

    return (int)fetch(asked, WIRE_WRITE, &wanted, NULL);
}

/* In turn. */
static int send_written(struct asked *asked)
{
    int result = buf_len(&asked->written) > 0 ? send_piece(asked, buf_span(&asked->written)) : 0;

    buf_clear(&asked->written);
    return result;
}

/* Nothing to write asks whether it can be. */
static int write_there(struct plugin_content *content, struct span bytes)
{
    struct asked *asked = asked_of(content);
    int result = 0;

    pthread_mutex_lock(&asked->turn);
    if (bytes.len == 0) {
        result = send_written(asked);
        result = result == 0 ? send_piece(asked, bytes) : result;
    }
    while (bytes.len > 0 && result == 0) {
        size_t room = WIRE_PIECE_MOST - buf_len(&asked->written);
        struct span piece = span_head(bytes, bytes.len < room ? bytes.len : room);
        buf_add(&asked->written, piece);
        bytes = span_from(bytes, piece.len);
        if (buf_len(&asked->written) == WIRE_PIECE_MOST)
            result = send_written(asked);
    }
    pthread_mutex_unlock(&asked->turn);
    return result;
}

static struct asked *find(struct child *child, uint64_t token)
{
    struct asked *found = NULL;

    pthread_mutex_lock(&child->lock);
    for (struct list *at = child->lent.next; at != &child->lent && found == NULL; at = at->next) {
        struct asked *asked = container_of(at, struct asked, lent);
        if (asked->run.event.token == token)
            found = asked;
    }
    if (found != NULL)
        found->users++;
    pthread_mutex_unlock(&child->lock);
    return found;
}

/* Whether it could be written the server knows when it judges the answer. */
static void flush_written(struct child *child, uint64_t token)
{
    struct asked *asked = token != 0 ? find(child, token) : NULL;

    if (asked == NULL)
        return;
    pthread_mutex_lock(&asked->turn);
    send_written(asked);
    pthread_mutex_unlock(&asked->turn);
    asked_unref(asked);
}

/* Blocking work, behind whose end what it has written is sent. */
struct job {
    struct child *child;
    uint64_t token;
    void (*run)(void *context);
    void (*done)(void *context);
    void *context;
};

static void run_job(void *context)
{
    struct job *job = context;

    job->run(job->context);
    flush_written(job->child, job->token);
}

static void on_job(void *context)
{
    struct job job = *(struct job *)context;

    free(context);
    job.done(job.context);
}

static void work_there(struct smarthop_self *self, uint64_t token, void (*run)(void *context),
                       void (*done)(void *context), void *context)
{
    struct job *job = mem_alloc(sizeof *job);

    *job = (struct job){self->home->process, token, run, done, context};
    if (!work_start(self, token, run_job, on_job, job))
        free(job);
}

/* ---- all ---------------------------------------------------------------------------------- */

/* What has been written the server judges; that nothing is on its way only this side knows. */
static const char *settle(struct plugin_content *content, const struct smarthop_verdict *verdict)
{
    struct asked *asked = asked_of(content);
    struct child *child = asked->lane->child;

    pthread_mutex_lock(&child->lock);
    bool is_busy = asked->users > 1;
    pthread_mutex_unlock(&child->lock);
    return verdict->replace_body && is_busy ? "a body is to be replaced that is still being written"
                                            : NULL;
}

void content_init(struct child *child)
{
    list_init(&child->lent);
    list_init(&child->fetches);
    child->services.work = work_there;
}

void content_lend(struct asked *asked)
{
    struct child *child = asked->lane->child;

    asked->content = (struct plugin_content){enter, leave, read_there, write_there, settle};
    asked->run.content = &asked->content;
    pthread_mutex_init(&asked->turn, NULL);
    buf_init(&asked->written, 0);
    buf_init(&asked->ahead, 0);
    list_init(&asked->lent);
    pthread_mutex_lock(&child->lock);
    list_append(&child->lent, &asked->lent);
    pthread_mutex_unlock(&child->lock);
}

void content_take_back(struct asked *asked)
{
    struct child *child = asked->lane->child;

    if (asked->run.content == NULL)
        return;
    pthread_mutex_lock(&child->lock);
    list_remove(&asked->lent);
    pthread_mutex_unlock(&child->lock);
}

void content_fini(struct asked *asked)
{
    if (asked->run.content == NULL)
        return;
    pthread_mutex_destroy(&asked->turn);
    buf_fini(&asked->written);
    buf_fini(&asked->ahead);
}

/* Under the lock. */
static void take(struct child *child, const struct wire_parcel *piece)
{
    for (struct list *at = child->fetches.next; at != &child->fetches; at = at->next) {
        struct fetch *fetch = container_of(at, struct fetch, among);
        if (fetch->id != piece->id)
            continue;
        if (fetch->room != NULL && piece->bytes.len > 0)
            memcpy(fetch->room, piece->bytes.ptr, piece->bytes.len);
        fetch->result = piece->number;
        fetch->is_done = true;
        pthread_cond_broadcast(&child->news);
        return;
    }
}

bool content_take(struct child *child, const struct wire_frame *frame)
{
    struct wire_parcel piece;

    if (!wire_read_parcel(frame->body, &piece))
        return false;
    pthread_mutex_lock(&child->lock);
    take(child, &piece);
    pthread_mutex_unlock(&child->lock);
    return true;
}

void content_close_lane(struct lane *lane)
{
    pthread_mutex_lock(&lane->child->lock);
    lane->is_closed = true;
    pthread_cond_broadcast(&lane->child->news);
    pthread_mutex_unlock(&lane->child->lock);
}
