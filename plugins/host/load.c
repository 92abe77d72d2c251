/* Loading the plugins of a configuration, and the chains that they make. */
#include "plugins/host/private.h"

#include "base/log.h"
#include "base/memory.h"

#include <sys/stat.h>

/* ---- one plugin --------------------------------------------------------------------------- */

static char *section_text(const struct conf *conf, unsigned index)
{
    struct buf text;

    buf_init(&text, 0);
    conf_print_plugin(conf, index, &text);
    buf_add(&text, span_of("", 1));
    char *copy = mem_strdup(buf_span(&text).ptr);
    buf_fini(&text);
    return copy;
}

static bool open_store(struct smarthop_self *self, const struct conf *conf,
                       const struct conf_plugin *section, struct buf *messages)
{
    return !(self->plugin.flags & SMARTHOP_STORES) || self->home->process != NULL ||
           self->store != NULL ||
           store_join(self, conf->plugin_store_path, section->store_max, messages);
}

/* The caller's reference. NULL: told in `messages`. */
static struct smarthop_self *self_load(struct plugin_home *home, const struct conf *conf,
                                       unsigned index, struct buf *messages)
{
    const struct conf_plugin *section = &conf->plugins[index];
    char *file = self_file(conf, section);
    struct smarthop_self *self = self_create(section->name, file, conf->file);

    free(file);
    self->home = home;
    self->section = section_text(conf, index);
    self->tallies =
        aligned_alloc(_Alignof(struct tally), home->worker_count * sizeof(struct tally));
    if (self->tallies == NULL)
        abort();
    memset(self->tallies, 0, home->worker_count * sizeof(struct tally));
    bool good = (section->process ? proxy_open(self, conf, section, messages)
                                  : self_open(self, section, messages)) &&
                open_store(self, conf, section, messages);
    if (good) {
        self_begin(self);
        good = self_start(self, home->services, messages);
        if (!good)
            self_retire(self);
    } else {
        metrics_free(self); /* a process tells of them before it is begun, */
        store_leave(self);  /* and asks for its store */
    }
    if (good)
        return self;
    self_unref(self);
    return NULL;
}

/* ---- reload ------------------------------------------------------------------------------- */

static bool is_same_file(const struct smarthop_self *self)
{
    struct stat st;

    return stat(self->file, &st) == 0 && st.st_dev == self->device && st.st_ino == self->inode &&
           st.st_mtim.tv_sec == self->changed.tv_sec && st.st_mtim.tv_nsec == self->changed.tv_nsec;
}

static struct smarthop_self *find(const struct plugin_chain *old, const char *name)
{
    for (unsigned i = 0; old != NULL && i < old->count; i++)
        if (strcmp(old->plugins[i]->name, name) == 0)
            return old->plugins[i];
    return NULL;
}

/* The one of the old chain, where it still serves. */
static struct smarthop_self *keep(const struct plugin_chain *old, const struct conf *conf,
                                  unsigned index)
{
    struct smarthop_self *self = find(old, conf->plugins[index].name);

    if (self == NULL)
        return NULL;
    char *file = self_file(conf, &conf->plugins[index]);
    char *section = section_text(conf, index);
    bool same =
        strcmp(section, self->section) == 0 && strcmp(file, self->file) == 0 && is_same_file(self);
    free(section);
    free(file);
    return same ? self : NULL;
}

static bool reload(struct smarthop_self *self)
{
    if (self->plugin.reload == NULL)
        return true;
    self_enter(self);
    bool good = self->plugin.reload(self->state) == 0;
    self_exit(self);
    return good;
}

/* Those that stay look at their files again; those that do not want the new ones say so in the log.
 */
static void refresh(const struct plugin_chain *chain, const struct plugin_chain *old)
{
    struct log_line line;

    for (unsigned i = 0; i < chain->count; i++) {
        struct smarthop_self *self = chain->plugins[i];
        if (find(old, self->name) != self || reload(self))
            continue;
        if (log_begin(&line, LOG_ERROR, "plugin-reload-refused")) {
            log_text(&line, "plugin", self->name);
            log_text(&line, "text", "it goes on with what it had");
            log_end(&line);
        }
    }
}

static void tell_loaded(const struct plugin_chain *chain, const struct plugin_chain *old)
{
    struct log_line line;

    for (unsigned i = 0; i < chain->count; i++) {
        const struct smarthop_self *self = chain->plugins[i];
        if (find(old, self->name) == self || !log_begin(&line, LOG_INFO, "plugin-loaded"))
            continue;
        log_text(&line, "plugin", self->name);
        log_text(&line, "file", self->file);
        log_text(&line, "version", self->plugin.version);
        log_end(&line);
    }
}

/* ---- chains ------------------------------------------------------------------------------- */

static void link_hook(struct plugin_chain *chain, enum smarthop_hook hook)
{
    chain->links[hook] = mem_zalloc((chain->count + 1) * sizeof(struct plugin_link));
    chain->shadows[hook] = mem_zalloc((chain->count + 1) * sizeof(struct plugin_link));
    for (unsigned i = 0; i < chain->count; i++) {
        struct smarthop_self *self = chain->plugins[i];
        struct plugin_link link = {self, self->plugin.hooks[hook]};
        if (link.ask == NULL)
            continue;
        if (self->is_shadow)
            chain->shadows[hook][chain->shadow_count[hook]++] = link;
        else
            chain->links[hook][chain->link_count[hook]++] = link;
    }
}

