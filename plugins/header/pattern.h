/*
 * pattern: regular expressions (PCRE2), compiled to machine code where the system allows that. What
 * a match may cost is bounded, since it is peers who choose the texts.
 */
#ifndef SMARTHOP_HEADER_PATTERN_H
#define SMARTHOP_HEADER_PATTERN_H

#include <smarthop_plugin.h>

struct pattern;

struct pattern_limits {
    uint32_t steps; /* of a match: PCRE2's match limit */
    uint32_t depth; /* of its nesting, where it is not machine code */
};

enum pattern_result {
    PATTERN_DIFFERS,
    PATTERN_MATCHES,
    PATTERN_GIVES_UP, /* a limit was met */
};

/* flags: `i` for any case, `u` for UTF-8. NULL where it cannot be used: `problem` says why. */
struct pattern *pattern_create(struct smarthop_span text, struct smarthop_span flags,
                               const struct pattern_limits *limits, char *problem, size_t size);
void pattern_free(struct pattern *pattern);

/* On any thread. */
enum pattern_result pattern_match(const struct pattern *pattern, struct smarthop_span subject);

#endif
