/* What a worker has of the plugins. */
#include "plugins/host/private.h"

#include "base/memory.h"

struct plugin_worker *plugin_worker_create(struct plugin_home *home, unsigned index,
                                           struct loop *loop)
{
    struct plugin_worker *worker = mem_zalloc(sizeof *worker);

    worker->home = home;
    worker->index = index;
    worker->loop = loop;
    list_init(&worker->tasks);
    home->workers[index] = worker;
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
    for (unsigned i = 0; i < worker->slot_count; i++)
        free(worker->slots[i]);
    free(worker->slots);
    worker->home->workers[worker->index] = NULL;
    free(worker);
}
