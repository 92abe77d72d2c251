/* A text file, and when and where its table is made. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const kinds[DIALECTS] = {"maps", "aliases", "canonical", "transport", "virtual"};

/* ---- names -------------------------------------------------------------------------------- */

static uint64_t add_hash(uint64_t hash, struct smarthop_span text)
{
    return (hash ^ key_hash(text)) * 0x9e3779b97f4a7c15u + 1;
}

static uint64_t fingerprint_of(const struct dialect *dialect)
{
    uint64_t hash = add_hash((uint64_t)dialect->kind + 1, dialect->origin);

    for (uint32_t i = 0; i < dialect->smtp_name_count; i++)
        hash = add_hash(hash, dialect->smtp_names[i]);
    return hash;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

bool source_init(struct source *source, const char *path, const char *folder,
                 const struct dialect *dialect)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    char *beside = folder_of(path);

    *source = (struct source){.path = path, .dialect = *dialect};
    source->fingerprint = fingerprint_of(dialect);
    uint64_t hash = add_hash(source->fingerprint, smarthop_span_of(path, strlen(path)));
    if (beside == NULL ||
        asprintf(&source->table, "%s/%s.%s-%08x.table", folder != NULL ? folder : beside, name,
                 kinds[dialect->kind], (unsigned)(hash >> 32)) < 0)
        source->table = NULL;
    free(beside);
    return source->table != NULL;
}

void source_fini(struct source *source)
{
    free(source->table);
}

/* ---- what it was made from ---------------------------------------------------------------- */

static int64_t in_ns(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void stamp_take(struct stamp *stamp, const struct stat *st)
{
    stamp->size = (uint64_t)st->st_size;
    stamp->changed = in_ns(st->st_mtim);
    stamp->status_changed = in_ns(st->st_ctim);
    stamp->inode = st->st_ino;
}

static bool is_same_file(const struct stamp *a, const struct stamp *b)
{
    return a->size == b->size && a->changed == b->changed &&
           a->status_changed == b->status_changed && a->inode == b->inode;
}

bool source_has_changed(const struct source *source)
{
    struct stamp now = {0};
    struct stat st;

    if (stat(source->path, &st) != 0)
        return source->is_seen && source->stamp.inode != 0;
    stamp_take(&now, &st);
    return !source->is_seen || !is_same_file(&now, &source->stamp);
}

/* ---- the place where a table is made ------------------------------------------------------ */

struct workshop {
    char path[PATH_MAX];
    char folder[PATH_MAX];
    int lock; /* the file itself, locked against others who would make it */
    bool is_temporary;
};

/* Who has waited for another may have got what that one has renamed. */
static int lock_new(const char *path)
{
    for (;;) {
        struct stat ours, there;
        int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file < 0)
            return -1;
        if (flock(file, LOCK_EX) == 0 && fstat(file, &ours) == 0 && stat(path, &there) == 0 &&
            ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
            return file;
        close(file);
    }
}

static bool workshop_open(struct workshop *shop, const struct source *source)
{
    const char *folder = getenv("TMPDIR");
    char *beside = folder_of(source->table);

    snprintf(shop->path, sizeof shop->path, "%s.new", source->table);
    snprintf(shop->folder, sizeof shop->folder, "%s", beside != NULL ? beside : ".");
    free(beside);
    shop->is_temporary = false;
    shop->lock = lock_new(shop->path);
    if (shop->lock >= 0)
        return true;
    snprintf(shop->folder, sizeof shop->folder, "%s", folder != NULL ? folder : "/tmp");
    if (snprintf(shop->path, sizeof shop->path, "%s/smarthop-table-XXXXXX", shop->folder) >=
        (int)sizeof shop->path)
        return false;
    shop->is_temporary = true;
    shop->lock = mkostemp(shop->path, O_CLOEXEC);
    return shop->lock >= 0;
}

static void sync_folder(const char *path)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0)
        return;
    fsync(folder);
    close(folder);
}

/* A temporary table loses its name as soon as it is open. */
static struct store *workshop_take(struct workshop *shop, const struct source *source, int *error)
{
    struct store *store;

    if (shop->is_temporary) {
        store = store_open(shop->path, error);
        unlink(shop->path);
        return store;
    }
    if (rename(shop->path, source->table) != 0) {
        *error = errno;
        return NULL;
    }
    sync_folder(shop->folder);
    return store_open(source->table, error);
}

