/* table: routes, aliases and canonical addresses from files with millions of lines. */
#include "table.h"

#include <stdlib.h>

/* The options that name files, in the order in which their files are asked. */
static const struct {
    const char *option;
    enum dialect_kind dialect;
    uint32_t uses;
} kinds[] = {
    {"sender_canonical", DIALECT_CANONICAL, 1u << USE_SENDER},
    {"recipient_canonical", DIALECT_CANONICAL, 1u << USE_RECIPIENT},
    {"canonical", DIALECT_CANONICAL, 1u << USE_SENDER | 1u << USE_RECIPIENT},
    {"aliases", DIALECT_ALIASES, 1u << USE_ALIASES},
    {"postfix_virtual", DIALECT_VIRTUAL, 1u << USE_ALIASES},
    {"maps", DIALECT_MAPS, 1u << USE_ROUTES},
    {"postfix_transport", DIALECT_TRANSPORT, 1u << USE_ROUTES},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* ---- start and stop ----------------------------------------------------------------------- */

static struct smarthop_span text_of(const struct table *table, const char *option, uint32_t index)
{
    const char *text = table->host->option_text(table->self, option, index);

    return text != NULL ? smarthop_span_of(text, strlen(text)) : smarthop_span_of("", 0);
}

static uint32_t count_of(const struct table *table, const char *option)
{
    return table->host->option_count(table->self, option);
}

static struct smarthop_span *list_of(const struct table *table, const char *option)
{
    uint32_t count = count_of(table, option);
    struct smarthop_span *list = calloc(count + 1, sizeof *list);

    for (uint32_t i = 0; list != NULL && i < count; i++)
        list[i] = text_of(table, option, i);
    return list;
}

static bool add_file(struct table *table, unsigned kind, uint32_t index)
{
    struct file *file = &table->files[table->file_count++];
    const char *path = table->host->option_text(table->self, kinds[kind].option, index);
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    struct dialect dialect = {
        .kind = kinds[kind].dialect,
        .origin = table->local_count > 0 ? table->local_domains[0] : smarthop_span_of("", 0),
        .smtp_names = table->smtp_names,
        .smtp_name_count = count_of(table, "smtp_transports"),
    };

    file->option = kinds[kind].option;
    file->index = index;
    file->uses = kinds[kind].uses;
    file->name = smarthop_span_of(name, strlen(name));
    return source_init(&file->source, path, table->host->option_text(table->self, "cache", 0),
                       &dialect);
}

static bool add_files(struct table *table)
{
    uint32_t count = 0;
    bool good = true;

    for (unsigned kind = 0; kind < KINDS; kind++)
        count += count_of(table, kinds[kind].option);
    if (count == 0) {
        table->host->option_problem(table->self, NULL, 0,
                                    "it names no file; set maps, aliases, canonical, "
                                    "postfix_transport or postfix_virtual");
        return false;
    }
    table->files = calloc(count, sizeof *table->files);
    for (unsigned kind = 0; table->files != NULL && kind < KINDS; kind++)
        for (uint32_t i = 0; i < count_of(table, kinds[kind].option); i++)
            good &= add_file(table, kind, i);
    return good && table->files != NULL;
}

static bool add_places(struct table *table)
{
    bool good = true;

    table->places = aligned_alloc(CACHE_LINE, PLACES * sizeof *table->places);
    for (unsigned i = 0; table->places != NULL && i < PLACES; i++) {
        struct place *place = &table->places[i];
        atomic_init(&place->is_taken, false);
        place->readers = calloc(table->file_count, sizeof *place->readers);
        good &= place->readers != NULL;
    }
    return good && table->places != NULL;
}

static bool check_domains(const struct table *table)
{
    for (uint32_t i = 0; i < table->local_count; i++)
        if (!text_is_domain(table->local_domains[i])) {
            table->host->option_problem(table->self, "local_domains", i,
                                        "is no domain in its ASCII form");
            return false;
        }
    return true;
}

static bool take_options(struct table *table)
{
    table->delimiters = text_of(table, "recipient_delimiter", 0);
    table->keeps_extension = table->host->option_number(table->self, "keep_extension", 0) != 0;
    table->interval = table->host->option_number(table->self, "check_interval", 0);
    table->local_domains = list_of(table, "local_domains");
    table->local_count = count_of(table, "local_domains");
    table->smtp_names = list_of(table, "smtp_transports");
    table->compiled = table->host->metric(table->self, SMARTHOP_COUNTER, "compiled_total",
                                          "Files that were compiled.");
    table->refused = table->host->metric(table->self, SMARTHOP_COUNTER, "refused_total",
                                         "Files that were refused because of a mistake.");
    return table->local_domains != NULL && table->smtp_names != NULL && check_domains(table);
}

static void stop(void *state)
{
    struct table *table = state;

    if (table->places != NULL)
        table_let_go(table);
    for (unsigned i = 0; table->places != NULL && i < PLACES; i++)
        free(table->places[i].readers);
    free(table->places);
    for (uint32_t i = 0; i < table->file_count; i++)
        source_fini(&table->files[i].source);
    free(table->files);
    free(table->local_domains);
    free(table->smtp_names);
    pthread_mutex_destroy(&table->refreshing);
    free(table);
}

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct table *table = calloc(1, sizeof *table);

    if (table == NULL)
        return -1;
    table->host = host;
    table->self = self;
    pthread_mutex_init(&table->refreshing, NULL);
    if (!take_options(table) || !add_files(table) || !add_places(table) ||
        !table_refresh(table, true, false)) {
        stop(table);
        return -1;
    }
    table_watch(table);
    *state_out = table;
    return 0;
}

