/*
 * drop: final delivery as a plugin. Mail for users of its domains goes to their mailboxes, by LMTP
 * over a local socket; POP3 and IMAP give it out. Which mailboxes an address stands for is asked
 * here (rcpt: is there such a user; route: to the drop), and again where the mail arrives.
 */
#include "auth/users.h"
#include "base/memory.h"
#include "plugins/drop/ctl/mailbox_ctl.h"
#include "plugins/drop/server/server.h"
#include "proto/address.h"

#include <smarthop_plugin.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROBLEM_MAX = 1024, HOST_NAME_SIZE = 256 };

struct drop {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    struct drop_server *server;
    char *socket; /* the relay's own way in */
    struct smarthop_next_hop hop;
    struct {
        uint32_t metric;
        _Atomic uint64_t told;
    } counts[DROP_COUNTS];
};

static struct span span_of_text(struct smarthop_span text)
{
    return span_of(text.ptr, text.len);
}

static void on_log(void *context, enum log_level level, const char *event, const char *pairs)
{
    static const enum smarthop_level levels[] = {
        [LOG_ERROR] = SMARTHOP_ERROR,
        [LOG_WARN] = SMARTHOP_WARN,
        [LOG_INFO] = SMARTHOP_INFO,
        [LOG_DEBUG] = SMARTHOP_DEBUG,
    };
    const struct drop *drop = context;

    drop->host->log(drop->self, 0, (int)levels[level], event, pairs);
}

/* ---- options ------------------------------------------------------------------------------ */

#define KIB     *1024ULL
#define MIB     *1024ULL * 1024
#define SECONDS *1000ULL
#define MINUTES *60000ULL
#define HOURS   *3600000ULL

