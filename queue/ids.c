#include "queue/ids.h"

#include "base/clock.h"
#include "queue/queue.h"

#define ID_EPOCH_MS 1577836800000u /* 2020-01-01T00:00:00Z */

enum { ID_SEQUENCE_BITS = 22 };

uint64_t queue_id_time(uint64_t id)
{
    return (id >> ID_SEQUENCE_BITS) + ID_EPOCH_MS;
}

uint64_t queue_id_at(uint64_t wall_ms)
{
    return wall_ms > ID_EPOCH_MS ? (wall_ms - ID_EPOCH_MS) << ID_SEQUENCE_BITS : 0;
}

uint64_t ids_start(struct ids *ids, uint64_t used)
{
    uint64_t now = queue_id_at(clock_wall_ms());
    uint64_t start = now > used ? now : used;

    atomic_init(&ids->last, start);
    return start;
}

uint64_t ids_next(struct ids *ids)
{
    uint64_t now = queue_id_at(clock_wall_ms());
    uint64_t last = atomic_load(&ids->last);
    uint64_t next;

    do
        next = last + 1 > now ? last + 1 : now;
    while (!atomic_compare_exchange_weak(&ids->last, &last, next));
    return next;
}
