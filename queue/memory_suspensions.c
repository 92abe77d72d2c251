#include "queue/memory_suspensions.h"

#include "queue/codec.h"

#include <stdlib.h>

struct memory_suspension {
    struct buf pattern;
    struct buf record;
};

static struct err read_item(const struct memory_suspension *item, struct queue_suspension *out)
{
    return codec_read_suspension(buf_span(&item->record), buf_span(&item->pattern), out);
}

static void remove_at(struct memory_suspensions *all, size_t place)
{
    struct memory_suspension *item = &all->items[place];

    buf_fini(&item->pattern);
    buf_fini(&item->record);
    memmove(item, item + 1, (--all->count - place) * sizeof *item);
}

static int compare(struct span a, struct span b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Index of the first whose pattern is not in front of this one. */
static size_t find_place(const struct memory_suspensions *all, struct span pattern)
{
    size_t place = 0;

    while (place < all->count && compare(buf_span(&all->items[place].pattern), pattern) < 0)
        place++;
    return place;
}

static bool is_at(const struct memory_suspensions *all, size_t place, struct span pattern)
{
    return place < all->count && span_equal(buf_span(&all->items[place].pattern), pattern);
}

static void remove_ended(struct memory_suspensions *all, uint64_t now)
{
    struct queue_suspension suspension;

    for (size_t i = all->count; i-- > 0;)
        if (!err_is(read_item(&all->items[i], &suspension)) && suspension.until <= now)
            remove_at(all, i);
}

void memory_suspensions_put(struct memory_suspensions *all,
                            const struct queue_suspension *suspension)
{
    size_t len = codec_write_suspension(suspension, NULL);

    remove_ended(all, suspension->since);
    size_t place = find_place(all, suspension->pattern);
    if (is_at(all, place, suspension->pattern))
        remove_at(all, place);
    all->items = mem_realloc(all->items, (all->count + 1) * sizeof *all->items);
    struct memory_suspension *item = &all->items[place];
    memmove(item + 1, item, (all->count++ - place) * sizeof *item);
    *item = (struct memory_suspension){0};
    buf_add(&item->pattern, suspension->pattern);
    codec_write_suspension(suspension, buf_reserve(&item->record, len));
    buf_commit(&item->record, len);
}

struct err memory_suspensions_remove(struct memory_suspensions *all, struct span pattern)
{
    size_t place = find_place(all, pattern);

    if (!is_at(all, place, pattern))
        return err_make(ERR_NOT_FOUND, "suspension");
    remove_at(all, place);
    return ERR_OK;
}

void memory_suspensions_visit(const struct memory_suspensions *all, queue_visit_suspension *visit,
                              void *context)
{
    struct queue_suspension suspension;

    for (size_t i = 0; i < all->count; i++)
        if (!err_is(read_item(&all->items[i], &suspension)) && !visit(context, &suspension))
            return;
}

void memory_suspensions_fini(struct memory_suspensions *all)
{
    while (all->count > 0)
        remove_at(all, all->count - 1);
    free(all->items);
}
