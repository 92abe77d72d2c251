/* Sorting entries with bounded memory. */
#include "sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RUN_BUFFER = 64 * 1024 };

/* Before each value, in memory and in the file. */
struct head {
    uint64_t hash;
    uint32_t line;
    uint32_t len;
};

/* A sorted piece of the file that is being read. */
struct run {
    off_t at; /* of what is not in the buffer yet */
    off_t end;
    char *buffer;
    size_t room;
    size_t begin; /* the entry that comes next */
    size_t filled;
    bool is_over;
};

struct sorter {
    char *folder;
    int file; /* -1 = all fits into memory */
    off_t written;
    char *bytes;
    size_t len, room;
    uint32_t *index; /* where each entry begins */
    size_t count, index_room;
    size_t next; /* of the index, where all fits */
    struct run *runs;
    size_t run_count;
    struct run *last; /* whose entry has been given */
};

struct sorter *sorter_create(const char *folder, size_t memory)
{
    struct sorter *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->file = -1;
    s->room = memory;
    s->index_room = memory / 32 + 1;
    s->folder = strdup(folder);
    s->bytes = malloc(s->room);
    s->index = malloc(s->index_room * sizeof *s->index);
    if (s->folder != NULL && s->bytes != NULL && s->index != NULL)
        return s;
    sorter_free(s);
    return NULL;
}

void sorter_free(struct sorter *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->run_count; i++)
        free(s->runs[i].buffer);
    free(s->runs);
    if (s->file >= 0)
        close(s->file);
    free(s->folder);
    free(s->bytes);
    free(s->index);
    free(s);
}

/* ---- a piece in memory -------------------------------------------------------------------- */

static int compare(const void *a, const void *b, void *context)
{
    const char *bytes = context;
    struct head one, other;

    memcpy(&one, bytes + *(const uint32_t *)a, sizeof one);
    memcpy(&other, bytes + *(const uint32_t *)b, sizeof other);
    if (one.hash != other.hash)
        return one.hash < other.hash ? -1 : 1;
    return one.line < other.line ? -1 : one.line > other.line;
}

