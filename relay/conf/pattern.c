#include "conf/pattern.h"

#include "conf/address.h"

#include <stdlib.h>

enum { DOMAIN_LONGEST = 255 };

static char *pattern_of(const void *item)
{
    return *(char *const *)item;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(pattern_of(a), pattern_of(b));
}

static int compare_key(const void *key, const void *item)
{
    return strcmp(key, pattern_of(item));
}

void conf_patterns_sort(struct conf_patterns patterns)
{
    for (unsigned i = 0; i < patterns.count; i++) {
        for (char *c = pattern_of((char *)patterns.items + i * patterns.item_size); *c != '\0'; c++)
            *c = ascii_lower(*c);
    }
    if (patterns.count > 0)
        qsort(patterns.items, patterns.count, patterns.item_size, compare_items);
}

static const void *find(struct conf_patterns patterns, const char *pattern)
{
    return bsearch(pattern, patterns.items, patterns.count, patterns.item_size, compare_key);
}

const void *conf_pattern_find(struct conf_patterns patterns, struct span domain)
{
    char dotted[DOMAIN_LONGEST + 2] = "."; /* the domain behind a dot */

    if (patterns.count == 0 || domain.len > DOMAIN_LONGEST || span_index(domain, '\0') < domain.len)
        return NULL;
    for (size_t i = 0; i < domain.len; i++)
        dotted[i + 1] = ascii_lower(domain.ptr[i]);
    dotted[domain.len + 1] = '\0';
    const void *item = find(patterns, dotted + 1);
    for (const char *at = dotted; item == NULL && at != NULL; at = strchr(at + 1, '.'))
        item = find(patterns, at);
    return item;
}

bool conf_is_pattern(struct span text)
{
    return conf_is_domain(text.len > 0 && text.ptr[0] == '.' ? span_from(text, 1) : text);
}

bool conf_pattern_matches(struct span pattern, struct span name)
{
    if (span_equal(pattern, SPAN("*")))
        return true;
    if (pattern.len == 0 || pattern.ptr[0] != '.')
        return span_equal_nocase(pattern, name);
    if (name.len + 1 == pattern.len)
        return span_equal_nocase(span_from(pattern, 1), name);
    return name.len > pattern.len &&
           span_equal_nocase(span_from(name, name.len - pattern.len), pattern);
}
