/*
 * servers: the name servers of a resolver, their channels, and which one is asked first.
 */
#ifndef SMARTHOP_RESOLVER_SERVERS_H
#define SMARTHOP_RESOLVER_SERVERS_H

#include "channel.h"
#include "resolver.h"

/* As many as a bit set of the look-up holds; more are ignored. */
enum { SERVERS_MAX = 8 };

struct servers {
    unsigned count;
    unsigned tries;
    unsigned first; /* the one that has not failed last */
    struct channel *channels[SERVERS_MAX][2];
    unsigned open_channels;
    void (*closed)(struct servers *servers);
};

/* Those of the options, else those of resolv.conf. `closed` is for servers_close. */
struct err servers_open(struct servers *servers, struct loop *loop,
                        const struct resolver_options *options,
                        void (*closed)(struct servers *servers));
/* Abandons all questions at once; `closed` runs when the last channel has gone. */
void servers_close(struct servers *servers);

/* The server did not answer: others are tried before it from now on. */
void servers_failed(struct servers *servers, unsigned server);

#endif