static const struct smarthop_option options[] = {
    {"mailboxes", SMARTHOP_OPTION_PATH, 0, "/var/lib/smarthop/mail", 1, 90,
     "folder of the mailboxes' store"},
    {"domains", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 255, "domains whose mail is delivered here"},
    {"users_file", SMARTHOP_OPTION_PATH, 0, NULL, 1, 4000,
     "who has mailboxes: smarthop-users(5), the file that submission uses"},
    {"aliases", SMARTHOP_OPTION_PATH, 0, NULL, 1, 4000, "file of aliases: smarthop-aliases(5)"},
    {"separator", SMARTHOP_OPTION_TEXT, 0, "+", 0, 1,
     "between a user and a folder in an address; empty = none"},
    {"folders", SMARTHOP_OPTION_TEXT, 0, "Drafts Sent Trash Junk Archive", 0, 1000,
     "mailboxes that a new user gets beside INBOX"},
    {"lmtp", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 100,
     "addresses with ports, or paths of sockets, for mail from other servers"},
    {"pop3", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 100, "addresses with ports: 0.0.0.0:110"},
    {"pop3s", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 100, "likewise, TLS from the start"},
    {"imap", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 100, "addresses with ports: 0.0.0.0:143"},
    {"imaps", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 100, "likewise, TLS from the start"},
    {"certificate", SMARTHOP_OPTION_PATH, 0, NULL, 1, 4000, "PEM, with its chain"},
    {"key", SMARTHOP_OPTION_PATH, 0, NULL, 1, 4000, "PEM, the certificate's"},
    {"plaintext_login", SMARTHOP_OPTION_FLAG, 0, "no", 0, 1,
     "take passwords without TLS from other hosts, too"},
    {"login_recall", SMARTHOP_OPTION_DURATION, 0, "10m", 0, 24 HOURS,
     "a password that was right is not hashed again for this long; 0 = each is"},
    {"host_name", SMARTHOP_OPTION_TEXT, 0, NULL, 1, 255, "in greetings; the host's own otherwise"},
    {"workers", SMARTHOP_OPTION_NUMBER, 0, "0", 0, 64, "threads; 0 = one for each core"},
    {"message_size_max", SMARTHOP_OPTION_SIZE, 0, "50MiB", 1 KIB, 1024 MIB, "of one message"},
    {"quota_bytes", SMARTHOP_OPTION_SIZE, 0, "0", 0, 0,
     "of a user who has none of his own; 0 = no bound"},
    {"quota_messages", SMARTHOP_OPTION_NUMBER, 0, "0", 0, 4000000000, "likewise"},
    {"mailboxes_max", SMARTHOP_OPTION_NUMBER, 0, "10000", 10, 1000000, "of a user"},
    {"sessions_max", SMARTHOP_OPTION_NUMBER, 0, "20000", 1, 1000000, "of all clients"},
    {"sessions_per_user", SMARTHOP_OPTION_NUMBER, 0, "100", 1, 1000000, "that are logged in"},
    {"sessions_per_address", SMARTHOP_OPTION_NUMBER, 0, "1000", 1, 1000000, "of one client"},
    {"login_timeout", SMARTHOP_OPTION_DURATION, 0, "1m", 1 SECONDS, 1 HOURS,
     "until a client has logged in"},
    {"idle_timeout", SMARTHOP_OPTION_DURATION, 0, "35m", 10 MINUTES, 24 HOURS,
     "of a client that has logged in and says nothing (RFC 9051 asks for 30 min)"},
    {"write_timeout", SMARTHOP_OPTION_DURATION, 0, "5m", 1 SECONDS, 1 HOURS,
     "of a client that does not read what it asked for"},
    {"lmtp_timeout", SMARTHOP_OPTION_DURATION, 0, "5m", 1 SECONDS, 1 HOURS,
     "of an LMTP client that says nothing"},
    {"recipients_max", SMARTHOP_OPTION_NUMBER, 0, "1000", 100, 1000, "of one message by LMTP"},
    {"errors_max", SMARTHOP_OPTION_NUMBER, 0, "50", 1, 100000,
     "bad commands before a session is ended"},
    {"hops_max", SMARTHOP_OPTION_NUMBER, 0, "100", 10, 1000,
     "Received fields before a loop is assumed"},
    {"quota_permanent", SMARTHOP_OPTION_FLAG, 0, "no", 0, 1,
     "refuse mail for a full mailbox for good (552 5.2.2), not for now (452 4.2.2)"},
    {"draft_memory", SMARTHOP_OPTION_SIZE, 0, "128KiB", 16 KIB, 64 MIB,
     "of a message that is coming in, before it goes to the disk"},
    {"store_map_size", SMARTHOP_OPTION_SIZE, 0, "1TiB", 16 MIB, 0,
     "most that the store can ever hold: address space, not memory"},
    {"store_low_water", SMARTHOP_OPTION_SIZE, 0, "64MiB", 1 MIB, 0,
     "free space of disk and store below which no mail is taken"},
    {"store_reserve", SMARTHOP_OPTION_SIZE, 0, "8MiB", 0, 1024 MIB,
     "disk space that is given up so that mail can be removed from a full one"},
    {"store_gather", SMARTHOP_OPTION_DURATION, 0, "0ms", 0, 100,
     "how long a commit may wait for more while much comes; 0 = never"},
};

static const char *text_option(const struct drop *drop, const char *name)
{
    return drop->host->option_count(drop->self, name) > 0
               ? drop->host->option_text(drop->self, name, 0)
               : NULL;
}

static uint64_t number_option(const struct drop *drop, const char *name)
{
    return drop->host->option_number(drop->self, name, 0);
}

static struct drop_settings settings_of(const struct drop *drop)
{
    return (struct drop_settings){
        .host_name = text_option(drop, "host_name"),
        .message_size_max = number_option(drop, "message_size_max"),
        .login_timeout = number_option(drop, "login_timeout"),
        .idle_timeout = number_option(drop, "idle_timeout"),
        .write_timeout = number_option(drop, "write_timeout"),
        .lmtp_timeout = number_option(drop, "lmtp_timeout"),
        .sessions_max = number_option(drop, "sessions_max"),
        .sessions_per_user = number_option(drop, "sessions_per_user"),
        .sessions_per_address = number_option(drop, "sessions_per_address"),
        .recipients_max = number_option(drop, "recipients_max"),
        .errors_max = number_option(drop, "errors_max"),
        .plaintext_login = number_option(drop, "plaintext_login") != 0,
        .folders = text_option(drop, "folders"),
        .separator = text_option(drop, "separator"),
        .hops_max = number_option(drop, "hops_max"),
        .quota_permanent = number_option(drop, "quota_permanent") != 0,
    };
}

