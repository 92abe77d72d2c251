/*
 * daemon: the wiring of one smarthopd process: its store, its workers, its control socket, and how
 * they start, take a new configuration, and stop. No mail logic.
 */
#ifndef SMARTHOP_DAEMON_H
#define SMARTHOP_DAEMON_H

#include "conf/conf.h"

/* Whether the files that the configuration names can be used; if not, stderr says which and why. */
bool daemon_check(const struct conf *conf);
/* Runs until it is told to stop; takes the snapshot over. Returns the process's exit code. */
int daemon_run(struct conf *conf);

#endif
