/* The process that the plugin is tried in. */
#include "plugins/kit/private.h"

#include "base/file.h"
#include "base/memory.h"
#include "conf/schema.h"
#include "conf/value.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MESSAGE_MOST = 64 << 20, PIECE = 65536, WORDS_MOST = 64 };

void kit_phase(struct kit *kit, const char *what)
{
    snprintf(kit->shared->phase, PHASE_MAX, "%s", what);
}

/* ---- the message --------------------------------------------------------------------------- */

static const char built_in[] = "From: <sender@example.org>\r\n"
                               "To: <recipient@example.net>\r\n"
                               "Subject: a message of the test kit\r\n"
                               "Message-ID: <kit@example.org>\r\n"
                               "\r\n"
                               "Hello.\r\n";

/* Lines end in CRLF, as they do when they arrive. */
static void add_lines(struct buf *to, struct span text, char *last)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n' && *last != '\r')
            buf_add(to, SPAN("\r"));
        buf_add(to, span_of(text.ptr + i, 1));
        *last = text.ptr[i];
    }
}

static bool read_message(struct kit *kit, struct buf *messages)
{
    struct stat st;
    size_t len = 1;
    char last = '\0';
    int fd;

    if (err_is(file_open(kit->order->message, MESSAGE_MOST, &fd, &st, messages)))
        return false;
    char *piece = mem_alloc(PIECE);
    while (len > 0 && !err_is(file_read(fd, piece, PIECE, &len)))
        add_lines(&kit->message, span_of(piece, len), &last);
    free(piece);
    close(fd);
    return true;
}

static void find_header(struct kit *kit)
{
    struct span all = buf_span(&kit->message);
    const char *end = memmem(all.ptr, all.len, "\r\n\r\n", 4);

    kit->header_len = end != NULL ? (size_t)(end - all.ptr) + 2 : all.len;
}

/* ---- the plugin's section ------------------------------------------------------------------ */

static char *name_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *name = mem_strdup(slash != NULL ? slash + 1 : file);
    char *dot = strrchr(name, '.');

    if (dot != NULL)
        *dot = '\0';
    return name;
}

/* The section that names this file, or is named as the file is; NULL = there is none. */
static const struct conf_plugin *find_section(const struct conf *conf, const char *file,
                                              const char *name)
{
    for (unsigned i = 0; conf != NULL && i < conf->plugin_count; i++) {
        const struct conf_plugin *section = &conf->plugins[i];
        if (section->file != NULL ? strcmp(section->file, file) == 0
                                  : strcmp(section->name, name) == 0)
            return section;
    }
    return NULL;
}

static void set_defaults(struct conf_plugin *section)
{
    const struct conf_section *schema = &conf_sections[CONF_PLUGIN];

    for (unsigned i = 0; i < schema->key_count; i++)
        conf_value_set_default(&schema->keys[i], section, NULL);
}

static bool is_named(const struct conf_option *option, struct span name)
{
    return span_equal(span_cstr(option->name), name);
}

static struct conf_option *find_option(struct conf_plugin *section, struct span name)
{
    for (unsigned i = 0; i < section->option_count; i++)
        if (is_named(&section->options[i], name))
            return &section->options[i];
    return NULL;
}

static struct conf_option *add_option(struct conf_plugin *section, struct span name)
{
    section->options =
        mem_realloc(section->options, (section->option_count + 1) * sizeof *section->options);
    struct conf_option *option = &section->options[section->option_count++];
    *option = (struct conf_option){.name = span_to_text(name)};
    return option;
}

/* Line 0: it stands in no file. */
static void add_value(struct conf_option *option, struct span value, unsigned line)
{
    option->values = mem_realloc(option->values, (option->count + 1) * sizeof *option->values);
    option->lines = mem_realloc(option->lines, (option->count + 1) * sizeof *option->lines);
    option->lines[option->count] = line;
    option->values[option->count++] = span_to_text(value);
}

static void take_given(struct conf_plugin *section, const struct kit_texts *given)
{
    for (unsigned i = 0; i < given->count; i++) {
        struct span value, name = span_split(span_cstr(given->items[i]), '=', &value);
        struct conf_option *option = find_option(section, name);
        add_value(option != NULL ? option : add_option(section, name), value, 0);
    }
}

/* Options of the configuration, but for those that the order has too. */
static void take_section(struct conf_plugin *section, const struct conf_plugin *from)
{
    for (unsigned i = 0; i < from->option_count; i++) {
        const struct conf_option *option = &from->options[i];
        if (find_option(section, span_cstr(option->name)) != NULL)
            continue;
        struct conf_option *copy = add_option(section, span_cstr(option->name));
        for (unsigned k = 0; k < option->count; k++)
            add_value(copy, span_cstr(option->values[k]), option->lines[k]);
    }
}

static void free_options(struct conf_plugin *section)
{
    for (unsigned i = 0; i < section->option_count; i++) {
        for (unsigned k = 0; k < section->options[i].count; k++)
            free(section->options[i].values[k]);
        free(section->options[i].values);
        free(section->options[i].lines);
        free(section->options[i].name);
    }
    free(section->options);
}

/* The file, or that of the section which is named instead. */
static char *file_of(const struct kit_order *order)
{
    for (unsigned i = 0; order->conf != NULL && i < order->conf->plugin_count; i++)
        if (strcmp(order->conf->plugins[i].name, order->file) == 0)
            return self_file(order->conf, &order->conf->plugins[i]);
    return realpath(order->file, NULL);
}

