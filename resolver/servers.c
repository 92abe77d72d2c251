#include "servers.h"

#include <ares.h>
#include <pthread.h>

static void init_library(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

static struct ares_addr_port_node node_of(const struct sockaddr *address)
{
    struct ares_addr_port_node node = {.family = address->sa_family};
    const union resolver_address *any = (const void *)address;

    if (address->sa_family == AF_INET6) {
        memcpy(&node.addr.addr6, &any->in6.sin6_addr, sizeof node.addr.addr6);
        node.udp_port = node.tcp_port = ntohs(any->in6.sin6_port);
    } else {
        node.addr.addr4 = any->in4.sin_addr;
        node.udp_port = node.tcp_port = ntohs(any->in4.sin_port);
    }
    return node;
}

static struct err read_system(struct ares_addr_port_node *nodes, unsigned *count_out)
{
    ares_channel probe;
    struct ares_addr_port_node *all = NULL;

    if (ares_init(&probe) != ARES_SUCCESS)
        return err_make(ERR_INVALID, "ares_init");
    int rc = ares_get_servers_ports(probe, &all);
    ares_destroy(probe);
    if (rc != ARES_SUCCESS)
        return err_make(ERR_INVALID, "ares_get_servers_ports");
    *count_out = 0;
    for (struct ares_addr_port_node *one = all; one != NULL; one = one->next)
        if (*count_out < SERVERS_MAX)
            nodes[(*count_out)++] = *one;
    ares_free_data(all);
    return ERR_OK;
}

static void on_channel_closed(void *owner)
{
    struct servers *servers = owner;

    if (--servers->open_channels == 0)
        servers->closed(servers);
}

static struct err open_channels(struct servers *servers, struct loop *loop, uint64_t timeout_ms,
                                const struct ares_addr_port_node *nodes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        servers->count++;
        for (int transport = CHANNEL_UDP; transport <= CHANNEL_TCP; transport++) {
            struct err e =
                channel_create(loop, &nodes[i], (enum channel_transport)transport, timeout_ms,
                               on_channel_closed, servers, &servers->channels[i][transport]);
            if (err_is(e))
                return e;
            servers->open_channels++;
        }
    }
    return count > 0 ? ERR_OK : err_make(ERR_INVALID, "no name server");
}

struct err servers_open(struct servers *servers, struct loop *loop,
                        const struct resolver_options *options,
                        void (*closed)(struct servers *servers))
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct ares_addr_port_node nodes[SERVERS_MAX];
    unsigned count = options->server_count < SERVERS_MAX ? options->server_count : SERVERS_MAX;

    pthread_once(&once, init_library);
    *servers = (struct servers){.tries = options->tries > 0 ? options->tries : 1};
    servers->closed = closed;
    for (unsigned i = 0; i < count; i++)
        nodes[i] = node_of(options->servers[i]);
    if (count == 0) {
        struct err e = read_system(nodes, &count);
        if (err_is(e))
            return e;
    }
    return open_channels(servers, loop, options->timeout_ms, nodes, count);
}

void servers_close(struct servers *servers)
{
    /* The last channel may go while the loop runs, and the servers with it. */
    unsigned count = servers->count;
    struct channel *channels[SERVERS_MAX][2];

    memcpy(channels, servers->channels, sizeof channels);
    servers->open_channels++;
    for (unsigned i = 0; i < count; i++)
        for (int transport = CHANNEL_UDP; transport <= CHANNEL_TCP; transport++)
            if (channels[i][transport] != NULL) /* opening may have failed half-way */
                channel_close(channels[i][transport]);
    on_channel_closed(servers);
}

void servers_failed(struct servers *servers, unsigned server)
{
    if (servers->first == server)
        servers->first = (server + 1) % servers->count;
}
