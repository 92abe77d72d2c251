/* The text form of a next hop, in which the queue keeps it and people read it. */
#include "route/route.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    enum conf_route_tls tls;
    struct span word;
} tls_words[] = {
    {CONF_ROUTE_TLS_NONE, {"none", 4}},
    {CONF_ROUTE_TLS_OPPORTUNISTIC, {"opportunistic", 13}},
    {CONF_ROUTE_TLS_REQUIRED, {"required", 8}},
};

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

static bool parse_host(struct span text, struct route_host *out)
{
    size_t colon = span_rindex(text, ':');
    uint64_t port;

    if (colon == text.len || !span_parse_u64(span_from(text, colon + 1), &port) || port > 65535)
        return false;
    out->port = (uint16_t)port;
    out->name = span_head(text, colon);
    out->is_address = out->name.len > 0 && out->name.ptr[0] == '[';
    if (out->is_address) {
        if (out->name.ptr[out->name.len - 1] != ']')
            return false;
        out->name = span_of(out->name.ptr + 1, out->name.len - 2);
    }
    return out->name.len > 0;
}

/* "key=value", of those that may follow tls=. */
static bool parse_option(struct span option, struct route_next_hop *out)
{
    struct span value;
    struct span key = span_split(option, '=', &value);

    if (!span_equal(key, SPAN("xforward")) || !span_equal(value, SPAN("yes")))
        return false;
    out->xforward = true;
    return true;
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

bool route_next_hop_parse(struct span text, struct route_next_hop *out)
{
    struct span options, hosts, kind;

    *out = (struct route_next_hop){0};
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
    return out->host_count > 0 && (!out->use_mx || out->host_count == 1);
}

struct span route_next_hop_format(struct arena *arena, const struct route_next_hop *hop)
{
    char text[ROUTE_NEXT_HOP_MAX];
    size_t len = (size_t)snprintf(text, sizeof text, "%s", hop->use_mx ? "mx:" : "hosts:");

    for (unsigned i = 0; i < hop->host_count && len < sizeof text; i++) {
        const struct route_host *host = &hop->hosts[i];
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%.*s%s:%u", i ? "," : "",
                                host->is_address ? "[" : "", SPAN_ARG(host->name),
                                host->is_address ? "]" : "", host->port);
    }
    for (size_t i = 0; i < sizeof tls_words / sizeof tls_words[0] && len < sizeof text; i++)
        if (tls_words[i].tls == hop->tls)
            len += (size_t)snprintf(text + len, sizeof text - len, ";tls=%.*s",
                                    SPAN_ARG(tls_words[i].word));
    if (len < sizeof text && hop->xforward)
        len += (size_t)snprintf(text + len, sizeof text - len, ";xforward=yes");
    if (len >= sizeof text)
        return SPAN_NONE;
    return arena_dup(arena, span_of(text, len));
}

struct span route_destination(struct arena *arena, struct span next_hop)
{
    enum { HASH_TEXT = 17 };

    if (next_hop.len <= ROUTE_DESTINATION_MAX)
        return next_hop;
    /* The hash only has to keep two long host lists with the same beginning apart. */
    struct span head = span_head(next_hop, ROUTE_DESTINATION_MAX - HASH_TEXT);
    return arena_printf(arena, "%.*s#%016" PRIx64, SPAN_ARG(head), span_hash(next_hop));
}
