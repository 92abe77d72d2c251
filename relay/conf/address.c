#include "conf/address.h"

#include "base/memory.h"

#include <arpa/inet.h>

enum { DOMAIN_MAX = 253, LABEL_MAX = 63, SOCKET_PATH_MAX = 107, WEIGHT_MAX = 1000 };

/* "host:port", "[host]:port", "host" or an IPv6 address without port, taken apart. */
struct endpoint {
    struct span host;
    struct span port;
    bool has_port;
    bool in_brackets;
};

static bool refuse(struct buf *why, const char *text)
{
    buf_addf(why, "%s", text);
    return false;
}

/* The bytes of a numeric address; its family, or 0 where it is none. */
static uint8_t parse_ip(struct span text, uint8_t bytes[16])
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len >= sizeof copy)
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, bytes) == 1)
        return AF_INET;
    return inet_pton(AF_INET6, copy, bytes) == 1 ? AF_INET6 : 0;
}

static bool is_label(struct span label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        if (!ascii_is_alnum(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    }
    return true;
}

bool conf_is_domain(struct span text)
{
    struct span rest = text;

    if (text.len == 0 || text.len > DOMAIN_MAX || text.ptr[text.len - 1] == '.')
        return false;
    while (rest.len > 0) {
        if (!is_label(span_split(rest, '.', &rest)))
            return false;
    }
    return true;
}

bool conf_is_address(struct span text)
{
    uint8_t bytes[16];

    return parse_ip(text, bytes) != 0;
}

static bool has_v4_mapped_prefix(const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(bytes, mapped, sizeof mapped) == 0;
}

/* v4 networks written as ::ffff:10.0.0.0/104 are what the sockets will show as v4. */
static void unmap(struct conf_network *network)
{
    if (network->family != AF_INET6 || network->prefix < 96 ||
        !has_v4_mapped_prefix(network->bytes))
        return;
    memmove(network->bytes, network->bytes + 12, 4);
    memset(network->bytes + 4, 0, 12);
    network->family = AF_INET;
    network->prefix = (uint8_t)(network->prefix - 96);
}

static bool bit_is_set(const uint8_t *bytes, unsigned bit)
{
    return bytes[bit / 8] & (0x80 >> bit % 8);
}

bool conf_network_parse(struct span text, struct conf_network *out, struct buf *why)
{
    struct span prefix;
    struct span ip = span_split(text, '/', &prefix);
    uint64_t length;

    *out = (struct conf_network){0};
    out->family = parse_ip(ip, out->bytes);
    if (out->family == 0)
        return refuse(why, "is not a network; expected one like 10.0.0.0/8 or 2001:db8::/32");
    unsigned bits = out->family == AF_INET ? 32 : 128;
    if (ip.len == text.len)
        length = bits;
    else if (!span_parse_u64(prefix, &length) || length > bits) {
        buf_addf(why, "has a wrong prefix; expected 0 to %u", bits);
        return false;
    }
    for (unsigned bit = (unsigned)length; bit < bits; bit++) {
        if (bit_is_set(out->bytes, bit))
            return refuse(why, "has bits set behind its prefix");
    }
    out->prefix = (uint8_t)length;
    unmap(out);
    return true;
}

static bool split_endpoint(struct span text, struct endpoint *out)
{
    struct span rest;

    *out = (struct endpoint){0};
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t close = span_index(text, ']');
        if (close == text.len)
            return false;
        out->in_brackets = true;
        out->host = span_of(text.ptr + 1, close - 1);
        rest = span_from(text, close + 1);
        if (rest.len > 0 && rest.ptr[0] != ':')
            return false;
    } else {
        size_t colon = span_index(text, ':');
        if (span_index(span_from(text, colon + 1), ':') < text.len - colon - 1 && colon < text.len)
            colon = text.len; /* a second colon: IPv6 */
        out->host = span_head(text, colon);
        rest = span_from(text, colon);
    }
    out->has_port = rest.len > 0;
    out->port = span_from(rest, 1);
    return out->host.len > 0;
}

static bool parse_port(struct span text, uint16_t min, uint16_t *out, struct buf *why)
{
    uint64_t value;

    if (!span_parse_u64(text, &value) || value < min || value > UINT16_MAX) {
        buf_addf(why, "has a wrong port; expected %u to 65535", min);
        return false;
    }
    *out = (uint16_t)value;
    return true;
}

bool conf_address_parse(struct span text, uint16_t default_port, struct conf_address *out,
                        struct buf *why)
{
    struct endpoint end;
    uint8_t bytes[16];
    uint16_t port = default_port;
    uint8_t family = split_endpoint(text, &end) ? parse_ip(end.host, bytes) : 0;

    if (family == 0 || (end.has_port && family == AF_INET6 && !end.in_brackets))
        return refuse(why, "is not an address; expected one like 127.0.0.1:25 or [::1]:25");
    if (!end.has_port && default_port == 0)
        return refuse(why, "lacks its port; expected one like 127.0.0.1:25 or [::1]:25");
    if (end.has_port && !parse_port(end.port, default_port != 0, &port, why))
        return false;
    memset(out, 0, sizeof *out);
    out->any.sa_family = family;
    if (family == AF_INET) {
        memcpy(&out->in4.sin_addr, bytes, sizeof out->in4.sin_addr);
        out->in4.sin_port = htons(port);
    } else {
        memcpy(&out->in6.sin6_addr, bytes, sizeof out->in6.sin6_addr);
        out->in6.sin6_port = htons(port);
    }
    return true;
}