static bool write_all(int file, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(file, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool open_file(struct sorter *s)
{
    char *path;

    if (s->file >= 0)
        return true;
    if (asprintf(&path, "%s/.smarthop-table-XXXXXX", s->folder) < 0)
        return false;
    s->file = mkostemp(path, O_CLOEXEC);
    if (s->file >= 0)
        unlink(path);
    free(path);
    return s->file >= 0;
}

static bool add_run(struct sorter *s, off_t end)
{
    struct run *grown = realloc(s->runs, (s->run_count + 1) * sizeof *grown);

    if (grown == NULL)
        return false;
    s->runs = grown;
    s->runs[s->run_count++] = (struct run){.at = s->written, .end = end};
    s->written = end;
    return true;
}

/* In pieces of a buffer, so that the order costs no system call an entry. */
static bool write_sorted(struct sorter *s)
{
    char *buffer = malloc(RUN_BUFFER);
    size_t filled = 0;
    bool good = buffer != NULL;

    for (size_t i = 0; good && i < s->count; i++) {
        const char *entry = s->bytes + s->index[i];
        struct head head;
        memcpy(&head, entry, sizeof head);
        size_t len = sizeof head + head.len;
        if (filled + len > RUN_BUFFER) {
            good = write_all(s->file, buffer, filled);
            filled = 0;
        }
        if (len > RUN_BUFFER) {
            good = good && write_all(s->file, entry, len);
        } else {
            memcpy(buffer + filled, entry, len);
            filled += len;
        }
    }
    good = good && write_all(s->file, buffer, filled);
    free(buffer);
    return good;
}

static void sort_memory(struct sorter *s)
{
    qsort_r(s->index, s->count, sizeof *s->index, compare, s->bytes);
}

static bool spill(struct sorter *s)
{
    if (s->count == 0)
        return true;
    sort_memory(s);
    if (!open_file(s) || !write_sorted(s) || !add_run(s, s->written + (off_t)s->len))
        return false;
    s->len = s->count = 0;
    return true;
}

bool sorter_add(struct sorter *s, const struct entry *entry)
{
    struct head head = {entry->hash, entry->line, (uint32_t)entry->value.len};
    size_t len = sizeof head + entry->value.len;

    if ((len > s->room - s->len || s->count == s->index_room) && !spill(s))
        return false;
    if (len > s->room) {
        errno = EFBIG;
        return false;
    }
    s->index[s->count++] = (uint32_t)s->len;
    memcpy(s->bytes + s->len, &head, sizeof head);
    memcpy(s->bytes + s->len + sizeof head, entry->value.ptr, entry->value.len);
    s->len += len;
    return true;
}

/* ---- merging ------------------------------------------------------------------------------ */

/* Brings at least `wanted` bytes into the buffer; false = there are not so many, or it failed. */
static bool fill(struct sorter *s, struct run *run, size_t wanted)
{
    if (run->filled - run->begin >= wanted)
        return true;
    memmove(run->buffer, run->buffer + run->begin, run->filled - run->begin);
    run->filled -= run->begin;
    run->begin = 0;
    if (wanted > run->room) {
        char *grown = realloc(run->buffer, wanted);
        if (grown == NULL)
            return false;
        run->buffer = grown;
        run->room = wanted;
    }
    while (run->filled < wanted && run->at < run->end) {
        size_t most = run->room - run->filled;
        if ((off_t)most > run->end - run->at)
            most = (size_t)(run->end - run->at);
        ssize_t n = pread(s->file, run->buffer + run->filled, most, run->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        run->filled += (size_t)n;
        run->at += n;
    }
    return run->filled >= wanted;
}

static struct head head_of(const struct run *run)
{
    struct head head;

    memcpy(&head, run->buffer + run->begin, sizeof head);
    return head;
}

/* The next entry of the run is whole in its buffer, or it is over. */
static bool advance(struct sorter *s, struct run *run)
{
    if (run->begin == run->filled && run->at == run->end) {
        run->is_over = true;
        return true;
    }
    return fill(s, run, sizeof(struct head)) &&
           fill(s, run, sizeof(struct head) + head_of(run).len);
}

bool sorter_sort(struct sorter *s)
{
    if (s->file < 0) {
        sort_memory(s);
        return true;
    }
    if (!spill(s))
        return false;
    free(s->bytes);
    free(s->index);
    s->bytes = NULL;
    s->index = NULL;
    for (size_t i = 0; i < s->run_count; i++) {
        s->runs[i].buffer = malloc(RUN_BUFFER);
        s->runs[i].room = RUN_BUFFER;
        if (s->runs[i].buffer == NULL || !advance(s, &s->runs[i]))
            return false;
    }
    return true;
}

static int next_in_memory(struct sorter *s, struct entry *out)
{
    struct head head;

    if (s->next == s->count)
        return 0;
    const char *at = s->bytes + s->index[s->next++];
    memcpy(&head, at, sizeof head);
    *out = (struct entry){head.hash, head.line, smarthop_span_of(at + sizeof head, head.len)};
    return 1;
}

static struct run *lowest(struct sorter *s)
{
    struct run *best = NULL;
    struct head least = {0};

    for (size_t i = 0; i < s->run_count; i++) {
        if (s->runs[i].is_over)
            continue;
        struct head head = head_of(&s->runs[i]);
        if (best != NULL &&
            (head.hash > least.hash || (head.hash == least.hash && head.line > least.line)))
            continue;
        best = &s->runs[i];
        least = head;
    }
    return best;
}

int sorter_next(struct sorter *s, struct entry *out)
{
    if (s->file < 0)
        return next_in_memory(s, out);
    if (s->last != NULL) {
        s->last->begin += sizeof(struct head) + head_of(s->last).len;
        if (!advance(s, s->last))
            return -1;
    }
    s->last = lowest(s);
    if (s->last == NULL)
        return 0;
    struct head head = head_of(s->last);
    *out =
        (struct entry){head.hash, head.line,
                       smarthop_span_of(s->last->buffer + s->last->begin + sizeof head, head.len)};
    return 1;
}
