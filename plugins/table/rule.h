/*
 * rule: one line of a table file, and what is kept of it. Five kinds of files: routes and addresses
 * in our own form, Postfix's transport(5) and virtual(5).
 */
#ifndef SMARTHOP_TABLE_RULE_H
#define SMARTHOP_TABLE_RULE_H

#include "key.h"

enum dialect_kind {
    DIALECT_MAPS,
    DIALECT_ALIASES,
    DIALECT_CANONICAL,
    DIALECT_TRANSPORT,
    DIALECT_VIRTUAL,
    DIALECTS
};

/* How a file is read. */
struct dialect {
    enum dialect_kind kind;
    struct smarthop_span origin;            /* the domain of addresses without one; may be empty */
    const struct smarthop_span *smtp_names; /* Postfix: further transports that are SMTP */
    uint32_t smtp_name_count;
};

/* What a key stands for. Spans point into the line, or into the record. */
struct rule {
    uint8_t action;    /* enum smarthop_action */
    uint8_t transport; /* enum smarthop_transport */
    uint8_t tls;       /* enum smarthop_tls */
    uint8_t own_mx;    /* the MX hosts of the recipient's own domain */
    uint16_t code;
    uint8_t enhanced[3];
    uint8_t hop_count;
    uint16_t target_count;
    struct smarthop_span text;
    struct smarthop_span mx;
    struct smarthop_span limits;
    struct smarthop_span source;
    struct smarthop_span credentials;
    struct smarthop_span tenant;
    struct smarthop_next_hop hops[SMARTHOP_NEXT_HOPS_MAX];
    struct smarthop_span targets[SMARTHOP_REWRITES_MAX]; /* "@domain" = the same user there */
};

/* One line, as the reader gives it. */
struct rule_line {
    const char *file;
    unsigned line;
    struct problems *problems;
    char key_room[KEY_MAX];
    char room[16 * 1024]; /* what is not in the file as it is wanted */
    size_t room_used;

    enum key_kind kind; /* from here on: the result */
    struct smarthop_span key;
    struct rule rule;
};

/* False: it is wrong, and told. */
bool rule_parse(struct rule_line *line, const struct dialect *dialect, struct smarthop_span text);

/* What the files of the dialects share. */
bool rule_refuse(struct rule_line *line, struct smarthop_span word, const char *why);
bool rule_key(struct rule_line *line, struct smarthop_span written, enum key_kind kind);
bool rule_targets(struct rule_line *line, const struct dialect *dialect, struct smarthop_span text);
/* "NAME", "NAME:PORT", "[HOST]", "[HOST]:PORT"; an address of IPv6 needs its brackets. port 0 = it
 * has none. */
bool rule_split_host(struct smarthop_span text, struct smarthop_span *host, uint16_t *port,
                     bool *bracketed);
bool rule_add_hop(struct rule_line *line, struct smarthop_span host, uint16_t port,
                  uint32_t weight);
/* Likewise, with TLS from the first byte. */
bool rule_add_smtps(struct rule_line *line, struct smarthop_span host, uint16_t port,
                    uint32_t weight);
/* A refusal's text behind its "550" and "5.7.1", either of which may be missing. */
void rule_take_text(struct rule *rule, struct smarthop_span text);
bool maps_parse(struct rule_line *line, struct smarthop_span text);
bool transport_parse(struct rule_line *line, const struct dialect *dialect,
                     struct smarthop_span text);
bool virtual_parse(struct rule_line *line, const struct dialect *dialect,
                   struct smarthop_span text);

/* ---- as bytes ----------------------------------------------------------------------------- */

/* Of any rule of a line. */
enum { RECORD_MAX = 1024 * 1024 };

/* Into `bytes`, which have RECORD_MAX. */
size_t record_write(const struct rule *rule, char *bytes);
/* False: they are none that were written so. The spans point into them; of the lists only what
 * the counts say is set. */
bool record_read(struct smarthop_span bytes, struct rule *rule);

#endif
