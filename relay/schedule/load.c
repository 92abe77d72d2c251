/*
 * Brings a destination's due groups from the store into memory. First the pool lists what is due;
 * back on the loop what is in memory already is left out; then the pool reads the rest.
 */
#include "schedule/private.h"

#include <stdlib.h>

enum {
    LOAD_MOST = 256, /* groups in one go */
    AGAIN_MS = 1000, /* behind a failure to read */
};

/* A group that left memory while the load was under way: what was listed or read of it is old. */
struct gone {
    uint64_t id;
    uint32_t group;
};

/* What became of a wanted one. */
struct loaded {
    struct queue_message *message;
    struct err error;
};

struct load {
    struct work work;
    struct scheduler *owner;
    struct destination *destination;
    struct err result;
    unsigned wanted_most;
    struct queue_due *items; /* listed; then, in front, the wanted ones */
    unsigned room;
    unsigned count;
    unsigned wanted;
    struct queue_due next; /* of those listed, the first that is not wanted */
    struct buf gone;       /* struct gone, one behind the other */
    struct loaded *loaded; /* of the wanted ones; as many are allowed as wanted_most says */
};

static void finish(struct load *load)
{
    struct destination *d = load->destination;
    struct scheduler *s = load->owner;

    d->load = NULL;
    d->loading = 0;
    d->pending--;
    s->working--;
    s->loading -= load->wanted_most;
    buf_fini(&load->gone);
    free(load->items);
    free(load->loaded);
    free(load);
    destination_run(d);
    scheduler_check_stopped(s);
}

/* A group that cannot be read is never delivered as good. It stays where it is, for an operator,
 * and is passed over. */
static void quarantine(struct scheduler *s, const struct queue_due *item, struct err e)
{
    struct quarantined *q = mem_zalloc(sizeof *q);
    char id[ID_TEXT_SIZE];

    q->id = item->id;
    q->group = item->group;
    q->next = s->quarantine;
    s->quarantine = q;
    s->quarantined_count++;
    log_failure(LOG_ERROR, "message-damaged", e, "id", id_format(item->id, id));
}

bool load_is_quarantined(const struct scheduler *s, uint64_t id, uint32_t group)
{
    const struct quarantined *q = s->quarantine;

    while (q != NULL && (q->id != id || q->group != group))
        q = q->next;
    return q != NULL;
}

void load_forget(struct load *load, uint64_t id, uint32_t group)
{
    struct gone gone = {.id = id, .group = group};

    buf_add(&load->gone, span_of((const char *)&gone, sizeof gone));
}

/* Who brought it to memory, and let go of it since, has noted when it is due again. */
static bool is_gone(const struct load *load, const struct queue_due *item)
{
    struct span rest = buf_span(&load->gone);
    struct gone gone;

    for (; rest.len > 0; rest = span_from(rest, sizeof gone)) {
        memcpy(&gone, rest.ptr, sizeof gone);
        if (gone.id == item->id && gone.group == item->group)
            return true;
    }
    return false;
}

static void skip_unreadable(struct load *load, const struct queue_due *item, struct err e)
{
    char id[ID_TEXT_SIZE];

    if (e.kind == ERR_CORRUPT) {
        quarantine(load->owner, item, e);
    } else if (e.kind != ERR_NOT_FOUND) {
        log_failure(LOG_ERROR, "message-unreadable", e, "id", id_format(item->id, id));
        destination_note_due(load->destination, clock_steady_ms() + AGAIN_MS);
    }
}

static void take(struct load *load, unsigned i)
{
    struct scheduler *s = load->owner;
    struct queue_message *message = load->loaded[i].message;
    const struct queue_due *item = &load->items[i];

    if (err_is(load->loaded[i].error)) {
        skip_unreadable(load, item, load->loaded[i].error);
        return;
    }
    if (message->groups[0].state != QUEUE_GROUP_HELD && !is_gone(load, item) &&
        scheduler_find_job(s, item->id, item->group) == NULL && !s->is_stopping) {
        struct job *job = job_create(s, message, &message->groups[0]);
        job->fresh = message->groups[0].tries == 0;
        job_enlist(job, load->destination);
    }
    queue_message_unref(message);
}

