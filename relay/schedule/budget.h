/*
 * budget: what one site takes of us, over all workers: connections at a time, messages in a time,
 * and whether it is to be left alone for now. Two domains with the same MX hosts are one site.
 *
 * A budget is shared by the workers and has a lock of its own, held for a few instructions; any
 * thread. Times are those of clock_mono_ms(), given by the caller.
 *
 * Rates are smooth: a thousand an hour is one every 3.6 s, and at most a sixtieth of the number at
 * once, or a tenth of that of a second. So a rate holds over any stretch of time, and over a
 * restart, which begins with nothing saved up.
 */
#ifndef SMARTHOP_SCHEDULE_BUDGET_H
#define SMARTHOP_SCHEDULE_BUDGET_H

#include "base/call.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/span.h"

enum budget_rate { BUDGET_SECOND, BUDGET_MINUTE, BUDGET_HOUR, BUDGET_DAY, BUDGET_RATES };

struct budget_limits {
    unsigned connections;         /* at a time, at least 1 */
    uint64_t rates[BUDGET_RATES]; /* messages in that time; 0 = no bound */
};

/* All budgets of a process: budgets_create and budgets_free are in schedule.h. */
struct budgets;
struct budget;
struct health;

/* How the hosts of all sites do (health.h); lives as long as the budgets. */
struct health *budgets_health(struct budgets *all);

/* The site's budget, made where it is new; with these limits from now on. The caller's reference.
 */
struct budget *budget_get(struct budgets *all, struct span site,
                          const struct budget_limits *limits);
struct budget *budget_ref(struct budget *budget);
void budget_unref(struct budget *budget);
/* Other limits from now on. */
void budget_limit(struct budget *budget, const struct budget_limits *limits);

enum budget_answer {
    BUDGET_YES,
    BUDGET_FULL,     /* as many connections as are allowed now */
    BUDGET_RATE,     /* until *until_out */
    BUDGET_BACK_OFF, /* until *until_out */
};

/* Asks for one more connection, and has it if the answer is BUDGET_YES: budget_release then. */
enum budget_answer budget_connect(struct budget *budget, uint64_t now, uint64_t *until_out);
void budget_release(struct budget *budget);
/* Asks for leave to send one message, and has it if the answer is BUDGET_YES. */
enum budget_answer budget_spend(struct budget *budget, uint64_t now, uint64_t *until_out);
/* The message was not sent. */
void budget_refund(struct budget *budget);
/* What budget_spend would say, with nothing taken. */
enum budget_answer budget_look(struct budget *budget, uint64_t now, uint64_t *until_out);

/* An answer has come from the site: it may have a connection more. True where it had failed
 * before. */
bool budget_succeeded(struct budget *budget, uint64_t now);
/* A connection was refused while `served` others go on: that is what the site takes for now. */
void budget_narrow(struct budget *budget, uint64_t now, unsigned served);
/* Nobody was reached. The site is left alone for `delay(context, failures)` ms, one try being
 * allowed then (a half-open breaker); nothing changes while it backs off already. Returns the
 * failures in a row and the time. */
typedef uint64_t budget_delay(void *context, uint32_t failures);
uint32_t budget_back_off(struct budget *budget, uint64_t now, budget_delay *delay, void *context,
                         uint64_t *until_out);
/* An answer asks for it: the site is left alone for `ms`, one try being allowed then. False where
 * it backs off already for about as long. */
bool budget_leave(struct budget *budget, uint64_t now, uint64_t ms, uint64_t *until_out);
/* From the store, at the start. */
void budget_restore(struct budget *budget, uint32_t failures);
/* An operator's word. */
void budget_lift(struct budget *budget);

/* Who could not connect waits here, and is told once, on its loop, when a connection has become
 * free. `call.done` is the owner's. */
struct budget_waiter {
    struct call call;
    struct list link;
    struct loop *loop;
};
void budget_wait(struct budget *budget, struct budget_waiter *waiter);
/* True where it waited; otherwise its call is on its way. */
bool budget_wait_cancel(struct budget *budget, struct budget_waiter *waiter);

struct budget_state {
    unsigned connections; /* in use */
    unsigned allowed;     /* now */
    uint32_t failures;
};
void budget_state(struct budget *budget, struct budget_state *out);

#endif
