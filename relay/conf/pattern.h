/*
 * pattern: "example.org" is that domain, ".example.org" it and its subdomains. Routes are found by
 * their patterns, and lists of domains are lists of patterns; both are searched here.
 *
 * A list is an array of items that each begin with their pattern, a char *.
 */
#ifndef SMARTHOP_CONF_PATTERN_H
#define SMARTHOP_CONF_PATTERN_H

#include "base/span.h"

struct conf_patterns {
    void *items;
    unsigned count;
    size_t item_size;
};

/* For conf_pattern_find; the patterns become lower case. */
void conf_patterns_sort(struct conf_patterns patterns);

/* The item with the exact domain, then the one with the longest ".domain"; NULL = none. `domain` is
 * in ASCII form, in any case. */
const void *conf_pattern_find(struct conf_patterns patterns, struct span domain);

/* Whether this one pattern, which may also be "*", holds for the name; in any case. */
bool conf_pattern_matches(struct span pattern, struct span name);

/* A domain, maybe behind a dot. */
bool conf_is_pattern(struct span text);

#endif