static struct mailstore_options store_of(const struct drop *drop)
{
    return (struct mailstore_options){
        .path = text_option(drop, "mailboxes"),
        .map_size = number_option(drop, "store_map_size"),
        .low_water = number_option(drop, "store_low_water"),
        .reserve = number_option(drop, "store_reserve"),
        .gather_ms = number_option(drop, "store_gather"),
        .quota_bytes = number_option(drop, "quota_bytes"),
        .quota_messages = number_option(drop, "quota_messages"),
        .box_max = number_option(drop, "mailboxes_max"),
        .draft_memory = (size_t)number_option(drop, "draft_memory"),
    };
}

/* The relay's own socket first. The caller frees. */
static struct drop_listen *listens_of(const struct drop *drop, unsigned *count_out)
{
    static const struct {
        const char *option;
        enum drop_door door;
    } doors[] = {
        {"lmtp", DROP_LMTP}, {"pop3", DROP_POP3},   {"pop3s", DROP_POP3S},
        {"imap", DROP_IMAP}, {"imaps", DROP_IMAPS},
    };
    struct drop_listen *listens = mem_zalloc(sizeof *listens);
    unsigned count = 1;

    listens[0] = (struct drop_listen){DROP_RELAY, drop->socket};
    for (size_t d = 0; d < sizeof doors / sizeof doors[0]; d++) {
        uint32_t given = drop->host->option_count(drop->self, doors[d].option);
        listens = mem_realloc(listens, (count + given) * sizeof *listens);
        for (uint32_t i = 0; i < given; i++)
            listens[count++] = (struct drop_listen){
                doors[d].door, drop->host->option_text(drop->self, doors[d].option, i)};
    }
    *count_out = count;
    return listens;
}

static struct err start_server(struct drop *drop, char *problem)
{
    char host_name[HOST_NAME_SIZE] = "localhost";
    struct drop_options asked = {
        .protocols = {[DROP_RELAY] = &drop_lmtp,
                      [DROP_LMTP] = &drop_lmtp,
                      [DROP_POP3] = &drop_pop3,
                      [DROP_POP3S] = &drop_pop3,
                      [DROP_IMAP] = &drop_imap,
                      [DROP_IMAPS] = &drop_imap},
        .settings = settings_of(drop),
        .store = store_of(drop),
        .users_file = text_option(drop, "users_file"),
        .certificate = text_option(drop, "certificate"),
        .key = text_option(drop, "key"),
        .aliases_file = text_option(drop, "aliases"),
        .domain_count = drop->host->option_count(drop->self, "domains"),
        .login_recall = number_option(drop, "login_recall"),
        .workers = (unsigned)number_option(drop, "workers"),
        .log = on_log,
        .log_context = drop,
    };
    const char **domains = mem_zalloc((asked.domain_count + 1) * sizeof *domains);

    for (uint32_t i = 0; i < asked.domain_count; i++)
        domains[i] = drop->host->option_text(drop->self, "domains", i);
    asked.domains = domains;
    if (asked.settings.host_name == NULL && gethostname(host_name, sizeof host_name - 1) == 0)
        asked.settings.host_name = host_name;
    struct drop_listen *listens = listens_of(drop, &asked.listen_count);
    asked.listens = listens;
    struct err e = drop_server_start(&asked, problem, PROBLEM_MAX, &drop->server);
    free(listens);
    free(domains);
    return e;
}

/* ---- life --------------------------------------------------------------------------------- */

static void stop(void *state)
{
    struct drop *drop = state;

    drop_server_stop(drop->server);
    free(drop->socket);
    free(drop);
}

static void declare_metrics(struct drop *drop)
{
    static const struct {
        const char *name;
        const char *help;
    } metrics[DROP_COUNTS] = {
        [DROP_COUNT_SESSIONS] = {"sessions_total", "POP3, IMAP and LMTP sessions."},
        [DROP_COUNT_LOGINS] = {"logins_total", "Log-ins that succeeded."},
        [DROP_COUNT_LOGINS_FAILED] = {"logins_failed_total", "Log-ins that failed."},
        [DROP_COUNT_DELIVERED] = {"delivered_total", "Recipients whose mail was delivered."},
        [DROP_COUNT_NOT_DELIVERED] = {"not_delivered_total", "Recipients whose mail was not."},
    };

    for (unsigned i = 0; i < DROP_COUNTS; i++)
        drop->counts[i].metric =
            drop->host->metric(drop->self, SMARTHOP_COUNTER, metrics[i].name, metrics[i].help);
}

