/*
 * dns_server: a scripted name server on a thread of its own, for C tests. It listens on a free
 * port of 127.0.0.1, over UDP and TCP, answers from a zone given as text and keeps count.
 *
 * The zone has one rule a line; tests/support/fake_dns.py reads the same:
 *
 *   NAME TYPE TTL DATA      a record: A, AAAA, MX ("10 host"), CNAME, PTR, TXT ("a|b": two strings)
 *   NAME TYPE !ACTION [N]   what happens instead of, or to, the answer; TYPE may be "*"
 *
 * Actions: nxdomain, nodata (N = the SOA's minimum), empty (no data, no SOA), referral, servfail,
 * refused, silent, malformed, wrong-id, truncated (over UDP only), delay (N = ms), no-follow (a
 * CNAME alone, even where its target is known). A name without rules does not exist.
 * A failure to set things up ends the test program.
 */
#ifndef SMARTHOP_TESTS_DNS_SERVER_H
#define SMARTHOP_TESTS_DNS_SERVER_H

#include <stdint.h>

struct dns_server;
struct sockaddr;

struct dns_server *dns_server_start(void);
void dns_server_stop(struct dns_server *server);

const struct sockaddr *dns_server_address(const struct dns_server *server);

/* Replaces the zone. Any thread. */
void dns_server_set_zone(struct dns_server *server, const char *zone);

/* Queries seen so far; NULL for any name, any type ("A", "MX", ...). Any thread. */
unsigned dns_server_count(struct dns_server *server, const char *name, const char *type);
unsigned dns_server_count_tcp(struct dns_server *server);

#endif
