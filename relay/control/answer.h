/* The answers as JSON, for control.c alone. Each is to be released with json_decref. */
#ifndef SMARTHOP_CONTROL_ANSWER_H
#define SMARTHOP_CONTROL_ANSWER_H

#include "control/control.h"

#include <jansson.h>

json_t *answer_ok(void);
/* `why` tells a person what was wrong. */
json_t *answer_error(const char *why);
json_t *answer_operation(const struct control_operation *operation);
json_t *answer_forgotten(uint64_t count);
json_t *answer_status(const struct control_status *status);
/* Lines, of which any byte may have come from a file. */
json_t *answer_reload(bool accepted, struct span messages);

#endif
