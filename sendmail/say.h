/*
 * say: what sendmail tells its caller: one line on standard error, and an exit status of
 * sysexits.h.
 */
#ifndef SMARTHOP_SENDMAIL_SAY_H
#define SMARTHOP_SENDMAIL_SAY_H

#include "base/span.h"

#include <sysexits.h>

/* "sendmail: text" and a line end; bytes that could steer a terminal are shown as "?". Returns
 * `exit_status`, so that a failure is told where it is returned. */
__attribute__((format(printf, 2, 3))) int say(int exit_status, const char *format, ...);

/* For -v: a line of the dialogue behind its mark, likewise cleaned. */
void say_dialogue(const char *mark, struct span line);

#endif
