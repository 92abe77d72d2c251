/* smarthopctl: arguments and the table of commands. */
#include "base/memory.h"
#include "queue/ctl/ctl.h"
#include "queue/ctl/output.h"
#include "queue/ctl/trial.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    OPERANDS_ANY = 1000000,
    OPTION_FILTER = 1 << 26, /* and the term: what getopt gives for an option of the filter */
    OPTION_TRIAL = 1 << 27,  /* likewise */
    OPTIONS_OF_ALL = 4,      /* the first of the table; they are no bits of ctl->options */
    HELP_WIDTH = 78,
};

enum {
    USER_SECRETS = CTL_USERS | CTL_PASSWORD_STDIN | CTL_NO_PASSWORD,
    CHANGE_OPTIONS = CTL_ALL | CTL_FILTER | CTL_YES | CTL_DRY_RUN,
    USER_GRANTS = CTL_SEND_AS | CTL_CERTIFICATE,
};

static enum ctl_exit run_version(struct ctl *ctl)
{
    printf(ctl->json ? "{\"version\":\"%s\"}\n" : "smarthopctl %s\n", SMARTHOP_VERSION);
    return CTL_OK;
}

static enum ctl_exit run_help(struct ctl *ctl);

/* CONFIG_GIVEN: only where one is named, or a section of it. CONFIG_USERS: only where no users file
 * is named. */
enum config_need { CONFIG_NONE, CONFIG_NAME, CONFIG_GIVEN, CONFIG_LOADED, CONFIG_USERS };