static int reload(void *state)
{
    return table_refresh(state, false, false) ? 0 : -1;
}

/* ---- asking ------------------------------------------------------------------------------- */

static bool rewrite_sender(struct look *look)
{
    const struct smarthop_message *message = look->event->message;
    struct subject subject;
    struct hit hit;

    if (look->generation->kinds[USE_SENDER] == 0 || message == NULL ||
        !subject_parse(&subject, message->sender, look->table->delimiters))
        return true;
    enum store_found found = find_addresses(look, USE_SENDER, &subject, &hit);
    return found == STORE_NONE ||
           (found == STORE_FOUND && apply_sender(look, &subject, &hit) != APPLY_FAILED);
}

static enum applied rewrite_recipient(struct look *look, enum use use,
                                      const struct subject *subject)
{
    struct hit hit;

    if (look->generation->kinds[use] == 0)
        return APPLIED_NOT;
    switch (find_addresses(look, use, subject, &hit)) {
    case STORE_NONE:
        return APPLIED_NOT;
    case STORE_FOUND:
        return apply_recipients(look, subject, &hit);
    default:
        return APPLY_FAILED;
    }
}

static enum applied decide(struct look *look)
{
    const struct smarthop_recipient *recipient = look->event->recipient;
    struct subject subject;
    struct hit hit;

    if (!rewrite_sender(look))
        return APPLY_FAILED;
    if (!subject_init(&subject, recipient->local, recipient->domain, look->table->delimiters))
        return APPLIED_NOT;
    enum applied applied = rewrite_recipient(look, USE_RECIPIENT, &subject);
    if (applied == APPLIED_NOT)
        applied = rewrite_recipient(look, USE_ALIASES, &subject);
    if (applied != APPLIED_NOT)
        return applied;
    enum store_found found = find_route(look, &subject, &hit);
    if (found == STORE_FOUND)
        return apply_route(look, &hit);
    return found == STORE_NONE ? APPLIED_NOT : APPLY_FAILED;
}

static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    struct look look = {.table = state, .event = event, .verdict = verdict};

    look_begin(&look);
    enum applied applied = decide(&look);
    look_end(&look);
    return applied == APPLY_FAILED ? SMARTHOP_BROKEN : SMARTHOP_DONE;
}

/* ---- the descriptor ----------------------------------------------------------------------- */

#define FILES(name, help)                                                                          \
    {                                                                                              \
        name, SMARTHOP_OPTION_PATH, 1, NULL, 1, 4095, help                                         \
    }

static const struct smarthop_option options[] = {
    FILES("maps", "Files of routes."),
    FILES("aliases", "Files of addresses that stand for others."),
    FILES("canonical", "Files of addresses and their canonical form, of recipients and senders."),
    FILES("recipient_canonical", "Likewise, of recipients alone."),
    FILES("sender_canonical", "Likewise, of senders alone."),
    FILES("postfix_transport", "Postfix's files of transports."),
    FILES("postfix_virtual", "Postfix's files of virtual aliases."),
    {"smtp_transports", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 64,
     "Further transports of postfix_transport that are SMTP."},
    {"local_domains", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 253,
     "Domains in which keys without a domain hold; the first is added to addresses without one."},
    {"recipient_delimiter", SMARTHOP_OPTION_TEXT, 0, NULL, 1, 8,
     "The characters that may begin an extension of a local part."},
    {"keep_extension", SMARTHOP_OPTION_FLAG, 0, "yes", 0, 0,
     "Add an extension that was not looked up to the addresses that were found."},
    {"cache", SMARTHOP_OPTION_PATH, 0, NULL, 1, 4000,
     "The folder of compiled tables; without it they lie beside the texts."},
    {"check_interval", SMARTHOP_OPTION_DURATION, 0, "1s", 0, 86400000,
     "How often the files are looked at; 0 = only at a reload."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .name = "table",
    .version = "1.0",
    .summary = "routes, aliases and canonical addresses from large files",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .reload = reload,
    .hooks = {[SMARTHOP_ON_ROUTE] = route},
};
