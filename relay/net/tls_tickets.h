/*
 * tls_tickets: the keys by which a server protects the tickets that resume its sessions.
 *
 * Who has such a key can read the recorded sessions that were resumed by its tickets, so none
 * lasts: a key makes tickets for TLS_TICKETS_KEY_MS and opens them for as long again, which is
 * longer than a ticket lives, and then it is gone. Where it is not the present one, the session
 * gets a new ticket. (OpenSSL's own keys last as long as their context.)
 *
 * One for all certificates of a process, kept over reloads; counted. Any thread.
 */
#ifndef SMARTHOP_NET_TLS_TICKETS_H
#define SMARTHOP_NET_TLS_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

struct ssl_ctx_st;
struct tls_tickets;

enum {
    TLS_TICKETS_KEY_MS = 4 * 3600000,
    TLS_TICKETS_NAME = 16, /* bytes of a key's name, as a ticket carries it */
};

struct tls_ticket_key {
    unsigned char name[TLS_TICKETS_NAME];
    unsigned char cipher[32]; /* AES-256-CBC */
    unsigned char mac[32];    /* HMAC-SHA256 */
};

struct tls_tickets *tls_tickets_create(void);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets);
void tls_tickets_unref(struct tls_tickets *tickets);

/* A server's context uses them from now on; it must not outlive them. */
void tls_tickets_use(struct tls_tickets *tickets, struct ssl_ctx_st *ctx);

/* For a new ticket at that time (clock_mono_ms). False: there is no randomness. */
bool tls_tickets_present(struct tls_tickets *tickets, uint64_t now, struct tls_ticket_key *out);

enum tls_tickets_found { TLS_TICKETS_NONE, TLS_TICKETS_PRESENT, TLS_TICKETS_FORMER };

/* The key of this name. */
enum tls_tickets_found tls_tickets_find(struct tls_tickets *tickets, uint64_t now,
                                        const unsigned char name[TLS_TICKETS_NAME],
                                        struct tls_ticket_key *out);

#endif