/* ---- refreshing --------------------------------------------------------------------------- */

/* A sound table of this text, as it was left. */
static struct store *find_left(const struct source *source, int text, const struct stamp *now)
{
    uint64_t checksum;
    int error;
    struct store *store = store_open(source->table, &error);

    if (store == NULL)
        return NULL;
    const struct stamp *left = store_stamp(store);
    if (left->fingerprint == source->fingerprint && left->size == now->size &&
        (is_same_file(left, now) ||
         (compile_checksum(text, &checksum) && checksum == left->checksum)))
        return store;
    store_close(store);
    return NULL;
}

/* What was read then is neither the old text nor the new one. */
static bool has_moved(const struct source *source, int text, const struct stamp *before,
                      struct problems *problems)
{
    struct stamp after = {0};
    struct stat st;

    if (fstat(text, &st) == 0)
        stamp_take(&after, &st);
    if (is_same_file(before, &after))
        return false;
    problem_add(problems, source->path, 0,
                "it was changed while it was read, and will be read again; replace it by renaming");
    return true;
}

static struct store *make(struct source *source, int text, struct stamp *stamp,
                          struct source_news *news, struct problems *problems)
{
    struct workshop *shop = malloc(sizeof *shop);
    struct store *store = NULL;
    int error = 0;

    if (shop == NULL || !workshop_open(shop, source)) {
        problem_add(problems, source->path, 0,
                    "its table can be written neither to %s nor to a temporary folder: %s; set "
                    "`cache` to a folder that may be written to",
                    source->table, store_error(errno));
        free(shop);
        return NULL;
    }
    if (compile(source, text, shop->path, shop->folder, stamp, news, problems) &&
        !has_moved(source, text, stamp, problems)) {
        store = workshop_take(shop, source, &error);
        if (store == NULL)
            problem_add(problems, source->path, 0, "its table cannot be used: %s",
                        store_error(error));
        news->is_compiled = true;
        news->is_temporary = shop->is_temporary;
    }
    if (store == NULL)
        unlink(shop->path);
    close(shop->lock);
    free(shop);
    return store;
}

/* The text as it is now: its stamp. False: told. */
static bool look(const struct source *source, int text, struct stamp *now,
                 struct problems *problems)
{
    struct stat st;

    if (text < 0 || fstat(text, &st) != 0)
        problem_add(problems, source->path, 0, "it cannot be opened: %s", store_error(errno));
    else if (!S_ISREG(st.st_mode))
        problem_add(problems, source->path, 0, "it is no file");
    else {
        stamp_take(now, &st);
        return true;
    }
    return false;
}

static bool is_unchanged(int text, const struct stamp *now, const struct store *current)
{
    uint64_t checksum;

    if (current == NULL || now->size != store_stamp(current)->size)
        return false;
    return is_same_file(now, store_stamp(current)) ||
           (compile_checksum(text, &checksum) && checksum == store_stamp(current)->checksum);
}

/* A text that was changed while it was read is looked at again the next time. */
static void note(struct source *source, int text, const struct stamp *before)
{
    struct stamp after = {0};
    struct stat st;

    if (text >= 0 && fstat(text, &st) == 0)
        stamp_take(&after, &st);
    source->stamp = *before;
    source->is_seen = is_same_file(before, &after);
}

enum source_result source_refresh(struct source *source, const struct store *current,
                                  struct store **out, struct source_news *news,
                                  struct problems *problems)
{
    struct stamp now = {.format = STORE_FORMAT, .fingerprint = source->fingerprint};
    int text = open(source->path, O_RDONLY | O_CLOEXEC);
    enum source_result result = SOURCE_SAME;

    *news = (struct source_news){0};
    if (!look(source, text, &now, problems)) {
        result = SOURCE_REFUSED;
    } else if (!is_unchanged(text, &now, current)) {
        *out = current == NULL ? find_left(source, text, &now) : NULL;
        if (*out == NULL)
            *out = make(source, text, &now, news, problems);
        result = *out != NULL ? SOURCE_NEW : SOURCE_REFUSED;
    }
    note(source, text, &now);
    if (text >= 0)
        close(text);
    return result;
}
