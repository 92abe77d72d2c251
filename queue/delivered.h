/*
 * delivered: which groups have been delivered, known from the moment that the next hop says so. The
 * settlement of a group reaches the disk some milliseconds later; a process that is killed between
 * would send it again. So it is noted first, in a small file beside the store that is mapped into
 * memory: a note costs no call and no wait, and what a process has written there outlives its kill
 * (not a loss of power, before the kernel has got round to it). Opening settles what is noted and
 * still there.
 *
 * The file is a ring: old notes are written over, and most are of groups that are long gone. A note
 * that is lost or torn means that a message may be sent twice, never that one is lost; each has a
 * checksum.
 */
#ifndef SMARTHOP_QUEUE_DELIVERED_H
#define SMARTHOP_QUEUE_DELIVERED_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>

/* More than are ever delivered while one transaction is on its way to the disk. */
enum { DELIVERED_NOTES = 4096 };

struct delivered {
    char *map; /* NULL: there is no room for the file, and nothing is noted */
    atomic_uint next;
};

struct delivered_note {
    uint64_t id;
    uint64_t due; /* of the group, as the store has it */
    uint32_t group;
};

/* Opens or makes the file in the store's folder, which this process owns. On failure everything
 * else works, without notes. */
struct err delivered_open(struct delivered *d, const char *folder);
void delivered_close(struct delivered *d);

/* Any thread; does not block. */
void delivered_note(struct delivered *d, const struct delivered_note *note);
/* False where that place has no whole note. Before others note anything. */
bool delivered_read(const struct delivered *d, unsigned place, struct delivered_note *out);

#endif
