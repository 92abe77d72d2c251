/*
 * table: what the files of the plugin itself share. The plugin's state is a list of sources and, of
 * each, the store that serves; all stores together are a generation, which never changes. A look-up
 * holds one of the places while it lasts; who puts a new generation in passes through all places
 * before it frees the old one, so look-ups neither count references nor wait.
 */
#ifndef SMARTHOP_TABLE_TABLE_H
#define SMARTHOP_TABLE_TABLE_H

#include "source.h"

#include <pthread.h>
#include <stdatomic.h>

enum { PLACES = 64, CACHE_LINE = 64 };

/* What a file is asked for. */
enum use { USE_SENDER, USE_RECIPIENT, USE_ALIASES, USE_ROUTES, USES };

struct serving {
    struct store *store;
    struct store_hint hint;
};

struct generation {
    uint32_t kinds[USES];      /* of all stores of a use */
    struct serving servings[]; /* one for each source */
};

struct place {
    _Alignas(CACHE_LINE) atomic_bool is_taken;
    struct store_reader *readers; /* one for each source */
};

/* A file that an option names. */
struct file {
    struct source source;
    const char *option;
    uint32_t index; /* in its list */
    uint32_t uses;  /* bits 1 << enum use */
    struct smarthop_span name;
};

struct table {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    struct file *files;
    uint32_t file_count;
    struct smarthop_span delimiters;
    struct smarthop_span *local_domains;
    uint32_t local_count;
    struct smarthop_span *smtp_names;
    bool keeps_extension;
    uint64_t interval;
    uint32_t compiled; /* metrics */
    uint32_t refused;
    pthread_mutex_t refreshing;
    _Atomic(struct generation *) current; /* changed by who refreshes */
    struct place *places;
};

/* ---- refresh.c ---------------------------------------------------------------------------- */

/* Blocks. False: some file was refused, and its old store stays. is_start: there is no old one, so
 * that nothing serves then; told as problems of options, else in the log. */
bool table_refresh(struct table *table, bool is_start, bool only_changed);
/* Looks at the files now and then. */
void table_watch(struct table *table);
/* Nobody looks anything up any more. */
void table_let_go(struct table *table);

/* ---- find.c ------------------------------------------------------------------------------- */

/* One asking. */
struct look {
    struct table *table;
    const struct smarthop_event *event;
    struct smarthop_verdict *verdict;
    struct place *place;
    const struct generation *generation;
};

struct hit {
    const struct file *file;
    enum key_kind kind;
    bool is_base; /* found without the extension */
    uint32_t line;
    struct smarthop_span record; /* until the look ends */
};

void look_begin(struct look *look);
void look_end(struct look *look);
/* In the order of the manual page. */
enum store_found find_route(struct look *look, const struct subject *subject, struct hit *hit);
enum store_found find_addresses(struct look *look, enum use use, const struct subject *subject,
                                struct hit *hit);

/* ---- apply.c ------------------------------------------------------------------------------ */

enum applied {
    APPLIED,     /* the verdict is there */
    APPLIED_NOT, /* the address stands for itself */
    APPLY_FAILED,
};

enum applied apply_route(struct look *look, const struct hit *hit);
enum applied apply_recipients(struct look *look, const struct subject *subject,
                              const struct hit *hit);
enum applied apply_sender(struct look *look, const struct subject *subject, const struct hit *hit);

#endif
