/*
 * block_list: DNS block lists as they are written in relay.conf, and back: "zen.example", or with
 * the answers that count, "zen.example=127.0.0.2,127.0.0.4-127.0.0.7".
 */
#ifndef SMARTHOP_CONF_BLOCK_LIST_H
#define SMARTHOP_CONF_BLOCK_LIST_H

#include "conf/conf.h"

/* False with the reason in `why`; then nothing is to be freed. */
bool conf_block_list_parse(struct span text, struct conf_block_list *out, struct buf *why);
void conf_block_list_print(const struct conf_block_list *list, struct buf *out);

#endif
