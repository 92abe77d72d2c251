/*
 * password: hashes by libcrypt, for PLAIN and LOGIN. All of it is slow on purpose and takes some
 * MiB while it runs: never on a loop. Any thread.
 */
#ifndef SMARTHOP_AUTH_PASSWORD_H
#define SMARTHOP_AUTH_PASSWORD_H

#include "base/span.h"

enum { PASSWORD_HASH_MAX = 384 }; /* with the NUL */

/* What stands for a user of an empty file, as costly as what password_hash makes. */
extern const char password_decoy[];

/* By the method that libcrypt prefers (yescrypt), with a fresh salt. The password is valid
 * (auth_password_is_valid). */
void password_hash(struct span password, char hash[PASSWORD_HASH_MAX]);

bool password_matches(struct span password, const char *hash);

/* A whole hash by a method that libcrypt has and does not call obsolete. Quick. */
bool password_hash_is_usable(const char *hash);

#endif
