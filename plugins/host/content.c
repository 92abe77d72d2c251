/* The services that read and write the message that an asking is about. They are called on threads
 * where that may block, while the worker's own may end the asking at any time. */
#include "plugins/host/private.h"

void content_open(struct plugin_run *run, uint64_t token)
{
    struct plugin_home *home = run->worker->home;

    pthread_mutex_lock(&home->lock);
    run->content_token = token;
    list_init(&run->content_link);
    list_append(&run->worker->contents, &run->content_link);
    pthread_mutex_unlock(&home->lock);
}

void content_close(struct plugin_run *run)
{
    struct plugin_home *home = run->worker->home;

    pthread_mutex_lock(&home->lock);
    list_remove(&run->content_link);
    pthread_mutex_unlock(&home->lock);
}

/* NULL = it is over, or this is a thread that may not wait. To be left again. */
static struct plugin_content *enter(const struct smarthop_self *self, uint64_t token)
{
    struct plugin_home *home = self->home;
    struct plugin_worker *worker = token != 0 ? token_worker(home, token) : NULL;
    struct plugin_content *found = NULL;

    if (worker == NULL || worker_is_here(worker))
        return NULL;
    pthread_mutex_lock(&home->lock);
    for (struct list *at = worker->contents.next; at != &worker->contents; at = at->next) {
        struct plugin_run *run = container_of(at, struct plugin_run, content_link);
        if (run->content_token != token)
            continue;
        found = run->content;
        found->enter(found);
        break;
    }
    pthread_mutex_unlock(&home->lock);
    return found;
}

int64_t service_body_read(struct smarthop_self *self, uint64_t token, uint64_t offset, void *bytes,
                          size_t len)
{
    struct plugin_content *content = enter(self, token);

    if (content == NULL)
        return -1;
    int64_t got = content->read(content, offset, bytes, len);
    content->leave(content);
    return got;
}

int service_body_write(struct smarthop_self *self, uint64_t token, const void *bytes, size_t len)
{
    struct plugin_content *content = enter(self, token);

    if (content == NULL)
        return -1;
    int result = content->write(content, span_of(bytes, len));
    content->leave(content);
    return result;
}
