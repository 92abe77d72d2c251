/*
 * certificate: the fingerprint of a certificate in a file, for who enters it somewhere.
 */
#ifndef SMARTHOP_AUTH_CERTIFICATE_H
#define SMARTHOP_AUTH_CERTIFICATE_H

#include "base/err.h"
#include "base/fingerprint.h"

/* Of the first certificate in a PEM file, which may hold other things besides. ERR_INVALID where
 * there is none. Blocks. */
struct err certificate_fingerprint(const char *file, struct fingerprint *out);

#endif
