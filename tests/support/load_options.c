/*
 * load_options: the command line of smtp_load.
 */
#include "load.h"

#include <getopt.h>

#define MESSAGES_MAX 1000000000ull

static const char usage_text[] =
    "usage: smtp_load --to ADDRESS:PORT [options]\n"
    "  --messages N        messages to offer (1)\n"
    "  --sessions C        sessions at a time (1)\n"
    "  --per-session M     messages on one connection, 0 for no limit (1)\n"
    "  --size BYTES        of a message with its headers (4096)\n"
    "  --recipients R      of each message (1)\n"
    "  --rate N            messages a second, whether or not earlier ones are done\n"
    "  --pipeline          MAIL, all RCPT and DATA in one write\n"
    "  --tls starttls|implicit, --resume\n"
    "  --from ADDRESS, --rcpt-domain DOMAIN, --domains K (spread over dN.DOMAIN)\n"
    "  --lmtp              LHLO, and a reply for each recipient behind the data\n"
    "  --idle              open the sessions, EHLO, and hold them until SIGTERM\n"
    "  --first-id N        X-Load-Id of the first message (1)\n"
    "  --acked-file F      append the id of each message when its 250 arrives\n"
    "  --deadline S        give up after this many seconds (300)\n"
    "  --json              report as JSON\n"
    "exit status: 0 all accepted, 1 some failed, 2 stopped by the deadline, 64 usage\n";

static enum tls_use parse_tls(const char *text)
{
    if (strcmp(text, "starttls") == 0)
        return TLS_STARTTLS;
    if (strcmp(text, "implicit") == 0)
        return TLS_IMPLICIT;
    rig_die("--tls: \"%s\" is neither starttls nor implicit", text);
}

static double parse_rate(const char *text)
{
    char *end = NULL;
    double rate = strtod(text, &end);

    if (end == text || *end != '\0' || !(rate >= 0))
        rig_die("--rate: \"%s\" is not a rate", text);
    return rate;
}

static void parse_option(struct load_options *o, const char *name, const char *value)
{
    if (strcmp(name, "to") == 0)
        o->to = rig_endpoint(name, value);
    else if (strcmp(name, "messages") == 0)
        o->messages = rig_number(name, value, MESSAGES_MAX);
    else if (strcmp(name, "sessions") == 0)
        o->sessions = (unsigned)rig_number(name, value, 60000);
    else if (strcmp(name, "per-session") == 0)
        o->per_session = (unsigned)rig_number(name, value, INT32_MAX);
    else if (strcmp(name, "size") == 0)
        o->size = rig_number(name, value, 1u << 30);
    else if (strcmp(name, "recipients") == 0)
        o->recipients = (unsigned)rig_number(name, value, 100000);
    else if (strcmp(name, "rate") == 0)
        o->rate = parse_rate(value);
    else if (strcmp(name, "tls") == 0)
        o->tls = parse_tls(value);
    else if (strcmp(name, "from") == 0)
        o->from = value;
    else if (strcmp(name, "rcpt-domain") == 0)
        o->rcpt_domain = value;
    else if (strcmp(name, "domains") == 0)
        o->domains = (unsigned)rig_number(name, value, 1000000);
    else if (strcmp(name, "first-id") == 0)
        o->first_id = rig_number(name, value, UINT64_MAX / 2);
    else if (strcmp(name, "acked-file") == 0)
        o->acked_file = value;
    else if (strcmp(name, "deadline") == 0)
        o->deadline_s = (unsigned)rig_number(name, value, 86400);
    else if (strcmp(name, "pipeline") == 0)
        o->pipeline = true;
    else if (strcmp(name, "resume") == 0)
        o->resume = true;
    else if (strcmp(name, "idle") == 0)
        o->idle = true;
    else if (strcmp(name, "lmtp") == 0)
        o->lmtp = true;
    else if (strcmp(name, "json") == 0)
        o->json = true;
}

struct load_options load_parse_arguments(int argc, char **argv)
{
    static const struct option known[] = {
        {"to", 1, NULL, 0},          {"messages", 1, NULL, 0}, {"sessions", 1, NULL, 0},
        {"per-session", 1, NULL, 0}, {"size", 1, NULL, 0},     {"recipients", 1, NULL, 0},
        {"rate", 1, NULL, 0},        {"tls", 1, NULL, 0},      {"from", 1, NULL, 0},
        {"rcpt-domain", 1, NULL, 0}, {"domains", 1, NULL, 0},  {"first-id", 1, NULL, 0},
        {"acked-file", 1, NULL, 0},  {"deadline", 1, NULL, 0}, {"pipeline", 0, NULL, 0},
        {"resume", 0, NULL, 0},      {"idle", 0, NULL, 0},     {"json", 0, NULL, 0},
        {"lmtp", 0, NULL, 0},        {"help", 0, NULL, 'h'},   {NULL, 0, NULL, 0},
    };
    struct load_options o = {.messages = 1,
                             .sessions = 1,
                             .per_session = 1,
                             .size = 4096,
                             .recipients = 1,
                             .from = "sender@client.test",
                             .rcpt_domain = "example.test",
                             .domains = 1,
                             .deadline_s = 300,
                             .first_id = 1};
    int index;

    for (int c; (c = getopt_long(argc, argv, "h", known, &index)) != -1;) {
        if (c != 0) {
            fputs(usage_text, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 64);
        }
        parse_option(&o, known[index].name, optarg);
    }
    if (o.to.sin_port == 0 || optind < argc || o.sessions == 0 || o.recipients == 0 ||
        o.domains == 0 || o.messages == 0)
        rig_die("--to is needed, and no count may be zero; see --help");
    return o;
}
