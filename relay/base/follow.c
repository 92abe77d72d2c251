#include "base/follow.h"

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

struct follow {
    const struct follow_kind *kind;
    void *context;
    pthread_mutex_t lock; /* of `snapshot` */
    void *snapshot;
    pthread_mutex_t loading; /* held while a file is loaded; of all below */
    char *file;              /* NULL = none */
    struct stamp stamp;      /* of what was last tried */
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

struct follow *follow_create(const struct follow_kind *kind, void *context)
{
    struct follow *follow = mem_zalloc(sizeof *follow);

    follow->kind = kind;
    follow->context = context;
    pthread_mutex_init(&follow->lock, NULL);
    pthread_mutex_init(&follow->loading, NULL);
    return follow;
}

void follow_free(struct follow *follow)
{
    if (follow == NULL)
        return;
    if (follow->snapshot != NULL)
        follow->kind->unref(follow->snapshot);
    pthread_mutex_destroy(&follow->lock);
    pthread_mutex_destroy(&follow->loading);
    free(follow->file);
    free(follow);
}

void *follow_get(struct follow *follow)
{
    pthread_mutex_lock(&follow->lock);
    void *snapshot = follow->snapshot;
    if (snapshot != NULL)
        follow->kind->ref(snapshot);
    pthread_mutex_unlock(&follow->lock);
    return snapshot;
}

static void swap(struct follow *follow, void *next)
{
    pthread_mutex_lock(&follow->lock);
    void *old = follow->snapshot;
    follow->snapshot = next;
    pthread_mutex_unlock(&follow->lock);
    if (old != NULL)
        follow->kind->unref(old);
}

static bool is_followed(const struct follow *follow, const char *file)
{
    if (file == NULL || follow->file == NULL)
        return file == follow->file;
    return strcmp(file, follow->file) == 0;
}

struct err follow_set(struct follow *follow, const char *file, struct buf *messages)
{
    struct stat st = {0};
    struct err e = ERR_OK;
    void *next = NULL;

    pthread_mutex_lock(&follow->loading);
    if (!is_followed(follow, file)) {
        if (file != NULL)
            e = follow->kind->load(file, follow->context, &st, messages, &next);
        if (!err_is(e)) {
            free(follow->file);
            follow->file = file != NULL ? mem_strdup(file) : NULL;
            follow->stamp = stamp_of(&st);
            follow->is_missing = false;
            swap(follow, next);
        }
    }
    pthread_mutex_unlock(&follow->loading);
    return e;
}

static void log_refused(const struct follow *follow, struct span messages)
{
    struct log_line line;

    if (!log_begin(&line, LOG_ERROR, follow->kind->refused))
        return;
    log_text(&line, "file", follow->file);
    log_span(&line, "problem", span_split(messages, '\n', &messages));
    log_end(&line);
}

static void log_loaded(const struct follow *follow, uint64_t count)
{
    struct log_line line;

    if (!log_begin(&line, LOG_INFO, follow->kind->loaded))
        return;
    log_text(&line, "file", follow->file);
    log_u64(&line, follow->kind->count, count);
    log_end(&line);
}

/* The stamp is of what was read, or at least not newer: a change in between is seen next time. */
static bool load(struct follow *follow, struct stat *st)
{
    struct buf messages;
    void *next;

    buf_init(&messages, 0);
    struct err e = follow->kind->load(follow->file, follow->context, st, &messages, &next);
    follow->stamp = stamp_of(st);
    if (err_is(e)) {
        log_refused(follow, buf_span(&messages));
    } else {
        uint64_t count = follow->kind->count_of(next);
        swap(follow, next);
        log_loaded(follow, count);
    }
    buf_fini(&messages);
    return !err_is(e);
}

static bool poll_file(struct follow *follow)
{
    struct stat st;

    if (follow->file == NULL)
        return false;
    if (stat(follow->file, &st) != 0) {
        if (!follow->is_missing)
            log_refused(follow, SPAN("the file cannot be found; what it said holds until it is "
                                     "back"));
        follow->is_missing = true;
        return false;
    }
    struct stamp now = stamp_of(&st);
    if (!follow->is_missing && same_stamp(&now, &follow->stamp))
        return false;
    follow->is_missing = false;
    return load(follow, &st);
}

bool follow_poll(struct follow *follow)
{
    pthread_mutex_lock(&follow->loading);
    bool is_new = poll_file(follow);
    pthread_mutex_unlock(&follow->loading);
    return is_new;
}
