/*
 * recall: passwords that were found right a short while ago, so that clients which log in again and
 * again need not be hashed for each time. Only keyed digests are kept, in a table of fixed size: of
 * the user, his hash as the users file has it, and the password. A changed hash is another one.
 *
 * Whoever gets hold of the process's memory can try passwords against these digests faster than
 * against the users file; that is what is paid, and why it can be switched off.
 *
 * One table a process, shared under a mutex. Any thread; nothing blocks for long.
 */
#ifndef SMARTHOP_AUTH_RECALL_H
#define SMARTHOP_AUTH_RECALL_H

#include "auth/crypto.h"

struct auth_recall;

struct auth_recall *auth_recall_create(void);
/* Erases all. NULL is let be. */
void auth_recall_free(struct auth_recall *recall);

/* How many ms a password is remembered from its last hashing on; 0 = not at all, what is there is
 * forgotten. It begins with 0. */
void auth_recall_set(struct auth_recall *recall, uint64_t ms);
/* It was hashed, and is right. `user` has AUTH_NAME_MAX bytes at most; `now` is clock_mono_ms. */
void auth_recall_note(struct auth_recall *recall, struct span user, struct span hash,
                      struct span password, uint64_t now);
bool auth_recall_knows(struct auth_recall *recall, struct span user, struct span hash,
                       struct span password, uint64_t now);

#endif
