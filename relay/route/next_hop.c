/* The text form of a next hop, in which the queue keeps it and people read it. */
#include "route/route.h"

#include "conf/pattern.h"

#include <inttypes.h>

static const struct {
    enum conf_route_tls tls;
    struct span word;
} tls_words[] = {
    {CONF_ROUTE_TLS_NONE, {"none", 4}},
    {CONF_ROUTE_TLS_OPPORTUNISTIC, {"opportunistic", 13}},
    {CONF_ROUTE_TLS_REQUIRED, {"required", 8}},
};

static const struct {
    enum conf_balance balance;
    struct span word;
} balance_words[] = {
    {CONF_BALANCE_WEIGHTED, {"weighted", 8}},
    {CONF_BALANCE_STICKY_TENANT, {"sticky-tenant", 13}},
    {CONF_BALANCE_STICKY_DOMAIN, {"sticky-domain", 13}},
};

enum { BALANCE_WORDS = sizeof balance_words / sizeof balance_words[0] };

static const struct span smtps_mark = {"smtps:", 6};

static bool parse_balance(struct span word, enum conf_balance *out)
{
    for (size_t i = 0; i < BALANCE_WORDS; i++) {
        if (span_equal(word, balance_words[i].word)) {
            *out = balance_words[i].balance;
            return true;
        }
    }
    return false;
}

static bool parse_tls(struct span word, enum conf_route_tls *out)
{
    for (size_t i = 0; i < sizeof tls_words / sizeof tls_words[0]; i++) {
        if (span_equal(word, tls_words[i].word)) {
            *out = tls_words[i].tls;
            return true;
        }
    }
    return false;
}

/* "HOST*3": takes the weight off. */
static bool parse_weight(struct span *text, unsigned *out)
{
    size_t star = span_rindex(*text, '*');
    uint64_t weight;

    *out = 1;
    if (star == text->len || !span_parse_u64(span_from(*text, star + 1), &weight))
        return true;
    *text = span_head(*text, star);
    *out = (unsigned)weight;
    return weight > 0 && weight <= UINT16_MAX;
}

static bool parse_place(struct span text, struct route_host *out)
{
    size_t colon = span_rindex(text, ':');
    uint64_t port;

    if (span_starts_nocase(text, SPAN("unix:/"))) {
        *out = (struct route_host){.name = span_from(text, strlen("unix:")), .is_path = true};
        return true;
    }
    if (colon == text.len || !span_parse_u64(span_from(text, colon + 1), &port) || port > 65535)
        return false;
    out->port = (uint16_t)port;
    out->name = span_head(text, colon);
    out->implicit_tls = span_starts_nocase(out->name, smtps_mark);
    if (out->implicit_tls)
        out->name = span_from(out->name, smtps_mark.len);
    out->is_address = out->name.len > 0 && out->name.ptr[0] == '[';
    if (out->is_address) {
        if (out->name.ptr[out->name.len - 1] != ']')
            return false;
        out->name = span_of(out->name.ptr + 1, out->name.len - 2);
    }
    return out->name.len > 0;
}

static bool parse_host(struct span text, struct route_host *out)
{
    unsigned weight;

    if (!parse_weight(&text, &weight) || !parse_place(text, out))
        return false;
    out->weight = weight;
    return true;
}

static bool parse_yes(struct span value, bool *out)
{
    *out = span_equal(value, SPAN("yes"));
    return *out;
}

/* "key=value", of those that may follow tls=. */
static bool parse_option(struct span option, struct route_next_hop *out)
{
    struct span value;
    struct span key = span_split(option, '=', &value);

    if (span_equal(key, SPAN("proto"))) {
        out->lmtp = span_equal(value, SPAN("lmtp"));
        return out->lmtp;
    }
    if (span_equal(key, SPAN("xforward")))
        return parse_yes(value, &out->xforward);
    if (span_equal(key, SPAN("auth_without_tls")))
        return parse_yes(value, &out->auth_without_tls);
    if (span_equal(key, SPAN("balance")))
        return parse_balance(value, &out->balance);
    if (span_equal(key, SPAN("for"))) {
        out->sticky = value;
        return value.len > 0;
    }
    if (span_equal(key, SPAN("limits"))) {
        out->limits = value;
        return value.len > 0;
    }
    if (span_equal(key, SPAN("source"))) {
        out->source = value;
        return value.len > 0;
    }
    out->credentials = value;
    return span_equal(key, SPAN("auth")) && value.len > 0;
}

