/*
 * domain: the names of mail domains and hosts: their syntax (RFC 5321 2.3.5, 4.1.2; RFC 1035
 * 2.3.4), comparison, and conversion to A-labels (RFC 5890, 5891). address.h builds on it.
 *
 * Pure; no function keeps anything.
 */
#ifndef SMARTHOP_PROTO_DOMAIN_H
#define SMARTHOP_PROTO_DOMAIN_H

#include "base/arena.h"
#include "base/span.h"

enum {
    DOMAIN_MAX = 255,      /* RFC 5321 4.5.3.1.2, bytes */
    DOMAIN_LABEL_MAX = 63, /* RFC 1035 2.3.4 */
};

enum domain_flag {
    DOMAIN_ALLOW_UTF8 = 1 << 0,       /* U-labels, which must convert to A-labels */
    DOMAIN_ALLOW_UNDERSCORE = 1 << 1, /* outside the grammar, but there are such hosts */
};

/* Letters, digits and inner hyphens; one label is enough; no trailing dot. */
bool domain_is_valid(struct span domain);
bool domain_is_valid_with(struct span domain, unsigned flags);

/* The argument of EHLO, HELO and LHLO: a domain or an address literal. `lenient` takes also what
 * real clients send: underscores, a literal without its brackets or its tag, a trailing dot,
 * hyphens at the ends; never empty, spaces, control or 8-bit bytes, or more than DOMAIN_MAX bytes.
 */
bool hello_is_valid(struct span argument, bool lenient);

/* Lower-case A-label form, in the arena. Underscores pass. False where the name is not valid or
 * IDNA2008 (with the mapping of UTS 46, non-transitional) refuses it; *out is then SPAN_NONE. */
bool domain_to_ascii(struct span domain, struct arena *arena, struct span *out);

/* Without regard to case, and U-labels equal their A-labels. What cannot be converted is equal
 * only to the same bytes. Domains that are ASCII on both sides cost one comparison. */
bool domain_equal(struct span a, struct span b);

#endif