static void on_loaded(struct call *call)
{
    struct load *load = container_of(call, struct load, work.call);

    for (unsigned i = 0; i < load->wanted; i++)
        take(load, i);
    /* Groups that joined the store meanwhile have noted their own due times. */
    destination_note(load->destination, &load->next);
    finish(load);
}

static void read_messages(struct work *work)
{
    struct load *load = container_of(work, struct load, work);

    for (unsigned i = 0; i < load->wanted; i++)
        load->loaded[i].error = queue_load(load->owner->queue, load->items[i].id,
                                           load->items[i].group, &load->loaded[i].message);
}

static void choose(struct load *load)
{
    struct scheduler *s = load->owner;
    uint64_t now = clock_steady_ms();
    bool waits = false;

    load->next = (struct queue_due){.due = load->count == load->room ? 0 : UINT64_MAX};
    for (unsigned i = 0; i < load->count; i++) {
        const struct queue_due *item = &load->items[i];
        if (scheduler_find_job(s, item->id, item->group) != NULL ||
            load_is_quarantined(s, item->id, item->group) || is_gone(load, item))
            continue;
        if (destination_due(load->destination, item, now) <= now &&
            load->wanted < load->wanted_most) {
            load->items[load->wanted++] = *item;
            continue;
        }
        if (!waits)
            load->next = *item;
        waits = true;
        /* Behind what waits for its release may be what only a clock that was set back put there.
         */
        if (!item->is_future)
            break;
    }
}

static void on_listed(struct call *call)
{
    struct load *load = container_of(call, struct load, work.call);
    struct destination *d = load->destination;

    if (err_is(load->result)) {
        log_failure(LOG_ERROR, "queue-unreadable", load->result, NULL, NULL);
        d->store_due = clock_steady_ms() + AGAIN_MS;
        finish(load);
        return;
    }
    choose(load);
    if (load->wanted == 0) {
        destination_note(d, &load->next);
        finish(load);
        return;
    }
    load->work.run = read_messages;
    load->work.call.done = on_loaded;
    loop_work(load->owner->loop, &load->work);
}

static void list_due(struct work *work)
{
    struct load *load = container_of(work, struct load, work);

    load->result = queue_due_list(load->owner->queue, load->destination->key, NULL, load->room,
                                  load->items, &load->count);
}

void load_start(struct destination *d, unsigned room)
{
    struct scheduler *s = d->owner;
    struct load *load = mem_zalloc(sizeof *load);
    unsigned window = s->conf->window_per_destination;

    load->owner = s;
    load->destination = d;
    load->wanted_most = window > d->job_count ? window - d->job_count : 1;
    if (load->wanted_most > d->appetite)
        load->wanted_most = d->appetite;
    if (load->wanted_most > LOAD_MOST)
        load->wanted_most = LOAD_MOST;
    if (load->wanted_most > room)
        load->wanted_most = room;
    s->loading += load->wanted_most;
    d->loading = load->wanted_most;
    /* Those in memory are listed too, and may all come first. */
    load->room = d->job_count + s->quarantined_count + load->wanted_most + 1;
    load->items = mem_alloc(load->room * sizeof *load->items);
    load->loaded = mem_zalloc(load->wanted_most * sizeof *load->loaded);
    load->work.run = list_due;
    load->work.call.done = on_listed;
    list_init(&load->work.call.link);
    buf_init(&load->gone, 0);
    d->load = load;
    d->pending++;
    s->working++;
    d->store_due = UINT64_MAX; /* found anew; what comes meanwhile is noted */
    loop_work(s->loop, &load->work);
}