static bool parse_options(struct span options, struct route_next_hop *out)
{
    struct span tls = span_split(options, ';', &options);

    if (!span_starts_nocase(tls, SPAN("tls=")) || !parse_tls(span_from(tls, 4), &out->tls))
        return false;
    while (options.len > 0)
        if (!parse_option(span_split(options, ';', &options), out))
            return false;
    return true;
}

static const struct span refused_mark = {"refused:", 8};

struct status route_refusal_status(struct span refusal)
{
    struct status status = STATUS(550, 5, 7, 1, "");
    struct span text, code = span_split(refusal, ' ', &text);
    uint64_t number;

    if (span_parse_u64(code, &number) && number >= 500 && number <= 599)
        status.code = (uint16_t)number;
    status.text = span_from(text, enhanced_code_parse(text, &status.enhanced));
    return status;
}

void route_refuse_later(const struct route_query *query, struct route_answer *answer)
{
    const struct status *why = &answer->status;
    struct buf text;

    buf_init(&text, 0);
    buf_addf(&text, "%.*s%u %u.%u.%u %.*s", SPAN_ARG(refused_mark), why->code, why->enhanced.klass,
             why->enhanced.subject, why->enhanced.detail, SPAN_ARG(why->text));
    for (size_t i = text.start; i < text.end; i++)
        if (text.data[i] == ';') /* an option would begin there */
            text.data[i] = ',';
    answer->verdict = ROUTE_SEND;
    answer->next_hop =
        arena_dup(query->arena, span_head(buf_span(&text), ROUTE_DESTINATION_MAX / 2));
    answer->destination = route_destination(query->arena, answer->next_hop, query->tenant);
    buf_fini(&text);
}

/* RFC 8314 is about hosts to which mail is submitted: there are none among those of an MX, and no
 * LMTP. */
static bool is_sound(const struct route_next_hop *hop)
{
    bool is_special = hop->use_mx || hop->lmtp;

    for (unsigned i = 0; i < hop->host_count; i++)
        if (hop->hosts[i].implicit_tls && is_special)
            return false;
    return !hop->use_mx || hop->host_count == 1;
}

bool route_next_hop_parse(struct span text, struct route_next_hop *out)
{
    struct span options, hosts, kind;

    *out = (struct route_next_hop){0};
    if (span_starts_nocase(text, refused_mark)) {
        out->refusal = span_from(text, refused_mark.len);
        return true;
    }
    struct span where = span_split(text, ';', &options);
    kind = span_split(where, ':', &hosts);
    out->use_mx = span_equal(kind, SPAN("mx"));
    if (!out->use_mx && !span_equal(kind, SPAN("hosts")))
        return false;
    if (!parse_options(options, out))
        return false;
    while (hosts.len > 0) {
        struct span one = span_split(hosts, ',', &hosts);
        if (out->host_count == ROUTE_HOSTS_MAX || !parse_host(one, &out->hosts[out->host_count]))
            return false;
        out->host_count++;
    }
    return out->host_count > 0 && is_sound(out);
}

/* By hand rather than by printf: every accepted recipient comes through here. */
static void format_host(const struct route_host *host, struct buf *out)
{
    if (host->is_path)
        buf_add(out, SPAN("unix:"));
    if (host->implicit_tls)
        buf_add(out, smtps_mark);
    if (host->is_address)
        buf_add(out, SPAN("["));
    buf_add(out, host->name);
    if (host->is_address)
        buf_add(out, SPAN("]"));
    if (!host->is_path) {
        buf_add(out, SPAN(":"));
        buf_add_u64(out, host->port);
    }
    if (host->weight > 1) {
        buf_add(out, SPAN("*"));
        buf_add_u64(out, host->weight);
    }
}