static const struct command {
    const char *group; /* NULL for commands of one word */
    const char *name;
    enum ctl_exit (*run)(struct ctl *ctl);
    enum config_need config;
    unsigned options;
    unsigned operands_min;
    unsigned operands_max;
    const char *arguments;
    const char *help;
} commands[] = {
    {"queue", "list", ctl_list, CONFIG_LOADED, CTL_LIMIT | CTL_FILTER | CTL_FORMAT, 0, 0,
     "[FILTER...]", "what is queued, and why it is still there"},
    {"queue", "show", ctl_show, CONFIG_LOADED, CTL_HEADERS | CTL_BODY, 1, 1,
     "ID [--headers|--body]", "one message: its envelope, its recipients, its content"},
    {"queue", "count", ctl_count, CONFIG_LOADED, CTL_FILTER, 0, 0, "[FILTER...]",
     "how much is queued"},
    {"queue", "group-by", ctl_group_by, CONFIG_LOADED, CTL_FILTER | CTL_LIMIT, 1, 1,
     "KEY [FILTER...]", "how much of it by domain, destination, sender, ..."},
    {"queue", "ages", ctl_ages, CONFIG_LOADED, CTL_FILTER | CTL_LIMIT, 0, 0, "[FILTER...]",
     "for each destination, how old its mail is"},
    {"queue", "top", ctl_top, CONFIG_LOADED, CTL_FILTER | CTL_LIMIT | CTL_ONCE, 0, 0,
     "[--once] [FILTER...]", "the queue at a glance, again each second; q ends it"},
    {"queue", "retry", ctl_change, CONFIG_LOADED, CHANGE_OPTIONS, 0, OPERANDS_ANY,
     "ID...|FILTER...|--all", "try now, whatever is being waited for"},
    {"queue", "remove", ctl_change, CONFIG_LOADED, CHANGE_OPTIONS, 0, OPERANDS_ANY,
     "ID...|FILTER...|--all", "drop without telling the sender"},
    {"queue", "hold", ctl_change, CONFIG_LOADED, CHANGE_OPTIONS, 0, OPERANDS_ANY,
     "ID...|FILTER...|--all", "keep, without trying, until it is released"},
    {"queue", "release", ctl_change, CONFIG_LOADED, CHANGE_OPTIONS, 0, OPERANDS_ANY,
     "ID...|FILTER...|--all", "let go what is held"},
    {"queue", "bounce", ctl_change, CONFIG_LOADED, CHANGE_OPTIONS, 0, OPERANDS_ANY,
     "ID...|FILTER...|--all", "return to the sender (needs the daemon)"},
    {"queue", "reroute", ctl_reroute, CONFIG_LOADED, CHANGE_OPTIONS | CTL_NEXT_HOP, 0, OPERANDS_ANY,
     "ID...|FILTER...|--all [--next-hop TEXT]", "route again by the present configuration"},
    {"queue", "edit", ctl_edit, CONFIG_LOADED, CTL_FILTER | CTL_TO | CTL_ADD | CTL_DROP, 1, 1,
     "ID CHANGE", "change the envelope of a message"},
    {"queue", "export", ctl_export, CONFIG_LOADED, CTL_ALL | CTL_FILTER | CTL_TO | CTL_REMOVE, 0,
     OPERANDS_ANY, "ID...|FILTER...|--all --to DIR|- [--remove]", "messages as files, whole"},
    {"queue", "import", ctl_import, CONFIG_LOADED, 0, 1, OPERANDS_ANY, "FILE...",
     "take exported messages back"},
    {"queue", "explain", ctl_explain, CONFIG_LOADED, 0, 1, 1, "ID",
     "why each recipient of a message is still here"},
    {"queue", "suspend", ctl_suspend, CONFIG_LOADED, CTL_FOR | CTL_UNTIL | CTL_REASON, 1, 1,
     "PATTERN --for D|--until TIME --reason TEXT", "leave some next hops alone for a time"},
    {"queue", "resume", ctl_suspend, CONFIG_LOADED, 0, 1, 1, "PATTERN", "go on with them"},
    {"queue", "suspensions", ctl_suspensions, CONFIG_LOADED, 0, 0, 0, "", "what is suspended"},
    {NULL, "status", ctl_status, CONFIG_LOADED, 0, 0, 0, "", "how the daemon is"},
    {NULL, "reload", ctl_reload, CONFIG_LOADED, 0, 0, 0, "",
     "make the daemon read its configuration anew"},
    {NULL, "reopen-log", ctl_reopen_log, CONFIG_LOADED, 0, 0, 0, "",
     "make the daemon open its log files anew, for rotation"},
    {NULL, "sessions", ctl_sessions, CONFIG_LOADED, 0, 0, 0, "",
     "which clients are connected, and what they do"},
    {"session", "end", ctl_session_end, CONFIG_LOADED, 0, 1, 1, "SESSION", "send a client away"},
    {"destination", "list", ctl_destinations, CONFIG_LOADED, 0, 0, 1, "[PATTERN|TEXT]",
     "where mail goes now: connections, rates, failures"},
    {"destination", "show", ctl_destinations, CONFIG_LOADED, 0, 1, 1, "PATTERN|TEXT",
     "the same in full, with the hosts and how they do"},
    {NULL, "trace", ctl_trace, CONFIG_LOADED, CTL_FOR, 1, 1, "ADDRESS|NETWORK|local",
     "follow what clients say and hear, line by line"},
    {"guard", "list", ctl_guard_list, CONFIG_LOADED, CTL_KIND | CTL_LIMIT, 0, 1,
     "[--kind K] [PREFIX]", "what is remembered of users and clients: rates, greylisting"},
    {"guard", "forget", ctl_guard_forget, CONFIG_LOADED, CTL_KIND, 1, 1, "[--kind K] KEY",
     "remember it no longer"},
    {"config", "check", ctl_config_check, CONFIG_NAME, 0, 0, 1, "[FILE]",
     "is the configuration good?"},
    {"config", "show", ctl_config_show, CONFIG_LOADED, 0, 0, 0, "",
     "every key with the value in effect"},
    {"user", "add", ctl_user_add, CONFIG_USERS, USER_SECRETS | USER_GRANTS, 1, 1, "NAME",
     "let somebody log in; asks for the password"},
    {"user", "passwd", ctl_user_passwd, CONFIG_USERS, USER_SECRETS | USER_GRANTS, 1, 1, "NAME",
     "change the password"},
    {"user", "allow", ctl_user_allow, CONFIG_USERS, CTL_USERS | USER_GRANTS, 1, 1, "NAME",
     "add senders and certificates; the password stays"},
    {"user", "list", ctl_user_list, CONFIG_USERS, CTL_USERS, 0, 0, "", "who may log in, and how"},
    {"user", "remove", ctl_user_remove, CONFIG_USERS, CTL_USERS, 1, 1, "NAME",
     "let somebody log in no more"},
    {"user", "test", ctl_user_test, CONFIG_USERS, CTL_USERS | CTL_PASSWORD_STDIN, 1, 1, "NAME",
     "is this the password?"},
    {"mailbox", "list", ctl_mailbox_list, CONFIG_LOADED, 0, 0, 1, "[USER]",
     "who has mailboxes in the drop, or which ones somebody has"},
    {"mailbox", "create", ctl_mailbox_change, CONFIG_LOADED, 0, 2, 2, "USER NAME",
     "make a mailbox"},
    {"mailbox", "delete", ctl_mailbox_change, CONFIG_LOADED, CTL_ALL, 1, 2, "USER NAME|--all",
     "remove a mailbox with its mail, or all that somebody has"},
    {"mailbox", "quota", ctl_mailbox_quota, CONFIG_LOADED, 0, 1, 3, "USER [BYTES [MESSAGES]]",
     "how much somebody has and may have; a bound may be none or default"},
    {"mailbox", "export", ctl_mailbox_export, CONFIG_LOADED, CTL_TO | CTL_FORMAT, 1, 2,
     "USER [NAME] --to DIR [--format F]", "mailboxes as a maildir, or as mbox files"},
    {"mailbox", "import", ctl_mailbox_import, CONFIG_LOADED, 0, 2, 3, "USER PATH [NAME]",
     "take in a maildir or mbox files (without the daemon)"},
    {"mailbox", "check", ctl_mailbox_check, CONFIG_LOADED, 0, 0, 0, "",
     "read everything in the drop, and compare"},
    {"mailbox", "repair", ctl_mailbox_repair, CONFIG_LOADED, 0, 0, 0, "",
     "take out what is damaged, and count anew (without the daemon)"},
    {"mailbox", "compact", ctl_mailbox_compact, CONFIG_LOADED, 0, 0, 0, "",
     "give back what nothing refers to (without the daemon)"},
    {NULL, "route", ctl_route, CONFIG_LOADED, CTL_TRIAL, 1, 1,
     "ADDRESS [--from A] [--message FILE]", "what would become of mail for somebody, and why"},
    {"plugin", "list", ctl_plugins, CONFIG_LOADED, 0, 0, 0, "",
     "the plugins of the daemon, and how they do"},
    {"plugin", "show", ctl_plugins, CONFIG_LOADED, 0, 1, 1, "NAME",
     "one in full, with how fast it answers"},
    {"plugin", "command", ctl_plugin_command, CONFIG_LOADED, 0, 1, OPERANDS_ANY, "NAME [WORD...]",
     "a command of the plugin's own"},
    {"plugin", "rollback", ctl_plugin_rollback, CONFIG_LOADED, 0, 0, 0, "",
     "the plugins as they were before the latest reload"},
    {"plugin", "test", ctl_plugin_test, CONFIG_GIVEN, CTL_TRIAL | CTL_TO, 1, 1,
     "FILE.so|NAME [--to ADDRESS...]", "try a plugin without a daemon"},
    {"plugin", "new", ctl_plugin_new, CONFIG_NONE, CTL_CXX, 1, 1, "NAME [--cxx]",
     "make a folder with a plugin to begin with"},
    {NULL, "version", run_version, CONFIG_NONE, 0, 0, 0, "", "the version"},
    {NULL, "help", run_help, CONFIG_NONE, 0, 0, OPERANDS_ANY, "[COMMAND]", "this text"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"limit", required_argument, NULL, CTL_LIMIT},
    {"sender", required_argument, NULL, OPTION_FILTER + FILTER_SENDER},
    {"recipient", required_argument, NULL, OPTION_FILTER + FILTER_RECIPIENT},
    {"domain", required_argument, NULL, OPTION_FILTER + FILTER_DOMAIN},
    {"destination", required_argument, NULL, OPTION_FILTER + FILTER_DESTINATION},
    {"tenant", required_argument, NULL, OPTION_FILTER + FILTER_TENANT},
    {"state", required_argument, NULL, OPTION_FILTER + FILTER_STATE},
    {"older", required_argument, NULL, OPTION_FILTER + FILTER_OLDER},
    {"newer", required_argument, NULL, OPTION_FILTER + FILTER_NEWER},
    {"larger", required_argument, NULL, OPTION_FILTER + FILTER_LARGER},
    {"smaller", required_argument, NULL, OPTION_FILTER + FILTER_SMALLER},
    {"tries", required_argument, NULL, OPTION_FILTER + FILTER_TRIES},
    {"status", required_argument, NULL, OPTION_FILTER + FILTER_STATUS},
    {"id", required_argument, NULL, OPTION_FILTER + FILTER_ID},
    {"headers", no_argument, NULL, CTL_HEADERS},
    {"body", no_argument, NULL, CTL_BODY},
    {"all", no_argument, NULL, CTL_ALL},
    {"format", required_argument, NULL, CTL_FORMAT},
    {"once", no_argument, NULL, CTL_ONCE},
    {"yes", no_argument, NULL, CTL_YES},
    {"dry-run", no_argument, NULL, CTL_DRY_RUN},
    {"kind", required_argument, NULL, CTL_KIND},
    {"users", required_argument, NULL, CTL_USERS},
    {"password-stdin", no_argument, NULL, CTL_PASSWORD_STDIN},
    {"no-password", no_argument, NULL, CTL_NO_PASSWORD},
    {"send-as", required_argument, NULL, CTL_SEND_AS},
    {"certificate", required_argument, NULL, CTL_CERTIFICATE},
    {"for", required_argument, NULL, CTL_FOR},
    {"until", required_argument, NULL, CTL_UNTIL},
    {"reason", required_argument, NULL, CTL_REASON},
    {"next-hop", required_argument, NULL, CTL_NEXT_HOP},
    {"to", required_argument, NULL, CTL_TO},
    {"remove", no_argument, NULL, CTL_REMOVE},
    {"add-recipient", required_argument, NULL, CTL_ADD},
    {"drop-recipient", required_argument, NULL, CTL_DROP},
    {"option", required_argument, NULL, OPTION_TRIAL + TRIAL_OPTION},
    {"dns", required_argument, NULL, OPTION_TRIAL + TRIAL_DNS},
    {"from", required_argument, NULL, OPTION_TRIAL + TRIAL_FROM},
    {"message", required_argument, NULL, OPTION_TRIAL + TRIAL_MESSAGE},
    {"client", required_argument, NULL, OPTION_TRIAL + TRIAL_CLIENT},
    {"helo", required_argument, NULL, OPTION_TRIAL + TRIAL_HELO},
    {"user", required_argument, NULL, OPTION_TRIAL + TRIAL_USER},
    {"outcome", required_argument, NULL, OPTION_TRIAL + TRIAL_OUTCOME},
    {"race", required_argument, NULL, OPTION_TRIAL + TRIAL_RACE},
    {"timeout", required_argument, NULL, OPTION_TRIAL + TRIAL_TIMEOUT},
    {"reload", no_argument, NULL, OPTION_TRIAL + TRIAL_RELOAD},
    {"command", required_argument, NULL, OPTION_TRIAL + TRIAL_COMMAND},
    {"cxx", no_argument, NULL, CTL_CXX},
    {0},
};

