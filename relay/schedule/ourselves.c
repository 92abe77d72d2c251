/* Whether this relay is among the MX hosts of a domain. By address and port: the name that it says
 * in EHLO may well be that of another machine behind the same gateway. */
#include "schedule/private.h"

#include "proto/ip.h"

#include <ifaddrs.h>

static bool is_any(const struct ip_address *ip)
{
    static const uint8_t zeros[sizeof ip->bytes];

    return memcmp(ip->bytes, zeros, sizeof zeros) == 0;
}

static bool is_loopback(const struct ip_address *ip)
{
    static const uint8_t loopback[16] = {[15] = 1};

    return ip->family == AF_INET ? ip->bytes[0] == 127
                                 : memcmp(ip->bytes, loopback, sizeof loopback) == 0;
}

static bool is_of_this_machine(const struct ip_address *ip, const struct ifaddrs *interfaces)
{
    struct ip_address own;

    if (is_any(ip) || is_loopback(ip))
        return true;
    for (const struct ifaddrs *one = interfaces; one != NULL; one = one->ifa_next)
        if (one->ifa_addr != NULL && ip_from_sockaddr(one->ifa_addr, &own) && ip_equal(&own, ip))
            return true;
    return false;
}

static bool listens_at(const struct conf_address *listener, const struct resolver_target *target,
                       uint16_t port, const struct ifaddrs *interfaces)
{
    struct ip_address own, ip;

    if (sockaddr_port(&listener->any) != port || !ip_from_sockaddr(&listener->any, &own) ||
        !ip_from_sockaddr(&target->address.any, &ip))
        return false;
    return is_any(&own) ? is_of_this_machine(&ip, interfaces) : ip_equal(&own, &ip) || is_any(&ip);
}

static bool is_ourselves(const struct conf *conf, const struct resolver_target *target,
                         uint16_t port, const struct ifaddrs *interfaces)
{
    for (unsigned i = 0; i < conf->listener_count; i++)
        for (unsigned k = 0; k < conf->listeners[i].address_count; k++)
            if (listens_at(&conf->listeners[i].addresses[k], target, port, interfaces))
                return true;
    return false;
}

static bool listens(const struct conf *conf, uint16_t port)
{
    for (unsigned i = 0; i < conf->listener_count; i++)
        for (unsigned k = 0; k < conf->listeners[i].address_count; k++)
            if (sockaddr_port(&conf->listeners[i].addresses[k].any) == port)
                return true;
    return false;
}

unsigned ourselves_preference(const struct conf *conf, const struct resolver_answer *answer,
                              uint16_t port)
{
    unsigned best = OURSELVES_NOWHERE;
    struct ifaddrs *interfaces = NULL;

    if (!listens(conf, port))
        return OURSELVES_NOWHERE;
    if (getifaddrs(&interfaces) != 0)
        interfaces = NULL;
    for (unsigned i = 0; i < answer->target_count; i++) {
        const struct resolver_target *target = &answer->targets[i];
        if (target->preference < best && is_ourselves(conf, target, port, interfaces))
            best = target->preference;
    }
    freeifaddrs(interfaces);
    return best;
}
