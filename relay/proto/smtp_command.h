/*
 * smtp_command: cuts the server's input into command lines (RFC 5321 2.3.8, 4.1.1) and splits each
 * into verb and arguments. It judges lines only; arguments are for smtp_path.h and the session.
 *
 * A line ends by CRLF and by nothing else. Only the session's loop uses a parser.
 */
#ifndef SMARTHOP_PROTO_SMTP_COMMAND_H
#define SMARTHOP_PROTO_SMTP_COMMAND_H

#include "base/span.h"
#include "proto/parse.h"

enum {
    SMTP_COMMAND_LINE_MIN = 512, /* RFC 5321 4.5.3.1.4, with CRLF: the least to be accepted */
    /* 512 and what the extensions add to MAIL and RCPT (SIZE, DSN, AUTH, SMTPUTF8, ...). */
    SMTP_COMMAND_LINE_MAX = 2048,
    SMTP_AUTH_LINE_MAX = 12288, /* RFC 4954 4: lines of an authentication exchange */
};

enum smtp_verb {
    SMTP_VERB_UNKNOWN = 0,
    SMTP_VERB_EHLO,
    SMTP_VERB_HELO,
    SMTP_VERB_LHLO,
    SMTP_VERB_MAIL,
    SMTP_VERB_RCPT,
    SMTP_VERB_DATA,
    SMTP_VERB_BDAT,
    SMTP_VERB_RSET,
    SMTP_VERB_NOOP,
    SMTP_VERB_VRFY,
    SMTP_VERB_EXPN,
    SMTP_VERB_HELP,
    SMTP_VERB_QUIT,
    SMTP_VERB_STARTTLS,
    SMTP_VERB_AUTH,
    SMTP_VERB_ETRN,
    SMTP_VERB_XCLIENT,
    SMTP_VERB_XFORWARD,
    SMTP_VERB_COUNT,
};

/* What is wrong with a line. Where several things are, the first of this order is told:
 * too long, NUL, bare CR, bare LF. */
enum smtp_command_error {
    SMTP_COMMAND_OK = 0,
    SMTP_COMMAND_TOO_LONG,
    SMTP_COMMAND_NUL,
    SMTP_COMMAND_BARE_CR,
    SMTP_COMMAND_BARE_LF, /* the session had best answer 521 and close, see smtp_command_parse */
};

struct smtp_command {
    enum smtp_command_error error;
    enum smtp_verb verb;   /* SMTP_VERB_UNKNOWN in a broken line */
    struct span line;      /* whole, without CRLF; empty where it was too long */
    struct span verb_text; /* up to the first space or tab; empty in a broken or empty line */
    struct span args;      /* what follows, without spaces around it */
};

struct smtp_command_parser {
    size_t max_line; /* with CRLF */
    size_t scanned;  /* leading bytes of the unconsumed input that hold no LF */
    bool dropping;   /* inside a broken line whose leading bytes have been consumed */
    bool reported;   /* while dropping: its error has been told already */
};

/* max_line counts the CRLF; SMTP_COMMAND_LINE_MAX is the usual one. */
void smtp_command_parser_init(struct smtp_command_parser *p, size_t max_line);

/* For the lines of an authentication exchange and back. Call it between lines only. */
void smtp_command_parser_set_max(struct smtp_command_parser *p, size_t max_line);

/*
 * `input` begins at the first byte that has not been consumed yet and holds everything received
 * since. Drop *consumed_out bytes from it after every call, but use `out` before: its spans point
 * into `input`.
 *
 * PARSE_DONE: one line; where out->error is set it was broken and is not to be executed.
 * PARSE_MORE: no whole line yet. An input of max_line bytes is never left unconsumed.
 * PARSE_BAD is never answered.
 *
 * A broken line is consumed to its CRLF, too long ones piece by piece, and told once. One with a
 * bare LF is told at that LF, since a client that ends its lines so is waiting for an answer; the
 * rest up to the CRLF is then dropped without another word, so that nothing behind a bare LF is
 * ever taken for a command.
 */
enum parse_result smtp_command_parse(struct smtp_command_parser *p, struct span input,
                                     size_t *consumed_out, struct smtp_command *out);

/* Upper case, static; "UNKNOWN" for the unknown. */
const char *smtp_verb_name(enum smtp_verb verb);

/* Static text for a reply or a log line: "line too long". */
const char *smtp_command_error_text(enum smtp_command_error error);

#endif
