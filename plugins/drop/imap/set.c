/*
 * set: what the numbers of a command mean in the mailbox as its session sees it.
 */
#include "plugins/drop/imap/search.h"

#include <stdlib.h>

static int range_order(const void *a, const void *b)
{
    const struct mailstore_range *x = a;
    const struct mailstore_range *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* "*", and numbers in the wrong order: "9:*" with eight messages is 8:9 (RFC 9051 9, seq-range). */
static struct mailstore_range set_put_right(struct mailstore_range range, uint32_t star)
{
    uint32_t a = range.first == UINT32_MAX ? star : range.first;
    uint32_t b = range.last == UINT32_MAX ? star : range.last;

    return a <= b ? (struct mailstore_range){a, b} : (struct mailstore_range){b, a};
}

/* Whether what is written has a sequence number that there is not. Clients ask for what is new by
 * "9:*" without knowing whether there is any: that is the last message, as with UIDs. */
static bool set_is_beyond(struct mailstore_range range, uint32_t count)
{
    bool has_star = range.first == UINT32_MAX || range.last == UINT32_MAX;

    return count == 0 || (!has_star && (range.first > count || range.last > count));
}

/* Cuts the range to what lies within; false where nothing does. */
static bool set_clip(struct mailstore_range *range, uint32_t first, uint32_t last)
{
    if (range->first < first)
        range->first = first;
    if (range->last > last)
        range->last = last;
    return range->first <= range->last;
}

/* Sorts them, and joins those that overlap or touch. Returns how many are left. */
static unsigned set_merge(struct mailstore_range *ranges, unsigned count)
{
    unsigned kept = 0;

    if (count == 0)
        return 0;
    qsort(ranges, count, sizeof(*ranges), range_order);
    for (unsigned i = 1; i < count; i++)
        if (ranges[i].first > ranges[kept].last && ranges[i].first - ranges[kept].last > 1)
            ranges[++kept] = ranges[i];
        else if (ranges[i].last > ranges[kept].last)
            ranges[kept].last = ranges[i].last;
    return kept + 1;
}

bool imap_set_resolve(const struct imap_set *set, bool is_uid, const struct imap_scope *scope,
                      struct arena *arena, struct mailstore_range **out, unsigned *count_out)
{
    const struct mailstore_range *from = set->is_saved ? scope->saved : set->ranges;
    unsigned count = set->is_saved ? scope->saved_count : set->count;
    bool by_uid = is_uid || set->is_saved;
    uint32_t first = by_uid && scope->count > 0 ? scope->uids[0] : 1;
    uint32_t last = by_uid && scope->count > 0 ? scope->uids[scope->count - 1] : scope->count;
    struct mailstore_range *ranges = arena_alloc(arena, (count + 1) * sizeof(*ranges));
    unsigned kept = 0;
    bool are_there = true;

    for (unsigned i = 0; i < count; i++) {
        ranges[kept] = set_put_right(from[i], last);
        if (!by_uid && set_is_beyond(from[i], scope->count))
            are_there = false;
        if (scope->count > 0 && set_clip(&ranges[kept], first, last))
            kept++;
    }
    kept = set_merge(ranges, kept);
    for (unsigned i = 0; i < kept && !by_uid; i++)
        ranges[i] = (struct mailstore_range){scope->uids[ranges[i].first - 1],
                                             scope->uids[ranges[i].last - 1]};
    *out = ranges;
    *count_out = kept;
    return are_there;
}
