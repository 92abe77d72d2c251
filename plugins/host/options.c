/* A plugin's options: its section of relay.conf, read by the plugin's own schema. */
#include "plugins/host/self.h"

#include "base/memory.h"
#include "conf/schema.h"
#include "conf/value.h"

#include <stdlib.h>

static const enum conf_type types[] = {
    [SMARTHOP_OPTION_TEXT] = CONF_STRING,       [SMARTHOP_OPTION_PATH] = CONF_PATH,
    [SMARTHOP_OPTION_NUMBER] = CONF_NUMBER,     [SMARTHOP_OPTION_SIZE] = CONF_SIZE,
    [SMARTHOP_OPTION_DURATION] = CONF_DURATION, [SMARTHOP_OPTION_FLAG] = CONF_BOOL,
};

/* What conf's reader of values fills. */
struct field {
    char *text;
    uint64_t number;
    bool flag;
};

static struct conf_key key_of(const struct smarthop_option *schema)
{
    struct conf_key key = {
        .name = schema->name,
        .type = types[schema->type],
        .min = schema->minimum,
        .max = schema->maximum != 0 ? schema->maximum : UINT64_MAX,
        .standard = "",
    };

    key.width = sizeof(uint64_t);
    key.offset = offsetof(struct field, number);
    if (key.type == CONF_STRING || key.type == CONF_PATH) {
        key.offset = offsetof(struct field, text);
        key.width = sizeof(char *);
        if (schema->maximum == 0)
            key.max = 4095;
    }
    if (key.type == CONF_BOOL) {
        key.offset = offsetof(struct field, flag);
        key.width = sizeof(bool);
    }
    return key;
}

static bool read_value(const struct smarthop_self *self, const struct smarthop_option *schema,
                       const char *text, unsigned line, struct option_value *out,
                       struct buf *messages)
{
    struct conf_key key = key_of(schema);
    struct field field = {0};
    struct buf why;
    char *folder = conf_folder_of(self->conf_file);

    buf_init(&why, 0);
    bool good = conf_value_add(&key, &field, span_cstr(text), folder, &why);
    free(folder);
    if (good) {
        out->text = field.text != NULL ? field.text : mem_strdup(text);
        out->number = key.type == CONF_BOOL ? field.flag : field.number;
        out->line = line;
    } else if (line != 0) {
        buf_addf(messages, "%s:%u: %s: \"%.100s\" %.*s\n", self->conf_file, line, schema->name,
                 text, SPAN_ARG(buf_span(&why)));
    } else {
        buf_addf(messages, "plugin \"%s\": %s%s, \"%.100s\", %.*s\n", self->name,
                 text == schema->otherwise ? "the default of " : "", schema->name, text,
                 SPAN_ARG(buf_span(&why)));
    }
    buf_fini(&why);
    return good;
}

static struct option *find(const struct smarthop_self *self, const char *name)
{
    for (unsigned i = 0; i < self->option_count; i++)
        if (strcmp(self->options[i].schema->name, name) == 0)
            return &self->options[i];
    return NULL;
}

/* Line 0: it stands in no file. */
static void add_place(const struct smarthop_self *self, unsigned line, struct buf *messages)
{
    if (line != 0)
        buf_addf(messages, "%s:%u: ", self->conf_file, line);
    else
        buf_addf(messages, "%s: ", self->conf_file);
}

static bool take_given(struct smarthop_self *self, const struct conf_option *given,
                       struct buf *messages)
{
    struct option *option = find(self, given->name);
    unsigned line = given->count > 0 ? given->lines[0] : 0;
    bool good = true;

    if (option == NULL) {
        add_place(self, line, messages);
        buf_addf(messages, "unknown key %s in plugin \"%s\"; neither the server nor %s %s has it\n",
                 given->name, self->name, self->plugin.name, self->plugin.version);
        return false;
    }
    if (!option->schema->list && given->count != 1) {
        add_place(self, line, messages);
        buf_addf(messages, "%s takes one value, not a list\n", given->name);
        return false;
    }
    option->values = mem_zalloc((given->count + 1) * sizeof *option->values);
    for (unsigned i = 0; i < given->count; i++) {
        good &= read_value(self, option->schema, given->values[i], given->lines[i],
                           &option->values[option->count], messages);
        option->count += option->values[option->count].text != NULL;
    }
    return good;
}

