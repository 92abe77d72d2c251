#include "plugin_dns.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { MS_PER_S = 1000, ADDRESS_TEXT = 64 };

/* Lies in the look-up's arena. */
struct dns_query {
    struct resolver_query query;
    struct plugin_lookup *lookup;
    struct plugin_dns *dns;
    bool is_asked; /* the resolver, that is */
};

static enum smarthop_dns_result result_of(enum resolver_outcome outcome)
{
    if (outcome == RESOLVER_OK)
        return SMARTHOP_DNS_OK;
    return outcome == RESOLVER_TEMPFAIL ? SMARTHOP_DNS_RETRY : SMARTHOP_DNS_NONE;
}

static struct smarthop_span copy(struct arena *arena, struct span text)
{
    return plugin_text(arena_dup(arena, text));
}

static void take_name(struct plugin_lookup *lookup, struct span text)
{
    struct smarthop_span *record = arena_alloc(lookup->arena, sizeof *record);

    *record = copy(lookup->arena, text);
    lookup->answer.records = record;
    lookup->answer.count = 1;
}

static struct span address_text(const union resolver_address *address, char room[ADDRESS_TEXT])
{
    const void *bytes = address->any.sa_family == AF_INET ? (const void *)&address->in4.sin_addr
                                                          : &address->in6.sin6_addr;

    if (inet_ntop(address->any.sa_family, bytes, room, ADDRESS_TEXT) == NULL)
        room[0] = '\0';
    return span_cstr(room);
}

static bool has_host(const struct smarthop_span *hosts, unsigned count, const char *host)
{
    for (unsigned i = 0; i < count; i++)
        if (span_equal(span_of(hosts[i].ptr, hosts[i].len), span_cstr(host)))
            return true;
    return false;
}

static void take_addresses(struct plugin_lookup *lookup, const struct resolver_answer *found)
{
    struct smarthop_span *records =
        arena_alloc(lookup->arena, found->target_count * sizeof *records);
    char room[ADDRESS_TEXT];

    for (unsigned i = 0; i < found->target_count; i++)
        records[i] = copy(lookup->arena, address_text(&found->targets[i].address, room));
    lookup->answer.records = records;
    lookup->answer.count = found->target_count;
}

/* A host is there once for each of its addresses. */
static void take_hosts(struct plugin_lookup *lookup, const struct resolver_answer *found)
{
    unsigned most = found->target_count, count = 0;
    struct smarthop_span *records = arena_alloc(lookup->arena, most * sizeof *records);
    uint16_t *preferences = arena_alloc(lookup->arena, most * sizeof *preferences);

    for (unsigned i = 0; i < most; i++) {
        if (has_host(records, count, found->targets[i].host))
            continue;
        preferences[count] = found->targets[i].preference;
        records[count++] = copy(lookup->arena, span_cstr(found->targets[i].host));
    }
    lookup->answer.records = records;
    lookup->answer.preferences = preferences;
    lookup->answer.count = count;
}

static void take_mx(struct plugin_lookup *lookup, const struct resolver_answer *found)
{
    struct smarthop_span *records = arena_alloc(lookup->arena, found->mx_count * sizeof *records);
    uint16_t *preferences = arena_alloc(lookup->arena, found->mx_count * sizeof *preferences);

    for (unsigned i = 0; i < found->mx_count; i++) {
        records[i] = copy(lookup->arena, span_cstr(found->mx[i].host));
        preferences[i] = found->mx[i].preference;
    }
    lookup->answer.records = records;
    lookup->answer.preferences = preferences;
    lookup->answer.count = found->mx_count;
}

/* RFC 7505: that record is all that there is. */
static void take_null_mx(struct plugin_lookup *lookup)
{
    take_name(lookup, SPAN("."));
    lookup->answer.result = SMARTHOP_DNS_OK;
    lookup->answer.preferences = arena_alloc(lookup->arena, sizeof(uint16_t));
}

