/*
 * ids: message ids. 42 bits of milliseconds since 2020-01-01 UTC, then 22 bits of sequence. Each is
 * larger than the one before, also where the clock was set back. Any thread.
 */
#ifndef SMARTHOP_QUEUE_IDS_H
#define SMARTHOP_QUEUE_IDS_H

#include <stdatomic.h>
#include <stdint.h>

struct ids {
    _Atomic uint64_t last;
};

/* `used`: no id up to here is given again. Returns it, or the present time's where that is later:
 * every id of this process lies above what is returned. */
uint64_t ids_start(struct ids *ids, uint64_t used);
uint64_t ids_next(struct ids *ids);

#endif
