/*
 * address: networks, socket addresses and next hops as they are written in relay.conf, and back.
 * Each parse function answers false with the reason in `why`.
 */
#ifndef SMARTHOP_CONF_ADDRESS_H
#define SMARTHOP_CONF_ADDRESS_H

#include "conf/conf.h"

bool conf_network_parse(struct span text, struct conf_network *out, struct buf *why);
/* `default_port` 0: the port must be written, and may be 0. */
bool conf_address_parse(struct span text, uint16_t default_port, struct conf_address *out,
                        struct buf *why);
/* out->port is 0 where none was written. */
bool conf_hop_parse(struct span text, struct conf_hop *out, struct buf *why);

void conf_network_print(const struct conf_network *network, struct buf *out);
void conf_address_print(const struct conf_address *address, struct buf *out);
void conf_hop_print(const struct conf_hop *hop, struct buf *out);

/* Takes "*3" off the end of `text`, where it has one: a weight from 1 to 1000, 1 by default. */
bool conf_weight_parse(struct span *text, unsigned *out, struct buf *why);
void conf_weight_print(unsigned weight, struct buf *out);

/* Letters, digits and inner hyphens in labels of at most 63, 253 in all. */
bool conf_is_domain(struct span text);
/* An IPv4 or IPv6 address without port and brackets. */
bool conf_is_address(struct span text);

#endif
