/*
 * sink: what the parts of smtp_sink share: its options with the canned replies, its counts, and
 * the set of deliveries it has seen.
 */
#ifndef SMARTHOP_TESTS_SINK_H
#define SMARTHOP_TESTS_SINK_H

#include "rig.h"

#define SINK_LISTENERS_MAX 64
#define SINK_RULES_MAX     64
#define SINK_THREADS_MAX   16

enum stage {
    STAGE_CONNECT,
    STAGE_EHLO,
    STAGE_STARTTLS,
    STAGE_MAIL,
    STAGE_RCPT,
    STAGE_DATA,
    STAGE_BODY, /* the first bytes of a message */
    STAGE_FINAL,
    STAGE_QUIT,
    STAGE_COUNT,
};

enum rule_action {
    RULE_REPLY,
    RULE_STALL, /* never answer, keep the connection */
    RULE_DROP,  /* close without an answer */
};

/* What to do at a stage instead of going on; the first rule that matches counts. */
struct rule {
    enum stage stage;
    enum rule_action action;
    double percent;      /* how often it matches */
    const char *pattern; /* of the address, as in a shell; NULL matches all */
    const char *reply;   /* without CRLF */
};

enum tls_use { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT };

struct sink_options {
    struct sockaddr_in listen[SINK_LISTENERS_MAX];
    unsigned listen_count;
    unsigned threads;
    const char *record;
    enum tls_use tls;
    const char *cert;
    const char *key;
    bool chunking;
    bool pipelining;
    bool dsn;
    bool deliver_by;
    uint64_t delay_ns;
    uint64_t serve_most; /* connections of a thread; 0 = any number */
    const char *stats_file;
    const char *ids_file;
    struct rule rules[SINK_RULES_MAX];
    unsigned rule_count;
};

/* Ends the program on a wrong option, and on --help. */
struct sink_options sink_parse_arguments(int argc, char **argv);

/* The rule for this stage and address, or NULL. `address` need not be terminated. */
const struct rule *sink_rule_find(const struct sink_options *options, enum stage stage,
                                  const char *address, size_t len);

struct sink_counts {
    uint64_t connections;
    uint64_t open_connections;
    uint64_t serving; /* of these, those that were not turned away by serve_most */
    uint64_t tls_sessions;
    uint64_t tls_resumed;
    uint64_t messages; /* transactions that ended with our positive reply */
    uint64_t recipients;
    uint64_t bytes;
    uint64_t refused_4xx;
    uint64_t refused_5xx;
    uint64_t duplicates; /* recipients that were given the same message again */
    uint64_t unnumbered; /* messages without an X-Load-Id */
    uint64_t first_ns;
    uint64_t last_ns;
    struct histogram latency; /* from X-Load-Time to our positive reply */
};

void sink_counts_merge(struct sink_counts *into, const struct sink_counts *from);

/* Whether this message is new to this recipient. Any thread. */
bool sink_seen_add(uint64_t id, const char *recipient, size_t len);

void sink_seen_forget(void);

/* Replaces the statistics file and, where asked for, the list of message ids. */
void sink_stats_write(const struct sink_options *options, const struct sink_counts *counts);

#endif
