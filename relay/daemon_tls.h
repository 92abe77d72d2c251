/* daemon_tls: what the listeners need of TLS, from a configuration. */
#ifndef SMARTHOP_DAEMON_TLS_H
#define SMARTHOP_DAEMON_TLS_H

#include "conf/conf.h"
#include "net/tls.h"

/* Reads certificates and keys; blocks. `old` may be NULL: the server that the new one takes over
 * from. *out is NULL where no certificate is configured. False, with the reason in `problem`, where
 * something of it cannot be used. */
bool daemon_load_tls(const struct conf *conf, const struct tls_server *old, char *problem,
                     size_t problem_size, struct tls_server **out);

/* At a start: there is no old one, and stderr says why it cannot be used. */
bool daemon_load_first_tls(const struct conf *conf, struct tls_server **out);

/* Appends a line for each certificate of the configuration that is not valid any more. `tls` is
 * what was loaded from it, maybe NULL. */
void daemon_tls_ended(const struct conf *conf, const struct tls_server *tls, struct buf *messages);

#endif
