#include "conf/value.h"

enum { WIDTH = 98, MANUAL_WORD_MAX = 60 };

/* Of a route's choices only the one that made its action is printed; of what may be inherited only
 * what the item has of its own. */
static bool is_printed(const struct conf_key *key, const void *item)
{
    const struct conf_route *route = item;

    if (key->inherits)
        return *conf_key_given(key, item);
    if (!key->is_choice)
        return true;
    if (key->choice != route->action)
        return false;
    if (key->choice == CONF_ROUTE_MX)
        return (key->type == CONF_MARK) == (route->mx_domain == NULL);
    return true;
}

static void print_item(const struct conf_section *section, const void *item, const char *indent,
                       struct buf *out)
{
    for (unsigned i = 0; i < section->key_count; i++) {
        const struct conf_key *key = &section->keys[i];
        if (!is_printed(key, item))
            continue;
        buf_addf(out, "%s%s = ", indent, key->name);
        conf_value_print(key, item, out);
        buf_addf(out, "\n");
    }
}

static void print_options(const struct conf_section *section, void *item, struct buf *out)
{
    const struct conf_option *options = *conf_item_options(section, item);

    for (unsigned i = 0; i < *conf_item_option_count(section, item); i++) {
        buf_addf(out, "    %s = {", options[i].name);
        for (unsigned k = 0; k < options[i].count; k++) {
            buf_addf(out, "%s", k > 0 ? ", " : "");
            conf_print_quoted(options[i].values[k], out);
        }
        buf_addf(out, "}\n");
    }
}

static const char *title_of(const struct conf_section *section, const void *item)
{
    return *(char *const *)(const void *)((const char *)item + section->title_offset);
}

static void print_section(const struct conf_section *section, void *item, struct buf *out)
{
    buf_addf(out, "\n%s \"%s\" {\n", section->name, title_of(section, item));
    print_item(section, item, "    ", out);
    if (section->is_open)
        print_options(section, item, out);
    buf_addf(out, "}\n");
}

void conf_print(const struct conf *conf, struct buf *out)
{
    print_item(&conf_globals, conf, "", out);
    for (unsigned type = 0; type < CONF_SECTIONS; type++) {
        const struct conf_section *section = &conf_sections[type];
        for (unsigned i = 0; i < conf_section_count(conf, section); i++)
            print_section(section, conf_section_item(conf, section, i), out);
    }
}

void conf_print_plugin(const struct conf *conf, unsigned index, struct buf *out)
{
    const struct conf_section *section = &conf_sections[CONF_PLUGIN];

    print_section(section, conf_section_item(conf, section, index), out);
}

/* The default, or an example where there is none. */
static void print_suggestion(const struct conf_key *key, struct buf *out)
{
    union {
        struct conf globals;
        struct conf_listener listener;
        struct conf_certificate certificate;
        struct conf_credentials credentials;
        struct conf_origin origin;
        struct conf_route route;
        struct conf_plugin plugin;
    } item;

    if (key->example != NULL && conf_key_is_list(key)) {
        buf_addf(out, "{%s}", key->example);
    } else if (key->example != NULL) {
        buf_addf(out, key->type == CONF_MARK ? "%s" : "\"%s\"", key->example);
    } else {
        memset(&item, 0, sizeof item);
        conf_value_set_default(key, &item, NULL);
        conf_value_print(key, &item, out);
        conf_value_free(key, &item);
    }
}

static void print_status(const struct conf_key *key, struct buf *out)
{
    const char *absent = "";

    if (key->is_required)
        absent = " Must be given.";
    else if (key->example != NULL && !key->is_choice)
        absent = " Not set by default; the value shown is an example.";
    buf_addf(out, "Value: ");
    conf_value_print_expected(key, out);
    buf_addf(out, ".%s%s", absent, key->reloadable ? "" : " A change needs a restart.");
}

/* A longer word fits no line: it may be broken there. */
static void print_breakable(struct span text, struct buf *out)
{
    size_t run = 0;

    for (size_t i = 0; i < text.len; i++) {
        run = text.ptr[i] == ' ' ? 0 : run + 1;
        buf_addf(out, "%c%s", text.ptr[i], run == MANUAL_WORD_MAX ? "\\:" : "");
    }
}

static void print_manual_keys(const struct conf_section *section, struct buf *out)
{
    for (unsigned i = 0; i < section->key_count; i++) {
        const struct conf_key *key = &section->keys[i];
        struct buf suggestion;
        buf_init(&suggestion, 0);
        print_suggestion(key, &suggestion);
        buf_addf(out, ".TP\n\\fB%s\\fP = ", key->name);
        print_breakable(buf_span(&suggestion), out);
        buf_fini(&suggestion);
        buf_addf(out, "\n%s\n.br\n", key->help);
        print_status(key, out);
        buf_addf(out, "\n");
    }
}

