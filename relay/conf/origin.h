/*
 * origin: the addresses of `source` sections as they are written, and what must hold of the keys
 * that spread mail over hosts and addresses.
 */
#ifndef SMARTHOP_CONF_ORIGIN_H
#define SMARTHOP_CONF_ORIGIN_H

#include "conf/load.h"

/* "192.0.2.1", "2001:db8::1", each maybe with a weight: "192.0.2.1*3". False with the reason in
 * `why`. */
bool conf_origin_parse(struct span text, struct conf_origin_address *out, struct buf *why);
void conf_origin_print(const struct conf_origin_address *origin, struct buf *out);

/* For conf_check. */
void conf_check_origins(struct conf_loading *loading);
void conf_check_balance(struct conf_loading *loading, const struct conf_route *route,
                        unsigned line);

#endif
