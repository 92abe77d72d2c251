/* The names of askings. A slot is what a run has for as long as it goes on; each plugin that is
 * asked in it gets a new generation, so that an answer that comes too late finds nobody. */
#include "plugins/host/private.h"

#include "base/memory.h"

static struct slot *slot_of(const struct plugin_run *run)
{
    return run->worker->slots[run->slot];
}

static void add_slots(struct plugin_worker *worker)
{
    unsigned count = worker->slot_count ? 2 * worker->slot_count : 16;

    worker->slots = mem_realloc(worker->slots, count * sizeof(struct slot *));
    for (unsigned i = worker->slot_count; i < count; i++) {
        worker->slots[i] = mem_zalloc(sizeof(struct slot));
        worker->slots[i]->is_over = true;
        worker->slots[i]->next_free = i + 1;
        list_init(&worker->slots[i]->tasks);
    }
    worker->slot_count = count;
}

void slot_take(struct plugin_run *run)
{
    struct plugin_worker *worker = run->worker;

    if (worker->free == worker->slot_count)
        add_slots(worker);
    run->slot = worker->free;
    worker->free = slot_of(run)->next_free;
    slot_of(run)->run = run;
}

void slot_release(struct plugin_run *run)
{
    struct slot *slot = slot_of(run);

    slot->run = NULL;
    slot->next_free = run->worker->free;
    run->worker->free = run->slot;
}

uint64_t token_begin(struct plugin_run *run)
{
    struct slot *slot = slot_of(run);

    slot->generation++;
    slot->is_over = false;
    uint64_t token =
        (uint64_t)(run->worker->index + 1) << 56 | (uint64_t)run->slot << 32 | slot->generation;
    if (run->content != NULL)
        content_open(run, token);
    return token;
}

void token_end(struct plugin_run *run, enum slot_end how)
{
    struct slot *slot = slot_of(run);

    slot->is_over = true;
    slot->end = how;
    if (run->content != NULL)
        content_close(run);
    tasks_drop(slot);
}

struct plugin_worker *token_worker(struct plugin_home *home, uint64_t token)
{
    uint64_t index = token != 0 ? token >> 56 : 1;

    return index > 0 && index <= home->worker_count ? &home->workers[index - 1] : NULL;
}

struct slot *token_slot(struct plugin_worker *worker, uint64_t token)
{
    uint32_t index = (uint32_t)(token >> 32) & (SLOTS_MAX - 1);

    if (index >= worker->slot_count ||
        (int32_t)(worker->slots[index]->generation - token_generation(token)) < 0)
        return NULL;
    return worker->slots[index];
}

struct slot *token_living(struct plugin_worker *worker, uint64_t token)
{
    if (!worker_is_here(worker))
        return NULL;
    struct slot *slot = token_slot(worker, token);
    bool lives = slot != NULL && !slot->is_over && slot->generation == token_generation(token);
    return lives ? slot : NULL;
}
