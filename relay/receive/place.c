/*
 * Recipients whose route waits for the message: some plugin looks at its header. They have been
 * accepted, so one that is now refused for good is bounced, unless none is left; and one that is
 * to be deferred defers the message, since nothing of it has been acknowledged yet.
 */
#include "receive/session.h"

bool place_is_needed(const struct transaction *tx)
{
    for (unsigned i = 0; i < tx->recipient_count; i++)
        if (tx->recipients[i].verdict == ROUTE_LATER)
            return true;
    return false;
}

/* The last answer about it is in tx->route. */
static void replace(struct transaction *tx)
{
    struct tx_recipient *was = &tx->recipients[tx->placed];
    unsigned last = tx->recipient_count;

    transaction_add_recipients(tx, was->notify, was->original);
    was = &tx->recipients[tx->placed]; /* they may have moved */
    *was = tx->recipients[last];
    memmove(&tx->recipients[last], &tx->recipients[last + 1],
            (tx->recipient_count - last - 1) * sizeof *was);
    tx->recipient_count--;
}

static bool all_are_refused(const struct transaction *tx)
{
    for (unsigned i = 0; i < tx->recipient_count; i++)
        if (!tx->recipients[i].is_refused)
            return false;
    return true;
}

static void place_next(struct session *s)
{
    struct transaction *tx = s->tx;

    while (tx->placed < tx->recipient_count && tx->recipients[tx->placed].verdict != ROUTE_LATER)
        tx->placed++;
    if (tx->placed == tx->recipient_count) {
        tx->is_placing = false;
        if (all_are_refused(tx))
            data_refuse(s, tx->recipients[0].status);
        else
            data_accept(s);
        return;
    }
    const struct tx_recipient *recipient = &tx->recipients[tx->placed];
    arena_fini(&tx->asking);
    tx->route = (struct route_query){
        .conf = tx->conf,
        .reverse_path = tx->message->reverse_path,
        .recipient = recipient->address,
        .domain = recipient->domain,
        .tenant = tx->message->tenant,
        .arena = &tx->asking,
        .orcpt = recipient->original,
    };
    route_wishes_parse(recipient->wishes, &tx->route.wishes);
    facts_add(s, &tx->route);
    transaction_route(tx);
}

void place_begin(struct session *s)
{
    session_enter(s, SESSION_ROUTE);
    s->tx->is_placing = true;
    s->tx->placed = 0;
    place_next(s);
}

void place_routed(struct session *s)
{
    struct transaction *tx = s->tx;
    struct route_answer *answer = &tx->route.answer;
    bool is_refused = answer->verdict == ROUTE_REJECT;

    if (answer->verdict == ROUTE_DEFER) {
        tx->is_placing = false;
        data_refuse(s, status_dup(&tx->message->arena, &answer->status));
        session_run(s);
        return;
    }
    if (is_refused)
        route_refuse_later(&tx->route, answer);
    replace(tx);
    tx->recipients[tx->placed].is_refused = is_refused;
    place_next(s);
    if (s->state == SESSION_COMMAND)
        session_run(s);
}
