/* A text becomes a table: lines to entries, entries in order, entries to LMDB. */
#include "sorter.h"
#include "source.h"

#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

struct compiler {
    const struct source *source;
    struct problems *problems;
    struct source_news *news;
    struct stamp *stamp;
    struct sorter *sorter;
    struct rule_line *line;
    char *value; /* STORE_VALUE_HEAD + KEY_MAX + RECORD_MAX */
    char *last;  /* the value before, of `last_len` bytes */
    size_t last_len;
    uint64_t last_hash;
    uint64_t bytes;
    uint64_t entries;
    bool has_failed; /* of the system */
};

static void fail(struct compiler *c, const char *what, int error)
{
    problem_add(c->problems, c->source->path, 0, "%s: %s", what, store_error(error));
    c->has_failed = true;
}

/* ---- lines -------------------------------------------------------------------------------- */

static void take_line(void *context, unsigned number, struct smarthop_span text)
{
    struct compiler *c = context;
    struct rule_line *line = c->line;

    line->line = number;
    if (!rule_parse(line, &c->source->dialect, text) || c->problems->count > 0)
        return;
    char *to = c->value + STORE_VALUE_HEAD;
    store_value_head(c->value, number, line->key.len);
    memcpy(to, line->key.ptr, line->key.len);
    to += line->key.len;
    to += record_write(&line->rule, to);
    struct entry entry = {key_hash(line->key), number,
                          smarthop_span_of(c->value, (size_t)(to - c->value))};
    if (!sorter_add(c->sorter, &entry))
        fail(c, "its rules cannot be sorted", errno);
    c->bytes += entry.value.len;
    c->entries++;
    c->stamp->kinds |= line->kind;
}

static uint64_t sum(uint64_t so_far, const char *bytes, size_t len)
{
    return key_hash(smarthop_span_of(bytes, len)) ^ (so_far * 0x9e3779b97f4a7c15u);
}

/* A piece is full but for the last one, so that the sum of the pieces is one of the text. */
static ssize_t read_piece(int text, char *bytes)
{
    size_t len = 0;

    while (len < PIECE) {
        ssize_t n = read(text, bytes + len, PIECE - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

bool compile_checksum(int text, uint64_t *out)
{
    char bytes[PIECE];
    ssize_t n;

    *out = 0;
    if (lseek(text, 0, SEEK_SET) != 0)
        return false;
    while ((n = read_piece(text, bytes)) > 0)
        *out = sum(*out, bytes, (size_t)n);
    return n == 0;
}

static void read_text(struct compiler *c, int text)
{
    struct reader reader = {
        .file = c->source->path,
        .is_postfix = c->source->dialect.kind >= DIALECT_TRANSPORT,
        .take = take_line,
        .context = c,
        .problems = c->problems,
    };
    char bytes[PIECE];
    ssize_t n = -1;

    if (lseek(text, 0, SEEK_SET) == 0)
        while (!c->has_failed && (n = read_piece(text, bytes)) > 0) {
            c->stamp->checksum = sum(c->stamp->checksum, bytes, (size_t)n);
            reader_feed(&reader, bytes, (size_t)n);
        }
    if (n < 0 && !c->has_failed)
        fail(c, "it cannot be read", errno);
    reader_end(&reader);
}

/* ---- entries ------------------------------------------------------------------------------ */

/* In our own files a key that is there twice is a mistake; Postfix takes the first. */
static bool is_duplicate(struct compiler *c, const struct entry *entry)
{
    struct smarthop_span key, before, record;
    uint32_t line, first;

    if (c->last_len == 0 || c->last_hash != entry->hash ||
        !store_value_split(entry->value, &line, &key, &record) ||
        !store_value_split(smarthop_span_of(c->last, c->last_len), &first, &before, &record) ||
        !smarthop_equal(key, before))
        return false;
    if (c->source->dialect.kind >= DIALECT_TRANSPORT)
        c->news->duplicates++;
    else
        problem_add(c->problems, c->source->path, line,
                    "\"%.*s\" is there twice, first in line %u; remove one", SPAN_ARGS(key), first);
    return true;
}

/* The filter learns of an address its domain, too: most addresses that are looked up are of a
 * domain that has none in the table, and need not be looked for. */
static void remember(struct compiler *c, const struct entry *entry, struct store_writer *writer)
{
    struct smarthop_span key, record;
    uint32_t line;

    c->last_len = 0;
    if (!store_value_split(entry->value, &line, &key, &record))
        return;
    if (text_rindex(key, '@') < key.len)
        store_writer_hint(writer, key_hash(text_from(key, text_rindex(key, '@'))));
    c->last_hash = entry->hash;
    c->last_len = STORE_VALUE_HEAD + key.len;
    memcpy(c->last, entry->value.ptr, c->last_len);
}

static void write_entries(struct compiler *c, struct store_writer *writer)
{
    struct entry entry;
    int more = 0;
    int error = 0;

    while (error == 0 && (more = sorter_next(c->sorter, &entry)) > 0) {
        if (is_duplicate(c, &entry))
            continue;
        remember(c, &entry, writer);
        error = store_writer_add(writer, entry.hash, entry.value);
        c->stamp->count++;
    }
    if (error == 0 && more < 0)
        error = errno;
    if (error != 0)
        fail(c, "its table cannot be written", error);
}

static void write_table(struct compiler *c, const char *path)
{
    struct store_writer *writer;
    int error = 0;

    if (!sorter_sort(c->sorter)) {
        fail(c, "its rules cannot be sorted", errno);
        return;
    }
    writer = store_writer_open(path, c->bytes, c->entries, &error);
    if (writer != NULL) {
        write_entries(c, writer);
        error = store_writer_close(writer, c->problems->count == 0 ? c->stamp : NULL);
    }
    if (error != 0 && !c->has_failed)
        fail(c, "its table cannot be written", error);
}

static bool begin(struct compiler *c, const char *folder)
{
    c->line = calloc(1, sizeof *c->line);
    c->value = malloc(STORE_VALUE_HEAD + KEY_MAX + RECORD_MAX);
    c->last = malloc(STORE_VALUE_HEAD + KEY_MAX);
    c->sorter = sorter_create(folder, SORTER_MEMORY);
    if (c->line == NULL || c->value == NULL || c->last == NULL || c->sorter == NULL)
        return false;
    c->line->file = c->source->path;
    c->line->problems = c->problems;
    return true;
}

bool compile(const struct source *source, int text, const char *path, const char *folder,
             struct stamp *stamp, struct source_news *news, struct problems *problems)
{
    struct compiler c = {.source = source, .problems = problems, .news = news, .stamp = stamp};

    stamp->kinds = 0;
    stamp->count = stamp->checksum = 0;
    if (begin(&c, folder))
        read_text(&c, text);
    else
        fail(&c, "it cannot be read", ENOMEM);
    if (problems->count == 0)
        write_table(&c, path);
    sorter_free(c.sorter);
    free(c.line);
    free(c.value);
    free(c.last);
    return problems->count == 0;
}
