#include "auth/users_private.h"
#include "base/log.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>

/* What tells one state of the file from another. */
struct stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    mode_t mode;
    struct timespec modified;
    struct timespec changed;
};

struct users_source {
    char *file;
    pthread_mutex_t lock; /* of `users` */
    struct users *users;
    struct stamp stamp; /* of what was last tried; of the polling thread, as is `is_missing` */
    bool is_missing;
};

static struct stamp stamp_of(const struct stat *st)
{
    return (struct stamp){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size = st->st_size,
        .mode = st->st_mode,
        .modified = st->st_mtim,
        .changed = st->st_ctim,
    };
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mode == b->mode && same_time(a->modified, b->modified) &&
           same_time(a->changed, b->changed);
}

static void log_refused(const struct users_source *source, struct span messages)
{
    struct log_line line;

    if (!log_begin(&line, LOG_ERROR, "users-refused"))
        return;
    log_text(&line, "file", source->file);
    log_span(&line, "problem", span_split(messages, '\n', &messages));
    log_end(&line);
}

/* The stamp is of what was read, or at least not newer: a change in between is seen next time. */
static struct err load(struct users_source *source, struct stat *st, struct buf *messages,
                       struct users **out)
{
    struct err e = users_file_load(source->file, st, messages, out);

    source->stamp = stamp_of(st);
    return e;
}

struct err users_source_create(const char *file, struct buf *messages, struct users_source **out)
{
    struct users_source *source = mem_zalloc(sizeof *source);
    struct stat st = {0};

    *out = NULL;
    source->file = mem_strdup(file);
    pthread_mutex_init(&source->lock, NULL);
    struct err e = load(source, &st, messages, &source->users);
    if (err_is(e))
        users_source_free(source);
    else
        *out = source;
    return e;
}

void users_source_free(struct users_source *source)
{
    if (source == NULL)
        return;
    users_unref(source->users);
    pthread_mutex_destroy(&source->lock);
    free(source->file);
    free(source);
}

struct users *users_source_get(struct users_source *source)
{
    pthread_mutex_lock(&source->lock);
    struct users *users = users_ref(source->users);
    pthread_mutex_unlock(&source->lock);
    return users;
}

static void swap(struct users_source *source, struct users *next)
{
    struct log_line line;

    pthread_mutex_lock(&source->lock);
    struct users *old = source->users;
    source->users = next;
    pthread_mutex_unlock(&source->lock);
    users_unref(old);
    if (!log_begin(&line, LOG_INFO, "users-loaded"))
        return;
    log_text(&line, "file", source->file);
    log_u64(&line, "users", users_count(next));
    log_end(&line);
}

bool users_source_poll(struct users_source *source)
{
    struct stat st;
    struct users *next;
    struct buf messages;

    if (stat(source->file, &st) != 0) {
        if (!source->is_missing)
            log_refused(source, SPAN("the file cannot be found; its users stay until it is back"));
        source->is_missing = true;
        return false;
    }
    struct stamp now = stamp_of(&st);
    if (!source->is_missing && same_stamp(&now, &source->stamp))
        return false;
    source->is_missing = false;
    buf_init(&messages, 0);
    bool loaded = !err_is(load(source, &st, &messages, &next));
    if (loaded)
        swap(source, next);
    else
        log_refused(source, buf_span(&messages));
    buf_fini(&messages);
    return loaded;
}
