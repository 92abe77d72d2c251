/*
 * mailbox: how threads talk to a loop. Any thread posts a call; the loop that owns the mailbox
 * runs it. Calls run in the order in which each thread posted them.
 */
#ifndef SMARTHOP_BASE_MAILBOX_H
#define SMARTHOP_BASE_MAILBOX_H

#include "base/call.h"
#include "base/err.h"

struct mailbox;
struct uv_loop_s;

/* On the loop's thread, or before that thread starts. */
struct err mailbox_create(struct uv_loop_s *uv, struct mailbox **out);
/* Any thread. The call must stay in place until its `done` has run. */
void mailbox_post(struct mailbox *m, struct call *call);
/* After the loop has ended: what was posted and has not run is the caller's again. */
void mailbox_take_back(struct mailbox *m, struct call *call);
/* On the loop's thread: closes the handle; the loop must run once more to let go of it. What is
 * still in the box is not run. */
void mailbox_close(struct mailbox *m);
/* After the loop has ended. */
void mailbox_free(struct mailbox *m);

#endif