void conf_print_manual(struct buf *out)
{
    buf_addf(out, ".SS Global keys\n");
    print_manual_keys(&conf_globals, out);
    for (unsigned type = 0; type < CONF_SECTIONS; type++) {
        const struct conf_section *section = &conf_sections[type];
        buf_addf(out, ".SS %s \\(dq\\fI%s\\fP\\(dq { ... }\n%s\n", section->name, section->title,
                 section->help);
        print_manual_keys(section, out);
    }
}

/* As comment lines behind `prefix`, broken between words. */
static void print_wrapped(struct span text, const char *prefix, struct buf *out)
{
    size_t column = 0;

    while (text.len > 0) {
        struct span word = span_split(text, ' ', &text);
        if (column > 0 && column + 1 + word.len > WIDTH) {
            buf_addf(out, "\n");
            column = 0;
        }
        if (column == 0) {
            buf_addf(out, "%s%.*s", prefix, SPAN_ARG(word));
            column = strlen(prefix) + word.len;
        } else {
            buf_addf(out, " %.*s", SPAN_ARG(word));
            column += 1 + word.len;
        }
    }
    buf_addf(out, "\n");
}

static void print_reference_keys(const struct conf_section *section, const char *comment,
                                 const char *indent, struct buf *out)
{
    struct buf status;

    for (unsigned i = 0; i < section->key_count; i++) {
        const struct conf_key *key = &section->keys[i];
        print_wrapped(span_cstr(key->help), comment, out);
        buf_init(&status, 0);
        print_status(key, &status);
        print_wrapped(buf_span(&status), comment, out);
        buf_fini(&status);
        buf_addf(out, "#%s%s = ", indent, key->name);
        print_suggestion(key, out);
        buf_addf(out, "\n\n");
    }
}

void conf_print_reference(struct buf *out)
{
    print_reference_keys(&conf_globals, "# ", "", out);
    for (unsigned type = 0; type < CONF_SECTIONS; type++) {
        const struct conf_section *section = &conf_sections[type];
        print_wrapped(span_cstr(section->help), "# ", out);
        buf_addf(out, "#%s \"%s\" {\n", section->name, section->title);
        print_reference_keys(section, "#    # ", "    ", out);
        buf_addf(out, "#}\n%s", type + 1 < CONF_SECTIONS ? "\n" : "");
    }
}

static bool same_value(const struct conf_key *key, const void *a, const void *b)
{
    struct buf left;
    struct buf right;

    buf_init(&left, 0);
    buf_init(&right, 0);
    conf_value_print(key, a, &left);
    conf_value_print(key, b, &right);
    bool same = span_equal(buf_span(&left), buf_span(&right));
    buf_fini(&left);
    buf_fini(&right);
    return same;
}

static const void *item_by_title(const struct conf *conf, const struct conf_section *section,
                                 const char *title)
{
    for (unsigned i = 0; i < conf_section_count(conf, section); i++) {
        const void *item = conf_section_item(conf, section, i);
        if (strcmp(title_of(section, item), title) == 0)
            return item;
    }
    return NULL;
}

static bool is_reloadable(const struct conf_section *section)
{
    for (unsigned i = 0; i < section->key_count; i++) {
        if (!section->keys[i].reloadable)
            return false;
    }
    return true;
}

static void compare_items(const struct conf_section *section, const struct conf *now,
                          const struct conf *next, struct buf *messages)
{
    for (unsigned i = 0; i < conf_section_count(now, section); i++) {
        const void *item = conf_section_item(now, section, i);
        const char *title = title_of(section, item);
        const void *other = item_by_title(next, section, title);
        if (other == NULL)
            buf_addf(messages, "%s \"%s\": removing it needs a restart\n", section->name, title);
        for (unsigned k = 0; other != NULL && k < section->key_count; k++) {
            const struct conf_key *key = &section->keys[k];
            if (!key->reloadable && !same_value(key, item, other))
                buf_addf(messages, "%s \"%s\": %s needs a restart\n", section->name, title,
                         key->name);
        }
    }
    for (unsigned i = 0; i < conf_section_count(next, section); i++) {
        const char *title = title_of(section, conf_section_item(next, section, i));
        if (item_by_title(now, section, title) == NULL)
            buf_addf(messages, "%s \"%s\": adding it needs a restart\n", section->name, title);
    }
}

void conf_restart_needed(const struct conf *now, const struct conf *next, struct buf *messages)
{
    for (unsigned i = 0; i < conf_globals.key_count; i++) {
        const struct conf_key *key = &conf_globals.keys[i];
        if (!key->reloadable && !same_value(key, now, next))
            buf_addf(messages, "%s needs a restart\n", key->name);
    }
    for (unsigned type = 0; type < CONF_SECTIONS; type++) {
        if (!is_reloadable(&conf_sections[type]))
            compare_items(&conf_sections[type], now, next, messages);
    }
}
