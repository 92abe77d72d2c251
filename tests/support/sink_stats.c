/*
 * sink_stats: the counts of all threads together, which message reached which recipient, and the
 * files that tell both.
 */
#include "sink.h"

#include <pthread.h>
#include <unistd.h>

#define SET_FIRST_CAP 4096

/* Open addressing; zero marks a free slot, so no key may be zero. */
struct id_set {
    uint64_t *keys;
    size_t count;
    size_t cap;
};

static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static struct id_set seen_deliveries; /* hashes of id and recipient */
static struct id_set seen_messages;   /* ids, plus one */

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
}

static uint64_t delivery_key(uint64_t id, const char *recipient, size_t len)
{
    uint64_t hash = mix(id + 1);

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)recipient[i]) * 0x100000001b3ull;
    hash = mix(hash);
    return hash ? hash : 1;
}

static bool set_insert(struct id_set *set, uint64_t key)
{
    size_t slot = mix(key) & (set->cap - 1);

    while (set->keys[slot] && set->keys[slot] != key)
        slot = (slot + 1) & (set->cap - 1);
    if (set->keys[slot] == key)
        return false;
    set->keys[slot] = key;
    set->count++;
    return true;
}

static void set_grow(struct id_set *set)
{
    struct id_set grown = {.cap = set->cap ? set->cap * 2 : SET_FIRST_CAP};

    grown.keys = calloc(grown.cap, sizeof *grown.keys);
    if (!grown.keys)
        rig_die("out of memory");
    for (size_t i = 0; i < set->cap; i++)
        if (set->keys[i])
            set_insert(&grown, set->keys[i]);
    free(set->keys);
    *set = grown;
}

static bool set_add(struct id_set *set, uint64_t key)
{
    if (set->count * 2 >= set->cap)
        set_grow(set);
    return set_insert(set, key);
}

bool sink_seen_add(uint64_t id, const char *recipient, size_t len)
{
    pthread_mutex_lock(&seen_lock);
    bool fresh = set_add(&seen_deliveries, delivery_key(id, recipient, len));
    set_add(&seen_messages, id + 1);
    pthread_mutex_unlock(&seen_lock);
    return fresh;
}

static void set_clear(struct id_set *set)
{
    free(set->keys);
    *set = (struct id_set){0};
}

void sink_seen_forget(void)
{
    pthread_mutex_lock(&seen_lock);
    set_clear(&seen_deliveries);
    set_clear(&seen_messages);
    pthread_mutex_unlock(&seen_lock);
}

void sink_counts_merge(struct sink_counts *into, const struct sink_counts *from)
{
    into->connections += from->connections;
    into->open_connections += from->open_connections;
    into->serving += from->serving;
    into->tls_sessions += from->tls_sessions;
    into->tls_resumed += from->tls_resumed;
    into->messages += from->messages;
    into->recipients += from->recipients;
    into->bytes += from->bytes;
    into->refused_4xx += from->refused_4xx;
    into->refused_5xx += from->refused_5xx;
    into->duplicates += from->duplicates;
    into->unnumbered += from->unnumbered;
    if (from->first_ns && (!into->first_ns || from->first_ns < into->first_ns))
        into->first_ns = from->first_ns;
    if (from->last_ns > into->last_ns)
        into->last_ns = from->last_ns;
    histogram_merge(&into->latency, &from->latency);
}

static void print_counts(FILE *out, const struct sink_counts *c)
{
    rig_print_count(out, "{", "messages", c->messages);
    rig_print_count(out, ", ", "recipients", c->recipients);
    rig_print_count(out, ", ", "bytes", c->bytes);
    rig_print_count(out, ", ", "unique_messages", seen_messages.count);
    rig_print_count(out, ", ", "unique_deliveries", seen_deliveries.count);
    rig_print_count(out, ", ", "duplicates", c->duplicates);
    rig_print_count(out, ", ", "unnumbered", c->unnumbered);
    rig_print_count(out, ", ", "connections", c->connections);
    rig_print_count(out, ", ", "open_connections", c->open_connections);
    rig_print_count(out, ", ", "serving", c->serving);
    rig_print_count(out, ", ", "tls_sessions", c->tls_sessions);
    rig_print_count(out, ", ", "tls_resumed", c->tls_resumed);
    rig_print_count(out, ", ", "refused_4xx", c->refused_4xx);
    rig_print_count(out, ", ", "refused_5xx", c->refused_5xx);
    rig_print_count(out, ", ", "first_ns", c->first_ns);
    rig_print_count(out, ", ", "last_ns", c->last_ns);
    rig_print_count(out, ", ", "now_ns", rig_now_ns());
    fprintf(out, ", \"cpu_ms\": %.1f, ", rig_cpu_ms());
    histogram_print_json(out, "latency_ms", &c->latency);
    fputs("}\n", out);
}

static FILE *open_beside(const char *path, char *beside, size_t room)
{
    snprintf(beside, room, "%s.new", path);
    FILE *out = fopen(beside, "w");
    if (!out)
        rig_die("%s: %s", beside, strerror(errno));
    return out;
}

/* A reader sees the old file or the whole new one. */
static void put_in_place(FILE *out, const char *beside, const char *path)
{
    if (fclose(out) != 0 || rename(beside, path) != 0)
        rig_die("%s: %s", path, strerror(errno));
}

static void write_ids(const char *path)
{
    char beside[4096];
    FILE *out = open_beside(path, beside, sizeof beside);

    for (size_t i = 0; i < seen_messages.cap; i++)
        if (seen_messages.keys[i])
            fprintf(out, "%llu\n", (unsigned long long)(seen_messages.keys[i] - 1));
    put_in_place(out, beside, path);
}

void sink_stats_write(const struct sink_options *options, const struct sink_counts *counts)
{
    pthread_mutex_lock(&seen_lock);
    if (options->ids_file)
        write_ids(options->ids_file);
    if (options->stats_file) {
        char beside[4096];
        FILE *out = open_beside(options->stats_file, beside, sizeof beside);
        print_counts(out, counts);
        put_in_place(out, beside, options->stats_file);
    }
    pthread_mutex_unlock(&seen_lock);
}
