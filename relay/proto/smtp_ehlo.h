/*
 * smtp_ehlo: what a server offers in its reply to EHLO or LHLO (RFC 5321 4.1.1.1). Pure.
 */
#ifndef SMARTHOP_PROTO_SMTP_EHLO_H
#define SMARTHOP_PROTO_SMTP_EHLO_H

#include "proto/smtp_reply.h"

enum smtp_extension {
    SMTP_EXT_PIPELINING = 1 << 0,          /* RFC 2920 */
    SMTP_EXT_SIZE = 1 << 1,                /* RFC 1870 */
    SMTP_EXT_8BITMIME = 1 << 2,            /* RFC 6152 */
    SMTP_EXT_SMTPUTF8 = 1 << 3,            /* RFC 6531 */
    SMTP_EXT_STARTTLS = 1 << 4,            /* RFC 3207 */
    SMTP_EXT_CHUNKING = 1 << 5,            /* RFC 3030 */
    SMTP_EXT_BINARYMIME = 1 << 6,          /* RFC 3030 */
    SMTP_EXT_DSN = 1 << 7,                 /* RFC 3461 */
    SMTP_EXT_ENHANCEDSTATUSCODES = 1 << 8, /* RFC 2034 */
    SMTP_EXT_AUTH = 1 << 9,                /* RFC 4954 */
    SMTP_EXT_LIMITS = 1 << 10,             /* RFC 9422 */
    SMTP_EXT_REQUIRETLS = 1 << 11,         /* RFC 8689 */
    SMTP_EXT_MT_PRIORITY = 1 << 12,        /* RFC 6710 */
    SMTP_EXT_DELIVERBY = 1 << 13,          /* RFC 2852 */
    SMTP_EXT_FUTURERELEASE = 1 << 14,      /* RFC 4865 */
    SMTP_EXT_ETRN = 1 << 15,               /* RFC 1985 */
    SMTP_EXT_XCLIENT = 1 << 16,
    SMTP_EXT_XFORWARD = 1 << 17,
};

enum smtp_auth_mechanism {
    SMTP_AUTH_PLAIN = 1 << 0,
    SMTP_AUTH_LOGIN = 1 << 1,
    SMTP_AUTH_CRAM_MD5 = 1 << 2,
    SMTP_AUTH_EXTERNAL = 1 << 3,
    SMTP_AUTH_XOAUTH2 = 1 << 4,
    SMTP_AUTH_OAUTHBEARER = 1 << 5,
    SMTP_AUTH_SCRAM_SHA_1 = 1 << 6,
    SMTP_AUTH_SCRAM_SHA_1_PLUS = 1 << 7,
    SMTP_AUTH_SCRAM_SHA_256 = 1 << 8,
    SMTP_AUTH_SCRAM_SHA_256_PLUS = 1 << 9,
};

/* Numbers are 0 where the server names no limit or one that cannot be read. */
struct smtp_ehlo {
    struct span domain;    /* the server's own name, from the first line */
    unsigned extensions;   /* bits of enum smtp_extension */
    unsigned auth;         /* bits of enum smtp_auth_mechanism */
    struct span auth_text; /* the mechanisms as the server wrote them, unknown ones too */
    uint64_t size_max;
    uint64_t rcpt_max;        /* RFC 9422: RCPT commands of one transaction */
    uint64_t mail_max;        /* RFC 9422: transactions of one session */
    uint64_t rcpt_domain_max; /* RFC 9422: recipient domains of one transaction */
    uint64_t deliverby_min;   /* seconds */
    uint64_t hold_for_max;    /* seconds (RFC 4865) */
    struct span xclient;      /* attribute names */
    struct span xforward;
};

/* From a positive reply to EHLO. The spans point into reply->text. A keyword that is said twice
 * counts once, its first numbers hold; unknown keywords are passed over. "AUTH=" in place of
 * "AUTH " is understood (a draft of RFC 2554 that some servers still follow). */
void smtp_ehlo_parse(const struct smtp_reply *reply, struct smtp_ehlo *out);

static inline bool smtp_ehlo_has(const struct smtp_ehlo *ehlo, enum smtp_extension extension)
{
    return (ehlo->extensions & (unsigned)extension) != 0;
}

/* One mechanism name, without regard to case; 0 where it is unknown. */
unsigned smtp_auth_mechanism_parse(struct span name);

#endif
