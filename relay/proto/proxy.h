/*
 * proxy: the header that a load balancer puts before a connection's own bytes to tell whose they
 * are: HAProxy's PROXY protocol, versions 1 and 2.
 *
 * Pure. To be read from trusted sources only, before anything else and before TLS. What it tells is
 * as true as its source.
 */
#ifndef SMARTHOP_PROTO_PROXY_H
#define SMARTHOP_PROTO_PROXY_H

#include "proto/ip.h"
#include "proto/parse.h"

enum {
    PROXY_V1_MAX = 107, /* with CRLF */
    PROXY_V2_FIXED = 16,
    PROXY_V2_LENGTH_MAX = 2048, /* ours: addresses and TLVs; a TLV may hold a certificate */
    PROXY_HEADER_MAX = PROXY_V2_FIXED + PROXY_V2_LENGTH_MAX,
};

enum proxy_error {
    PROXY_OK = 0,
    PROXY_SIGNATURE, /* neither version's beginning */
    PROXY_V1_SYNTAX,
    PROXY_V2_VERSION, /* or an unknown command */
    PROXY_V2_FAMILY,
    PROXY_V2_TOO_LONG,
    PROXY_V2_TOO_SHORT, /* for its addresses */
    PROXY_V2_TLV,       /* one that passes the header's end */
};

enum proxy_kind {
    PROXY_LOCAL = 0, /* the balancer itself (a health check): the socket's own addresses hold */
    PROXY_UNKNOWN,   /* not TCP over IP: likewise, nothing is known of the client */
    PROXY_TCP,
};

struct proxy_header {
    enum proxy_kind kind;
    unsigned version;         /* 1 or 2 */
    struct ip_address source; /* the client; with PROXY_TCP only, as what follows */
    struct ip_address target; /* where it had connected to */
    uint16_t source_port;
    uint16_t target_port;
    struct span authority;     /* version 2: the name the client asked TLS for; unchecked bytes */
    bool tls;                  /* version 2: the client came over TLS */
    bool certificate_verified; /* version 2: with a certificate that the balancer has verified */
};

/*
 * `input` is everything received so far. PARSE_DONE: *consumed_out bytes were the header; spans of
 * `out` point into them. PARSE_MORE: feed all of it again with more behind it; that never takes
 * more than PROXY_HEADER_MAX bytes. PARSE_BAD: *error_out tells why; close without an answer.
 */
enum parse_result proxy_parse(struct span input, size_t *consumed_out, struct proxy_header *out,
                              enum proxy_error *error_out);

/* Static text for a log line: "PROXY header: malformed line". */
const char *proxy_error_text(enum proxy_error error);

#endif
