/*
 * sink_options: the command line of smtp_sink, and which canned reply applies where.
 */
#include "sink.h"

#include <fnmatch.h>
#include <getopt.h>
#include <strings.h>

#define ADDRESS_MAX 512

static const char *const stage_names[STAGE_COUNT] = {
    [STAGE_CONNECT] = "connect", [STAGE_EHLO] = "ehlo",   [STAGE_STARTTLS] = "starttls",
    [STAGE_MAIL] = "mail",       [STAGE_RCPT] = "rcpt",   [STAGE_DATA] = "data",
    [STAGE_BODY] = "body",       [STAGE_FINAL] = "final", [STAGE_QUIT] = "quit",
};

static const char usage_text[] =
    "usage: smtp_sink --listen ADDRESS:PORT [--listen ...] [options]\n"
    "  port 0 picks a free one; \"listening ADDRESS:PORT\" is printed for each listener\n"
    "  --threads N          (1)\n"
    "  --record DIR         each message as NNNNNN.env (envelope) and NNNNNN.eml\n"
    "  --starttls | --implicit-tls, --cert FILE, --key FILE\n"
    "  --chunking           offer CHUNKING and take BDAT\n"
    "  --no-pipelining      do not offer PIPELINING\n"
    "  --no-dsn             do not offer DSN\n"
    "  --deliver-by         offer DELIVERBY\n"
    "  --delay-ms N         wait before each reply\n"
    "  --serve-most N       greet connections beyond so many of a thread with 421\n"
    "  --reply-connect R, --reply-ehlo R, --reply-mail R, --reply-rcpt R, --reply-data R,\n"
    "  --reply-final R      canned reply; R is REPLY, P%=REPLY or PATTERN=REPLY, the pattern\n"
    "                       matching the recipient at rcpt and the sender behind connect\n"
    "  --stall-at S         never answer at connect, ehlo, starttls, mail, rcpt, data, body,\n"
    "                       final or quit; S is STAGE, P%=STAGE or PATTERN=STAGE\n"
    "  --drop-at S          close there without an answer\n"
    "  --stats-file F       JSON, written on SIGUSR1 and at the end on SIGTERM;\n"
    "                       SIGUSR2 zeroes the counts and writes it too\n"
    "  --ids-file F         the X-Load-Id of every message taken, written with it\n";

static enum stage stage_by_name(const char *option, const char *name)
{
    for (int i = 0; i < STAGE_COUNT; i++)
        if (strcasecmp(stage_names[i], name) == 0)
            return (enum stage)i;
    rig_die("--%s: no stage \"%s\"", option, name);
}

/* Takes "P%=" or "PATTERN=" off the front. A reply starts with a digit and a space behind its
 * code, so that a "=" in its text is not mistaken. Returns what follows. */
static char *take_condition(struct rule *rule, const char *option, const char *value)
{
    char *text = strdup(value);
    char *equals = strchr(text, '=');
    bool is_reply = strspn(text, "0123456789") == 3 && (text[3] == ' ' || text[3] == '\0');

    rule->percent = 100;
    if (!equals || is_reply)
        return text;
    *equals = '\0';
    if (equals > text && equals[-1] == '%') {
        equals[-1] = '\0';
        rule->percent = (double)rig_number(option, text, 100);
    } else {
        rule->pattern = text;
    }
    return equals + 1;
}

static void add_rule(struct sink_options *o, const char *option, const char *value)
{
    if (o->rule_count == SINK_RULES_MAX)
        rig_die("more than %d canned replies", SINK_RULES_MAX);
    struct rule *rule = &o->rules[o->rule_count++];
    char *rest = take_condition(rule, option, value);

    if (strcmp(option, "stall-at") == 0 || strcmp(option, "drop-at") == 0) {
        rule->action = option[0] == 's' ? RULE_STALL : RULE_DROP;
        rule->stage = stage_by_name(option, rest);
        return;
    }
    if (*rest < '2' || *rest > '5')
        rig_die("--%s: \"%s\" is not a reply", option, rest);
    rule->action = RULE_REPLY;
    rule->stage = stage_by_name(option, option + strlen("reply-"));
    rule->reply = rest;
}

