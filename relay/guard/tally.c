#include "guard/tally.h"

void tally_roll(struct tally *t, uint64_t length, uint64_t now)
{
    uint64_t start = now - now % length;

    if (start == t->since)
        return;
    /* A clock that went back: what was counted ahead of it counts as of now. */
    if (start > t->since) {
        t->before = start - t->since == length ? t->count : 0;
        t->count = 0;
    }
    t->since = start;
}

void tally_add(struct tally *t)
{
    if (t->count < UINT32_MAX)
        t->count++;
}

void tally_give_back(struct tally *t)
{
    if (t->count > 0)
        t->count--;
    else if (t->before > 0)
        t->before--;
}

uint64_t tally_sum(const struct tally *t, uint64_t length, uint64_t now)
{
    uint64_t rest = t->since + length - now;

    return t->count + (t->before * rest + length - 1) / length;
}

/* The first moment of a period at which no more than `room` of `before` count. */
static uint64_t moment_of(uint64_t before, uint64_t room, uint64_t length)
{
    return before <= room ? 0 : length - room * length / before;
}

bool tally_has_room(const struct tally *t, uint64_t length, uint64_t limit, uint64_t now,
                    uint64_t *wait_out)
{
    uint64_t elapsed = now - t->since, moment;

    if (t->count < limit)
        moment = moment_of(t->before, limit - t->count - 1, length);
    else /* in the next period, in which what counts now will be before */
        moment = length + moment_of(t->count, limit - 1, length);
    *wait_out = moment > elapsed ? moment - elapsed : 0;
    return *wait_out == 0;
}

uint64_t tally_end(const struct tally *t, uint64_t length)
{
    return t->since + 2 * length;
}
