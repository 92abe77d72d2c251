/* The answers as JSON, for control.c alone. Each is to be released with json_decref. */
#ifndef SMARTHOP_CONTROL_ANSWER_H
#define SMARTHOP_CONTROL_ANSWER_H

#include "control/control.h"

#include <jansson.h>

json_t *answer_ok(void);
/* `why` tells a person what was wrong. */
json_t *answer_error(const char *why);
json_t *answer_number(uint64_t value);
/* null for 0, which stands for no time. */
json_t *answer_time(uint64_t wall_ms);
/* What is no UTF-8 keeps its ASCII. */
json_t *answer_text(struct span bytes);
json_t *answer_operation(const struct control_operation *operation);
json_t *answer_import(const struct control_import *import);
json_t *answer_forgotten(uint64_t count);
json_t *answer_status(const struct control_status *status);
/* A page of the list; "more" tells whether another line follows. */
json_t *answer_sessions(const struct control_page *page);
json_t *answer_destinations(const struct control_page *page);
/* The lines of a trace, built one by one with answer_trace_line; "lost" is left out for none. */
json_t *answer_trace(void);
void answer_trace_line(json_t *answer, const struct control_trace_line *line);
void answer_trace_lost(json_t *answer, uint64_t lost);
/* Lines, of which any byte may have come from a file. */
json_t *answer_reload(bool accepted, struct span messages);

#endif
