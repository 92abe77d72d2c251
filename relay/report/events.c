#include "report/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "proto/base32.h"
#include "proto/status.h"
#include "proto/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct events {
    char *path;
    int fd;       /* the writer's */
    bool is_torn; /* likewise: the file ends in the midst of a line */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wake;
    struct buf pending;
    uint64_t dropped; /* since that was told */
    bool reopen;
    bool is_ending;
};

/* ---- one object ----------------------------------------------------------------------------- */

/* RFC 8259 7; bytes that are no UTF-8 become "?". */
static void put_text(struct buf *out, const char *name, struct span text)
{
    bool keep_high = utf8_is_valid(text);

    buf_addf(out, ",\"%s\":\"", name);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < ' ' || c == '"' || c == '\\' || c == 127)
            buf_addf(out, "\\u%04x", c);
        else
            buf_add(out, c < 128 || keep_high ? span_of(&text.ptr[i], 1) : SPAN("?"));
    }
    buf_add(out, SPAN("\""));
}

static void put_some(struct buf *out, const char *name, struct span text)
{
    if (text.len > 0)
        put_text(out, name, text);
}

static void put_number(struct buf *out, const char *name, uint64_t number)
{
    buf_addf(out, ",\"%s\":%llu", name, (unsigned long long)number);
}

static void put_message(struct buf *out, const struct queue_message *message)
{
    char id[ID_TEXT_SIZE];

    put_text(out, "id", span_cstr(id_format(message->id, id)));
    put_text(out, "sender", message->reverse_path);
    put_some(out, "tenant", message->tenant);
    put_some(out, "tags", message->tags);
    put_number(out, "size", message->size);
    put_number(out, "arrival", message->arrival);
}

static void put_group(struct buf *out, const struct queue_group *group)
{
    put_some(out, "destination", group->destination);
    put_some(out, "next_hop", group->next_hop);
    put_number(out, "tries", group->tries);
}

static void put_status(struct buf *out, const struct status *status)
{
    char code[ENHANCED_CODE_TEXT_MAX];
    struct span address, host = span_split(status->by, ' ', &address);

    if (host.len > 0 && host.ptr[0] == '[') { /* it has no name */
        address = host;
        host = SPAN("");
    }
    put_some(out, "host", host);
    put_some(out, "address", address);
    put_number(out, "code", status->code);
    put_some(out, "enhanced", span_of(code, enhanced_code_format(status->enhanced, code)));
    put_text(out, "text", status->text);
    buf_addf(out, ",\"said\":%s", status->said ? "true" : "false");
}

static void put_event(struct buf *out, const struct event *event)
{
    char id[ID_TEXT_SIZE];

    buf_addf(out, "{\"time\":%llu,\"event\":\"%s\"", (unsigned long long)clock_wall_ms(),
             event->name);
    put_message(out, event->message);
    if (event->recipient != NULL)
        put_text(out, "recipient", event->recipient->address);
    if (event->group != NULL)
        put_group(out, event->group);
    if (event->status != NULL && event->status->code != 0)
        put_status(out, event->status);
    if (event->klass != NULL)
        put_some(out, "class", span_cstr(event->klass));
    if (event->tls != NULL)
        put_some(out, "tls", span_cstr(event->tls));
    for (unsigned i = 0; i < event->time_count; i++)
        put_number(out, event->times[i].name, event->times[i].ms);
    if (event->notification != 0)
        put_text(out, "notification", span_cstr(id_format(event->notification, id)));
    buf_add(out, SPAN("}\n"));
}

void events_add(struct events *events, const struct event *event)
{
    struct buf line;

    if (events == NULL)
        return;
    buf_init(&line, 0);
    put_event(&line, event);
    pthread_mutex_lock(&events->lock);
    if (!buf_append(&events->pending, buf_span(&line)))
        events->dropped++;
    else if (buf_len(&events->pending) == buf_len(&line))
        pthread_cond_signal(&events->wake);
    pthread_mutex_unlock(&events->lock);
    buf_fini(&line);
}

void events_add_all(struct events *events, const char *name, const struct queue_message *message)
{
    for (unsigned i = 0; events != NULL && i < message->group_count; i++) {
        const struct queue_group *group = &message->groups[i];
        for (uint32_t r = 0; r < group->recipient_count; r++)
            events_add(events, &(struct event){.name = name,
                                               .message = message,
                                               .group = group,
                                               .recipient = &group->recipients[r]});
    }
}

/* ---- the writer ----------------------------------------------------------------------------- */

