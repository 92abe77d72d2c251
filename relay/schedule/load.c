/*
 * Brings a destination's due groups from the store into memory. First the pool lists what is due;
 * back on the loop what is in memory already is left out; then the pool reads the rest.
 */
#include "schedule/private.h"

#include <stdlib.h>

enum { LOAD_MOST = 256 }; /* groups in one go */

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
    uint64_t next_due;
    struct queue_message *messages[LOAD_MOST];
    struct err errors[LOAD_MOST];
};

static void finish(struct load *load)
{
    struct destination *d = load->destination;
    struct scheduler *s = load->owner;

    d->loading = false;
    d->pending--;
    s->working--;
    free(load->items);
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

static bool is_quarantined(const struct scheduler *s, const struct queue_due *item)
{
    const struct quarantined *q = s->quarantine;

    while (q != NULL && (q->id != item->id || q->group != item->group))
        q = q->next;
    return q != NULL;
}

static void take(struct load *load, unsigned i)
{
    struct scheduler *s = load->owner;
    struct queue_message *message = load->messages[i];
    const struct queue_due *item = &load->items[i];

    if (err_is(load->errors[i])) {
        if (load->errors[i].kind == ERR_CORRUPT)
            quarantine(s, item, load->errors[i]);
        return;
    }
    if (message->groups[0].state == QUEUE_GROUP_WAITING &&
        scheduler_find_job(s, item->id, item->group) == NULL && !s->is_stopping)
        job_enlist(job_create(s, message, &message->groups[0]), load->destination);
    queue_message_unref(message);
}

static void on_loaded(struct call *call)
{
    struct load *load = container_of(call, struct load, work.call);

    for (unsigned i = 0; i < load->wanted; i++)
        take(load, i);
    /* Groups that joined the store meanwhile have noted their own due times. */
    destination_note_due(load->destination, load->next_due);
    finish(load);
}

static void read_messages(struct work *work)
{
    struct load *load = container_of(work, struct load, work);

    for (unsigned i = 0; i < load->wanted; i++)
        load->errors[i] = queue_load(load->owner->queue, load->items[i].id, load->items[i].group,
                                     &load->messages[i]);
}

bool load_is_due(const struct scheduler *s, uint64_t due, uint64_t now)
{
    return due <= now || due - now > s->conf->retry_max + s->conf->retry_max / 4;
}

static void choose(struct load *load)
{
    struct scheduler *s = load->owner;
    uint64_t now = clock_steady_ms();

    load->next_due = load->count == load->room ? 0 : UINT64_MAX;
    for (unsigned i = 0; i < load->count; i++) {
        const struct queue_due *item = &load->items[i];
        if (scheduler_find_job(s, item->id, item->group) != NULL || is_quarantined(s, item))
            continue;
        bool due = load_is_due(s, item->due, now);
        if (due && load->wanted < load->wanted_most) {
            load->items[load->wanted++] = *item;
            continue;
        }
        load->next_due = due ? now : item->due;
        break;
    }
}

static void on_listed(struct call *call)
{
    struct load *load = container_of(call, struct load, work.call);
    struct destination *d = load->destination;

    if (err_is(load->result)) {
        enum { AGAIN_MS = 1000 };
        log_failure(LOG_ERROR, "queue-unreadable", load->result, NULL, NULL);
        d->store_due = clock_steady_ms() + AGAIN_MS;
        finish(load);
        return;
    }
    choose(load);
    if (load->wanted == 0) {
        destination_note_due(d, load->next_due);
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

void load_start(struct destination *d)
{
    struct scheduler *s = d->owner;
    struct load *load = mem_zalloc(sizeof *load);
    unsigned window = s->conf->window_per_destination;

    load->owner = s;
    load->destination = d;
    load->wanted_most = window > d->job_count ? window - d->job_count : 1;
    if (load->wanted_most > LOAD_MOST)
        load->wanted_most = LOAD_MOST;
    /* Those in memory are listed too, and may all come first. */
    load->room = d->job_count + s->quarantined_count + load->wanted_most + 1;
    load->items = mem_alloc(load->room * sizeof *load->items);
    load->work.run = list_due;
    load->work.call.done = on_listed;
    list_init(&load->work.call.link);
    d->loading = true;
    d->pending++;
    s->working++;
    d->store_due = UINT64_MAX; /* found anew; what comes meanwhile is noted */
    loop_work(s->loop, &load->work);
}
