/*
 * names: which texts may be asked of the DNS as host names. Pure; any thread.
 */
#ifndef SMARTHOP_RESOLVER_NAMES_H
#define SMARTHOP_RESOLVER_NAMES_H

#include "base/span.h"

/* RFC 1035 section 2.3.4, as text without the final dot. */
enum { NAME_MAX_LENGTH = 253, NAME_LABEL_MAX = 63 };

/* Lower case, without a final dot, NUL-terminated. False for anything but labels of letters,
 * digits, '-' and '_': what else a peer or a zone may hold is never asked for. */
bool name_normalize(struct span text, char name_out[NAME_MAX_LENGTH + 1]);

/* An IPv4 or IPv6 address in numbers, without brackets. */
bool name_is_address(struct span text);

#endif
