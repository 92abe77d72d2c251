#include "conf/load.h"

#include <stdlib.h>

enum { DOMAIN_LONGEST = 255 };

static int compare_patterns(const void *a, const void *b)
{
    const struct conf_route *left = a;
    const struct conf_route *right = b;

    return strcmp(left->pattern, right->pattern);
}

static int compare_key(const void *key, const void *route)
{
    return strcmp(key, ((const struct conf_route *)route)->pattern);
}

void conf_routes_sort(struct conf *conf)
{
    for (unsigned i = 0; i < conf->route_count; i++) {
        for (char *c = conf->routes[i].pattern; *c != '\0'; c++)
            *c = ascii_lower(*c);
    }
    if (conf->route_count > 0)
        qsort(conf->routes, conf->route_count, sizeof *conf->routes, compare_patterns);
}

static const struct conf_route *find(const struct conf *conf, const char *pattern)
{
    if (conf->route_count == 0)
        return NULL;
    return bsearch(pattern, conf->routes, conf->route_count, sizeof *conf->routes, compare_key);
}

const struct conf_route *conf_route_find(const struct conf *conf, struct span domain)
{
    char dotted[DOMAIN_LONGEST + 2] = "."; /* the domain behind a dot */
    const struct conf_route *route = NULL;

    if (domain.len <= DOMAIN_LONGEST && span_index(domain, '\0') == domain.len) {
        for (size_t i = 0; i < domain.len; i++)
            dotted[i + 1] = ascii_lower(domain.ptr[i]);
        dotted[domain.len + 1] = '\0';
        route = find(conf, dotted + 1);
        for (const char *at = dotted; route == NULL && at != NULL; at = strchr(at + 1, '.'))
            route = find(conf, at);
    }
    return route != NULL ? route : find(conf, "*");
}