static bool reads(const struct plugin_chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++) {
        const struct smarthop_plugin *plugin = &chain->plugins[i]->plugin;
        if ((plugin->flags & SMARTHOP_READS_HEADER) != 0 ||
            plugin->hooks[SMARTHOP_ON_HEADERS] != NULL ||
            plugin->hooks[SMARTHOP_ON_MESSAGE] != NULL)
            return true;
    }
    return false;
}

static void chain_free(struct plugin_chain *chain)
{
    pthread_mutex_lock(&chain->home->lock);
    list_remove(&chain->among);
    pthread_mutex_unlock(&chain->home->lock);
    for (unsigned hook = 0; hook < SMARTHOP_HOOKS; hook++) {
        free(chain->links[hook]);
        free(chain->shadows[hook]);
    }
    for (unsigned i = 0; i < chain->count; i++)
        self_leave(chain->plugins[i]);
    free(chain->plugins);
    free(chain);
}

static void on_dispose(struct call *call)
{
    chain_free(container_of(call, struct plugin_chain, dispose));
}

struct plugin_chain *plugin_chain_ref(struct plugin_chain *chain)
{
    if (chain != NULL)
        atomic_fetch_add_explicit(&chain->references, 1, memory_order_relaxed);
    return chain;
}

/* Stopping a plugin may block, so that is for the main thread. */
void plugin_chain_unref(struct plugin_chain *chain)
{
    if (chain == NULL ||
        atomic_fetch_sub_explicit(&chain->references, 1, memory_order_acq_rel) != 1)
        return;
    if (chain->home->is_over) {
        chain_free(chain);
        return;
    }
    list_init(&chain->dispose.link);
    chain->dispose.done = on_dispose;
    inbox_post(&chain->home->inbox, &chain->dispose);
}

static struct plugin_chain *chain_create(struct plugin_home *home, unsigned most)
{
    struct plugin_chain *chain = mem_zalloc(sizeof *chain);

    atomic_init(&chain->references, 1);
    chain->home = home;
    chain->plugins = mem_zalloc((most + 1) * sizeof(struct smarthop_self *));
    list_init(&chain->among);
    pthread_mutex_lock(&home->lock);
    list_append(&home->chains, &chain->among);
    pthread_mutex_unlock(&home->lock);
    return chain;
}

bool plugin_chain_check(const struct conf *conf, struct buf *messages)
{
    struct plugin_home *home = plugin_home_create(NULL, 1);
    bool good = true;

    for (unsigned i = 0; i < conf->plugin_count; i++) {
        const struct conf_plugin *section = &conf->plugins[i];
        char *file = self_file(conf, section);
        struct smarthop_self *self = self_create(section->name, file, conf->file);
        self->home = home;
        good &= section->process ? proxy_check(self, conf, section, messages)
                                 : self_open(self, section, messages);
        self_unref(self);
        free(file);
    }
    plugin_home_free(home);
    return good;
}

struct err plugin_chain_load(struct plugin_home *home, const struct conf *conf,
                             struct plugin_chain *old, struct buf *messages,
                             struct plugin_chain **out)
{
    struct plugin_chain *chain = chain_create(home, conf->plugin_count);
    bool good = true;

    for (unsigned i = 0; i < conf->plugin_count; i++) {
        struct smarthop_self *kept = keep(old, conf, i);
        struct smarthop_self *self = kept != NULL ? kept : self_load(home, conf, i, messages);
        good &= self != NULL;
        if (self == NULL)
            continue;
        self_join(self);
        chain->plugins[chain->count++] = self;
        if (kept == NULL)
            self_unref(self);
    }
    *out = NULL;
    if (!good) {
        chain_free(chain);
        return err_make(ERR_INVALID, "plugins");
    }
    for (unsigned hook = 0; hook < SMARTHOP_HOOKS; hook++)
        link_hook(chain, hook);
    chain->reads = reads(chain);
    refresh(chain, old);
    tell_loaded(chain, old);
    hangs_watch(chain);
    *out = chain;
    return ERR_OK;
}

/* ---- the process -------------------------------------------------------------------------- */

struct plugin_home *plugin_home_create(struct loop *main, unsigned workers)
{
    struct plugin_home *home = mem_zalloc(sizeof *home);

    pthread_mutex_init(&home->lock, NULL);
    pthread_cond_init(&home->news, NULL);
    list_init(&home->chains);
    list_init(&home->plugins);
    list_init(&home->stores);
    home->main = main;
    home->helper = place_beside(1, "smarthop-plugin");
    home->services = &host_services;
    inbox_init(&home->inbox, home);
    inbox_open(&home->inbox, main);
    home->worker_count = workers;
    home->workers = mem_zalloc(workers * sizeof(struct plugin_worker));
    for (unsigned i = 0; i < workers; i++)
        plugin_worker_init(&home->workers[i], home, i);
    return home;
}

void plugin_home_use(struct plugin_home *home, const char *helper)
{
    free(home->helper);
    home->helper = mem_strdup(helper);
}

void plugin_home_lend(struct plugin_home *home, struct plugin_launcher *launcher)
{
    home->launcher = launcher;
}

void plugin_home_free(struct plugin_home *home)
{
    if (home == NULL)
        return;
    while (!list_is_empty(&home->chains))
        chain_free(container_of(home->chains.next, struct plugin_chain, among));
    for (unsigned i = 0; i < home->worker_count; i++)
        inbox_fini(&home->workers[i].inbox);
    inbox_fini(&home->inbox);
    pthread_cond_destroy(&home->news);
    pthread_mutex_destroy(&home->lock);
    free(home->workers);
    free(home->helper);
    free(home);
}
