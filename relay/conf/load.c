#include "conf/load.h"

#include "base/memory.h"
#include "conf/value.h"

#include <stdio.h>
#include <stdlib.h>

static void free_options(struct conf_option *options, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < options[i].count; k++)
            free(options[i].values[k]);
        free(options[i].name);
        free(options[i].values);
        free(options[i].lines);
    }
    free(options);
}

static void free_item(const struct conf_section *section, void *item)
{
    for (unsigned i = 0; i < section->key_count; i++)
        conf_value_free(&section->keys[i], item);
    if (section->is_open)
        free_options(*conf_item_options(section, item), *conf_item_option_count(section, item));
}

static void free_conf(struct conf *conf)
{
    conf_credentials_erase(conf);
    for (unsigned type = 0; type < CONF_SECTIONS; type++) {
        const struct conf_section *section = &conf_sections[type];
        for (unsigned i = 0; i < conf_section_count(conf, section); i++) {
            char *item = conf_section_item(conf, section, i);
            free_item(section, item);
            free(*(char **)(void *)(item + section->title_offset));
        }
        free(*(char **)(void *)((char *)conf + section->items_offset));
    }
    free_item(&conf_globals, conf);
    free(conf->file);
    free(conf);
}

struct conf *conf_ref(struct conf *conf)
{
    atomic_fetch_add_explicit(&conf->references, 1, memory_order_relaxed);
    return conf;
}

void conf_unref(struct conf *conf)
{
    if (conf != NULL && atomic_fetch_sub_explicit(&conf->references, 1, memory_order_acq_rel) == 1)
        free_conf(conf);
}

static void set_hostname(struct conf_loading *loading)
{
    if (loading->conf->hostname != NULL)
        return;
    loading->conf->hostname = conf_own_hostname();
    if (loading->conf->hostname == NULL)
        conf_source_problem(&loading->source, 0,
                            "hostname is not given, and the machine's own name is no domain name");
}

static void set_postmaster(struct conf *conf)
{
    if (conf->postmaster_address == NULL && conf->hostname != NULL &&
        asprintf(&conf->postmaster_address, "postmaster@%s", conf->hostname) < 0)
        abort();
}

static void load_text(struct conf_loading *loading)
{
    if (loading->source.problem_count > 0)
        return;
    conf_names_check(&loading->source, &loading->places);
    if (!conf_fill(loading))
        return;
    conf_check(loading);
    conf_credentials_load(loading);
    if (loading->source.problem_count > 0)
        return;
    set_hostname(loading);
    set_postmaster(loading->conf);
    conf_sort(loading->conf);
}

static struct err load(const char *file, bool with_passwords, struct buf *messages,
                       struct conf **out)
{
    struct conf_loading loading = {.folder = conf_folder_of(file),
                                   .with_passwords = with_passwords};

    *out = NULL;
    loading.conf = mem_zalloc(sizeof *loading.conf);
    loading.conf->references = 1;
    loading.conf->file = mem_strdup(file);
    conf_source_init(&loading.source);
    struct err e = conf_source_read(&loading.source, file);
    if (err_is(e)) {
        char why[ERR_TEXT_MAX];
        buf_addf(messages, "%s: %s\n", file, err_text(e, why));
    } else {
        load_text(&loading);
        conf_source_print_problems(&loading.source, messages);
        if (loading.source.problem_count > 0)
            e = err_make(ERR_INVALID, "configuration");
    }
    if (err_is(e))
        conf_unref(loading.conf);
    else
        *out = loading.conf;
    conf_places_fini(&loading.places);
    conf_source_fini(&loading.source);
    free(loading.folder);
    return e;
}

struct err conf_load(const char *file, struct buf *messages, struct conf **out)
{
    return load(file, true, messages, out);
}

struct err conf_load_for_client(const char *file, struct buf *messages, struct conf **out)
{
    return load(file, false, messages, out);
}
