/*
 * packet: walks the answer and authority records of a DNS message (RFC 1035 section 4).
 *
 * It reads only what the resolver uses, checks every length against the message, allocates
 * nothing that outlives a call and stops after a bounded number of records. Any thread.
 */
#ifndef SMARTHOP_RESOLVER_PACKET_H
#define SMARTHOP_RESOLVER_PACKET_H

#include "base/span.h"

#include <netinet/in.h>

/* A name of 255 octets on the wire, every one of them shown as \DDD. */
enum { PACKET_NAME_SIZE = 4 * 255 + 1, PACKET_RECORDS_MAX = 256, PACKET_TEXT_MAX = 1024 };

enum packet_type {
    PACKET_OTHER = 0,
    PACKET_A = 1,
    PACKET_NS = 2,
    PACKET_CNAME = 5,
    PACKET_SOA = 6,
    PACKET_PTR = 12,
    PACKET_MX = 15,
    PACKET_TXT = 16,
    PACKET_AAAA = 28,
};

enum packet_rcode {
    PACKET_NOERROR = 0,
    PACKET_FORMERR = 1,
    PACKET_SERVFAIL = 2,
    PACKET_NXDOMAIN = 3,
    PACKET_NOTIMP = 4,
    PACKET_REFUSED = 5,
};

struct packet {
    struct span bytes;
    unsigned rcode;
    bool truncated;
    size_t records_at; /* behind the question */
    unsigned answers;
    unsigned authorities;
    size_t at; /* the walk's place */
    unsigned done;
};

struct packet_record {
    enum packet_type type; /* of PACKET_OTHER only the TTL and the owner are set */
    bool is_authority;
    uint32_t ttl;                  /* seconds; of an SOA the negative TTL, RFC 2308 section 5 */
    char owner[PACKET_NAME_SIZE];  /* as sent; "" is the root */
    char target[PACKET_NAME_SIZE]; /* of CNAME, PTR and MX */
    uint16_t preference;           /* of MX */
    struct in_addr in4;            /* of A */
    struct in6_addr in6;           /* of AAAA */
    size_t text_len;
    char text[PACKET_TEXT_MAX]; /* of TXT: its strings joined, cut where they are longer */
};

enum packet_step { PACKET_RECORD, PACKET_END, PACKET_BAD };

/* False where the header or the question is broken. The bytes must outlive the packet. */
bool packet_open(struct packet *packet, struct span bytes);
void packet_rewind(struct packet *packet);
enum packet_step packet_next(struct packet *packet, struct packet_record *record_out);

#endif
