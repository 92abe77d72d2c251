/*
 * ip: addresses and networks as text, and as the literals of RFC 5321 4.1.3. Pure.
 *
 * An IPv4 address that arrives mapped into IPv6 (::ffff:1.2.3.4) is IPv4 everywhere here, so
 * that a rule written for one matches a dual-stack socket's peer.
 */
#ifndef SMARTHOP_PROTO_IP_H
#define SMARTHOP_PROTO_IP_H

#include "base/span.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum {
    IP_TEXT_MAX = INET6_ADDRSTRLEN,   /* with the NUL */
    IP_LITERAL_MAX = IP_TEXT_MAX + 7, /* "[IPv6:" and "]" */
    IP_PORT_TEXT_MAX = IP_TEXT_MAX + 8,
};

struct ip_address {
    int family;        /* AF_INET or AF_INET6 */
    uint8_t bytes[16]; /* network order; 4 are used for AF_INET, the others are zero */
};

/* Dotted decimal without leading zeros, or RFC 4291 2.2; no zone, no brackets, no spaces. */
bool ip_parse(struct span text, struct ip_address *out);
/* RFC 5952, NUL-terminated; returns the length. */
size_t ip_format(const struct ip_address *ip, char text[IP_TEXT_MAX]);

/* A port, 0..65535, decimal without leading zeros. */
bool ip_port_parse(struct span text, uint16_t *out);

bool ip_equal(const struct ip_address *a, const struct ip_address *b);

/* False for families other than AF_INET and AF_INET6. */
bool ip_from_sockaddr(const struct sockaddr *address, struct ip_address *out);
/* In host order; 0 for such families. */
uint16_t sockaddr_port(const struct sockaddr *address);
/* Fills `out` and returns its length in use; `port` is in host order. */
socklen_t ip_to_sockaddr(const struct ip_address *ip, uint16_t port, struct sockaddr_storage *out);

/* RFC 5321 4.1.3, with its brackets: "[192.0.2.1]", "[IPv6:2001:db8::1]". */
bool ip_parse_literal(struct span text, struct ip_address *out);
/* NUL-terminated; returns the length. */
size_t ip_format_literal(const struct ip_address *ip, char text[IP_LITERAL_MAX]);
/* The same for a socket's address; "[0.0.0.0]" for families other than IP (a Unix socket). */
size_t sockaddr_format_literal(const struct sockaddr *address, char text[IP_LITERAL_MAX]);
/* For logs: "192.0.2.1:25", "[2001:db8::1]:25", "unix" for other families. */
size_t sockaddr_format(const struct sockaddr *address, char text[IP_PORT_TEXT_MAX]);

/* Bytes of a socket's address, by its family: IP or a Unix socket. */
socklen_t sockaddr_size(const struct sockaddr *address);

struct ip_network {
    int family;
    uint8_t prefix;
    uint8_t bytes[16];
};

enum ip_network_error {
    IP_NETWORK_OK = 0,
    IP_NETWORK_ADDRESS,   /* not an address before the slash */
    IP_NETWORK_PREFIX,    /* not a number, or too large for the family */
    IP_NETWORK_HOST_BITS, /* bits set behind the prefix: most likely a slip of the operator */
};

/* "10.0.0.0/8", "2001:db8::/32", or an address alone. "::ffff:10.0.0.0/104" becomes 10.0.0.0/8. */
enum ip_network_error ip_network_parse(struct span text, struct ip_network *out);
const char *ip_network_error_text(enum ip_network_error error);

/* The network of this size that the address is in; a `prefix` too large for it gives the address
 * alone. */
void ip_network_of(const struct ip_address *ip, uint8_t prefix, struct ip_network *out);
enum { IP_NETWORK_TEXT_MAX = IP_TEXT_MAX + 4 };
/* "192.0.2.0/24", an address alone without its prefix; NUL-terminated; returns the length. */
size_t ip_network_format(const struct ip_network *network, char text[IP_NETWORK_TEXT_MAX]);

bool ip_network_contains_ip(const struct ip_network *network, const struct ip_address *ip);
/* False for families other than IP. */
bool ip_network_contains(const struct ip_network *network, const struct sockaddr *address);

#endif
