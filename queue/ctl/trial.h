/*
 * trial: what is to be tried of a plugin, from options.
 */
#ifndef SMARTHOP_QUEUE_CTL_TRIAL_H
#define SMARTHOP_QUEUE_CTL_TRIAL_H

#include "plugins/kit/kit.h"

enum trial_term {
    TRIAL_OPTION,
    TRIAL_DNS,
    TRIAL_FROM,
    TRIAL_MESSAGE,
    TRIAL_CLIENT,
    TRIAL_HELO,
    TRIAL_USER,
    TRIAL_OUTCOME,
    TRIAL_RACE,
    TRIAL_TIMEOUT,
    TRIAL_RELOAD, /* without a value */
    TRIAL_COMMAND,
};

/* Keeps the value, which stays the caller's; false, and complained of, where it makes no sense. */
bool trial_take(struct kit_order *order, enum trial_term term, const char *value);
void trial_fini(struct kit_order *order);

#endif
