/* process: what the daemon is to its system: its descriptors, and the user that it runs as. */
#ifndef SMARTHOP_PROCESS_H
#define SMARTHOP_PROCESS_H

#include "base/err.h"

/* As many descriptors as it may have; returns how many, 0 where that is not known. */
unsigned process_raise_descriptors(void);
/* Whether there is a user of this name. May block. */
bool process_knows(const char *user);
/* The log file, where root has made it, becomes this user's, too. After the listeners are bound,
 * before anything of the store is made: its files belong to the user that the daemon runs as. One
 * privilege stays: to bind ports below 1024, for doors that are opened later (plugins that are
 * servers, a reload). Nothing where `user` is NULL or the process is not root's; ERR_NOT_FOUND:
 * there is no such user. */
struct err process_become(const char *user);

#endif
