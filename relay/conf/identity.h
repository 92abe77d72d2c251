/*
 * identity: who may relay by a certificate, as it is written in relay.conf, and back.
 */
#ifndef SMARTHOP_CONF_IDENTITY_H
#define SMARTHOP_CONF_IDENTITY_H

#include "conf/conf.h"

/* False with the reason in `why`. */
bool conf_identity_parse(struct span text, struct conf_identity *out, struct buf *why);
void conf_identity_print(const struct conf_identity *identity, struct buf *out);

#endif
