/*
 * smtp_path: the arguments of MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.1.3, 4.1.2): the path and the
 * ESMTP parameters behind it. What a parameter means is for the session.
 *
 * Pure. All spans point into the arguments.
 */
#ifndef SMARTHOP_PROTO_SMTP_PATH_H
#define SMARTHOP_PROTO_SMTP_PATH_H

#include "proto/address.h"

enum { SMTP_PARAMS_MAX = 16 };

/* By default everything below is refused. The low bits are those of enum address_flag. */
enum smtp_path_flag {
    SMTP_PATH_ALLOW_UTF8 = ADDRESS_ALLOW_UTF8, /* see smtp_parse_mail and smtp_parse_rcpt */
    SMTP_PATH_ALLOW_UNDERSCORE = ADDRESS_ALLOW_UNDERSCORE,
    SMTP_PATH_ALLOW_LONG_LOCAL = ADDRESS_ALLOW_LONG_LOCAL,
    SMTP_PATH_ALLOW_SPACE = 1 << 8,       /* "FROM: <a@b>" */
    SMTP_PATH_ALLOW_NO_BRACKETS = 1 << 9, /* "FROM:a@b" */
};

enum smtp_path_error {
    SMTP_PATH_OK = 0,
    SMTP_PATH_NO_KEYWORD,     /* not "FROM:" or "TO:" */
    SMTP_PATH_SPACE,          /* a space after the colon */
    SMTP_PATH_NO_BRACKETS,    /* no "<" */
    SMTP_PATH_ADDRESS,        /* args->address_error tells more */
    SMTP_PATH_NULL_RECIPIENT, /* "TO:<>" */
    SMTP_PATH_NEEDS_SMTPUTF8, /* RFC 6531 3.4: a UTF-8 path without the SMTPUTF8 parameter */
    SMTP_PATH_TRAILING,       /* something else than a space behind the path */
    SMTP_PATH_PARAM_SYNTAX,
    SMTP_PATH_PARAM_REPEATED,
    SMTP_PATH_PARAMS_TOO_MANY,
};

struct smtp_param {
    struct span keyword;
    struct span value; /* empty where has_value is false; never empty otherwise */
    bool has_value;
};

struct smtp_params {
    struct smtp_param list[SMTP_PARAMS_MAX];
    size_t count;
};

struct smtp_mail_args {
    struct address path; /* ADDRESS_NULL for "<>" */
    struct smtp_params params;
    enum address_error address_error; /* with SMTP_PATH_ADDRESS */
};

struct smtp_rcpt_args {
    struct address path; /* ADDRESS_MAILBOX or ADDRESS_POSTMASTER */
    struct smtp_params params;
    enum address_error address_error;
};

/* "FROM:<path> KEYWORD=VALUE ..."; `args` is trimmed. SMTP_PATH_ALLOW_UTF8 says that the server
 * offers SMTPUTF8; the path may use it where the same command has that parameter. */
enum smtp_path_error smtp_parse_mail(struct span args, unsigned flags, struct smtp_mail_args *out);

/* "TO:<path> KEYWORD=VALUE ..."; SMTP_PATH_ALLOW_UTF8 says that this transaction's MAIL had the
 * SMTPUTF8 parameter. */
enum smtp_path_error smtp_parse_rcpt(struct span args, unsigned flags, struct smtp_rcpt_args *out);

/* Without regard to case; NULL where there is none. Lives as long as `params`. */
const struct smtp_param *smtp_param_find(const struct smtp_params *params, struct span keyword);

/* Static text; for SMTP_PATH_ADDRESS address_error_text says more. */
const char *smtp_path_error_text(enum smtp_path_error error);

#endif