static void print_command(const struct command *command)
{
    char text[64];

    snprintf(text, sizeof text, "%s%s%s %s", command->group ? command->group : "",
             command->group ? " " : "", command->name, command->arguments);
    printf("  %-34s %s\n", text, command->help);
}

/* What stands in ctl->options for it. */
static unsigned bit_of(const struct option *option)
{
    if (option->val >= OPTION_TRIAL)
        return CTL_TRIAL;
    return option->val >= OPTION_FILTER ? CTL_FILTER : (unsigned)option->val;
}

static void print_options(const struct command *command)
{
    int column = 0;

    for (const struct option *row = options + OPTIONS_OF_ALL; row->name != NULL; row++) {
        char text[64];
        if ((command->options & bit_of(row)) == 0)
            continue;
        int len = snprintf(text, sizeof text, " --%s%s", row->name,
                           row->has_arg == required_argument ? " VALUE" : "");
        if (column == 0 || column + len > HELP_WIDTH)
            column = printf("%s     ", column > 0 ? "\n" : "");
        column += printf("%s", text);
    }
    if (column > 0)
        putchar('\n');
}

static bool is_asked_for(const struct command *command, const struct ctl *ctl)
{
    const char *first = command->group ? command->group : command->name;

    return strcmp(ctl->operands[0], first) == 0 &&
           (command->group == NULL || ctl->operand_count < 2 ||
            strcmp(ctl->operands[1], command->name) == 0);
}

