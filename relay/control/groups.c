/* The names of groups: "0SA50SNSW0001/0". */
#include "control/private.h"

#include "proto/base32.h"

#include <stdlib.h>

static bool read_name(const json_t *name, struct queue_group_name *out)
{
    struct span number;
    struct span id =
        span_split(span_of(json_string_value(name), json_string_length(name)), '/', &number);
    uint64_t group;

    if (!id_parse(id, &out->id) || out->id == 0 || !span_parse_u64(number, &group) ||
        group >= QUEUE_ALL_GROUPS)
        return false;
    out->group = (uint32_t)group;
    return true;
}

struct queue_group_name *control_read_groups(const json_t *names, unsigned *count_out)
{
    size_t count = json_array_size(names);

    *count_out = 0;
    if (count == 0 || count > CONTROL_GROUPS_MAX)
        return NULL;
    struct queue_group_name *groups = mem_alloc(count * sizeof *groups);
    for (size_t i = 0; i < count; i++) {
        if (!read_name(json_array_get(names, i), &groups[i])) {
            free(groups);
            return NULL;
        }
    }
    *count_out = (unsigned)count;
    return groups;
}
