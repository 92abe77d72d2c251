/*
 * Destinations that wait because their hosts could not be found. Each backs off by itself, for as
 * long as a next hop that is down would; but to ask the DNS again costs little, and what fails
 * there mostly fails for many at once. So now and then the few that have waited longest are tried
 * before their time, however many there are, and where one has its hosts again others follow it.
 */
#include "schedule/private.h"

enum {
    PROBE_MS = 4000, /* more than the resolver remembers a failure */
    PROBED_AT_ONCE = 16,
    FOLLOWERS = 64,
};

static void try_again(struct destination *d)
{
    list_remove(&d->unfound);
    d->is_probed = true;
    d->back_off_until = 0;
    d->site_expires = 0;
    destination_wake(d);
}

static void try_oldest(struct scheduler *s, unsigned most)
{
    for (unsigned i = 0; i < most && !list_is_empty(&s->unfound); i++)
        try_again(container_of(s->unfound.next, struct destination, unfound));
}

static void on_probe(struct timer *timer)
{
    struct scheduler *s = container_of(timer, struct scheduler, probe_timer);

    try_oldest(s, PROBED_AT_ONCE);
    if (!list_is_empty(&s->unfound))
        timer_start(s->loop, &s->probe_timer, PROBE_MS, on_probe);
}

bool lookup_has_failed(const struct status *why)
{
    return why->by.len == 0 && why->enhanced.klass == 4 && why->enhanced.subject == 4 &&
           why->enhanced.detail == 3;
}

void lookup_failed(struct destination *d)
{
    struct scheduler *s = d->owner;

    d->is_unfound = true;
    d->is_probed = false;
    list_remove(&d->unfound);
    list_append(&s->unfound, &d->unfound);
    if (!s->is_stopping && !timer_is_active(&s->probe_timer))
        timer_start(s->loop, &s->probe_timer, PROBE_MS, on_probe);
}

void lookup_succeeded(struct destination *d)
{
    if (!d->is_unfound)
        return;
    d->is_unfound = d->is_probed = false;
    d->failures = 0; /* they were not its hosts' */
    list_remove(&d->unfound);
    try_oldest(d->owner, FOLLOWERS);
}
