/*
 * command: POP3 commands (RFC 1939, 2449, 2595, 5034, 6856) from a line to what they mean.
 *
 * Pure. All spans point into the line.
 */
#ifndef SMARTHOP_DROP_POP3_COMMAND_H
#define SMARTHOP_DROP_POP3_COMMAND_H

#include "base/span.h"

enum pop3_verb {
    POP3_UNKNOWN = 0,
    POP3_CAPA,
    POP3_STLS,
    POP3_USER,
    POP3_PASS,
    POP3_AUTH,
    POP3_UTF8,
    POP3_LANG,
    POP3_STAT,
    POP3_LIST,
    POP3_UIDL,
    POP3_RETR,
    POP3_TOP,
    POP3_DELE,
    POP3_RSET,
    POP3_NOOP,
    POP3_QUIT,
    POP3_VERBS
};

struct pop3_command {
    enum pop3_verb verb;
    bool is_wrong;      /* the verb is known, but not with these arguments */
    struct span text;   /* USER, PASS: all behind the space; LANG: the tag, empty where none came */
    struct span method; /* AUTH: the mechanism, empty where none came */
    bool has_initial;
    struct span initial; /* AUTH: the initial response, in base64 */
    bool has_number;     /* LIST and UIDL may come without */
    uint32_t number;     /* of a message; what is too large for one is UINT32_MAX */
    uint64_t lines;      /* TOP */
};

/* `line` without its CRLF. */
void pop3_parse(struct span line, struct pop3_command *out);

#endif