/* What has come since the last time. */
static void metrics(void *state)
{
    struct drop *drop = state;

    for (unsigned i = 0; i < DROP_COUNTS; i++) {
        uint64_t now = drop_server_count(drop->server, (enum drop_count)i);
        uint64_t told = atomic_load(&drop->counts[i].told);
        if (now > told && atomic_compare_exchange_strong(&drop->counts[i].told, &told, now))
            drop->host->metric_add(drop->self, drop->counts[i].metric, now - told);
    }
}

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct drop *drop = mem_zalloc(sizeof *drop);
    char problem[PROBLEM_MAX] = "";

    drop->host = host;
    drop->self = self;
    const char *folder = text_option(drop, "mailboxes");
    size_t size = strlen(folder) + sizeof "/lmtp";
    drop->socket = mem_alloc(size);
    snprintf(drop->socket, size, "%s/lmtp", folder);
    drop->hop.host = smarthop_span_of(drop->socket, strlen(drop->socket));
    struct err e = start_server(drop, problem);
    if (err_is(e)) {
        host->option_problem(self, NULL, 0, problem);
        stop(drop);
        return -1;
    }
    declare_metrics(drop);
    *state_out = drop;
    return 0;
}

static int reload(void *state)
{
    struct drop *drop = state;
    char problem[PROBLEM_MAX] = "";

    if (drop_server_reload(drop->server, problem, sizeof problem))
        return 0;
    drop->host->log(drop->self, 0, SMARTHOP_ERROR, "drop-reload-refused", problem);
    return -1;
}

/* ---- hooks -------------------------------------------------------------------------------- */

/* Without needless quotes. */
static struct span local_of(const struct smarthop_recipient *recipient, struct arena *arena)
{
    struct span local = span_of_text(recipient->local);
    struct address address = {.local = local, .quoted = local.len > 0 && local.ptr[0] == '"'};

    return address_canonical_local(&address, arena);
}

static enum address_answer find(struct drop *drop, const struct smarthop_recipient *recipient,
                                struct arena *arena, struct address_result **out)
{
    struct addresses *addresses = drop_server_addresses(drop->server);
    struct users *users = drop_server_users(drop->server);
    enum address_answer answer = addresses_find(addresses, users, local_of(recipient, arena),
                                                span_of_text(recipient->domain), arena, out);

    users_unref(users);
    addresses_unref(addresses);
    return answer;
}

static bool is_full(struct drop *drop, struct span user)
{
    struct mailstore *store = drop_server_store(drop->server);
    struct mailstore_user of;
    struct kv_txn *txn;

    if (err_is(mailstore_read_begin(store, &txn)))
        return false;
    struct err e = mailstore_user_get(store, txn, user, &of);
    mailstore_read_end(txn);
    return !err_is(e) && ((of.bytes_max != 0 && of.bytes >= of.bytes_max) ||
                          (of.messages_max != 0 && of.messages >= of.messages_max));
}

static void refuse_unknown(struct smarthop_verdict *verdict)
{
    verdict->action = SMARTHOP_REJECT;
    verdict->code = 550;
    memcpy(verdict->enhanced, (uint8_t[]){5, 1, 1}, 3);
    verdict->text = SMARTHOP_TEXT("There is no such user here");
    verdict->why = SMARTHOP_TEXT("the domain is local, and the address is nobody's");
}

static void refuse_full(struct smarthop_verdict *verdict)
{
    verdict->action = SMARTHOP_DEFER;
    verdict->code = 452;
    memcpy(verdict->enhanced, (uint8_t[]){4, 2, 2}, 3);
    verdict->text = SMARTHOP_TEXT("The mailbox is full");
    verdict->why = SMARTHOP_TEXT("the user's quota is used up");
}

/* It stands for somebody, and for nobody who could take it. */
static bool are_full(struct drop *drop, const struct address_result *found)
{
    if (found == NULL)
        return false;
    for (; found != NULL; found = found->next)
        if (found->user.len == 0 || !is_full(drop, found->user))
            return false;
    return true;
}

static int on_rcpt(void *state, const struct smarthop_event *event,
                   struct smarthop_verdict *verdict)
{
    struct drop *drop = state;
    struct address_result *found = NULL;
    struct arena arena;

