#include "guard/private.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    EXPIRE_STEP = 500, /* dropped at a time under the lock */
    MINUTE_MS = 60000,
    HOUR_MS = 60 * MINUTE_MS,
};

static const struct kind {
    const char *name;
    uint64_t length_ms; /* of the period of a rate */
} kinds[GUARD_KINDS] = {
    [GUARD_USER_MESSAGES] = {"user-messages", HOUR_MS},
    [GUARD_USER_RECIPIENTS] = {"user-recipients", HOUR_MS},
    [GUARD_CLIENT_SESSIONS] = {"client-sessions", MINUTE_MS},
    [GUARD_CLIENT_MESSAGES] = {"client-messages", HOUR_MS},
    [GUARD_CLIENT_RECIPIENTS] = {"client-recipients", HOUR_MS},
    [GUARD_CLIENT_ERRORS] = {"client-errors", HOUR_MS},
    [GUARD_TRIPLET] = {"triplet", 0},
    [GUARD_KNOWN] = {"known", 0},
};

const char *guard_kind_name(enum guard_kind kind)
{
    return kinds[kind].name;
}

bool guard_kind_find(struct span name, enum guard_kind *out)
{
    for (unsigned kind = 0; kind < GUARD_KINDS; kind++) {
        if (span_equal(name, span_cstr(kinds[kind].name))) {
            *out = kind;
            return true;
        }
    }
    return false;
}

struct span guard_fit_key(struct span key, char room[GUARD_KEY_MAX])
{
    enum { HASH_TEXT = 1 + 16 };

    if (key.len <= GUARD_KEY_MAX)
        return key;
    char text[HASH_TEXT + 1];
    snprintf(text, sizeof text, "~%016llx", (unsigned long long)hash64(key, 0));
    memcpy(room, key.ptr, GUARD_KEY_MAX - HASH_TEXT);
    memcpy(room + GUARD_KEY_MAX - HASH_TEXT, text, HASH_TEXT);
    return span_of(room, GUARD_KEY_MAX);
}

/* ---- rates -------------------------------------------------------------------------------- */

/* What `change` is to be done to the tally of a key, which is there from then on. */
static void change_tally(struct guard *guard, enum guard_kind kind, struct span key, uint64_t now,
                         void (*change)(struct tally *tally))
{
    char room[GUARD_KEY_MAX];
    uint64_t length = kinds[kind].length_ms;

    key = guard_fit_key(key, room);
    pthread_mutex_lock(&guard->lock);
    struct guard_entry *entry = guard_table_need(&guard->table, kind, key, now);
    tally_roll(&entry->tally, length, now);
    change(&entry->tally);
    guard_table_change(&guard->table, entry, tally_end(&entry->tally, length), now);
    pthread_mutex_unlock(&guard->lock);
}

void guard_note(struct guard *guard, enum guard_kind kind, struct span key, uint64_t now)
{
    change_tally(guard, kind, key, now, tally_add);
}

void guard_give_back(struct guard *guard, enum guard_kind kind, struct span key, uint64_t now)
{
    change_tally(guard, kind, key, now, tally_give_back);
}

bool guard_has_room(struct guard *guard, enum guard_kind kind, struct span key, uint64_t limit,
                    uint64_t now, uint64_t *wait_out)
{
    char room[GUARD_KEY_MAX];
    uint64_t length = kinds[kind].length_ms;
    bool fits = true;

    *wait_out = 0;
    if (limit == 0)
        return true;
    key = guard_fit_key(key, room);
    pthread_mutex_lock(&guard->lock);
    struct guard_entry *entry = guard_table_find(&guard->table, kind, key, now);
    if (entry != NULL) {
        tally_roll(&entry->tally, length, now);
        fits = tally_has_room(&entry->tally, length, limit, now, wait_out);
    }
    pthread_mutex_unlock(&guard->lock);
    return fits;
}

