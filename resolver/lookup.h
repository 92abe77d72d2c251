/*
 * lookup: the records of one type at one name, asked of one server after the other, over TCP
 * where UDP is too small, along CNAMEs wherever they lead (within bounds).
 */
#ifndef SMARTHOP_RESOLVER_LOOKUP_H
#define SMARTHOP_RESOLVER_LOOKUP_H

#include "names.h"
#include "packet.h"
#include "servers.h"

enum {
    LOOKUP_RECORDS_MAX = 20,
    LOOKUP_CHAIN_MAX = 8, /* CNAMEs behind one another */
};

enum lookup_result {
    LOOKUP_FOUND,
    LOOKUP_NO_DATA, /* the name has no such record */
    LOOKUP_NO_NAME, /* NXDOMAIN */
    LOOKUP_FAILED,
};

struct lookup_record {
    uint16_t preference; /* MX */
    const char *host;    /* MX and PTR, as sent; "" is the root */
    struct span data;    /* TXT */
    union resolver_address address;
};

struct lookup {
    struct call call; /* `done` is the owner's */
    enum lookup_result result;
    const char *reason; /* of LOOKUP_FAILED; static */
    bool has_ttl;       /* false: a negative answer without SOA, not to be kept */
    uint32_t ttl;       /* seconds */
    unsigned count;
    struct lookup_record records[LOOKUP_RECORDS_MAX]; /* MX by preference */

    /* The rest is the look-up's own. */
    struct servers *servers;
    struct arena *arena;
    enum packet_type type;
    struct question question;
    struct call step;
    void (*defer)(struct lookup *lookup, struct call *call);
    enum { LOOKUP_DONE, LOOKUP_ASK_OTHER, LOOKUP_ASK_TCP, LOOKUP_ASK_ON } next;
    unsigned attempt;
    unsigned server;
    enum channel_transport transport;
    uint32_t refused; /* servers, as bits, that are not to be asked again */
    const char *chain[LOOKUP_CHAIN_MAX + 1];
    unsigned chain_len;
};

/* What has to be set before lookup_start: call.done, servers, arena (for names and texts), type,
 * and `defer`, which must run a call soon, or never once the servers are closed. `name` is a
 * normalized one. */
void lookup_start(struct lookup *lookup, const char *name);

/* Reads a reply to the question for the last name of the chain; sets `next` and with LOOKUP_DONE
 * the result. Never fails: what cannot be read is a failed server. */
void lookup_read(struct lookup *lookup, struct span packet);

#endif
