/*
 * tls_name: names as peers send them in TLS, where anything may stand in a name. Pure.
 */
#ifndef SMARTHOP_NET_TLS_NAME_H
#define SMARTHOP_NET_TLS_NAME_H

#include "base/span.h"

/* In any case of letters. `pattern` is a domain, or "*.domain" for all names with one label more;
 * `name` is a peer's. */
bool tls_name_matches(struct span pattern, struct span name);

/* Writes the name as text that may stand within quotes, in a comment of a header field, and in the
 * log: letters, digits, blanks and a few marks; each other byte is a "?". It is cut where it does
 * not fit, and ended by a NUL. */
void tls_name_clean(struct span name, char *text, size_t size);

#endif