static bool rule_matches(const struct rule *rule, const char *address, size_t len)
{
    char text[ADDRESS_MAX];

    if (rule->percent < 100 && drand48() * 100 >= rule->percent)
        return false;
    if (!rule->pattern)
        return true;
    if (len >= sizeof text)
        return false;
    memcpy(text, address, len);
    text[len] = '\0';
    return fnmatch(rule->pattern, text, 0) == 0;
}

const struct rule *sink_rule_find(const struct sink_options *options, enum stage stage,
                                  const char *address, size_t len)
{
    for (unsigned i = 0; i < options->rule_count; i++) {
        const struct rule *rule = &options->rules[i];
        if (rule->stage == stage && rule_matches(rule, address, len))
            return rule;
    }
    return NULL;
}

static void add_listener(struct sink_options *o, const char *value)
{
    if (o->listen_count == SINK_LISTENERS_MAX)
        rig_die("more than %d listeners", SINK_LISTENERS_MAX);
    o->listen[o->listen_count++] = rig_endpoint("listen", value);
}

static void parse_option(struct sink_options *o, const char *name, const char *value)
{
    if (strcmp(name, "listen") == 0)
        add_listener(o, value);
    else if (strcmp(name, "threads") == 0)
        o->threads = (unsigned)rig_number(name, value, SINK_THREADS_MAX);
    else if (strcmp(name, "record") == 0)
        o->record = value;
    else if (strcmp(name, "starttls") == 0)
        o->tls = TLS_STARTTLS;
    else if (strcmp(name, "implicit-tls") == 0)
        o->tls = TLS_IMPLICIT;
    else if (strcmp(name, "cert") == 0)
        o->cert = value;
    else if (strcmp(name, "key") == 0)
        o->key = value;
    else if (strcmp(name, "chunking") == 0)
        o->chunking = true;
    else if (strcmp(name, "no-pipelining") == 0)
        o->pipelining = false;
    else if (strcmp(name, "no-dsn") == 0)
        o->dsn = false;
    else if (strcmp(name, "deliver-by") == 0)
        o->deliver_by = true;
    else if (strcmp(name, "delay-ms") == 0)
        o->delay_ns = rig_number(name, value, 3600000) * RIG_NS_PER_MILLISECOND;
    else if (strcmp(name, "serve-most") == 0)
        o->serve_most = rig_number(name, value, 1000000);
    else if (strcmp(name, "stats-file") == 0)
        o->stats_file = value;
    else if (strcmp(name, "ids-file") == 0)
        o->ids_file = value;
    else
        add_rule(o, name, value);
}

static void check(const struct sink_options *o, bool arguments_left)
{
    if (o->listen_count == 0 || o->threads == 0 || arguments_left)
        rig_die("--listen is needed, and at least one thread; see --help");
    if (o->tls != TLS_NONE && (!o->cert || !o->key))
        rig_die("TLS needs --cert and --key");
}

struct sink_options sink_parse_arguments(int argc, char **argv)
{
    static const struct option known[] = {
        {"listen", 1, NULL, 0},     {"threads", 1, NULL, 0},      {"record", 1, NULL, 0},
        {"starttls", 0, NULL, 0},   {"implicit-tls", 0, NULL, 0}, {"cert", 1, NULL, 0},
        {"key", 1, NULL, 0},        {"chunking", 0, NULL, 0},     {"no-pipelining", 0, NULL, 0},
        {"no-dsn", 0, NULL, 0},     {"deliver-by", 0, NULL, 0},   {"delay-ms", 1, NULL, 0},
        {"stats-file", 1, NULL, 0}, {"ids-file", 1, NULL, 0},     {"reply-connect", 1, NULL, 0},
        {"reply-ehlo", 1, NULL, 0}, {"reply-mail", 1, NULL, 0},   {"reply-rcpt", 1, NULL, 0},
        {"reply-data", 1, NULL, 0}, {"reply-final", 1, NULL, 0},  {"stall-at", 1, NULL, 0},
        {"drop-at", 1, NULL, 0},    {"serve-most", 1, NULL, 0},   {"help", 0, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct sink_options o = {.threads = 1, .pipelining = true, .dsn = true};
    int index;

    srand48(7); /* the same "P%" choices in every run */
    for (int c; (c = getopt_long(argc, argv, "h", known, &index)) != -1;) {
        if (c != 0) {
            fputs(usage_text, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 64);
        }
        parse_option(&o, known[index].name, optarg);
    }
    check(&o, optind < argc);
    return o;
}
