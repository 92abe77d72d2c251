/* The addresses of a `source` section, from which a site's connections leave: by turns, each by its
 * weight, as long as it may send more today. */
#include "schedule/private.h"

#include "proto/ip.h"

#include <stdlib.h>

enum { COST = 65536 }; /* of a connection, for an address of weight 1 */

static void forget(struct origin *origins, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (origins[i].budget != NULL)
            budget_unref(origins[i].budget);
    free(origins);
}

void origins_free(struct site *site)
{
    forget(site->origins, site->origin_count);
}

/* Shared by all sites of all workers that use the address. */
static struct budget *budget_of(struct site *site, const struct conf_origin *source,
                                const struct ip_address *ip)
{
    struct budget_limits limits = {.connections = 1,
                                   .rates = {[BUDGET_DAY] = source->messages_per_day}};
    char address[IP_TEXT_MAX];
    struct buf key;

    if (source->messages_per_day == 0)
        return NULL;
    ip_format(ip, address);
    buf_init(&key, 0);
    buf_addf(&key, "source:%s;address=%s", source->name, address);
    struct budget *budget = budget_get(site->owner->set->budgets, buf_span(&key), &limits);
    buf_fini(&key);
    return budget;
}

static void read_one(struct site *site, const struct conf_origin *source, unsigned i,
                     struct origin *out)
{
    const struct conf_origin_address *written = &source->addresses[i];
    struct ip_address ip = {0};

    ip_from_sockaddr(&written->address.any, &ip);
    out->weight = written->weight;
    ip_to_sockaddr(&ip, 0, &out->address);
    out->budget = budget_of(site, source, &ip);
}

void origins_read(struct site *site)
{
    const struct conf_origin *source = conf_origin_find(site->owner->conf, site->next_hop.source);
    unsigned count = source != NULL ? source->address_count : 0;
    struct origin *origins = mem_zalloc((count + 1) * sizeof *origins);

    for (unsigned i = 0; i < count; i++)
        read_one(site, source, i, &origins[i]);
    forget(site->origins, site->origin_count); /* behind: what has been sent still counts */
    site->origins = origins;
    site->origin_count = count;
}

bool origins_serve(const struct site *site, const struct target *target)
{
    if (site->next_hop.source.len == 0 || target->address.ss_family == AF_UNIX)
        return true;
    for (unsigned i = 0; i < site->origin_count; i++)
        if (site->origins[i].address.ss_family == target->address.ss_family)
            return true;
    return false;
}

bool origins_are_bounded(const struct site *site)
{
    for (unsigned i = 0; i < site->origin_count; i++)
        if (site->origins[i].budget != NULL)
            return true;
    return false;
}

enum budget_answer origins_choose(struct site *site, const struct target *target,
                                  struct origin **out, uint64_t *until_out)
{
    uint64_t now = loop_now(site->owner->loop), until, first = UINT64_MAX;

    *out = NULL;
    if (site->next_hop.source.len == 0 || target->address.ss_family == AF_UNIX)
        return BUDGET_YES;
    for (unsigned i = 0; i < site->origin_count; i++) {
        struct origin *origin = &site->origins[i];
        if (origin->address.ss_family != target->address.ss_family)
            continue;
        if (origin->budget != NULL && budget_look(origin->budget, now, &until) != BUDGET_YES)
            first = until < first ? until : first;
        else if (*out == NULL || origin->spent < (*out)->spent)
            *out = origin;
    }
    if (*out == NULL) {
        *until_out = first;
        return BUDGET_RATE;
    }
    return BUDGET_YES;
}

void origin_charge(struct origin *origin)
{
    origin->spent += COST / origin->weight;
}