bool guard_take(struct guard *guard, enum guard_kind kind, struct span key, uint64_t limit,
                uint64_t now, uint64_t *wait_out)
{
    char room[GUARD_KEY_MAX];
    uint64_t length = kinds[kind].length_ms;

    *wait_out = 0;
    if (limit == 0)
        return true;
    key = guard_fit_key(key, room);
    pthread_mutex_lock(&guard->lock);
    struct guard_entry *entry = guard_table_need(&guard->table, kind, key, now);
    tally_roll(&entry->tally, length, now);
    bool fits = tally_has_room(&entry->tally, length, limit, now, wait_out);
    if (fits) {
        tally_add(&entry->tally);
        guard_table_change(&guard->table, entry, tally_end(&entry->tally, length), now);
    } else {
        guard_table_use(&guard->table, entry);
    }
    pthread_mutex_unlock(&guard->lock);
    return fits;
}

/* ---- for operators ------------------------------------------------------------------------ */

unsigned guard_forget(struct guard *guard, enum guard_kind kind, struct span key, uint64_t now)
{
    char room[GUARD_KEY_MAX];
    unsigned forgotten = 0;

    key = guard_fit_key(key, room);
    pthread_mutex_lock(&guard->lock);
    for (unsigned each = 0; each < GUARD_KINDS; each++) {
        if (kind != GUARD_KINDS && kind != each)
            continue;
        struct guard_entry *entry = guard_table_find(&guard->table, each, key, now);
        if (entry == NULL)
            continue;
        guard_table_remove(&guard->table, entry);
        forgotten++;
    }
    pthread_mutex_unlock(&guard->lock);
    guard_save(guard, now);
    return forgotten;
}

struct scan {
    guard_visit *visit;
    void *context;
    uint64_t now;
    uint64_t damaged;
    bool ended;
};

static bool visit_row(void *context, struct span row, struct span record)
{
    struct scan *scan = context;
    struct guard_entry entry;

    if (err_is(guard_store_read(row, record, &entry))) {
        scan->damaged++;
        return true;
    }
    if (entry.expires <= scan->now)
        return true;
    struct guard_view view = {
        .kind = entry.kind,
        .key = span_from(row, 1),
        .count = entry.tally.count,
        .first = entry.tally.since,
        .last = entry.last,
        .expires = entry.expires,
    };
    uint64_t length = kinds[entry.kind].length_ms;
    if (length > 0) {
        tally_roll(&entry.tally, length, scan->now);
        view.first = entry.tally.since;
        view.count = tally_sum(&entry.tally, length, scan->now);
    }
    scan->ended = !scan->visit(scan->context, &view);
    return !scan->ended;
}

struct err guard_scan(const char *path, enum guard_kind kind, struct span prefix, uint64_t now,
                      guard_visit *visit, void *context, uint64_t *damaged_out)
{
    struct scan scan = {.visit = visit, .context = context, .now = now};
    char room[GUARD_STORE_KEY_MAX];
    struct kv *kv;
    struct err e = guard_store_open(path, true, &kv);

    *damaged_out = 0;
    prefix = span_head(prefix, GUARD_KEY_MAX);
    for (unsigned each = 0; !err_is(e) && each < GUARD_KINDS && !scan.ended; each++)
        if (kind == GUARD_KINDS || kind == each)
            e = guard_store_walk(kv, guard_store_key(each, prefix, room), visit_row, &scan);
    kv_close(kv);
    *damaged_out = scan.damaged;
    return e;
}

/* ---- life --------------------------------------------------------------------------------- */

static size_t bound_of(const struct guard_options *options)
{
    return options->entries_max > GUARD_ENTRIES_LEAST ? (size_t)options->entries_max
                                                      : GUARD_ENTRIES_LEAST;
}

struct guard *guard_create(const struct guard_options *options)
{
    struct guard *guard = mem_zalloc(sizeof *guard);
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = clock_mono_ns();
    pthread_mutex_init(&guard->lock, NULL);
    guard_table_init(&guard->table, bound_of(options), seed);
    guard->save_ms = options->save_ms;
    return guard;
}

void guard_configure(struct guard *guard, const struct guard_options *options)
{
    pthread_mutex_lock(&guard->lock);
    guard->table.max = bound_of(options);
    guard->save_ms = options->save_ms;
    pthread_mutex_unlock(&guard->lock);
}

static void log_damaged(struct span row)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "guard-damaged"))
        return;
    log_span(&line, "key", span_from(row, 1));
    log_end(&line);
}

