/* A plugin that fails again and again is not asked for a while. */
#include "plugins/host/private.h"

#include "base/log.h"

static void tell(const struct smarthop_self *self, enum log_level level, const char *event)
{
    struct log_line line;

    if (!log_begin(&line, level, event))
        return;
    log_text(&line, "plugin", self->name);
    log_u64(&line, "rest_ms", self->rest_ms);
    log_end(&line);
}

/* Once its rest is over one asking goes through, and the next rest begins unless that is good. */
bool breaker_lets_through(struct smarthop_self *self, uint64_t now)
{
    uint64_t until = atomic_load_explicit(&self->bypassed_until, memory_order_relaxed);

    if (until == 0)
        return true;
    return now >= until &&
           atomic_compare_exchange_strong(&self->bypassed_until, &until, now + self->rest_ms);
}

static void note_good(struct smarthop_self *self)
{
    if (atomic_load_explicit(&self->strikes, memory_order_relaxed) == 0)
        return;
    atomic_store(&self->strikes, 0);
    if (atomic_exchange(&self->bypassed_until, 0) != 0)
        tell(self, LOG_INFO, "plugin-back");
}

void breaker_note(struct smarthop_self *self, bool is_good, uint64_t now)
{
    if (is_good) {
        note_good(self);
        return;
    }
    unsigned strikes = atomic_fetch_add(&self->strikes, 1) + 1;
    if (strikes < self->strikes_max)
        return;
    if (atomic_exchange(&self->bypassed_until, now + self->rest_ms) == 0)
        tell(self, LOG_ERROR, "plugin-bypassed");
}