static void put_option(struct buf *out, struct span key, struct span value)
{
    buf_add(out, key);
    buf_add(out, value);
}

static void format_hosts(const struct route_next_hop *hop, struct buf *out)
{
    buf_add(out, hop->use_mx ? SPAN("mx:") : SPAN("hosts:"));
    for (unsigned i = 0; i < hop->host_count; i++) {
        if (i > 0)
            buf_add(out, SPAN(","));
        format_host(&hop->hosts[i], out);
    }
}

static void format_options(const struct route_next_hop *hop, struct buf *out)
{
    for (size_t i = 0; i < sizeof tls_words / sizeof tls_words[0]; i++)
        if (tls_words[i].tls == hop->tls)
            put_option(out, SPAN(";tls="), tls_words[i].word);
    if (hop->lmtp)
        buf_add(out, SPAN(";proto=lmtp"));
    if (hop->xforward)
        buf_add(out, SPAN(";xforward=yes"));
    if (hop->credentials.len > 0)
        put_option(out, SPAN(";auth="), hop->credentials);
    if (hop->auth_without_tls)
        buf_add(out, SPAN(";auth_without_tls=yes"));
    if (hop->source.len > 0)
        put_option(out, SPAN(";source="), hop->source);
    if (hop->limits.len > 0)
        put_option(out, SPAN(";limits="), hop->limits);
    for (size_t i = 0; i < BALANCE_WORDS; i++)
        if (balance_words[i].balance == hop->balance)
            put_option(out, SPAN(";balance="), balance_words[i].word);
    if (hop->sticky.len > 0)
        put_option(out, SPAN(";for="), hop->sticky);
}

struct span route_next_hop_format(struct arena *arena, const struct route_next_hop *hop)
{
    struct span result = SPAN_NONE;
    struct buf text;

    buf_init(&text, 0);
    format_hosts(hop, &text);
    format_options(hop, &text);
    if (buf_len(&text) < ROUTE_NEXT_HOP_MAX)
        result = arena_dup(arena, buf_span(&text));
    buf_fini(&text);
    return result;
}

/* What is too long keeps its beginning, and a hash of all of it. */
static struct span shorten(struct arena *arena, struct span text, size_t most)
{
    enum { HASH_TEXT = 17 };

    if (text.len <= most)
        return text;
    return arena_printf(arena, "%.*s#%016" PRIx64, SPAN_ARG(span_head(text, most - HASH_TEXT)),
                        span_hash(text));
}

static const struct span tenant_mark = {";tenant=", 8};

enum { TENANT_MOST = 64 };

struct span route_destination(struct arena *arena, struct span next_hop, struct span tenant)
{
    size_t most = ROUTE_DESTINATION_MAX - TENANT_MOST - tenant_mark.len;
    struct span place = shorten(arena, next_hop, most);

    tenant = shorten(arena, tenant, TENANT_MOST);
    if (tenant.len == 0)
        return place;
    char *key = arena_alloc(arena, place.len + tenant_mark.len + tenant.len);
    memcpy(key, place.ptr, place.len);
    memcpy(key + place.len, tenant_mark.ptr, tenant_mark.len);
    memcpy(key + place.len + tenant_mark.len, tenant.ptr, tenant.len);
    return span_of(key, place.len + tenant_mark.len + tenant.len);
}

struct span route_destination_place(struct span destination)
{
    const char *at =
        destination.len ? memmem(destination.ptr, destination.len, tenant_mark.ptr, tenant_mark.len)
                        : NULL;

    return at ? span_head(destination, (size_t)(at - destination.ptr)) : destination;
}

struct span route_destination_tenant(struct span destination)
{
    size_t place = route_destination_place(destination).len;

    return span_from(destination, place < destination.len ? place + tenant_mark.len : place);
}

bool route_next_hop_matches(struct span text, struct span pattern)
{
    struct route_next_hop hop;

    if (span_equal(pattern, SPAN("*")))
        return true;
    return route_next_hop_parse(text, &hop) && conf_pattern_matches(pattern, hop.hosts[0].name);
}
