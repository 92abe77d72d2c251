/*
 * pages: what the workers have, told a page at a time: each page is a posted call to one worker and
 * back, so that a long list holds nobody up. On the main loop.
 */
#ifndef SMARTHOP_PAGES_H
#define SMARTHOP_PAGES_H

#include "actions.h"

/* Actions of the control socket; the context is a struct actions. */
void pages_tell_sessions(void *context, struct control_page *page);
void pages_tell_destinations(void *context, struct control_page *page);

#endif
