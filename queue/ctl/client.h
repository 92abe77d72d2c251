/* client: the plain blocking side of the control socket (relay/control/control.h). */
#ifndef SMARTHOP_QUEUE_CTL_CLIENT_H
#define SMARTHOP_QUEUE_CTL_CLIENT_H

#include "queue/ctl/ctl.h"

#include <jansson.h>

/* Sends one command, which is taken over, and waits for its answer. CTL_OK: *answer_out is the
 * caller's, whether it says "ok" or not. CTL_NO_DAEMON, without a complaint: nobody is there.
 * CTL_FAILED: complained. */
enum ctl_exit client_ask(const struct ctl *ctl, json_t *command, json_t **answer_out);
/* The same for a command that only the daemon can do: complains in its absence and of an answer
 * that is not "ok". */
enum ctl_exit client_order(const struct ctl *ctl, json_t *command, json_t **answer_out);
/* The same for one without arguments. */
enum ctl_exit client_command(const struct ctl *ctl, const char *name, json_t **answer_out);
/* Complains with what the answer says of itself. `about` may be NULL. */
enum ctl_exit client_refused(const json_t *answer, const char *about);

/* An answer of several lines: client_start, client_next for each, client_end. */
struct client;
enum client_result {
    CLIENT_LINE,
    CLIENT_LATE, /* none has come in time */
    CLIENT_OVER, /* none will come: the daemon has closed, or what it said cannot be read */
};
/* Sends the command, which is taken over; complains where it cannot. */
enum ctl_exit client_start(const struct ctl *ctl, json_t *command, struct client **out);
/* A line is the caller's. `until`: monotonic ms. */
enum client_result client_next(struct client *client, uint64_t until, json_t **line_out);
void client_end(struct client *client);

/* A text or a number of an object; empty, or 0, where it has none. */
static inline struct span client_text(const json_t *object, const char *name)
{
    const json_t *text = json_object_get(object, name);

    return span_of(json_string_value(text), json_string_length(text));
}

static inline uint64_t client_number(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

/* As JSON on one line. */
void client_print(const json_t *answer);

#endif
