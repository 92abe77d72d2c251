/*
 * table_bench [ENTRIES [TABLES [FOLDER [shared]]]]: what a chain of table plugins costs a
 * recipient. Each has a file of its own with so many addresses; asked through the plugins' host, as
 * a session does it. Prints the time to compile, the memory, and microseconds of CPU time a
 * recipient: of the first table, of the last one, of none, and of all of them in turn.
 */
#include "base/clock.h"
#include "plugins/host/host.h"
#include "support/conf_text.h"

#include <sys/stat.h>
#include <time.h>
#include <uv.h>

enum { BATCH = 64, ROUNDS = 8000, TABLES_MAX = 64 };

struct bench {
    unsigned entries, tables;
    const char *folder;
    bool domains_are_shared;
    struct loop *loop;
    struct plugin_home *home;
    struct plugin_worker *worker;
    struct plugin_chain *chain;
    uint64_t random;
    unsigned sent, asked;
};

struct asking {
    struct plugin_run run;
    struct smarthop_recipient recipient;
    char text[80];
    bool is_done;
};

static uint32_t draw(struct bench *b, uint32_t below)
{
    b->random = b->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((b->random >> 32) * below >> 32);
}

/* "user123.4@d56.example.net": address 123 of table 4. Where domains are shared all tables have
 * addresses in the same ones, which is the worst that there is to look up. */
static int format_address(const struct bench *b, char *room, size_t size, unsigned number,
                          unsigned table)
{
    return snprintf(room, size, "user%u.%u@d%u.example%u.net", number, table, number % 1000,
                    b->domains_are_shared ? 0 : table);
}

static void write_texts(const struct bench *b)
{
    char path[4096];
    char address[80];

    for (unsigned table = 0; table < b->tables; table++) {
        snprintf(path, sizeof path, "%s/table%u", b->folder, table);
        FILE *file = fopen(path, "w");
        if (file == NULL)
            abort();
        for (unsigned i = 0; i < b->entries; i++) {
            format_address(b, address, sizeof address, i, table);
            fprintf(file, "%s smtp mail%u.example.com:2525\n", address, i % 100);
        }
        fprintf(file, "table%u.example smtp mail.example.com\n.table%u.example mx\n", table, table);
        fclose(file);
    }
}

static void load(struct bench *b)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    struct buf messages;

    for (unsigned table = 0; table < b->tables; table++)
        fprintf(stream,
                "plugin \"t%u\" { file = \"%s\" maps = { \"%s/table%u\" } "
                "recipient_delimiter = \"+\" }\n",
                table, PLUGIN_FILE, b->folder, table);
    fclose(stream);
    struct conf *conf = conf_from_text(text);
    buf_init(&messages, 0);
    if (err_is(plugin_chain_load(b->home, conf, NULL, &messages, &b->chain))) {
        fprintf(stderr, "%.*s", SPAN_ARG(buf_span(&messages)));
        exit(1);
    }
    plugin_worker_configure(b->worker, b->chain);
    buf_fini(&messages);
    conf_unref(conf);
    free(text);
}

static uint64_t proc_kib(const char *name)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    unsigned long long kib = 0;
    char line[256];

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            sscanf(line + strlen(name), "%llu", &kib);
    if (file != NULL)
        fclose(file);
    return kib;
}

static void on_answer(struct call *call)
{
    container_of(call, struct asking, run.call)->is_done = true;
}

static void prepare(struct bench *b, struct asking *a, struct arena *arena, unsigned table)
{
    *a = (struct asking){.run = {.hook = SMARTHOP_ON_ROUTE, .arena = arena}};
    int len = format_address(b, a->text, sizeof a->text, draw(b, b->entries), table);
    const char *at = memchr(a->text, '@', (size_t)len);
    a->recipient = (struct smarthop_recipient){
        .size = sizeof a->recipient,
        .address = smarthop_span_of(a->text, (size_t)len),
        .local = smarthop_span_of(a->text, (size_t)(at - a->text)),
        .domain = smarthop_span_of(at + 1, (size_t)(a->text + len - at - 1)),
    };
    a->run.event.recipient = &a->recipient;
    a->run.call.done = on_answer;
    list_init(&a->run.call.link);
}

/* Of this thread: what others do on the machine is not what is measured. */
static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The askings, and their completions on the loop; making up the addresses does not count. */
static uint64_t round_of(struct bench *b, struct asking *askings)
{
    struct arena arena;

    arena_init(&arena);
    uint64_t began = cpu_ns();
    for (unsigned i = 0; i < BATCH; i++)
        plugin_ask(b->worker, &askings[i].run);
    while (!askings[BATCH - 1].is_done)
        uv_run(loop_uv(b->loop), UV_RUN_NOWAIT);
    for (unsigned i = 0; i < BATCH; i++)
        b->sent += askings[i].run.verdict.action == SMARTHOP_SEND;
    uint64_t took = cpu_ns() - began;
    b->asked += BATCH;
    arena_fini(&arena);
    return took;
}

static void measure(struct bench *b, const char *name, unsigned first, unsigned tables)
{
    static struct asking askings[BATCH];
    struct arena arena;
    uint64_t ns = 0;

    b->sent = b->asked = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        arena_init(&arena);
        for (unsigned k = 0; k < BATCH; k++)
            prepare(b, &askings[k], &arena, first + draw(b, tables));
        uint64_t took = round_of(b, askings);
        if (i >= ROUNDS / 4) /* warm by then */
            ns += took;
        arena_fini(&arena);
    }
    printf("%-28s %6.2f us a recipient, %u of %u sent\n", name,
           (double)ns / (ROUNDS - ROUNDS / 4) / BATCH / 1000, b->sent, b->asked);
}

int main(int argc, char **argv)
{
    struct bench b = {.random = 1, .folder = argc > 3 ? argv[3] : "/tmp/table_bench"};

    b.entries = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
    b.tables = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10;
    b.domains_are_shared = argc > 4;
    mkdir(b.folder, 0700);
    if (b.entries == 0 || b.tables == 0 || b.tables > TABLES_MAX || err_is(loop_create(&b.loop)))
        return 1;
    b.home = plugin_home_create(b.loop, 1);
    b.worker = plugin_worker_create(b.home, 0, b.loop, NULL);
    write_texts(&b);
    uint64_t began = clock_mono_ns();
    load(&b);
    printf("%u tables of %u entries: loaded in %.0f ms\n", b.tables, b.entries,
           (double)(clock_mono_ns() - began) / 1e6);
    measure(&b, "in the first table", 0, 1);
    measure(&b, "in the last table", b.tables - 1, 1);
    measure(&b, "in no table", TABLES_MAX, 1);
    measure(&b, "in any of them", 0, b.tables);
    printf("memory: %llu MiB of its own, %llu MiB of the page cache\n",
           (unsigned long long)(proc_kib("Anonymous:") >> 10),
           (unsigned long long)((proc_kib("Rss:") - proc_kib("Anonymous:")) >> 10));
    plugin_home_stop(b.home);
    plugin_chain_unref(b.chain);
    plugin_worker_free(b.worker);
    loop_free(b.loop);
    plugin_home_free(b.home);
    return 0;
}
