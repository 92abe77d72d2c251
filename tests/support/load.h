/*
 * load: what the parts of smtp_load share: its options, its counts, and how it reports.
 */
#ifndef SMARTHOP_TESTS_LOAD_H
#define SMARTHOP_TESTS_LOAD_H

#include "rig.h"

#define LOAD_PORTIONS 10

enum tls_use { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT };

struct load_options {
    struct sockaddr_in to;
    uint64_t messages;
    unsigned sessions;
    unsigned per_session; /* 0: no limit */
    size_t size;
    unsigned recipients;
    double rate; /* messages a second; 0: as fast as they are taken */
    bool pipeline;
    enum tls_use tls;
    bool resume;
    const char *from;
    const char *rcpt_domain;
    unsigned domains;
    bool idle;
    bool lmtp;
    const char *acked_file;
    bool json;
    unsigned deadline_s;
    uint64_t first_id;
};

struct load_stats {
    uint64_t start_ns;
    uint64_t last_accept_ns;
    uint64_t accepted;
    uint64_t failed;
    uint64_t connections;
    uint64_t connect_failures;
    uint64_t lost_connections; /* ended by the peer or an error while a reply was due */
    uint64_t tls_resumed;
    uint64_t replies[1000];                 /* 4xx and 5xx, by code */
    uint64_t portion_end_ns[LOAD_PORTIONS]; /* when each tenth of the messages was accepted */
    struct histogram from_mail;             /* to the final 250 */
    struct histogram from_connect; /* to the final 250; from MAIL for later ones of a session */
};

/* Ends the program on a wrong option, and on --help. */
struct load_options load_parse_arguments(int argc, char **argv);

/* `late`: the deadline ended the run. */
void load_report_json(const struct load_stats *stats, FILE *out, bool late);
void load_report_text(const struct load_stats *stats, FILE *out, bool late);

#endif
