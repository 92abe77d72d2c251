#include "internal.h"

#include "base/log.h"

#include <stdlib.h>

/* A look-up that failed is not tried again for this long, so that a dead server is not asked once
 * for every message; the same for a "no" without a lifetime of its own. */
enum { FAILURE_KEPT_MS = 3000 };
enum { MS_PER_SECOND = 1000 };

struct flight {
    struct list link;
    struct resolver *resolver;
    struct entry *entry;
    unsigned pending;
    unsigned lookup_count;
    struct lookup lookups[2];
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t lifetime(const struct resolver *resolver, const struct lookup *lookup)
{
    if (lookup->result == LOOKUP_FAILED || !lookup->has_ttl)
        return FAILURE_KEPT_MS;
    uint64_t ttl_ms = (uint64_t)lookup->ttl * MS_PER_SECOND;
    return min_u64(ttl_ms, lookup->result == LOOKUP_FOUND ? resolver->ttl_max_ms
                                                          : resolver->negative_ttl_max_ms);
}

static void set_outcome(struct entry *entry, enum resolver_outcome outcome, const char *text)
{
    entry->outcome = outcome;
    entry->text = arena_printf(&entry->arena, "%s: %s", entry->name, text).ptr;
}

static void set_failure(struct entry *entry, const char *what, const char *reason)
{
    set_outcome(entry, RESOLVER_TEMPFAIL,
                arena_printf(&entry->arena, "%s look-up: %s", what, reason).ptr);
}

/* ---- MX and PTR ---- */

static bool has_host(const struct entry *entry, const char *name)
{
    for (unsigned i = 0; i < entry->count; i++)
        if (strcmp(entry->hosts[i].name, name) == 0)
            return true;
    return false;
}

static void skip_host(struct entry *entry, const char *host, const char *why)
{
    const char *what = entry->kind == ENTRY_MX ? "MX" : "name";

    entry->text =
        arena_printf(&entry->arena, "%s; %s \"%.80s\" left out: %s", entry->text, what, host, why)
            .ptr;
}

static void take_host(struct entry *entry, const struct lookup_record *record)
{
    char name[NAME_MAX_LENGTH + 1];
    struct span host = span_cstr(record->host);

    if (name_is_address(host)) {
        skip_host(entry, record->host, "an address, not a host name");
    } else if (!name_normalize(host, name)) {
        skip_host(entry, record->host, "not a host name");
    } else if (!has_host(entry, name)) {
        entry->hosts[entry->count++] = (struct entry_host){
            .preference = record->preference,
            .name = arena_dup(&entry->arena, span_cstr(name)).ptr,
        };
    }
}

static void take_hosts(struct entry *entry, const struct lookup *lookup)
{
    entry->hosts = arena_alloc(&entry->arena, lookup->count * sizeof entry->hosts[0]);
    for (unsigned i = 0; i < lookup->count; i++)
        take_host(entry, &lookup->records[i]);
}

static void take_mx(struct entry *entry, const struct lookup *lookup)
{
    if (lookup->count == 1 && lookup->records[0].host[0] == '\0') {
        set_outcome(entry, RESOLVER_NULL_MX, "takes no mail (null MX)");
        return;
    }
    take_hosts(entry, lookup);
    if (entry->count == 0)
        set_outcome(entry, RESOLVER_NO_ADDRESS,
                    arena_printf(&entry->arena, "no usable MX%s", entry->text).ptr);
}

static void land_mx(struct entry *entry, const struct lookup *lookup)
{
    switch (lookup->result) {
    case LOOKUP_FOUND:
        take_mx(entry, lookup);
        return;
    case LOOKUP_NO_DATA:
        return; /* RESOLVER_OK without hosts */
    case LOOKUP_NO_NAME:
        set_outcome(entry, RESOLVER_NO_DOMAIN, "no such domain");
        return;
    case LOOKUP_FAILED:
        set_failure(entry, "MX", lookup->reason);
        return;
    }
}

/* False where there are none: then the outcome is set. */
static bool has_records(struct entry *entry, const struct lookup *lookup, const char *type,
                        enum resolver_outcome no_data, const char *text)
{
    switch (lookup->result) {
    case LOOKUP_FOUND:
        return true;
    case LOOKUP_NO_DATA:
        set_outcome(entry, no_data, text);
        break;
    case LOOKUP_NO_NAME:
        set_outcome(entry, RESOLVER_NO_DOMAIN, text);
        break;
    case LOOKUP_FAILED:
        set_failure(entry, type, lookup->reason);
        break;
    }
    return false;
}

static void land_names(struct entry *entry, const struct lookup *ptr)
{
    if (!has_records(entry, ptr, "PTR", RESOLVER_NO_DATA, "no name"))
        return;
    take_hosts(entry, ptr);
    if (entry->count == 0)
        set_outcome(entry, RESOLVER_NO_DATA,
                    arena_printf(&entry->arena, "no usable name%s", entry->text).ptr);
}

static void land_text(struct entry *entry, const struct lookup *txt)
{
    if (!has_records(entry, txt, "TXT", RESOLVER_NO_DATA, "no text"))
        return;
    entry->texts = arena_alloc(&entry->arena, txt->count * sizeof *entry->texts);
    for (; entry->count < txt->count; entry->count++)
        entry->texts[entry->count] = txt->records[entry->count].data;
}

/* ---- addresses ---- */

static void take_addresses(struct entry *entry, const struct lookup *lookup)
{
    for (unsigned i = 0; lookup->result == LOOKUP_FOUND && i < lookup->count; i++)
        entry->addresses[entry->count++] = lookup->records[i].address;
}

static void land_ipv4(struct entry *entry, const struct lookup *a)
{
    if (!has_records(entry, a, "A", RESOLVER_NO_ADDRESS, "no IPv4 address"))
        return;
    entry->addresses = arena_alloc(&entry->arena, a->count * sizeof entry->addresses[0]);
    take_addresses(entry, a);
}

static void land_addresses(struct entry *entry, const struct lookup *a, const struct lookup *aaaa)
{
    entry->addresses =
        arena_alloc(&entry->arena, (a->count + aaaa->count + 1) * sizeof entry->addresses[0]);
    take_addresses(entry, a);
    take_addresses(entry, aaaa);
    if (entry->count > 0)
        return;
    /* Some servers deny names for one type that they know for the other: a denial counts only
     * where nothing contradicts it, a failure before all. */
    if (a->result == LOOKUP_FAILED)
        set_failure(entry, "A", a->reason);
    else if (aaaa->result == LOOKUP_FAILED)
        set_failure(entry, "AAAA", aaaa->reason);
    else if (a->result == LOOKUP_NO_NAME && aaaa->result == LOOKUP_NO_NAME)
        set_outcome(entry, RESOLVER_NO_DOMAIN, "no such host");
    else
        set_outcome(entry, RESOLVER_NO_ADDRESS, "no address");
}

/* ---- the flight ---- */

static void log_failed(const struct flight *flight, const struct lookup *lookup)
{
    struct log_line line;

    if (!log_begin(&line, LOG_DEBUG, "dns-failed"))
        return;
    log_text(&line, "name", flight->entry->name);
    log_u64(&line, "type", (uint64_t)lookup->type);
    log_text(&line, "reason", lookup->reason);
    log_end(&line);
}

static void fill(struct entry *entry, const struct lookup *lookups)
{
    switch (entry->kind) {
    case ENTRY_MX:
        land_mx(entry, lookups);
        break;
    case ENTRY_ADDRESSES:
        land_addresses(entry, &lookups[0], &lookups[1]);
        break;
    case ENTRY_IPV4:
        land_ipv4(entry, lookups);
        break;
    case ENTRY_NAMES:
        land_names(entry, lookups);
        break;
    case ENTRY_TEXT:
        land_text(entry, lookups);
        break;
    }
}

static void land(struct flight *flight)
{
    struct resolver *resolver = flight->resolver;
    struct entry *entry = flight->entry;
    uint64_t kept = UINT64_MAX;

    for (unsigned i = 0; i < flight->lookup_count; i++) {
        const struct lookup *lookup = &flight->lookups[i];
        kept = min_u64(kept, lifetime(resolver, lookup));
        if (lookup->result == LOOKUP_FAILED) {
            resolver->stats.failures++;
            log_failed(flight, lookup);
        }
    }
    entry->expires = loop_now(resolver->loop) + kept;
    fill(entry, flight->lookups);
    list_remove(&flight->link);
    free(flight);
    cache_fill(&resolver->cache, entry);
}

static struct flight *flight_of(struct lookup *lookup, unsigned index)
{
    return container_of(lookup - index, struct flight, lookups[0]);
}

static void count_down(struct flight *flight)
{
    if (--flight->pending == 0)
        land(flight);
}

static void on_first(struct call *call)
{
    count_down(flight_of(container_of(call, struct lookup, call), 0));
}

static void on_second(struct call *call)
{
    count_down(flight_of(container_of(call, struct lookup, call), 1));
}

static void defer_step(struct lookup *lookup, struct call *call)
{
    struct resolver *resolver = container_of(lookup->servers, struct resolver, servers);

    resolver_defer(resolver, call);
}

static void start_lookup(struct flight *flight, enum packet_type type)
{
    unsigned index = flight->lookup_count++;
    struct lookup *lookup = &flight->lookups[index];

    lookup->call.done = index == 0 ? on_first : on_second;
    lookup->servers = &flight->resolver->servers;
    lookup->arena = &flight->entry->arena;
    lookup->type = type;
    lookup->defer = defer_step;
    list_init(&lookup->step.link);
    flight->pending++;
    flight->resolver->stats.lookups++;
    lookup_start(lookup, flight->entry->name);
}

void flight_start(struct resolver *resolver, struct entry *entry)
{
    static const enum packet_type types[] = {
        [ENTRY_MX] = PACKET_MX,     [ENTRY_ADDRESSES] = PACKET_A, [ENTRY_IPV4] = PACKET_A,
        [ENTRY_NAMES] = PACKET_PTR, [ENTRY_TEXT] = PACKET_TXT,
    };
    struct flight *flight = mem_zalloc(sizeof *flight);

    flight->resolver = resolver;
    flight->entry = entry;
    list_append(&resolver->flights, &flight->link);
    start_lookup(flight, types[entry->kind]);
    if (entry->kind == ENTRY_ADDRESSES)
        start_lookup(flight, PACKET_AAAA);
}

void flights_abandon(struct resolver *resolver)
{
    for (struct list *node; (node = list_pop(&resolver->flights)) != NULL;) {
        struct flight *flight = container_of(node, struct flight, link);
        for (unsigned i = 0; i < flight->lookup_count; i++)
            list_remove(&flight->lookups[i].step.link);
        entry_unref(flight->entry);
        free(flight);
    }
}
