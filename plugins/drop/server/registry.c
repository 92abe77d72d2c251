#include "base/memory.h"
#include "plugins/drop/server/private.h"

#include <stdlib.h>

enum { BUCKETS = 4096 };

struct row {
    struct row *next;
    uint64_t count;
    char kind;
    size_t len;
    char name[];
};

struct registry {
    pthread_mutex_t lock;
    struct row *rows[BUCKETS];
};

struct registry *registry_create(void)
{
    struct registry *registry = mem_zalloc(sizeof *registry);

    pthread_mutex_init(&registry->lock, NULL);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct row *row = registry->rows[i], *next; row != NULL; row = next) {
            next = row->next;
            free(row);
        }
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

/* The link that points to the row, or to the end of its bucket. */
static struct row **find(struct registry *registry, char kind, struct span name)
{
    struct row **link = &registry->rows[(span_hash(name) + (unsigned char)kind) % BUCKETS];

    while (*link != NULL &&
           ((*link)->kind != kind || !span_equal(span_of((*link)->name, (*link)->len), name)))
        link = &(*link)->next;
    return link;
}

bool registry_enter(struct registry *registry, char kind, struct span name, uint64_t most)
{
    pthread_mutex_lock(&registry->lock);
    struct row **link = find(registry, kind, name);
    bool is_free = most > 0 && (*link == NULL || (*link)->count < most);
    if (is_free && *link == NULL) {
        struct row *row = mem_zalloc(sizeof *row + name.len);
        row->kind = kind;
        row->len = name.len;
        memcpy(row->name, name.ptr, name.len);
        *link = row;
    }
    if (is_free)
        (*link)->count++;
    pthread_mutex_unlock(&registry->lock);
    return is_free;
}

void registry_leave(struct registry *registry, char kind, struct span name)
{
    pthread_mutex_lock(&registry->lock);
    struct row **link = find(registry, kind, name);
    struct row *row = *link;
    if (--row->count == 0) {
        *link = row->next;
        free(row);
    }
    pthread_mutex_unlock(&registry->lock);
}