/* "," and ";" mean something in the text form of a next hop. */
static bool parse_path_hop(struct span path, struct conf_hop *out, struct buf *why)
{
    if (path.len > SOCKET_PATH_MAX)
        return refuse(why, "has too long a path");
    if (span_index(path, ',') < path.len || span_index(path, ';') < path.len)
        return refuse(why, "has a path with a comma or a semicolon");
    out->is_path = true;
    out->host = span_to_text(path);
    return true;
}

bool conf_weight_parse(struct span *text, unsigned *out, struct buf *why)
{
    size_t star = span_rindex(*text, '*');
    uint64_t value = 1;

    if (star < text->len && span_parse_u64(span_from(*text, star + 1), &value)) {
        if (value < 1 || value > WEIGHT_MAX) {
            buf_addf(why, "has a wrong weight; expected *1 to *%d", WEIGHT_MAX);
            return false;
        }
        *text = span_head(*text, star);
    }
    *out = (unsigned)value;
    return true;
}

void conf_weight_print(unsigned weight, struct buf *out)
{
    if (weight > 1)
        buf_addf(out, "*%u", weight);
}

/* "smtps:HOST"; "smtps:25" is a host of that name. */
static bool take_smtps(struct span *text)
{
    struct span rest = span_from(*text, strlen("smtps:"));
    uint64_t port;

    if (!span_starts_nocase(*text, SPAN("smtps:")) || span_parse_u64(rest, &port))
        return false;
    *text = rest;
    return true;
}

bool conf_hop_parse(struct span text, struct conf_hop *out, struct buf *why)
{
    struct endpoint end;
    uint8_t bytes[16];

    *out = (struct conf_hop){0};
    if (!conf_weight_parse(&text, &out->weight, why))
        return false;
    if (span_starts_nocase(text, SPAN("unix:/")))
        return parse_path_hop(span_from(text, strlen("unix:")), out, why);
    out->implicit_tls = take_smtps(&text);
    if (!split_endpoint(text, &end))
        return refuse(why, "is not a host; expected one like host, host:25 or [192.0.2.1]:25");
    out->is_address = parse_ip(end.host, bytes) != 0;
    if (!out->is_address && !conf_is_domain(end.host))
        return refuse(why, "is not a host; expected one like host, host:25 or [192.0.2.1]:25");
    if (end.has_port && !parse_port(end.port, 1, &out->port, why))
        return false;
    out->host = span_to_text(end.host);
    return true;
}

void conf_network_print(const struct conf_network *network, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];

    inet_ntop(network->family, network->bytes, text, sizeof text);
    buf_addf(out, "%s", text);
    if (network->prefix != (network->family == AF_INET ? 32 : 128))
        buf_addf(out, "/%u", network->prefix);
}

void conf_address_print(const struct conf_address *address, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];

    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->in4.sin_addr, text, sizeof text);
        buf_addf(out, "%s:%u", text, ntohs(address->in4.sin_port));
    } else {
        inet_ntop(AF_INET6, &address->in6.sin6_addr, text, sizeof text);
        buf_addf(out, "[%s]:%u", text, ntohs(address->in6.sin6_port));
    }
}

void conf_hop_print(const struct conf_hop *hop, struct buf *out)
{
    if (hop->implicit_tls)
        buf_addf(out, "smtps:");
    if (hop->is_path)
        buf_addf(out, "unix:%s", hop->host);
    else
        buf_addf(out, hop->is_address ? "[%s]:%u" : "%s:%u", hop->host, hop->port);
    conf_weight_print(hop->weight, out);
}

static bool network_has(const struct conf_network *network, uint8_t family, const uint8_t *bytes)
{
    unsigned whole = network->prefix / 8;

    if (network->family != family || memcmp(network->bytes, bytes, whole) != 0)
        return false;
    if (network->prefix % 8 == 0)
        return true;
    unsigned mask = 0xff00U >> network->prefix % 8;
    return ((network->bytes[whole] ^ bytes[whole]) & mask & 0xff) == 0;
}

bool conf_networks_contain(const struct conf_networks *networks, const struct sockaddr *addr)
{
    const struct conf_address *address = (const void *)addr;
    const uint8_t *bytes;
    uint8_t family = (uint8_t)addr->sa_family;

    if (family == AF_INET) {
        bytes = (const uint8_t *)&address->in4.sin_addr;
    } else if (family == AF_INET6) {
        bytes = address->in6.sin6_addr.s6_addr;
        if (has_v4_mapped_prefix(bytes)) {
            bytes += 12;
            family = AF_INET;
        }
    } else {
        return false;
    }
    for (unsigned i = 0; i < networks->count; i++) {
        if (network_has(&networks->items[i], family, bytes))
            return true;
    }
    return false;
}
