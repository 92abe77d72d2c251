/*
 * esmtp: what the ESMTP parameters of MAIL and RCPT mean (smtp_path.h has cut them out): their
 * values with their types, or the reply that refuses them.
 *
 * Pure. What a value is good for (a size that is too large, a sender that may not ask for
 * priority) is for the session; only bounds that EHLO itself has told are judged here.
 */
#ifndef SMARTHOP_PROTO_ESMTP_H
#define SMARTHOP_PROTO_ESMTP_H

#include "proto/smtp_ehlo.h"
#include "proto/smtp_path.h"

enum {
    ESMTP_ENVID_MAX = 100,  /* RFC 3461 4.4, as written */
    ESMTP_ORCPT_MAX = 500,  /* RFC 3461 4.2, as written */
    ESMTP_AUTH_MAX = 500,   /* RFC 4954 5, as written */
    ESMTP_PRIORITY_MAX = 9, /* RFC 6710: -9 to 9 */
};

/* What the server has said in its reply to EHLO on this session. */
struct esmtp_offer {
    unsigned extensions; /* bits of enum smtp_extension */
    /* RFC 4865: seconds from now, and seconds since 1970-01-01 UTC. */
    uint64_t hold_for_max;
    uint64_t hold_until_max;
    uint64_t deliver_by_min; /* RFC 2852: seconds, for BY=n;R; 0 = none was named */
};

enum esmtp_error {
    ESMTP_OK = 0,
    ESMTP_NOT_OFFERED, /* unknown, or its extension is not offered: RFC 5321 4.1.1.11 */
    ESMTP_REPEATED,
    ESMTP_SIZE,
    ESMTP_BODY,
    ESMTP_SMTPUTF8,
    ESMTP_RET,
    ESMTP_ENVID,
    ESMTP_AUTH,
    ESMTP_REQUIRETLS,
    ESMTP_PRIORITY,
    ESMTP_HOLD_FOR,
    ESMTP_HOLD_UNTIL,
    ESMTP_HOLD_TOO_LONG,
    ESMTP_HOLD_TWICE, /* HOLDFOR and HOLDUNTIL */
    ESMTP_BY,
    ESMTP_BY_TOO_SOON,
    ESMTP_NOTIFY,
    ESMTP_ORCPT,
    ESMTP_ERROR_COUNT,
};

enum esmtp_body {
    ESMTP_BODY_NONE = 0,
    ESMTP_BODY_7BIT,
    ESMTP_BODY_8BITMIME,
    ESMTP_BODY_BINARYMIME
};
enum esmtp_ret { ESMTP_RET_NONE = 0, ESMTP_RET_FULL, ESMTP_RET_HEADERS };
enum esmtp_hold { ESMTP_HOLD_NONE = 0, ESMTP_HOLD_SECONDS, ESMTP_HOLD_DATE };
enum esmtp_by { ESMTP_BY_NONE = 0, ESMTP_BY_RETURN, ESMTP_BY_NOTIFY };

struct esmtp_mail {
    bool has_size;
    uint64_t size; /* UINT64_MAX for any that is larger */
    enum esmtp_body body;
    bool smtputf8;
    bool require_tls;
    enum esmtp_ret ret;
    struct span envid; /* decoded, printable; empty where there is none */
    bool has_auth;
    struct span auth; /* the mailbox, decoded; empty for AUTH=<> */
    bool has_priority;
    int priority; /* -9..9 */
    enum esmtp_hold hold;
    uint64_t hold_value; /* seconds from now, or since 1970-01-01 UTC */
    enum esmtp_by by;
    int32_t by_seconds; /* zero or less only with ESMTP_BY_NOTIFY */
    bool by_trace;
};

/* Bits of NOTIFY; none is "not said". NEVER comes alone. */
enum esmtp_notify {
    ESMTP_NOTIFY_NEVER = 1 << 0,
    ESMTP_NOTIFY_SUCCESS = 1 << 1,
    ESMTP_NOTIFY_FAILURE = 1 << 2,
    ESMTP_NOTIFY_DELAY = 1 << 3,
    ESMTP_NOTIFY_ALL = (1 << 4) - 1,
};

struct esmtp_rcpt {
    unsigned notify;        /* bits of enum esmtp_notify */
    struct span orcpt;      /* as written, to be passed on; empty where there is none */
    struct span orcpt_type; /* as esmtp_read_orcpt gives them */
    struct span orcpt_address;
};

/* The first fault in the order of the parameters, with `*culprit_out` (may be NULL) the parameter's
 * keyword; ESMTP_OK leaves it alone. What is decoded lies in the arena, everything else points into
 * the arguments. After an error `out` is not to be used. */
enum esmtp_error esmtp_parse_mail(const struct smtp_params *params, const struct esmtp_offer *offer,
                                  struct arena *arena, struct esmtp_mail *out,
                                  struct span *culprit_out);
enum esmtp_error esmtp_parse_rcpt(const struct smtp_params *params, const struct esmtp_offer *offer,
                                  struct arena *arena, struct esmtp_rcpt *out,
                                  struct span *culprit_out);

/* An ORCPT in its parts: the type ("rfc822"), and the address decoded and without control bytes; of
 * type utf-8 it is as written where it is UTF-8 (RFC 6533 3). False where it is none. */
bool esmtp_read_orcpt(struct span orcpt, struct arena *arena, struct span *type_out,
                      struct span *address_out);

/* What a command that passes them on says: "FULL" or "HDRS"; "SUCCESS,DELAY" and its length. Empty
 * for what has not been said. */
struct span esmtp_ret_format(enum esmtp_ret ret);
enum { ESMTP_NOTIFY_TEXT_MAX = 32 };
size_t esmtp_notify_format(unsigned notify, char text[ESMTP_NOTIFY_TEXT_MAX]);

/* The reply: code, enhanced code and static text; code 0 for ESMTP_OK. */
struct status esmtp_error_status(enum esmtp_error error);

#endif
