#include "proto/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum {
    IPV4_BITS = 32,
    IPV6_BITS = 128,
    MAPPED_BITS = 96, /* RFC 4291 2.5.5.2 */
};

static bool is_mapped(const struct ip_address *ip)
{
    return ip->family == AF_INET6 && memcmp(ip->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void unmap(struct ip_address *ip)
{
    if (!is_mapped(ip))
        return;
    struct ip_address v4 = {.family = AF_INET};
    memcpy(v4.bytes, ip->bytes + sizeof mapped_prefix, 4);
    *ip = v4;
}

/* As it is written, without unmapping. */
static bool parse_as_written(struct span text, struct ip_address *out)
{
    char copy[IP_TEXT_MAX];
    struct ip_address ip = {0};

    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    ip.family = span_index(text, ':') < text.len ? AF_INET6 : AF_INET;
    if (inet_pton(ip.family, copy, ip.bytes) != 1)
        return false;
    *out = ip;
    return true;
}

bool ip_parse(struct span text, struct ip_address *out)
{
    if (!parse_as_written(text, out))
        return false;
    unmap(out);
    return true;
}

size_t ip_format(const struct ip_address *ip, char text[IP_TEXT_MAX])
{
    if (inet_ntop(ip->family, ip->bytes, text, IP_TEXT_MAX) == NULL)
        text[0] = '\0';
    return strlen(text);
}

bool ip_port_parse(struct span text, uint16_t *out)
{
    uint64_t port;

    if (!span_parse_u64(text, &port) || port > UINT16_MAX || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    *out = (uint16_t)port;
    return true;
}

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Copies before it looks: the caller's storage may be aligned and typed otherwise. */
static bool read_sockaddr(const struct sockaddr *address, struct ip_address *out,
                          uint16_t *port_out)
{
    struct ip_address ip = {0};

    if (address->sa_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, address, sizeof in4);
        ip.family = AF_INET;
        memcpy(ip.bytes, &in4.sin_addr, sizeof in4.sin_addr);
        *port_out = ntohs(in4.sin_port);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        ip.family = AF_INET6;
        memcpy(ip.bytes, &in6.sin6_addr, sizeof in6.sin6_addr);
        *port_out = ntohs(in6.sin6_port);
        unmap(&ip);
    } else {
        return false;
    }
    *out = ip;
    return true;
}

bool ip_from_sockaddr(const struct sockaddr *address, struct ip_address *out)
{
    uint16_t port;

    return read_sockaddr(address, out, &port);
}

uint16_t sockaddr_port(const struct sockaddr *address)
{
    struct ip_address ip;
    uint16_t port = 0;

    read_sockaddr(address, &ip, &port);
    return port;
}

socklen_t ip_to_sockaddr(const struct ip_address *ip, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (ip->family == AF_INET6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&in6.sin6_addr, ip->bytes, sizeof in6.sin6_addr);
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&in4.sin_addr, ip->bytes, sizeof in4.sin_addr);
    memcpy(out, &in4, sizeof in4);
    return sizeof in4;
}

bool ip_parse_literal(struct span text, struct ip_address *out)
{
    const struct span tag = SPAN("IPv6:");

    if (text.len < 2 || text.ptr[0] != '[' || text.ptr[text.len - 1] != ']')
        return false;
    struct span inner = span_of(text.ptr + 1, text.len - 2);
    bool tagged = span_starts_nocase(inner, tag);
    if (tagged)
        inner = span_from(inner, tag.len);
    /* IPv6 has a tag and IPv4 has none. */
    if (tagged != (span_index(inner, ':') < inner.len))
        return false;
    return ip_parse(inner, out);
}

size_t ip_format_literal(const struct ip_address *ip, char text[IP_LITERAL_MAX])
{
    char plain[IP_TEXT_MAX];

    ip_format(ip, plain);
    int len = snprintf(text, IP_LITERAL_MAX, ip->family == AF_INET6 ? "[IPv6:%s]" : "[%s]", plain);
    return (size_t)len;
}

size_t sockaddr_format_literal(const struct sockaddr *address, char text[IP_LITERAL_MAX])
{
    struct ip_address ip;

    if (!ip_from_sockaddr(address, &ip))
        ip = (struct ip_address){.family = AF_INET};
    return ip_format_literal(&ip, text);
}

socklen_t sockaddr_size(const struct sockaddr *address)
{
    switch (address->sa_family) {
    case AF_INET:
        return sizeof(struct sockaddr_in);
    case AF_INET6:
        return sizeof(struct sockaddr_in6);
    default:
        return sizeof(struct sockaddr_un);
    }
}

size_t sockaddr_format(const struct sockaddr *address, char text[IP_PORT_TEXT_MAX])
{
    struct ip_address ip;
    uint16_t port;
    char plain[IP_TEXT_MAX];

    if (!read_sockaddr(address, &ip, &port))
        return (size_t)snprintf(text, IP_PORT_TEXT_MAX, "unix");
    ip_format(&ip, plain);
    const char *format = ip.family == AF_INET6 ? "[%s]:%u" : "%s:%u";
    return (size_t)snprintf(text, IP_PORT_TEXT_MAX, format, plain, port);
}

static bool bits_clear_behind(const uint8_t *bytes, size_t len, unsigned prefix)
{
    for (size_t i = 0; i < len; i++) {
        unsigned first = (unsigned)i * 8;
        unsigned kept = prefix <= first ? 0 : prefix - first;
        if (kept < 8 && (bytes[i] & (0xffu >> kept)) != 0)
            return false;
    }
    return true;
}

enum ip_network_error ip_network_parse(struct span text, struct ip_network *out)
{
    struct span prefix_text;
    struct span address_text = span_split(text, '/', &prefix_text);
    struct ip_address ip;
    uint64_t prefix;

    if (!parse_as_written(address_text, &ip))
        return IP_NETWORK_ADDRESS;
    unsigned bits = ip.family == AF_INET ? IPV4_BITS : IPV6_BITS;
    if (address_text.len == text.len)
        prefix = bits;
    else if (!span_parse_u64(prefix_text, &prefix) || prefix > bits)
        return IP_NETWORK_PREFIX;
    if (!bits_clear_behind(ip.bytes, bits / 8, (unsigned)prefix))
        return IP_NETWORK_HOST_BITS;
    if (is_mapped(&ip) && prefix >= MAPPED_BITS) {
        unmap(&ip);
        prefix -= MAPPED_BITS;
    }
    *out = (struct ip_network){.family = ip.family, .prefix = (uint8_t)prefix};
    memcpy(out->bytes, ip.bytes, sizeof out->bytes);
    return IP_NETWORK_OK;
}

const char *ip_network_error_text(enum ip_network_error error)
{
    switch (error) {
    case IP_NETWORK_OK:
        return "ok";
    case IP_NETWORK_ADDRESS:
        return "not an IP address";
    case IP_NETWORK_PREFIX:
        return "prefix length out of range";
    case IP_NETWORK_HOST_BITS:
        return "address bits set behind the prefix";
    }
    return "unknown";
}

void ip_network_of(const struct ip_address *ip, uint8_t prefix, struct ip_network *out)
{
    uint8_t bits = ip->family == AF_INET ? IPV4_BITS : IPV6_BITS;

    *out = (struct ip_network){.family = ip->family, .prefix = prefix < bits ? prefix : bits};
    for (size_t i = 0; i < sizeof out->bytes; i++) {
        unsigned first = (unsigned)i * 8;
        unsigned kept = out->prefix <= first ? 0 : out->prefix - first;
        unsigned mask = kept >= 8 ? 0xffu : 0xffu & ~(0xffu >> kept);
        out->bytes[i] = (uint8_t)(ip->bytes[i] & mask);
    }
}

size_t ip_network_format(const struct ip_network *network, char text[IP_NETWORK_TEXT_MAX])
{
    struct ip_address ip = {.family = network->family};

    memcpy(ip.bytes, network->bytes, sizeof ip.bytes);
    size_t len = ip_format(&ip, text);
    if (network->prefix < (network->family == AF_INET ? IPV4_BITS : IPV6_BITS))
        len += (size_t)snprintf(text + len, IP_NETWORK_TEXT_MAX - len, "/%u", network->prefix);
    return len;
}

bool ip_network_contains_ip(const struct ip_network *network, const struct ip_address *ip)
{
    size_t whole = network->prefix / 8;
    unsigned rest = network->prefix % 8;

    if (network->family != ip->family || memcmp(network->bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || (network->bytes[whole] ^ ip->bytes[whole]) >> (8 - rest) == 0;
}

bool ip_network_contains(const struct ip_network *network, const struct sockaddr *address)
{
    struct ip_address ip;

    return ip_from_sockaddr(address, &ip) && ip_network_contains_ip(network, &ip);
}
