/* plugins/table: threads look addresses up while the file changes under them. */
#include "plugins/table/table.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 4, CHANGES = 20 };

/* ---- a host of nothing but memory --------------------------------------------------------- */

struct arena_of_test {
    size_t used;
    _Alignas(16) char bytes[4096];
};

static _Thread_local struct arena_of_test memory;

static void *host_alloc(struct smarthop_self *self, uint64_t token, size_t size)
{
    (void)self, (void)token;
    size = (size + 15) & ~(size_t)15;
    if (size > sizeof memory.bytes - memory.used)
        return NULL;
    memory.used += size;
    return memory.bytes + memory.used - size;
}

static void host_log(struct smarthop_self *self, uint64_t token, int level, const char *event,
                     const char *text)
{
    (void)self, (void)token, (void)level, (void)event, (void)text;
}

static uint64_t host_now(struct smarthop_self *self)
{
    (void)self;
    return 0;
}

static void host_metric_add(struct smarthop_self *self, uint32_t metric, uint64_t value)
{
    (void)self, (void)metric, (void)value;
}

static const struct smarthop_host host = {
    .size = sizeof host,
    .alloc = host_alloc,
    .log = host_log,
    .now = host_now,
    .metric_add = host_metric_add,
};

/* ---- the plugin's state ------------------------------------------------------------------- */

struct rig {
    char folder[64];
    char path[128];
    struct table table;
    struct file file;
    atomic_bool is_over;
    atomic_uint looks;
    atomic_uint wrong;
};

/* Every version of the text says of all its lines the same next hop, so a mixture would show. */
static void write_text(struct rig *rig, unsigned version)
{
    char beside[140];

    snprintf(beside, sizeof beside, "%s~", rig->path);
    FILE *text = fopen(beside, "w");
    assert_non_null(text);
    for (unsigned i = 0; i < 200 + version; i++)
        fprintf(text, "u%u@a.test smtp v%u.test\n", i, version);
    fclose(text);
    assert_int_equal(rename(beside, rig->path), 0);
}

static void rig_start(struct rig *rig)
{
    struct dialect dialect = {.kind = DIALECT_MAPS};

    *rig = (struct rig){.folder = "/tmp/smarthop-table-XXXXXX"};
    assert_non_null(mkdtemp(rig->folder));
    snprintf(rig->path, sizeof rig->path, "%s/text", rig->folder);
    write_text(rig, 0);
    assert_true(source_init(&rig->file.source, rig->path, NULL, &dialect));
    rig->file.uses = 1u << USE_ROUTES;
    rig->file.name = SMARTHOP_TEXT("text");
    rig->table.host = &host;
    rig->table.files = &rig->file;
    rig->table.file_count = 1;
    pthread_mutex_init(&rig->table.refreshing, NULL);
    rig->table.places = aligned_alloc(CACHE_LINE, PLACES * sizeof *rig->table.places);
    assert_non_null(rig->table.places);
    for (unsigned i = 0; i < PLACES; i++) {
        atomic_init(&rig->table.places[i].is_taken, false);
        rig->table.places[i].readers = calloc(1, sizeof *rig->table.places[i].readers);
    }
    assert_true(table_refresh(&rig->table, true, false));
}

static void rig_stop(struct rig *rig)
{
    char command[100];

    table_let_go(&rig->table);
    for (unsigned i = 0; i < PLACES; i++)
        free(rig->table.places[i].readers);
    free(rig->table.places);
    source_fini(&rig->file.source);
    pthread_mutex_destroy(&rig->table.refreshing);
    snprintf(command, sizeof command, "rm -rf %s", rig->folder);
    assert_int_equal(system(command), 0);
}

static bool look_up(struct rig *rig, unsigned number)
{
    struct smarthop_recipient recipient = {.domain = SMARTHOP_TEXT("a.test")};
    struct smarthop_event event = {.recipient = &recipient, .token = 1};
    struct smarthop_verdict verdict = {.size = sizeof verdict};
    struct look look = {.table = &rig->table, .event = &event, .verdict = &verdict};
    struct subject subject;
    struct hit hit;
    char local[16];

    int len = snprintf(local, sizeof local, "u%u", number);
    memory.used = 0;
    if (!subject_init(&subject, smarthop_span_of(local, (size_t)len), recipient.domain,
                      smarthop_span_of("", 0)))
        return false;
    look_begin(&look);
    bool good =
        find_route(&look, &subject, &hit) == STORE_FOUND && apply_route(&look, &hit) == APPLIED;
    look_end(&look);
    return good && verdict.next_hop_count == 1 && verdict.next_hops[0].host.ptr[0] == 'v' &&
           hit.line == number + 1;
}

static void *keep_looking(void *context)
{
    struct rig *rig = context;

    for (unsigned i = 0; !atomic_load(&rig->is_over); i++) {
        if (!look_up(rig, i % 200))
            atomic_fetch_add(&rig->wrong, 1);
        atomic_fetch_add(&rig->looks, 1);
    }
    return NULL;
}

static void test_look_ups_go_on_while_tables_change(void **state)
{
    pthread_t threads[THREADS];
    static struct rig rig;

    (void)state;
    rig_start(&rig);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_looking, &rig), 0);
    for (unsigned version = 1; version <= CHANGES; version++) {
        unsigned seen = atomic_load(&rig.looks);
        write_text(&rig, version);
        assert_true(table_refresh(&rig.table, false, true));
        assert_int_equal(store_stamp(atomic_load(&rig.table.current)->servings[0].store)->count,
                         200 + version);
        while (atomic_load(&rig.looks) == seen)
            sched_yield();
    }
    atomic_store(&rig.is_over, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&rig.wrong), 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_look_ups_go_on_while_tables_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