/* A group of commands, or one with its options. */
static enum ctl_exit help_with_some(const struct ctl *ctl)
{
    bool found = false;

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!is_asked_for(&commands[i], ctl))
            continue;
        print_command(&commands[i]);
        if (ctl->operand_count > 1 || commands[i].group == NULL)
            print_options(&commands[i]);
        found = true;
    }
    if (found)
        puts("`smarthopctl help` tells of all commands and values, smarthopctl(1) more.");
    else
        ctl_complain("there is no such command; `smarthopctl help` shows them");
    return found ? CTL_OK : CTL_USAGE;
}

static enum ctl_exit run_help(struct ctl *ctl)
{
    if (ctl->operand_count > 0)
        return help_with_some(ctl);
    puts("Usage: smarthopctl [-c relay.conf] [--json] COMMAND\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        print_command(&commands[i]);
    puts("\nFilters of `queue`, of which all must hold: --sender, --recipient, --destination and"
         " --status\nTEXT (a part, or a pattern with * and ?), --domain and --tenant NAME, --state"
         " ready|waiting|\ndeferred|future|backing-off|suspended|held|damaged, --older and --newer "
         "DURATION"
         " (30s, 5m, 2d),\n--larger and --smaller SIZE (10KiB), --tries N, --id ID...\n"
         "A CHANGE of `queue edit`: --recipient OLD --to NEW, --add-recipient A, --drop-recipient "
         "A\n"
         "or --sender A.\n"
         "Formats of `queue list`: mailq, postqueue-json; of `mailbox export`: maildir, mbox.\n"
         "Changes of many: --dry-run only counts, --yes does not ask.\n"
         "`queue group-by` counts by domain, destination, sender, tenant, state, age or code.\n"
         "Kinds of `guard`: user-messages, user-recipients, client-sessions, client-messages,\n"
         "client-recipients, client-errors, triplet, known; --limit N.\n"
         "Options of `user`: --users FILE (instead of the configured one), --password-stdin,\n"
         "--no-password, --send-as ADDRESS..., --certificate FILE.pem...\n"
         "Options of `plugin test`: --option NAME=VALUE, --dns \"TYPE NAME VALUE\", --from "
         "ADDRESS,\n"
         "--message FILE, --client ADDRESS, --helo NAME, --user NAME, --outcome "
         "delivered|deferred|\n"
         "failed|expired, --race cancel|late|double, --reload, --command \"WORD...\", --timeout "
         "DURATION.\n"
         "Option of `trace`: --for DURATION (30s, 5m, ...).\n"
         "A PATTERN is a host or domain of next hops, .DOMAIN, or * for all; a TIME as in\n"
         "2026-07-01T08:00 (local) or 2026-07-01T06:00Z.\n"
         "Exit status: 0 done, 1 failed or not found, 2 wrong usage, 3 the daemon is not running,\n"
         "4 done, but for mail that was being delivered for too long.\n"
         "`smarthopctl help COMMAND` tells of one; smarthopctl(1) tells more.");
    return CTL_OK;
}

static bool take_limit(struct ctl *ctl, const char *text)
{
    if (span_parse_u64(span_cstr(text), &ctl->limit))
        return true;
    ctl_complain("--limit takes a number, not \"%s\"", text);
    return false;
}

static void add_value(struct ctl_values *values, const char *value)
{
    values->items = mem_realloc(values->items, (values->count + 1) * sizeof *values->items);
    values->items[values->count++] = value;
}

static bool take_term(struct ctl *ctl, enum filter_term term, const char *value)
{
    struct buf why;

    buf_init(&why, 0);
    bool taken = filter_take(&ctl->filter, term, value, &why);
    if (!taken)
        ctl_complain("--%s: %.*s", filter_name(term), SPAN_ARG(buf_span(&why)));
    buf_fini(&why);
    ctl->options |= CTL_FILTER;
    return taken;
}

static bool take_option(struct ctl *ctl, int option, const char *value)
{
    if (option >= OPTION_TRIAL) {
        ctl->options |= CTL_TRIAL;
        return trial_take(&ctl->trial, (enum trial_term)(option - OPTION_TRIAL), value);
    }
    if (option >= OPTION_FILTER)
        return take_term(ctl, (enum filter_term)(option - OPTION_FILTER), value);
    switch (option) {
    case 'c':
        ctl->config = value;
        return true;
    case 'j':
        ctl->json = true;
        return true;
    case CTL_FORMAT:
        ctl->format = value;
        break;
    case CTL_KIND:
        ctl->kind = value;
        break;
    case CTL_USERS:
        ctl->users = value;
        break;
    case CTL_SEND_AS:
        add_value(&ctl->send_as, value);
        break;
    case CTL_CERTIFICATE:
        add_value(&ctl->certificates, value);
        break;
    case CTL_FOR:
        ctl->duration = value;
        break;
    case CTL_UNTIL:
        ctl->until = value;
        break;
    case CTL_REASON:
        ctl->reason = value;
        break;
    case CTL_ADD:
    case CTL_DROP:
        ctl->recipient = value;
        break;
    case CTL_TO:
        add_value(&ctl->to, value);
        break;
    case CTL_NEXT_HOP:
        ctl->next_hop = value;
        break;
    case CTL_LIMIT:
        if (!take_limit(ctl, value))
            return false;
        break;
    case '?':
        return false; /* getopt has complained */
    }
    ctl->options |= (unsigned)option;
    return true;
}

/* Options may stand anywhere. *word_out: the command that was asked for as an option, or NULL. */
static bool parse_options(struct ctl *ctl, int argc, char **argv, char **word_out)
{
    static char help[] = "help", version[] = "version";
    int option;

    *word_out = NULL;
    while ((option = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
        if (option == 'h')
            *word_out = help;
        else if (option == 'V')
            *word_out = version;
        else if (!take_option(ctl, option, optarg))
            return false;
    }
    return true;
}

static const struct command *find_command(struct ctl *ctl, int argc, char **argv)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = &commands[i];
        int words = command->group ? 2 : 1;
        if (argc < words || (command->group && strcmp(argv[0], command->group) != 0) ||
            strcmp(argv[words - 1], command->name) != 0)
            continue;
        ctl->verb = command->name;
        ctl->operands = argv + words;
        ctl->operand_count = (unsigned)(argc - words);
        return command;
    }
    if (argc == 0)
        ctl_complain("a command is needed; `smarthopctl help` shows them");
    else
        ctl_complain("there is no command \"%s%s%s\"; `smarthopctl help` shows them", argv[0],
                     argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    return NULL;
}

static bool check_arguments(const struct ctl *ctl, const struct command *command)
{
    unsigned stray = ctl->options & ~command->options;
    int first_stray = (int)(stray & (~stray + 1));

    if (stray & CTL_FILTER) {
        ctl_complain("filters do not go with `%s`", command->name);
        return false;
    }
    if (stray & CTL_TRIAL) {
        ctl_complain("options of `plugin test` do not go with `%s`", command->name);
        return false;
    }
    for (const struct option *row = options; stray != 0 && row->name != NULL; row++) {
        if (row->val == first_stray) {
            ctl_complain("--%s does not go with `%s`", row->name, command->name);
            return false;
        }
    }
    if (ctl->operand_count >= command->operands_min && ctl->operand_count <= command->operands_max)
        return true;
    ctl_complain("usage: smarthopctl %s%s%s %s", command->group ? command->group : "",
                 command->group ? " " : "", command->name, command->arguments);
    return false;
}

static bool load_config(struct ctl *ctl)
{
    struct buf messages;

    buf_init(&messages, 0);
    bool loaded = !err_is(conf_load_for_client(ctl->config, &messages, &ctl->conf));
    if (!loaded) {
        fprintf(stderr, "%.*s", SPAN_ARG(buf_span(&messages)));
        ctl_complain("the configuration %s cannot be used; -c names another", ctl->config);
    }
    buf_fini(&messages);
    return loaded;
}

/* A plugin's name, where a file could stand. */
static bool names_section(const struct ctl *ctl)
{
    struct span name = span_cstr(ctl->operand_count > 0 ? ctl->operands[0] : NULL);

    return name.len > 0 && span_index(name, '/') == name.len && span_index(name, '.') == name.len;
}

static enum ctl_exit run(struct ctl *ctl, const struct command *command)
{
    bool is_needed =
        command->config == CONFIG_LOADED ||
        (command->config == CONFIG_USERS && ctl->users == NULL) ||
        (command->config == CONFIG_GIVEN && (ctl->config != NULL || names_section(ctl)));