static bool load(struct kit *kit, struct buf *messages)
{
    const struct kit_order *order = kit->order;
    char *name = name_of(order->file);
    char *file = file_of(order);
    const struct conf_plugin *found =
        find_section(order->conf, file != NULL ? file : order->file, name);
    struct conf_plugin section = {0};

    if (found != NULL)
        section = *found;
    else
        set_defaults(&section);
    section.options = NULL;
    section.option_count = 0;
    take_given(&section, &order->options);
    if (found != NULL)
        take_section(&section, found);
    kit->self = self_create(found != NULL ? found->name : name, file != NULL ? file : order->file,
                            order->conf != NULL ? order->conf->file : "--option");
    kit->self->kit = kit;
    bool good = order->conf == NULL || found != NULL;
    if (!good)
        buf_addf(messages, "%s has no section of plugin \"%s\"\n", order->conf->file, name);
    kit_phase(kit, "loading");
    good = good && self_open(kit->self, &section, messages);
    kit_phase(kit, "start");
    good = good && self_start(kit->self, &kit_services, messages);
    free_options(&section);
    free(file);
    free(name);
    return good;
}

/* ---- what an operator may ask of it -------------------------------------------------------- */

static bool refuse(const struct kit *kit, struct buf *messages, const char *what)
{
    buf_addf(messages, "%s: plugin \"%s\" %s\n", kit->self->file, kit->self->name, what);
    return false;
}

/* What has no such function is left as it is, as the daemon leaves it. */
static bool reload(struct kit *kit, struct buf *messages)
{
    const struct smarthop_plugin *plugin = &kit->self->plugin;

    if (!kit->order->reload || plugin->reload == NULL)
        return true;
    kit_phase(kit, "reload");
    if (plugin->reload(kit->self->state) != 0)
        return refuse(kit, messages, "does not take what it was told to read again");
    record_reload(kit);
    return true;
}

static void take_output(void *context, const char *bytes, size_t len)
{
    buf_add(context, span_of(bytes, len));
}

static void command(struct kit *kit, const char *text)
{
    struct smarthop_span words[WORDS_MOST];
    struct span rest = span_cstr(text);
    struct buf output;
    uint32_t count = 0;

    while (rest.len > 0 && count < WORDS_MOST) {
        struct span word = span_split(rest, ' ', &rest);
        if (word.len > 0)
            words[count++] = plugin_text(word);
    }
    buf_init(&output, 0);
    kit_phase(kit, "command");
    int code = kit->self->plugin.command(kit->self->state, words, count, take_output, &output);
    record_command(kit, text, code, buf_span(&output));
    buf_fini(&output);
}

static bool run_commands(struct kit *kit, struct buf *messages)
{
    const struct kit_texts *commands = &kit->order->commands;

    if (commands->count > 0 && kit->self->plugin.command == NULL)
        return refuse(kit, messages, "has no commands");
    for (unsigned i = 0; i < commands->count; i++)
        command(kit, commands->items[i]);
    return true;
}

/* ---- its life ------------------------------------------------------------------------------ */

/* Work and writes that were begun are ended, as the daemon does before it stops a plugin. */
static void finish(struct kit *kit)
{
    uint64_t until = kit->now;

    while (kit_step(kit, until)) {
    }
    kit_phase(kit, "metrics");
    if (kit->self->plugin.metrics != NULL)
        kit->self->plugin.metrics(kit->self->state);
    metrics_tell(kit);
}

static bool try(struct kit *kit, struct buf *messages)
{
    record_plugin(kit);
    bool good = reload(kit, messages);
    if (good && kit->order->recipients.count > 0)
        dialogue_run(kit);
    good = good && run_commands(kit, messages);
    finish(kit);
    return good;
}

static int live(struct kit *kit)
{
    struct buf messages;

    buf_init(&messages, 0);
    bool good = kit->order->message != NULL ? read_message(kit, &messages) : true;
    if (kit->order->message == NULL)
        buf_add(&kit->message, span_cstr(built_in));
    find_header(kit);
    good = good && load(kit, &messages) && try(kit, &messages);
    if (!good)
        record_refusal(kit, buf_span(&messages));
    buf_fini(&messages);
    kit_phase(kit, "stop");
    if (kit->self != NULL)
        self_unref(kit->self);
    if (!good)
        return KIT_REFUSED;
    return kit->is_misbehaving ? KIT_MISBEHAVED : KIT_GOOD;
}

int trial_run(const struct kit_order *order, struct names *names, struct shared *shared, FILE *out)
{
    struct kit kit = {.order = order, .shared = shared, .out = out, .names = *names};

    pthread_mutex_init(&kit.lock, NULL);
    kit.own_threads = count_threads();
    kit.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (kit.wake < 0)
        abort();
    list_init(&kit.tasks);
    list_init(&kit.watches);
    list_init(&kit.askings);
    list_init(&kit.values);
    list_init(&kit.metrics);
    buf_init(&kit.message, 0);
    int result = live(&kit);
    tasks_free(&kit);
    askings_free(&kit);
    store_free(&kit);
    buf_fini(&kit.message);
    close(kit.wake);
    pthread_mutex_destroy(&kit.lock);
    return result;
}
