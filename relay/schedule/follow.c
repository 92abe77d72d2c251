/*
 * One job behind the end of data of another, on the same connection: its commands go along, so that
 * no round trip passes between two messages. Only where every connection has a job that waits for
 * it, and none is being opened or has nothing to do: a job that goes along waits for what the host
 * makes of the one before, and must not wait there while another connection would take it.
 */
#include "schedule/private.h"

/* Not on connections that have something to find out first, nor on those that are to end. */
static bool is_steady(const struct connection *c)
{
    const struct site *site = c->site;

    return deliver_can_follow(c->session) && !c->tries && !c->passed_over &&
           deliver_session_messages(c->session) + 1 < site->shape.messages_per_connection &&
           !balance_is_stand_in(site, c) && balance_may_take(site, c);
}

void follow_begin(struct connection *c)
{
    if (!c->site->owner->conf->pipeline_messages)
        return;
    list_append(&c->site->near, &c->near);
    site_run(c->site);
}

struct connection *follow_choose(const struct site *site)
{
    uint64_t now = loop_now(site->owner->loop), until;

    if (!list_is_empty(&site->idle) || site->opening > site->trying ||
        site->ready_count < site->connections)
        return NULL;
    for (const struct list *node = site->near.next; node != &site->near; node = node->next) {
        struct connection *c = container_of(node, struct connection, near);
        if (is_steady(c) &&
            (c->origin == NULL || budget_spend(c->origin, now, &until) == BUDGET_YES))
            return c;
    }
    return NULL;
}
