/* One plugin: its library, its descriptor, its start. */
#include "plugins/host/self.h"

#include "base/file.h"
#include "base/memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum { FILE_MOST = 256 << 20, COPY_PIECE = 65536, COPY_PATH = 64 };

struct smarthop_self *self_create(const char *name, const char *file, const char *conf_file)
{
    struct smarthop_self *self = mem_zalloc(sizeof *self);

    atomic_init(&self->references, 1);
    pthread_mutex_init(&self->serial, NULL);
    self->copy = -1;
    self->name = mem_strdup(name);
    self->file = mem_strdup(file);
    self->conf_file = mem_strdup(conf_file);
    return self;
}

struct smarthop_self *self_ref(struct smarthop_self *self)
{
    atomic_fetch_add_explicit(&self->references, 1, memory_order_relaxed);
    return self;
}

/* A library may stay although it was closed. Then its number must not be given to another one: it
 * would be taken for this one, which has the same name. */
static void close_library(struct smarthop_self *self)
{
    char path[COPY_PATH];

    if (self->library != NULL) {
        dlclose(self->library);
        snprintf(path, sizeof path, "/proc/self/fd/%d", self->copy);
        void *stays = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
        if (stays != NULL) {
            dlclose(stays);
            return;
        }
    }
    if (self->copy >= 0)
        close(self->copy);
}

void self_stop(struct smarthop_self *self)
{
    if (self->is_started && self->plugin.stop != NULL)
        self->plugin.stop(self->state);
    self->is_started = false;
}

static void self_free(struct smarthop_self *self)
{
    self_stop(self);
    if (self->proxy != NULL)
        self->free_proxy(self->proxy);
    options_free(self);
    close_library(self);
    pthread_mutex_destroy(&self->serial);
    free(self->tallies);
    free(self->name);
    free(self->file);
    free(self->section);
    free(self->conf_file);
    free(self);
}

void self_unref(struct smarthop_self *self)
{
    if (atomic_fetch_sub_explicit(&self->references, 1, memory_order_acq_rel) == 1)
        self_free(self);
}

static bool copy_all(int from, int to)
{
    char *piece = mem_alloc(COPY_PIECE);
    size_t len = 1;
    bool good = true;

    while (good && len > 0) {
        good = !err_is(file_read(from, piece, COPY_PIECE, &len));
        for (size_t done = 0; good && done < len;) {
            ssize_t written = write(to, piece + done, len - done);
            good = written > 0;
            done += good ? (size_t)written : 0;
        }
    }
    free(piece);
    return good;
}

/* `text` may begin with the name of what it is about, which is not what the operator calls it. */
static bool refuse_library(const struct smarthop_self *self, struct span text, const char *name,
                           struct buf *messages)
{
    size_t len = strlen(name);
    bool is_named = text.len > len + 2 && memcmp(text.ptr, name, len) == 0;
    struct span why = is_named ? span_from(text, len + 2) : text;

    buf_addf(messages, "%s: plugin \"%s\" cannot be loaded: %.*s\n", self->file, self->name,
             SPAN_ARG(span_head(why, span_index(why, '\n'))));
    return false;
}

static bool open_file(const struct smarthop_self *self, struct stat *st_out, int *fd_out,
                      struct buf *messages)
{
    struct buf why;

    buf_init(&why, 0);
    struct err e = file_open(self->file, FILE_MOST, fd_out, st_out, &why);
    if (err_is(e))
        refuse_library(self, buf_span(&why), self->file, messages);
    buf_fini(&why);
    return !err_is(e);
}

/* The library is a copy: whoever overwrites the file does not pull the code from under our feet,
 * and a new file is never taken for the old one. The copy stays open, because a library of the same
 * name would be taken for it. */
