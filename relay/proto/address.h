/*
 * address: the grammar of mail addresses in the envelope (RFC 5321 4.1.2, RFC 6531 3.3).
 *
 * Pure. The spans of an address point into the text that was parsed; address_dup copies it.
 * Header addresses (RFC 5322: comments, display names, folding) are not its business.
 */
#ifndef SMARTHOP_PROTO_ADDRESS_H
#define SMARTHOP_PROTO_ADDRESS_H

#include "base/arena.h"
#include "base/span.h"
#include "proto/domain.h"

#include <netinet/in.h>

enum {
    ADDRESS_LOCAL_MAX = 64, /* RFC 5321 4.5.3.1.1, bytes as written */
    ADDRESS_PATH_MAX = 256, /* RFC 5321 4.5.3.1.3, with "<" and ">" and the source route */
    ADDRESS_TEXT_MAX = ADDRESS_PATH_MAX - 2,
};

enum address_flag {
    ADDRESS_ALLOW_UTF8 = DOMAIN_ALLOW_UTF8, /* RFC 6531: the client has said SMTPUTF8 */
    ADDRESS_ALLOW_UNDERSCORE = DOMAIN_ALLOW_UNDERSCORE,
    /* Local parts up to what the path holds: list managers write the recipient into the sender. */
    ADDRESS_ALLOW_LONG_LOCAL = 1 << 2,
};

enum address_kind {
    ADDRESS_NULL = 0,   /* "<>", the reverse-path of bounces; all spans are empty */
    ADDRESS_MAILBOX,    /* local@domain */
    ADDRESS_POSTMASTER, /* "Postmaster" alone (RFC 5321 4.1.1.3); the domain is empty */
};

enum address_error {
    ADDRESS_OK = 0,
    ADDRESS_TOO_LONG, /* path */
    ADDRESS_LOCAL_TOO_LONG,
    ADDRESS_LOCAL_SYNTAX,  /* empty, dots in the wrong place, a byte that would need quotes */
    ADDRESS_QUOTED_SYNTAX, /* unended, or a byte that may not stand between the quotes */
    ADDRESS_NO_DOMAIN,
    ADDRESS_DOMAIN_SYNTAX,
    ADDRESS_LITERAL_SYNTAX, /* or a tag other than IPv6 */
    ADDRESS_ROUTE_SYNTAX,   /* "@a,@b:" */
    ADDRESS_PATH_SYNTAX,    /* no "<", no ">" */
    ADDRESS_UTF8_REFUSED,   /* 8-bit bytes without ADDRESS_ALLOW_UTF8 */
    ADDRESS_UTF8_SYNTAX,    /* not well-formed */
};

struct address {
    enum address_kind kind;
    struct span text;   /* the mailbox, without brackets and source route */
    struct span local;  /* as written, with its quotes */
    struct span domain; /* as written, with the brackets of a literal */
    bool quoted;        /* the local part is a quoted string */
    bool utf8;          /* somewhere in text */
    bool literal;       /* the domain is an address literal */
    bool source_route;  /* one was there and has been left out (RFC 5321 appendix C) */
    int family;         /* of a literal: AF_INET or AF_INET6; otherwise 0 */
    union {
        struct in_addr in4;
        struct in6_addr in6;
    };
};

/* A mailbox alone, all of `text`: local@domain, or Postmaster. */
enum address_error address_parse(struct span text, unsigned flags, struct address *out);

/* A path, "<...>", at the start of `input`; *consumed_out is its length. Null paths and source
 * routes are accepted; whether they may stand there is for the caller. */
enum address_error address_parse_path(struct span input, unsigned flags, struct address *out,
                                      size_t *consumed_out);

/* Copies what the spans point at. */
struct address address_dup(struct arena *arena, const struct address *a);

/* The local part in the one form that equal local parts share: quotes and backslashes only where
 * the grammar needs them. Case is kept, since it is the domain owner's business (RFC 5321 2.4).
 * Never longer than the original by more than its quotes; lives in the arena, or is a->local. */
struct span address_canonical_local(const struct address *a, struct arena *arena);

/* The mailbox as it goes into commands and header fields, without brackets: as it was written, or,
 * with `ascii` (a next hop without SMTPUTF8), the domain in A-labels. False, and SPAN_NONE, where
 * the local part needs SMTPUTF8 or the result passes ADDRESS_TEXT_MAX. */
bool address_format(const struct address *a, bool ascii, struct arena *arena, struct span *out);

/* Static text: "local part too long". */
const char *address_error_text(enum address_error error);

#endif
