#include "conf/load.h"

#include "base/memory.h"
#include "conf/value.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A value as libConfuse hands it over; the types of the schema are ours. */
struct raw {
    unsigned line;
    char text[];
};

/* One table or item being filled. */
struct filling {
    struct conf_loading *loading;
    const struct conf_section *section;
    cfg_t *cfg;
    void *item;
    unsigned line; /* of the section; 0 for the globals */
    const struct conf_key *choice;
};

enum { OPTIONS_MAX = CONF_KEYS_MAX + CONF_SECTIONS + CONF_EXTRA_MAX + 2 };

static int take_value(cfg_t *cfg, cfg_opt_t *option, const char *value, void *result)
{
    size_t size = strlen(value) + 1;
    struct raw *raw = mem_alloc(sizeof *raw + size);

    (void)option;
    raw->line = (unsigned)cfg->line;
    memcpy(raw->text, value, size);
    *(void **)result = raw;
    return 0;
}

/* libConfuse's error callback has no argument of ours: the source rides in option 0, which
 * libConfuse copies into every section and which no name can reach. */
static cfg_opt_t context_option(struct conf_source *source)
{
    cfg_opt_t option = CFG_FUNC("", NULL);

    option.simple_value.ptr = (void *)source;
    return option;
}

static void take_error(cfg_t *cfg, const char *format, va_list args)
{
    struct conf_source *source = (void *)cfg->opts[0].simple_value.ptr;
    char *text;

    if (vasprintf(&text, format, args) < 0)
        abort();
    conf_source_problem(source, (unsigned)cfg->line, "syntax error: %s", text);
    free(text);
}

static cfg_opt_t value_option(const char *name)
{
    return (cfg_opt_t)CFG_PTR_LIST_CB(name, NULL, CFGF_NODEFAULT, take_value, free);
}

static unsigned add_options(cfg_opt_t *options, const struct conf_section *section,
                            struct conf_loading *loading)
{
    unsigned count = 0;

    options[count++] = context_option(&loading->source);
    for (unsigned i = 0; i < section->key_count; i++)
        options[count++] = value_option(section->keys[i].name);
    for (unsigned i = 0; section->is_open && i < loading->places.extra_count; i++)
        options[count++] = value_option(loading->places.extra[i]);
    return count;
}