static struct err open_file(const char *path, int *fd_out)
{
    *fd_out = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    return *fd_out < 0 ? err_system(errno, "open") : ERR_OK;
}

/* On failure the old one stays. */
static void open_anew(struct events *events)
{
    int fd;
    struct err e = open_file(events->path, &fd);

    if (err_is(e)) {
        log_failure(LOG_ERROR, "events-reopen-failed", e, "path", events->path);
        return;
    }
    close(events->fd);
    events->fd = fd;
    events->is_torn = false;
}

static struct err write_all(struct events *events, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(events->fd, bytes.ptr, bytes.len);
        if (written < 0 && errno != EINTR)
            return err_system(errno, "write");
        if (written <= 0)
            continue;
        events->is_torn = bytes.ptr[written - 1] != '\n';
        bytes = span_from(bytes, (size_t)written);
    }
    return ERR_OK;
}

static void log_dropped(const struct events *events, uint64_t dropped)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "events-dropped"))
        return;
    log_text(&line, "path", events->path);
    log_u64(&line, "count", dropped);
    log_end(&line);
}

static void write_out(struct events *events, struct buf *taken, uint64_t dropped)
{
    if (dropped > 0) {
        log_dropped(events, dropped);
        buf_addf(taken, "{\"time\":%llu,\"event\":\"dropped\",\"count\":%llu}\n",
                 (unsigned long long)clock_wall_ms(), (unsigned long long)dropped);
    }
    struct err e = events->is_torn ? write_all(events, SPAN("\n")) : ERR_OK;
    if (!err_is(e))
        e = write_all(events, buf_span(taken));
    if (err_is(e))
        log_failure(LOG_ERROR, "events-lost", e, "path", events->path);
    log_flush();
}

/* Of buffers that keep their bounds. */
static void swap(struct buf *a, struct buf *b)
{
    struct buf kept = *a;

    *a = *b;
    a->max = kept.max;
    kept.max = b->max;
    *b = kept;
}

/* False at the end. `taken` is empty before. */
static bool take(struct events *events, struct buf *taken, uint64_t *dropped_out, bool *reopen_out)
{
    pthread_mutex_lock(&events->lock);
    while (buf_len(&events->pending) == 0 && !events->is_ending && !events->reopen)
        pthread_cond_wait(&events->wake, &events->lock);
    bool go_on = buf_len(&events->pending) > 0 || !events->is_ending;
    swap(taken, &events->pending);
    *dropped_out = events->dropped;
    *reopen_out = events->reopen;
    events->dropped = 0;
    events->reopen = false;
    pthread_mutex_unlock(&events->lock);
    return go_on;
}

static void *thread_main(void *arg)
{
    struct events *events = arg;
    struct buf taken;
    uint64_t dropped;
    bool reopen;

    buf_init(&taken, 0);
    while (take(events, &taken, &dropped, &reopen)) {
        if (reopen)
            open_anew(events);
        write_out(events, &taken, dropped);
        buf_clear(&taken);
    }
    buf_fini(&taken);
    return NULL;
}

struct err events_open(const char *path, struct events **out)
{
    int fd;

    *out = NULL;
    if (path == NULL)
        return ERR_OK;
    struct err e = open_file(path, &fd);
    if (err_is(e))
        return e;
    struct events *events = mem_zalloc(sizeof *events);
    events->path = mem_strdup(path);
    events->fd = fd;
    pthread_mutex_init(&events->lock, NULL);
    pthread_cond_init(&events->wake, NULL);
    buf_init(&events->pending, EVENTS_PENDING_MAX);
    int rc = pthread_create(&events->thread, NULL, thread_main, events);
    if (rc != 0)
        abort(); /* at the start: nothing works without threads */
    pthread_setname_np(events->thread, "events");
    *out = events;
    return ERR_OK;
}

void events_reopen(struct events *events)
{
    if (events == NULL)
        return;
    pthread_mutex_lock(&events->lock);
    events->reopen = true;
    pthread_cond_signal(&events->wake);
    pthread_mutex_unlock(&events->lock);
}

void events_close(struct events *events)
{
    if (events == NULL)
        return;
    pthread_mutex_lock(&events->lock);
    events->is_ending = true;
    pthread_cond_signal(&events->wake);
    pthread_mutex_unlock(&events->lock);
    pthread_join(events->thread, NULL);
    pthread_mutex_destroy(&events->lock);
    pthread_cond_destroy(&events->wake);
    buf_fini(&events->pending);
    close(events->fd);
    free(events->path);
    free(events);
}
