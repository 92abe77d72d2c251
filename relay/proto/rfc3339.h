/*
 * rfc3339: the date and time of RFC 3339 5.6, as FUTURERELEASE has it (RFC 4865). Pure.
 */
#ifndef SMARTHOP_PROTO_RFC3339_H
#define SMARTHOP_PROTO_RFC3339_H

#include "base/span.h"

/* "2024-02-29T23:59:60.5+01:00" as seconds since 1970-01-01 UTC; a fraction is cut off. False for
 * other syntax, for days that do not exist and for times before 1970. */
bool rfc3339_parse(struct span text, uint64_t *seconds_out);

enum { RFC3339_MAX = 40 };
/* "2024-02-29T23:59:59Z"; returns the length. */
size_t rfc3339_format(uint64_t seconds, char out[RFC3339_MAX]);

#endif
