/*
 * keys: the secrets that rewritten addresses are signed with, and their signatures: the first
 * characters of the base64 of an HMAC-SHA1, as the Sender Rewriting Scheme has it. The first secret
 * signs; all of them are tried on what comes back, so that secrets can be replaced.
 */
#ifndef SMARTHOP_SRS_KEYS_H
#define SMARTHOP_SRS_KEYS_H

#include <smarthop_plugin.h>

enum { KEYS_HASH_MAX = 26, KEYS_TEXT_MAX = 64 << 10, KEYS_MAX = 100 };

struct keys;

/* A line for each secret; empty ones, and those that begin with #, are none. NULL: there is none,
 * or more than KEYS_MAX. */
struct keys *keys_parse(struct smarthop_span text);
void keys_free(struct keys *keys);

/* Over the text in lower case, so that it survives those who change that. At most KEYS_HASH_MAX
 * characters. On any thread. */
void keys_sign(const struct keys *keys, struct smarthop_span text, char *hash, size_t len);
/* Whether one of the secrets has signed so; the case of letters does not count. */
bool keys_check(const struct keys *keys, struct smarthop_span text, struct smarthop_span hash);

#endif