static bool take_default(struct smarthop_self *self, struct option *option, struct buf *messages)
{
    if (option->values != NULL || option->schema->otherwise == NULL)
        return true;
    option->values = mem_zalloc(sizeof *option->values);
    if (!read_value(self, option->schema, option->schema->otherwise, 0, option->values, messages))
        return false;
    option->count = 1;
    return true;
}

static bool is_key(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return len > 0 && name[len] == '\0';
}

/* NULL, or why nobody could set it. */
static const char *what_is_wrong(const struct smarthop_self *self,
                                 const struct smarthop_option *schema)
{
    if (schema->name == NULL || schema->help == NULL || schema->type > SMARTHOP_OPTION_FLAG)
        return "has no name, type or help";
    if (!is_key(schema->name))
        return "has a name that is not of [a-z0-9_]";
    if (conf_key_find(&conf_sections[CONF_PLUGIN], span_cstr(schema->name)) != NULL)
        return "has the name of a key of the server's own";
    return find(self, schema->name) != NULL ? "has the name of another one" : NULL;
}

bool options_load(struct smarthop_self *self, const struct conf_plugin *section,
                  struct buf *messages)
{
    const struct smarthop_plugin *plugin = &self->plugin;
    bool good = true;

    self->options = mem_zalloc((plugin->option_count + 1) * sizeof *self->options);
    for (unsigned i = 0; i < plugin->option_count; i++) {
        const struct smarthop_option *schema =
            (const void *)((const char *)plugin->options + i * plugin->option_size);
        const char *wrong = what_is_wrong(self, schema);
        if (wrong != NULL) {
            buf_addf(messages, "%s: plugin \"%s\" cannot be used: its option %u%s%.40s %s\n",
                     self->file, self->name, i, schema->name != NULL ? ", " : "",
                     schema->name != NULL ? schema->name : "", wrong);
            return false;
        }
        self->options[self->option_count++].schema = schema;
    }
    for (unsigned i = 0; i < section->option_count; i++)
        good &= take_given(self, &section->options[i], messages);
    for (unsigned i = 0; i < self->option_count; i++)
        good &= take_default(self, &self->options[i], messages);
    return good;
}

void options_free(struct smarthop_self *self)
{
    for (unsigned i = 0; i < self->option_count; i++) {
        for (unsigned k = 0; k < self->options[i].count; k++)
            free(self->options[i].values[k].text);
        free(self->options[i].values);
    }
    free(self->options);
}

/* ---- as services -------------------------------------------------------------------------- */

uint32_t service_option_count(struct smarthop_self *self, const char *name)
{
    const struct option *option = find(self, name);

    return option != NULL ? option->count : 0;
}

static const struct option_value *value_of(struct smarthop_self *self, const char *name,
                                           uint32_t index)
{
    const struct option *option = find(self, name);

    return option != NULL && index < option->count ? &option->values[index] : NULL;
}

const char *service_option_text(struct smarthop_self *self, const char *name, uint32_t index)
{
    const struct option_value *value = value_of(self, name, index);

    return value != NULL ? value->text : NULL;
}

uint64_t service_option_number(struct smarthop_self *self, const char *name, uint32_t index)
{
    const struct option_value *value = value_of(self, name, index);

    return value != NULL ? value->number : 0;
}

/* One line for a terminal: what would end or change it is left out. */
static void add_line(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= ' ' && *text != 127)
            buf_add(out, span_of(text, 1));
    buf_add(out, SPAN("\n"));
}

void service_option_problem(struct smarthop_self *self, const char *name, uint32_t index,
                            const char *text)
{
    const struct option_value *value = name != NULL ? value_of(self, name, index) : NULL;

    if (self->problems == NULL)
        return;
    if (value != NULL && value->line != 0)
        buf_addf(self->problems, "%s:%u: %s: ", self->conf_file, value->line, name);
    else
        buf_addf(self->problems, "%s: plugin \"%s\"%s%s: ", self->conf_file, self->name,
                 name != NULL ? ": " : "", name != NULL ? name : "");
    add_line(self->problems, text);
}
