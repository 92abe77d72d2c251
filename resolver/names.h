/*
 * names: which texts may be asked of the DNS as host names, and the names of addresses. Pure; any
 * thread.
 */
#ifndef SMARTHOP_RESOLVER_NAMES_H
#define SMARTHOP_RESOLVER_NAMES_H

#include "resolver.h"

/* RFC 1035 section 2.3.4, as text without the final dot. */
enum { NAME_MAX_LENGTH = 253, NAME_LABEL_MAX = 63 };

/* Lower case, without a final dot, NUL-terminated. False for anything but labels of letters,
 * digits, '-' and '_': what else a peer or a zone may hold is never asked for. */
bool name_normalize(struct span text, char name_out[NAME_MAX_LENGTH + 1]);

/* The same with '/' besides: networks smaller than a /24 have their reverse names behind such
 * names (RFC 2317 section 4). */
bool name_normalize_reverse(struct span text, char name_out[NAME_MAX_LENGTH + 1]);

/* An IPv4 or IPv6 address in numbers, without brackets. */
bool name_is_address(struct span text);

/* The address without its port, as IPv4 where it is IPv4 mapped into IPv6; AF_UNSPEC for families
 * other than IP. */
union resolver_address name_unmapped(const struct sockaddr *address);

#endif