    if (ctl->config == NULL)
        ctl->config = access("relay.conf", F_OK) == 0 ? "relay.conf" : "/etc/smarthop/relay.conf";
    if (is_needed && !load_config(ctl))
        return CTL_FAILED;
    enum ctl_exit result = command->run(ctl);
    conf_unref(ctl->conf);
    return result;
}

static enum ctl_exit take_arguments(struct ctl *ctl, int argc, char **argv)
{
    char *word;

    if (!parse_options(ctl, argc, argv, &word))
        return CTL_USAGE;
    const struct command *command = word ? find_command(ctl, 1, (char *[]){(char *)(uintptr_t)word})
                                         : find_command(ctl, argc - optind, argv + optind);
    if (command == NULL)
        return CTL_USAGE;
    if (word != NULL) { /* behind a command it asks for help with that */
        ctl->options = 0;
        ctl->operands = argv + optind;
        ctl->operand_count = command->run == run_help ? (unsigned)(argc - optind) : 0;
    }
    if (!check_arguments(ctl, command))
        return CTL_USAGE;
    return run(ctl, command);
}

int main(int argc, char **argv)
{
    struct ctl ctl = {0};

    tzset();
    signal(SIGPIPE, SIG_DFL); /* `queue list | head` ends quietly */
    output_start();
    enum ctl_exit result = take_arguments(&ctl, argc, argv);
    filter_fini(&ctl.filter);
    trial_fini(&ctl.trial);
    free(ctl.to.items);
    free(ctl.send_as.items);
    free(ctl.certificates.items);
    if (!output_end()) {
        ctl_complain("the output could not be written in full");
        return CTL_FAILED;
    }
    return (int)result;
}
