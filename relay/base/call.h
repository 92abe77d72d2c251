/*
 * call: one piece of work that completes later. It is embedded in what owns it.
 *
 * The house contract: a started call completes exactly once, on the loop that started it, never
 * before the start function has returned. Start functions return void. Cancelling is a request:
 * the completion still comes.
 */
#ifndef SMARTHOP_BASE_CALL_H
#define SMARTHOP_BASE_CALL_H

#include "base/list.h"

struct call {
    struct list link; /* owned by whoever carries the call */
    void (*done)(struct call *call);
};

#endif
