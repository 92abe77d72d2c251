/* Whether this relay is among the MX hosts of a domain. By address and port: the name that it says
 * in EHLO may well be that of another machine behind the same gateway. */
#include "schedule/private.h"

#include "proto/ip.h"

#include <sys/socket.h>
#include <unistd.h>

static bool is_any(const struct ip_address *ip)
{
    static const uint8_t zeros[sizeof ip->bytes];

    return memcmp(ip->bytes, zeros, sizeof zeros) == 0;
}

/* What leaves for an address of this machine leaves from that address. Nothing is sent. */
static bool is_of_this_machine(const struct ip_address *ip)
{
    struct sockaddr_storage address = {0}, local = {0};
    socklen_t len = sizeof local;
    struct ip_address source;

    ip_to_sockaddr(ip, 1, &address);
    int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool is_known = connect(fd, (const struct sockaddr *)&address,
                            sockaddr_size((const struct sockaddr *)&address)) == 0 &&
                    getsockname(fd, (struct sockaddr *)&local, &len) == 0 &&
                    ip_from_sockaddr((const struct sockaddr *)&local, &source);
    close(fd);
    return is_known && (ip_equal(&source, ip) || is_any(ip));
}

static bool listens_at(const struct conf_address *listener, const struct ip_address *ip,
                       uint16_t port)
{
    struct ip_address own;

    if (sockaddr_port(&listener->any) != port || !ip_from_sockaddr(&listener->any, &own))
        return false;
    return is_any(&own) ? is_of_this_machine(ip) : ip_equal(&own, ip) || is_any(ip);
}

static bool is_ourselves(const struct conf *conf, const struct ip_address *ip, uint16_t port)
{
    for (unsigned i = 0; i < conf->listener_count; i++)
        for (unsigned k = 0; k < conf->listeners[i].address_count; k++)
            if (listens_at(&conf->listeners[i].addresses[k], ip, port))
                return true;
    return false;
}

unsigned ourselves_preference(const struct conf *conf, const struct resolver_answer *answer,
                              uint16_t port)
{
    unsigned best = OURSELVES_NOWHERE;
    struct ip_address ip;

    for (unsigned i = 0; i < answer->target_count; i++) {
        const struct resolver_target *target = &answer->targets[i];
        if (target->preference < best && ip_from_sockaddr(&target->address.any, &ip) &&
            is_ourselves(conf, &ip, port))
            best = target->preference;
    }
    return best;
}