static cfg_t *make_parser(struct conf_loading *loading)
{
    cfg_opt_t globals[OPTIONS_MAX];
    cfg_opt_t inner[CONF_SECTIONS][OPTIONS_MAX];
    unsigned count = add_options(globals, &conf_globals, loading);

    for (unsigned i = 0; i < CONF_SECTIONS; i++) {
        unsigned end = add_options(inner[i], &conf_sections[i], loading);
        inner[i][end] = (cfg_opt_t)CFG_END();
        globals[count++] = (cfg_opt_t)CFG_SEC(conf_sections[i].name, inner[i],
                                              CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    }
    globals[count] = (cfg_opt_t)CFG_END();
    cfg_t *cfg = cfg_init(globals, CFGF_NONE);
    if (cfg == NULL)
        abort();
    cfg_set_error_function(cfg, take_error);
    return cfg;
}

static void report_value(const struct filling *f, const struct conf_key *key, const struct raw *raw,
                         const struct buf *why)
{
    const char *shown = key->is_secret ? "***" : raw->text;

    conf_source_problem(&f->loading->source, raw->line, "%s: \"%.100s\" %.*s", key->name, shown,
                        SPAN_ARG(buf_span(why)));
}

static void choose(struct filling *f, const struct conf_key *key, unsigned line)
{
    if (f->choice != NULL)
        conf_source_problem(&f->loading->source, line, "%s and %s exclude each other",
                            f->choice->name, key->name);
    f->choice = key;
    ((struct conf_route *)f->item)->action = key->choice;
}

/* The word for the empty list, where one may be empty. */
static bool is_none(const struct conf_key *key, const struct raw *raw)
{
    return conf_key_is_list(key) && key->min == 0 && strcmp(raw->text, "none") == 0;
}

static void fill_key(struct filling *f, const struct conf_key *key)
{
    cfg_opt_t *option = cfg_getopt(f->cfg, key->name);
    unsigned count = cfg_opt_size(option);
    unsigned line = f->line;
    struct buf why;

    if (key->inherits)
        *conf_key_given(key, f->item) = (option->flags & CFGF_MODIFIED) != 0;
    if (!(option->flags & CFGF_MODIFIED)) {
        conf_value_set_default(key, f->item, f->loading->folder);
        if (key->is_required)
            conf_source_problem(&f->loading->source, line, "%s \"%.100s\" lacks its %s",
                                f->section->name, cfg_title(f->cfg), key->name);
        return;
    }
    buf_init(&why, 0);
    for (unsigned i = 0; i < count; i++) {
        const struct raw *raw = cfg_opt_getnptr(option, i);
        if (count == 1 && is_none(key, raw))
            break;
        if (!conf_value_add(key, f->item, span_cstr(raw->text), f->loading->folder, &why))
            report_value(f, key, raw, &why);
        buf_clear(&why);
        line = raw->line;
    }
    buf_fini(&why);
    if (conf_key_is_list(key) && count < key->min)
        conf_source_problem(&f->loading->source, line, "%s is empty", key->name);
    if (key->is_choice)
        choose(f, key, line);
    if (f->section == &conf_globals)
        f->loading->key_lines[key - f->section->keys] = line;
}

static void require_choice(const struct filling *f)
{
    struct buf names;

    buf_init(&names, 0);
    for (unsigned i = 0; i < f->section->key_count; i++) {
        if (f->section->keys[i].is_choice)
            buf_addf(&names, "%s%s", buf_len(&names) > 0 ? ", " : "", f->section->keys[i].name);
    }
    if (buf_len(&names) > 0 && f->choice == NULL)
        conf_source_problem(&f->loading->source, f->line, "%s \"%.100s\" needs one of %.*s",
                            f->section->name, cfg_title(f->cfg), SPAN_ARG(buf_span(&names)));
    buf_fini(&names);
}

static void fill_option(cfg_opt_t *given, const char *name, struct conf_option *out)
{
    out->name = mem_strdup(name);
    out->count = cfg_opt_size(given);
    out->values = mem_zalloc((out->count + 1) * sizeof *out->values);
    out->lines = mem_zalloc((out->count + 1) * sizeof *out->lines);
    for (unsigned i = 0; i < out->count; i++) {
        const struct raw *raw = cfg_opt_getnptr(given, i);
        out->values[i] = mem_strdup(raw->text);
        out->lines[i] = raw->line;
    }
}

/* The keys that only the section's owner knows. */
static void fill_options(struct filling *f)
{
    const struct conf_places *places = &f->loading->places;
    struct conf_option **options = conf_item_options(f->section, f->item);
    unsigned *count = conf_item_option_count(f->section, f->item);

    *options = mem_zalloc((places->extra_count + 1) * sizeof **options);
    for (unsigned i = 0; i < places->extra_count; i++) {
        cfg_opt_t *given = cfg_getopt(f->cfg, places->extra[i]);
        if (given->flags & CFGF_MODIFIED)
            fill_option(given, places->extra[i], &(*options)[(*count)++]);
    }
}

static void fill_item(struct filling *f)
{
    for (unsigned i = 0; i < f->section->key_count; i++)
        fill_key(f, &f->section->keys[i]);
    if (f->section->is_open)
        fill_options(f);
    require_choice(f);
}

static void fill_section(struct conf_loading *loading, cfg_t *cfg, unsigned type)
{
    const struct conf_section *section = &conf_sections[type];
    unsigned count = cfg_size(cfg, section->name);
    char *items = count > 0 ? mem_zalloc(count * section->item_size) : NULL;
    char *owner = (char *)loading->conf;

    *(char **)(void *)(owner + section->items_offset) = items;
    *(unsigned *)(void *)(owner + section->count_offset) = count;
    for (unsigned i = 0; i < count; i++) {
        struct filling f = {
            .loading = loading,
            .section = section,
            .cfg = cfg_getnsec(cfg, section->name, i),
            .item = items + i * section->item_size,
            .line = loading->places.items[type][i].line,
        };
        *(char **)((char *)f.item + section->title_offset) = mem_strdup(cfg_title(f.cfg));
        fill_item(&f);
    }
}

static bool sections_agree(const struct conf_places *places, cfg_t *cfg)
{
    for (unsigned i = 0; i < CONF_SECTIONS; i++) {
        if (places->count[i] != cfg_size(cfg, conf_sections[i].name))
            return false;
    }
    return true;
}

bool conf_fill(struct conf_loading *loading)
{
    struct conf_source *source = &loading->source;
    cfg_t *cfg = make_parser(loading);
    unsigned problems = source->problem_count;

    buf_add(&source->text, span_of("", 1));
    bool parsed = cfg_parse_buf(cfg, buf_span(&source->text).ptr) == CFG_SUCCESS &&
                  sections_agree(&loading->places, cfg);
    if (parsed) {
        struct filling f = {
            .loading = loading, .section = &conf_globals, .cfg = cfg, .item = loading->conf};
        fill_item(&f);
        for (unsigned i = 0; i < CONF_SECTIONS; i++)
            fill_section(loading, cfg, i);
    } else if (source->problem_count == problems) {
        conf_source_problem(source, (unsigned)cfg->line, "syntax error");
    }
    cfg_free(cfg);
    return parsed;
}
