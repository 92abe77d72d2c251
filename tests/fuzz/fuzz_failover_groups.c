#include "../support/fuzz.h"

#include "failover/groups.h"

static void choose(const struct group *group, struct health *health)
{
    struct smarthop_next_hop hops[SMARTHOP_NEXT_HOPS_MAX];

    health_failed(health, group->members[0].host, 0, 0);
    group_order(group, health, 1, 0, hops);
    for (uint32_t i = 0; i < group->count; i++)
        MUST(hops[i].host.len > 0);
}

/* The text of a group, and of a route. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smarthop_span input = smarthop_span_of((const char *)data, size);
    struct health *health = health_create((struct health_limits){1, 1, 1});
    struct group group;
    struct group_route route;

    if (group_parse(input, health, &group) == NULL) {
        MUST(group.count > 0 && group.count <= SMARTHOP_NEXT_HOPS_MAX);
        choose(&group, health);
    }
    if (group_route_parse(input, &route) == NULL)
        group_route_suits(&route, SMARTHOP_TEXT("a.example.org"));
    health_free(health);
    return 0;
}
