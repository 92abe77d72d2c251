/* A plugin for tests: has every hook, decides nothing, and logs what it is told; its route hook
 * needs the header. */
#include <smarthop_plugin.h>

#include <stdio.h>
#include <stdlib.h>

struct witness {
    const struct smarthop_host *host;
    struct smarthop_self *self;
};

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct witness *witness = calloc(1, sizeof *witness);

    if (witness == NULL)
        return -1;
    witness->host = host;
    witness->self = self;
    *state_out = witness;
    return 0;
}

static void stop(void *state)
{
    free(state);
}

#define ARG(text) (int)(text).len, (text).ptr != NULL ? (text).ptr : ""

static int see(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    static const struct smarthop_session no_session;
    static const struct smarthop_message no_message;
    static const struct smarthop_recipient no_recipient;
    static const struct smarthop_attempt no_attempt;
    const struct smarthop_session *session = event->session ? event->session : &no_session;
    const struct smarthop_message *message = event->message ? event->message : &no_message;
    const struct smarthop_recipient *to = event->recipient ? event->recipient : &no_recipient;
    const struct smarthop_attempt *attempt = event->attempt ? event->attempt : &no_attempt;
    const struct witness *witness = state;
    char text[256];

    (void)verdict;
    snprintf(text, sizeof text, "helo=%.*s user=%.*s from=%.*s header=%d to=%.*s/%.*s hosts=%u %u",
             ARG(session->helo), ARG(session->user), ARG(message->sender), message->header.len > 0,
             ARG(to->local), ARG(to->domain), event->target_count, attempt->code);
    witness->host->log(witness->self, event->token, SMARTHOP_INFO, "seen", text);
    return SMARTHOP_DONE;
}

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .flags = SMARTHOP_READS_HEADER,
    .name = "witness",
    .version = "1.0",
    .summary = "logs what it is told",
    .start = start,
    .stop = stop,
    .hooks = {see, see, see, see, see, see, see, see, see, see, see, see},
};
