/*
 * daemon: the wiring of one smarthopd process: its store, its workers, its control socket, and how
 * they start, take a new configuration, and stop. No mail logic.
 */
#ifndef SMARTHOP_DAEMON_H
#define SMARTHOP_DAEMON_H

#include "conf/conf.h"

/* Runs until it is told to stop; takes the snapshot over. Returns the process's exit code. */
int daemon_run(struct conf *conf);

#endif