    arena_init(&arena);
    enum address_answer answer = find(drop, event->recipient, &arena, &found);
    if (answer == ADDRESS_UNKNOWN)
        refuse_unknown(verdict);
    else if (!drop_server_settings(drop->server)->quota_permanent && are_full(drop, found))
        refuse_full(verdict);
    arena_fini(&arena);
    return SMARTHOP_DONE;
}

/* An alias that names somebody elsewhere: those are routed, each by itself. */
static bool leads_away(const struct address_result *found)
{
    for (; found != NULL; found = found->next)
        if (found->forward.len > 0)
            return true;
    return false;
}

/* What it names here stays with the recipient itself: the drop's LMTP opens the alias once more,
 * and then only for its mailboxes. */
static int rewrite(struct drop *drop, const struct smarthop_event *event,
                   const struct address_result *found, struct smarthop_verdict *verdict)
{
    size_t count = 1;
    bool stays = false;

    for (const struct address_result *one = found; one != NULL; one = one->next)
        count++;
    struct smarthop_span *recipients =
        drop->host->alloc(drop->self, event->token, count * sizeof *recipients);
    for (; found != NULL; found = found->next) {
        stays |= found->forward.len == 0;
        if (found->forward.len == 0)
            continue;
        char *text = drop->host->alloc(drop->self, event->token, found->forward.len);
        memcpy(text, found->forward.ptr, found->forward.len);
        recipients[verdict->recipient_count++] = smarthop_span_of(text, found->forward.len);
    }
    if (stays)
        recipients[verdict->recipient_count++] = event->recipient->address;
    verdict->action = SMARTHOP_REWRITE;
    verdict->recipients = recipients;
    verdict->why = SMARTHOP_TEXT("an alias that leads elsewhere");
    return SMARTHOP_DONE;
}

/* The others that it stands for have been told. */
static bool is_told_to_stay(const struct smarthop_recipient *recipient)
{
    return SMARTHOP_HAS(recipient, flags) && (recipient->flags & SMARTHOP_RECIPIENT_STAYS) != 0;
}

static int on_route(void *state, const struct smarthop_event *event,
                    struct smarthop_verdict *verdict)
{
    struct drop *drop = state;
    struct address_result *found = NULL;
    struct arena arena;

    arena_init(&arena);
    switch (find(drop, event->recipient, &arena, &found)) {
    case ADDRESS_FOREIGN:
        break;
    case ADDRESS_UNKNOWN:
        refuse_unknown(verdict);
        break;
    case ADDRESS_KNOWN:
        if (leads_away(found) && !is_told_to_stay(event->recipient)) {
            rewrite(drop, event, found, verdict);
            break;
        }
        verdict->action = SMARTHOP_SEND;
        verdict->transport = SMARTHOP_DROP;
        verdict->next_hops = &drop->hop;
        verdict->next_hop_count = 1;
        verdict->why = SMARTHOP_TEXT("a mailbox of this host");
        break;
    }
    arena_fini(&arena);
    return SMARTHOP_DONE;
}

/* ---- orders ------------------------------------------------------------------------------- */

enum { WORDS_MAX = 8 };

/* `smarthopctl mailbox` of a running daemon: what it would do to the store itself otherwise. */
static int on_command(void *state, const struct smarthop_span *words, uint32_t count,
                      smarthop_write write, void *context)
{
    struct drop *drop = state;
    struct span spans[WORDS_MAX];
    struct buf out;
    int code = 2;

    buf_init(&out, 0);
    for (uint32_t i = 0; i < count && i < WORDS_MAX; i++)
        spans[i] = span_of_text(words[i]);
    if (count > 0 && count <= WORDS_MAX && span_equal(spans[0], SPAN("mailbox")))
        code = mailbox_order(drop_server_store(drop->server), spans + 1, count - 1, &out);
    else
        buf_add(&out, SPAN("its commands begin with \"mailbox\"; see smarthopctl(1)\n"));
    write(context, buf_span(&out).ptr, buf_len(&out));
    buf_fini(&out);
    return code;
}

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .name = "drop",
    .version = SMARTHOP_VERSION,
    .summary = "delivers to mailboxes, and serves them by POP3 and IMAP",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .fail_mode = SMARTHOP_FAIL_DEFER,
    .start = start,
    .stop = stop,
    .reload = reload,
    .metrics = metrics,
    .command = on_command,
    .hooks = {[SMARTHOP_ON_RCPT] = on_rcpt, [SMARTHOP_ON_ROUTE] = on_route},
};