static void take_texts(struct plugin_lookup *lookup, const struct resolver_answer *found)
{
    struct smarthop_span *records = arena_alloc(lookup->arena, found->text_count * sizeof *records);

    for (unsigned i = 0; i < found->text_count; i++)
        records[i] = copy(lookup->arena, found->texts[i]);
    lookup->answer.records = records;
    lookup->answer.count = found->text_count;
}

static void take(struct plugin_lookup *lookup, const struct resolver_answer *found)
{
    switch (lookup->record) {
    case SMARTHOP_DNS_ADDRESS:
        take_addresses(lookup, found);
        break;
    case SMARTHOP_DNS_MX:
        take_hosts(lookup, found);
        break;
    case SMARTHOP_DNS_TXT:
        take_texts(lookup, found);
        break;
    case SMARTHOP_DNS_PTR:
        take_name(lookup, span_cstr(found->name));
        break;
    case SMARTHOP_DNS_MX_ONLY:
        take_mx(lookup, found);
        break;
    }
}

static void on_answer(struct call *call)
{
    struct resolver_query *query = container_of(call, struct resolver_query, call);
    struct dns_query *q = container_of(query, struct dns_query, query);
    struct plugin_lookup *lookup = q->lookup;
    const struct resolver_answer *found = query->answer;

    lookup->answer.result = result_of(found->outcome);
    if (found->outcome == RESOLVER_OK)
        take(lookup, found);
    else if (found->outcome == RESOLVER_NULL_MX && lookup->record == SMARTHOP_DNS_MX_ONLY)
        take_null_mx(lookup);
    uint64_t now = loop_now(q->dns->loop);
    if (found->expires > now)
        lookup->answer.ttl_s = (uint32_t)((found->expires - now) / MS_PER_S);
    resolver_answer_unref(query->answer);
    lookup->call.done(&lookup->call);
}

static bool read_address(struct span text, union resolver_address *out)
{
    char room[ADDRESS_TEXT];

    *out = (union resolver_address){0};
    if (text.len >= sizeof room)
        return false;
    snprintf(room, sizeof room, "%.*s", SPAN_ARG(text));
    out->any.sa_family = strchr(room, ':') != NULL ? AF_INET6 : AF_INET;
    void *bytes =
        out->any.sa_family == AF_INET6 ? (void *)&out->in6.sin6_addr : (void *)&out->in4.sin_addr;
    return inet_pton(out->any.sa_family, room, bytes) == 1;
}

static void ask_name(struct dns_query *q)
{
    union resolver_address address;

    q->is_asked = read_address(q->lookup->name, &address);
    if (q->is_asked) {
        resolver_name(q->dns->resolver, &q->query, &address.any);
        return;
    }
    q->lookup->answer.result = SMARTHOP_DNS_NONE;
    loop_defer(q->dns->loop, &q->lookup->call);
}

static void look_up(void *context, struct plugin_lookup *lookup)
{
    struct dns_query *q = arena_alloc(lookup->arena, sizeof *q);

    q->lookup = lookup;
    q->dns = context;
    q->is_asked = true;
    q->query.call.done = on_answer;
    lookup->own = q;
    switch (lookup->record) {
    case SMARTHOP_DNS_ADDRESS:
        resolver_addresses(q->dns->resolver, &q->query, lookup->name);
        break;
    case SMARTHOP_DNS_MX:
        resolver_mail_hosts(q->dns->resolver, &q->query, lookup->name);
        break;
    case SMARTHOP_DNS_TXT:
        resolver_text(q->dns->resolver, &q->query, lookup->name);
        break;
    case SMARTHOP_DNS_PTR:
        ask_name(q);
        break;
    case SMARTHOP_DNS_MX_ONLY:
        resolver_mx(q->dns->resolver, &q->query, lookup->name);
        break;
    }
}

static void cancel(void *context, struct plugin_lookup *lookup)
{
    struct plugin_dns *dns = context;
    struct dns_query *q = lookup->own;

    if (q->is_asked)
        resolver_cancel(dns->resolver, &q->query);
}

void plugin_dns_init(struct plugin_dns *dns, struct loop *loop, struct resolver *resolver)
{
    *dns = (struct plugin_dns){{dns, look_up, cancel}, loop, resolver};
}
