#include "names.h"

#include <arpa/inet.h>
#include <stdio.h>

_Static_assert(RESOLVER_NAME_SIZE == NAME_MAX_LENGTH + 1, "one size of names");

static bool is_name_byte(char c, char extra)
{
    return ascii_is_alnum(c) || c == '-' || c == '_' || c == extra;
}

static bool normalize(struct span text, char extra, char name_out[NAME_MAX_LENGTH + 1])
{
    size_t label = 0;

    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > NAME_MAX_LENGTH)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_name_byte(c, extra) || ++label > NAME_LABEL_MAX) {
            return false;
        }
        name_out[i] = ascii_lower(c);
    }
    name_out[text.len] = '\0';
    return label > 0;
}

bool name_normalize(struct span text, char name_out[NAME_MAX_LENGTH + 1])
{
    return normalize(text, '-', name_out);
}

bool name_normalize_reverse(struct span text, char name_out[NAME_MAX_LENGTH + 1])
{
    return normalize(text, '/', name_out);
}

bool name_is_address(struct span text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr any;

    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET, copy, &any) == 1 || inet_pton(AF_INET6, copy, &any) == 1;
}

union resolver_address name_unmapped(const struct sockaddr *address)
{
    const union resolver_address *any = (const void *)address;
    const struct in6_addr *in6 = &any->in6.sin6_addr;
    union resolver_address plain = {0};

    if (address->sa_family == AF_INET) {
        plain.in4.sin_family = AF_INET;
        plain.in4.sin_addr = any->in4.sin_addr;
    } else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(in6)) {
        plain.in4.sin_family = AF_INET;
        memcpy(&plain.in4.sin_addr, in6->s6_addr + 12, sizeof plain.in4.sin_addr);
    } else if (address->sa_family == AF_INET6) {
        plain.in6.sin6_family = AF_INET6;
        plain.in6.sin6_addr = *in6;
    }
    return plain;
}

bool resolver_reverse(const struct sockaddr *address, struct span zone,
                      char name_out[RESOLVER_NAME_SIZE])
{
    union resolver_address plain = name_unmapped(address);
    const uint8_t *v4 = (const uint8_t *)&plain.in4.sin_addr;
    const uint8_t *v6 = plain.in6.sin6_addr.s6_addr;
    size_t len = 0;

    if (plain.any.sa_family == AF_UNSPEC)
        return false;
    if (plain.any.sa_family == AF_INET)
        len = (size_t)snprintf(name_out, RESOLVER_NAME_SIZE, "%u.%u.%u.%u.", v4[3], v4[2], v4[1],
                               v4[0]);
    for (int i = 15; plain.any.sa_family == AF_INET6 && i >= 0; i--)
        len += (size_t)snprintf(name_out + len, RESOLVER_NAME_SIZE - len, "%x.%x.", v6[i] & 15u,
                                v6[i] >> 4);
    if (zone.len >= RESOLVER_NAME_SIZE - len)
        return false;
    memcpy(name_out + len, zone.ptr, zone.len);
    name_out[len + zone.len] = '\0';
    return true;
}
