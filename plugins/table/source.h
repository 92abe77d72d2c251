/*
 * source: a text file and the table that was made of it. The table lies beside the text or in a
 * folder of tables, under a name that says how the text is read, and goes on serving over restarts:
 * it is made anew only when the text has changed. States of the disk:
 *
 *   1. NAME.table                     serves
 *   2. NAME.table, NAME.table.new     being made, or left by a crash: the next one writes it over
 *   3. NAME.table, new content        from the rename on; what has the old one open keeps it
 *
 * A text with a mistake anywhere makes no table.
 */
#ifndef SMARTHOP_TABLE_SOURCE_H
#define SMARTHOP_TABLE_SOURCE_H

#include "rule.h"
#include "store.h"

struct source {
    const char *path; /* stays */
    char *table;      /* path of the table */
    struct dialect dialect;
    uint64_t fingerprint;
    bool is_seen;       /* the text has been looked at */
    struct stamp stamp; /* then: the text that `store` is of, or that was refused */
};

enum source_result {
    SOURCE_SAME,
    SOURCE_NEW,     /* *out is another store than before */
    SOURCE_REFUSED, /* told in `problems` */
};

struct source_news {
    bool is_compiled;    /* from the text, not found as it was left */
    bool is_temporary;   /* there is no place where it could be kept */
    uint64_t duplicates; /* Postfix: keys that were there before, and were passed over */
};

/* `folder` of tables; NULL = beside the text. The texts of the dialect stay. False: no memory. */
bool source_init(struct source *source, const char *path, const char *folder,
                 const struct dialect *dialect);
void source_fini(struct source *source);
/* One thread at a time; blocks. `current` is the store of the last refresh, NULL = none. */
enum source_result source_refresh(struct source *source, const struct store *current,
                                  struct store **out, struct source_news *news,
                                  struct problems *problems);
/* Whether the text looks other than it did; cheap. */
bool source_has_changed(const struct source *source);

/* A whole text into a table at `path`, which is there: compile.c. Fills the stamp's kinds, count
 * and checksum. False: told in `problems`. */
bool compile(const struct source *source, int text, const char *path, const char *folder,
             struct stamp *stamp, struct source_news *news, struct problems *problems);
/* Of all bytes from the begin. False: it cannot be read. */
bool compile_checksum(int text, uint64_t *out);

#endif