static bool open_library(struct smarthop_self *self, struct buf *messages)
{
    struct stat st;
    char path[COPY_PATH];
    int fd;

    if (!open_file(self, &st, &fd, messages))
        return false;
    self->copy = memfd_create(self->name, MFD_CLOEXEC);
    if (self->copy < 0 || !copy_all(fd, self->copy)) {
        buf_addf(messages, "%s: %s\n", self->file, strerror(errno));
    } else {
        snprintf(path, sizeof path, "/proc/self/fd/%d", self->copy);
        self->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (self->library == NULL)
            refuse_library(self, span_cstr(dlerror()), path, messages);
    }
    close(fd);
    self->device = st.st_dev;
    self->inode = st.st_ino;
    self->changed = st.st_mtim;
    return self->library != NULL;
}

/* The least that version 1.0 has. */
static const char *what_is_wrong(const struct smarthop_plugin *plugin, char *room, size_t size)
{
    if (plugin->magic != SMARTHOP_MAGIC)
        return "its smarthop_plugin is no descriptor of a plugin";
    if (plugin->abi_major != SMARTHOP_ABI_MAJOR || plugin->abi_minor > SMARTHOP_ABI_MINOR) {
        snprintf(room, size,
                 "it was built for version %u.%u of the plugin interface, this server has %d.%d; "
                 "build it again with this server's smarthop_plugin.h",
                 plugin->abi_major, plugin->abi_minor, SMARTHOP_ABI_MAJOR, SMARTHOP_ABI_MINOR);
        return room;
    }
    if (plugin->size < sizeof *plugin)
        return "its descriptor is shorter than that of version 1.0";
    if (plugin->name == NULL || plugin->version == NULL || plugin->summary == NULL)
        return "its descriptor has no name, version or summary";
    if (plugin->start == NULL)
        return "its descriptor has no start";
    if (plugin->option_count > 0 &&
        (plugin->options == NULL || plugin->option_size < sizeof *plugin->options))
        return "its descriptor has options without a place or size";
    return NULL;
}

static bool read_descriptor(struct smarthop_self *self, struct buf *messages)
{
    const struct smarthop_plugin *plugin = dlsym(self->library, "smarthop_plugin");
    char room[256];

    const char *wrong = plugin == NULL ? "it does not export smarthop_plugin"
                                       : what_is_wrong(plugin, room, sizeof room);
    if (wrong != NULL) {
        buf_addf(messages, "%s: plugin \"%s\" cannot be used: %s\n", self->file, self->name, wrong);
        return false;
    }
    self->plugin = *plugin;
    return true;
}

void self_configure(struct smarthop_self *self, const struct conf_plugin *section)
{
    self->fail_mode =
        self->plugin.fail_mode == SMARTHOP_FAIL_OPEN ? SMARTHOP_FAIL_OPEN : SMARTHOP_FAIL_DEFER;
    if (section->fail != CONF_PLUGIN_FAIL_DEFAULT)
        self->fail_mode =
            section->fail == CONF_PLUGIN_FAIL_OPEN ? SMARTHOP_FAIL_OPEN : SMARTHOP_FAIL_DEFER;
    self->is_shadow = section->shadow;
    self->timeout_ms = section->timeout;
    self->budget_ns = section->budget * 1000000;
    self->strikes_max = section->strikes;
    self->rest_ms = section->rest;
}

bool self_open(struct smarthop_self *self, const struct conf_plugin *section, struct buf *messages)
{
    if (!open_library(self, messages) || !read_descriptor(self, messages))
        return false;
    self_configure(self, section);
    return options_load(self, section, messages);
}

bool self_start(struct smarthop_self *self, const struct smarthop_host *services,
                struct buf *messages)
{
    size_t before = buf_len(messages);

    self->problems = messages;
    int rc = self->plugin.start(services, self, &self->state);
    self->is_started = rc == 0;
    if (rc == 0 && self->plugin.self_test != NULL && self->plugin.self_test(self->state) != 0) {
        buf_addf(messages, "%s: plugin \"%s\" does not pass its own test\n", self->file,
                 self->name);
        rc = -1;
    }
    self->problems = NULL;
    if (rc != 0 && buf_len(messages) == before)
        buf_addf(messages, "%s: plugin \"%s\" does not start, and does not say why\n", self->file,
                 self->name);
    return rc == 0;
}

void service_random(struct smarthop_self *self, void *bytes, size_t len)
{
    char *at = bytes;

    (void)self;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}