struct loading {
    struct guard *guard;
    uint64_t now;
    uint64_t loaded;
};

/* The clock may have been ahead when it was saved. */
static void rebase(struct guard_entry *entry, uint64_t now)
{
    if (entry->last <= now)
        return;
    uint64_t ahead = entry->last - now;
    entry->last = now;
    entry->expires -= ahead < entry->expires ? ahead : entry->expires;
    if (entry->tally.since > now)
        entry->tally.since = now;
}

static bool load_row(void *context, struct span row, struct span record)
{
    struct loading *loading = context;
    struct guard_table *table = &loading->guard->table;
    struct span key = span_from(row, 1);
    struct guard_entry entry;

    bool damaged = err_is(guard_store_read(row, record, &entry));
    if (damaged)
        log_damaged(row);
    rebase(&entry, loading->now);
    pthread_mutex_lock(&loading->guard->lock);
    if (damaged || entry.expires <= loading->now)
        guard_table_bury(table, entry.kind, key);
    else
        loading->loaded += guard_table_load(table, &entry, key);
    pthread_mutex_unlock(&loading->guard->lock);
    return true;
}

static void log_loaded(const char *path, uint64_t count)
{
    struct log_line line;

    if (!log_begin(&line, LOG_INFO, "guard-loaded"))
        return;
    log_text(&line, "path", path);
    log_u64(&line, "entries", count);
    log_end(&line);
}

struct err guard_open(struct guard *guard, const char *path, uint64_t now)
{
    struct loading loading = {.guard = guard, .now = now};
    struct kv *kv;
    struct err e = guard_store_open(path, false, &kv);

    if (!err_is(e))
        e = guard_store_walk(kv, SPAN_NONE, load_row, &loading);
    if (err_is(e)) {
        kv_close(kv);
        return e;
    }
    pthread_mutex_lock(&guard->lock);
    guard_table_settle(&guard->table, now);
    guard->kv = kv;
    pthread_mutex_unlock(&guard->lock);
    log_loaded(path, loading.loaded);
    return ERR_OK;
}

bool guard_is_open(const struct guard *guard)
{
    return guard->kv != NULL;
}

static void log_full(uint64_t entries, uint64_t evicted)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "guard-full"))
        return;
    log_u64(&line, "entries", entries);
    log_u64(&line, "forgotten", evicted);
    log_text(&line, "text", "entries were forgotten before their time; guard_entries_max");
    log_end(&line);
}

void guard_save(struct guard *guard, uint64_t now)
{
    bool more = true;

    while (more) {
        pthread_mutex_lock(&guard->lock);
        more = guard_table_expire(&guard->table, now, EXPIRE_STEP);
        pthread_mutex_unlock(&guard->lock);
    }
    pthread_mutex_lock(&guard->lock);
    uint64_t entries = guard->table.count, evicted = guard_table_take_evicted(&guard->table);
    bool busy = guard->kv == NULL || guard->saving > 0;
    pthread_mutex_unlock(&guard->lock);
    if (evicted > 0)
        log_full(entries, evicted);
    if (!busy)
        guard_save_changes(guard);
}

static void on_timer(struct timer *timer)
{
    struct guard *guard = container_of(timer, struct guard, timer);

    guard_save(guard, clock_steady_ms());
    guard_start(guard, guard->loop);
}

void guard_start(struct guard *guard, struct loop *loop)
{
    pthread_mutex_lock(&guard->lock);
    uint64_t delay = guard->save_ms;
    pthread_mutex_unlock(&guard->lock);
    guard->loop = loop;
    timer_start(loop, &guard->timer, delay, on_timer);
}

void guard_close(struct guard *guard, uint64_t now)
{
    if (guard == NULL)
        return;
    if (guard->loop != NULL)
        timer_stop(guard->loop, &guard->timer);
    if (guard->kv != NULL) {
        guard_table_expire(&guard->table, now, UINT_MAX);
        guard_save_changes(guard);
        kv_close(guard->kv);
    }
    guard_table_fini(&guard->table);
    pthread_mutex_destroy(&guard->lock);
    free(guard);
}
