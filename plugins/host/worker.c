/* What a worker has of the plugins. */
#include "plugins/host/private.h"

#include "base/memory.h"

void plugin_worker_init(struct plugin_worker *worker, struct plugin_home *home, unsigned index)
{
    worker->home = home;
    worker->index = index;
    inbox_init(&worker->inbox, home);
    list_init(&worker->tasks);
    list_init(&worker->jobs);
    list_init(&worker->contents);
    list_init(&worker->shadows);
    for (unsigned i = 0; i < TASK_LISTS; i++)
        list_init(&worker->tasks_by_id[i]);
}

struct plugin_worker *plugin_worker_create(struct plugin_home *home, unsigned index,
                                           struct loop *loop, const struct plugin_backend *backend)
{
    struct plugin_worker *worker = &home->workers[index];

    worker->loop = loop;
    worker->backend = backend;
    inbox_open(&worker->inbox, loop);
    return worker;
}

void plugin_worker_configure(struct plugin_worker *worker, struct plugin_chain *chain)
{
    struct plugin_chain *old = worker->chain;

    worker->chain = plugin_chain_ref(chain);
    plugin_chain_unref(old);
}

void plugin_worker_free(struct plugin_worker *worker)
{
    if (worker == NULL)
        return;
    plugin_worker_configure(worker, NULL);
    for (unsigned i = 0; i < worker->slot_count; i++)
        free(worker->slots[i]);
    free(worker->slots);
    worker->slots = NULL;
    worker->slot_count = worker->free = 0;
}
