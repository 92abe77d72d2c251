/* Which stores serve, and when they are made anew. */
#include "table.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- telling ------------------------------------------------------------------------------ */

static void tell(struct table *table, int level, const char *event, const char *text)
{
    table->host->log(table->self, 0, level, event, text);
}

static void tell_problems(struct table *table, const struct file *file, bool is_start,
                          const struct problems *problems)
{
    unsigned shown = problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;
    char text[PROBLEM_ROOM];

    for (unsigned i = 0; i < shown; i++) {
        if (is_start)
            table->host->option_problem(table->self, file->option, file->index, problems->texts[i]);
        else
            tell(table, SMARTHOP_ERROR, "table-refused", problems->texts[i]);
    }
    if (is_start)
        return;
    snprintf(text, sizeof text, "%s: the rules that were known before still hold; problems: %u",
             file->source.path, problems->count);
    tell(table, SMARTHOP_ERROR, "table-refused", text);
}

static void tell_loaded(struct table *table, const struct file *file, const struct store *store,
                        const struct source_news *news, uint64_t took)
{
    char text[PROBLEM_ROOM];
    int len = snprintf(text, sizeof text, "%s: %llu rules, ", file->source.path,
                       (unsigned long long)store_stamp(store)->count);

    if (len < 0 || len >= (int)sizeof text)
        return;
    if (news->is_compiled)
        snprintf(text + len, sizeof text - (size_t)len, "compiled in %llu ms",
                 (unsigned long long)took);
    else
        snprintf(text + len, sizeof text - (size_t)len, "as they were compiled before");
    tell(table, SMARTHOP_INFO, "table-loaded", text);
    if (news->duplicates > 0) {
        snprintf(text, sizeof text, "%s: %llu keys are there again; the first of each holds",
                 file->source.path, (unsigned long long)news->duplicates);
        tell(table, SMARTHOP_WARN, "table-duplicates", text);
    }
    if (news->is_temporary) {
        snprintf(text, sizeof text,
                 "%s cannot be written, so each start compiles it again; set `cache` to a folder "
                 "that can",
                 file->source.table);
        tell(table, SMARTHOP_WARN, "table-temporary", text);
    }
}

/* ---- generations -------------------------------------------------------------------------- */

static struct generation *generation_create(const struct table *table,
                                            const struct generation *before)
{
    struct generation *made = calloc(1, sizeof *made + table->file_count * sizeof(struct serving));

    for (uint32_t i = 0; made != NULL && before != NULL && i < table->file_count; i++)
        made->servings[i] = before->servings[i];
    return made;
}

static void note_hints(const struct table *table, struct generation *made)
{
    for (uint32_t i = 0; i < table->file_count; i++)
        made->servings[i].hint = *store_hint(made->servings[i].store);
    for (unsigned use = 0; use < USES; use++)
        for (uint32_t i = 0; i < table->file_count; i++)
            if (table->files[i].uses & 1u << use)
                made->kinds[use] |= made->servings[i].hint.kinds;
}

/* Behind this nobody reads the stores that are not current any more. */
static void pass_through_places(struct table *table, const struct generation *current)
{
    for (unsigned i = 0; i < PLACES; i++) {
        struct place *place = &table->places[i];
        while (atomic_exchange(&place->is_taken, true))
            sched_yield();
        for (uint32_t k = 0; k < table->file_count; k++)
            if (current == NULL || place->readers[k].store != current->servings[k].store)
                store_reader_close(&place->readers[k]);
        atomic_store(&place->is_taken, false);
    }
}

static void put_in(struct table *table, struct generation *made, struct generation *before)
{
    note_hints(table, made);
    atomic_store(&table->current, made);
    pass_through_places(table, made);
    for (uint32_t i = 0; before != NULL && i < table->file_count; i++)
        if (before->servings[i].store != made->servings[i].store)
            store_close(before->servings[i].store);
    free(before);
}

/* What was made for nothing. */
static void drop(const struct table *table, struct generation *made,
                 const struct generation *before)
{
    for (uint32_t i = 0; i < table->file_count; i++)
        if (before == NULL || made->servings[i].store != before->servings[i].store)
            store_close(made->servings[i].store);
    free(made);
}

/* ---- refreshing --------------------------------------------------------------------------- */

static enum source_result refresh_file(struct table *table, struct file *file, bool is_start,
                                       struct store **slot)
{
    struct problems *problems = calloc(1, sizeof *problems);
    uint64_t began = table->host->now(table->self);
    struct source_news news;
    struct store *store = NULL;

    if (problems == NULL)
        return SOURCE_REFUSED;
    enum source_result result = source_refresh(&file->source, *slot, &store, &news, problems);
    if (result == SOURCE_NEW) {
        *slot = store;
        tell_loaded(table, file, store, &news, table->host->now(table->self) - began);
    }
    if (result == SOURCE_REFUSED)
        tell_problems(table, file, is_start, problems);
    if (news.is_compiled)
        table->host->metric_add(table->self, table->compiled, 1);
    if (result == SOURCE_REFUSED)
        table->host->metric_add(table->self, table->refused, 1);
    free(problems);
    return result;
}

static bool refresh_all(struct table *table, bool is_start, bool only_changed)
{
    struct generation *before = atomic_load(&table->current);
    struct generation *made = generation_create(table, before);
    bool is_new = before == NULL;
    bool good = made != NULL;

    for (uint32_t i = 0; made != NULL && i < table->file_count; i++) {
        struct file *file = &table->files[i];
        if (only_changed && !source_has_changed(&file->source))
            continue;
        enum source_result result = refresh_file(table, file, is_start, &made->servings[i].store);
        good &= result != SOURCE_REFUSED;
        is_new |= result == SOURCE_NEW;
    }
    if (made == NULL)
        return false;
    if (is_new && (good || before != NULL))
        put_in(table, made, before);
    else
        drop(table, made, before);
    return good;
}

bool table_refresh(struct table *table, bool is_start, bool only_changed)
{
    pthread_mutex_lock(&table->refreshing);
    bool good = refresh_all(table, is_start, only_changed);
    pthread_mutex_unlock(&table->refreshing);
    return good;
}

void table_let_go(struct table *table)
{
    struct generation *current = atomic_load(&table->current);

    pass_through_places(table, NULL);
    if (current != NULL)
        drop(table, current, NULL);
    atomic_store(&table->current, NULL);
}

/* ---- now and then ------------------------------------------------------------------------- */

static void look_at_files(void *context)
{
    table_refresh(context, false, true);
}

static void again(void *context)
{
    table_watch(context);
}

static void on_timer(void *context)
{
    struct table *table = context;

    table->host->work(table->self, 0, look_at_files, again, table);
}

void table_watch(struct table *table)
{
    if (table->interval > 0)
        table->host->timer_start(table->self, 0, table->interval, on_timer, table);
}
