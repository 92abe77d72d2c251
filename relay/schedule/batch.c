/* Posted work that is waited for together. */
#include "schedule/private.h"

void batch_begin(struct schedule_batch *batch, struct loop *home, void (*ended)(struct call *call))
{
    batch->home = home;
    list_init(&batch->end.link);
    batch->end.done = ended;
    batch->is_patient = false;
    batch->reroute = NULL;
    atomic_init(&batch->untold, 1);
    atomic_init(&batch->affected, 0);
    atomic_init(&batch->busy, 0);
    atomic_init(&batch->moot, 0);
}

void batch_release(struct schedule_batch *batch)
{
    if (atomic_fetch_sub(&batch->untold, 1) == 1)
        loop_post(batch->home, &batch->end);
}

void batch_told(struct schedule_batch *batch, bool done)
{
    atomic_fetch_add(done ? &batch->affected : &batch->busy, 1);
    batch_release(batch);
}

void batch_told_moot(struct schedule_batch *batch)
{
    atomic_fetch_add(&batch->moot, 1);
    batch_release(batch);
}
