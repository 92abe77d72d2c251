/*
 * status: what became of a message or of one recipient, in the terms of SMTP (RFC 5321 4.2) and
 * of enhanced status codes (RFC 3463). It travels from the reply parser to the queue and the DSN.
 *
 * Pure data. The spans belong to whoever made the status; copy them (status_dup) to keep them.
 */
#ifndef SMARTHOP_PROTO_STATUS_H
#define SMARTHOP_PROTO_STATUS_H

#include "base/arena.h"
#include "base/span.h"

/* RFC 3463: class.subject.detail; all zero means absent. */
struct enhanced_code {
    uint8_t klass;
    uint16_t subject;
    uint16_t detail;
};

/* How far the outcome reaches. Only deliver/verdict.c decides it. */
enum status_scope {
    STATUS_SCOPE_RECIPIENT = 0,
    STATUS_SCOPE_MESSAGE,
    STATUS_SCOPE_HOST,
    STATUS_SCOPE_SESSION,
};

struct status {
    uint16_t code; /* 200..599; 0 where nothing has been said yet */
    struct enhanced_code enhanced;
    enum status_scope scope;
    struct span text; /* without codes; lines of a reply joined by a space */
    struct span by;   /* whom it concerns: "host [address]:port"; empty where nobody was asked */
    bool said;        /* these are that host's words; otherwise ours about it */
};

static inline bool status_is_success(const struct status *s)
{
    return s->code >= 200 && s->code < 300;
}

static inline bool status_is_permanent(const struct status *s)
{
    return s->code >= 500 && s->code < 600;
}

struct status status_dup(struct arena *a, const struct status *s);
/* Keeps a copy in an arena of its own, in place of what it held until now, where the texts of `s`
 * may lie. */
void status_keep(struct arena *own, struct status *kept, const struct status *s);

/* A status said by ourselves: STATUS(451, 4, 3, 0, "text"). */
#define STATUS(code_, klass_, subject_, detail_, text_)                                            \
    ((struct status){                                                                              \
        .code = (code_), .enhanced = {(klass_), (subject_), (detail_)}, .text = SPAN(text_)})

/* Parses "X.Y.Z" at the start of `s` (RFC 2034 section 4: class 2, 4 or 5, no leading zeros, at
 * most three digits each, then a space or the end). Returns the bytes taken with the space that
 * follows, or 0 where there is none. */
size_t enhanced_code_parse(struct span s, struct enhanced_code *out);

enum { ENHANCED_CODE_TEXT_MAX = 16 };
/* "5.1.1"; returns its length; absent gives the empty text. */
size_t enhanced_code_format(struct enhanced_code code, char text[ENHANCED_CODE_TEXT_MAX]);

/* The generic code of a reply that came without one: 2yz 2.0.0, 4yz 4.0.0, 5yz 5.0.0. */
struct enhanced_code enhanced_code_for_reply(uint16_t reply_code);

#endif
