/*
 * Exported messages that come back: an envelope as fields (queue/eml.h), and a message that is held
 * to what reception asks of messages. It is in memory until it is whole, since pieces cannot be
 * staged under an id of old: the store's recovery takes such for leavings of former processes.
 */
#include "receive/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "proto/base32.h"
#include "queue/eml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    IDLE_MS = 60000,
    DAY_MS = 86400000, /* more than clocks may differ that made an id and an arrival */
};

struct receive_import {
    struct list link; /* in server->imports */
    struct receive_server *server;
    uint64_t number;
    struct timer idle; /* stopped while a piece is being looked at */
    struct receive_import_piece *piece;
    struct eml_reader envelope;
    bool has_envelope;
    bool is_back;          /* it has the id that it had */
    struct transaction tx; /* nobody's: for what is shared with reception */
    const struct eml_recipient *next;
};

/* ---- its life ------------------------------------------------------------------------------- */

static void on_idle(struct timer *timer);

static struct receive_import *import_create(struct receive_server *server, uint64_t number)
{
    struct receive_import *import = mem_zalloc(sizeof *import);
    struct transaction *tx = &import->tx;

    import->server = server;
    import->number = number;
    tx->server = server;
    tx->conf = conf_ref(server->conf);
    tx->message = queue_message_create();
    arena_init(&tx->asking);
    eml_reader_init(&import->envelope, tx->message);
    list_init(&import->link);
    list_append(&server->imports, &import->link);
    server->import_count++;
    return import;
}

static void import_free(struct receive_import *import)
{
    struct transaction *tx = &import->tx;

    timer_stop(import->server->loop, &import->idle);
    list_remove(&import->link);
    import->server->import_count--;
    queue_message_unref(tx->message);
    conf_unref(tx->conf);
    arena_fini(&tx->asking);
    buf_fini(&tx->head);
    free(tx->recipients);
    free(import);
}

static void on_idle(struct timer *timer)
{
    import_free(container_of(timer, struct receive_import, idle));
}

void imports_stop(struct receive_server *server)
{
    struct list kept;

    list_init(&kept);
    while (!list_is_empty(&server->imports)) {
        struct receive_import *import =
            container_of(list_pop(&server->imports), struct receive_import, link);
        list_append(&kept, &import->link);
        if (import->piece == NULL)
            import_free(import);
    }
    list_splice(&server->imports, &kept);
}

/* ---- answers -------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void say(struct receive_import_piece *piece,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(piece->why, sizeof piece->why, format, args);
    va_end(args);
    piece->is_refused = true;
}

static void answer(struct receive_import *import)
{
    struct receive_import_piece *piece = import->piece;
    struct loop *loop = import->server->loop;

    import->piece = NULL;
    if (piece->is_refused || piece->is_stored)
        import_free(import);
    else
        timer_start(loop, &import->idle, IDLE_MS, on_idle);
    loop_defer(loop, &piece->call);
}

/* ---- into the store ------------------------------------------------------------------------- */

static void log_imported(const struct transaction *tx)
{
    struct log_line line;
    char id[ID_TEXT_SIZE];

    if (!log_begin(&line, LOG_INFO, "imported"))
        return;
    log_text(&line, "id", id_format(tx->message->id, id));
    log_span(&line, "from", tx->message->reverse_path);
    log_span(&line, "to", tx->recipients[0].address);
    log_u64(&line, "recipients", tx->recipient_count);
    log_span(&line, "destination", tx->recipients[0].destination);
    log_u64(&line, "size", tx->message->size);
    log_u64(&line, "arrival", tx->message->arrival);
    log_span(&line, "message_id", tx->message->message_id);
    log_end(&line);
}

static void refuse_store(struct receive_import *import, struct err e)
{
    char id[ID_TEXT_SIZE];

    id_format(import->tx.message->id, id);
    if (e.kind == ERR_CONFLICT && import->is_back) {
        say(import->piece, "%s is in the queue already", id);
    } else if (e.kind == ERR_NO_SPACE) {
        say(import->piece, "there is no room to store mail");
    } else {
        log_failure(LOG_ERROR, "import-failed", e, "id", id);
        say(import->piece, "it cannot be stored; the log tells why");
    }
}

/* Its end of detachment comes last: then the server may stop. */
static void finish(struct receive_import *import)
{
    struct receive_server *server = import->server;

    answer(import);
    server->detached--;
    server_check_stopped(server);
}

static void on_inserted(struct call *call)
{
    struct receive_import *import = container_of(call, struct receive_import, tx.insert.op.call);
    struct transaction *tx = &import->tx;
    struct receive_server *server = import->server;

    if (err_is(tx->insert.op.result)) {
        refuse_store(import, tx->insert.op.result);
        finish(import);
        return;
    }
    count(&server->counters.accepted);
    log_imported(tx);
    if (tx->message->group_count > 0)
        server->imported(tx->message, server->context);
    import->piece->is_stored = true;
    import->piece->id = tx->message->id;
    import->piece->recipients = tx->recipient_count;
    finish(import);
}

/* Later than anything that has been delivered was due: it may be one of these, come back. */
static void set_due(struct queue_message *message)
{
    uint64_t now = clock_steady_ms();

    for (unsigned i = 0; i < message->group_count; i++) {
        struct queue_group *group = &message->groups[i];
        bool is_early = group->state == QUEUE_GROUP_FUTURE && message->release > now;
        group->due = is_early ? message->release : now + 1;
    }
}

static void commit(struct receive_import *import)
{
    struct transaction *tx = &import->tx;

    data_summarize(tx);
    transaction_make_groups(tx);
    set_due(tx->message);
    tx->insert.message = tx->message;
    tx->insert.is_back = import->is_back;
    tx->insert.op.home = import->server->loop;
    tx->insert.op.call.done = on_inserted;
    tx->message->body_in_memory = true;
    if (tx->message->group_count > 0)
        queue_insert(import->server->queue, &tx->insert);
    else
        loop_defer(import->server->loop, &tx->insert.op.call); /* all are to be discarded */
}

/* ---- routes --------------------------------------------------------------------------------- */

static void route_next(struct receive_import *import);

/* What the routes do not say stays as it was. */
static void add_recipients(struct receive_import *import)
{
    struct transaction *tx = &import->tx;
    const struct eml_recipient *next = import->next;
    unsigned before = tx->recipient_count;

    transaction_add_recipients(tx, next->recipient.notify, next->recipient.original);
    for (unsigned i = before; i < tx->recipient_count; i++) {
        struct tx_recipient *added = &tx->recipients[i];
        added->was = next->group;
        if (next->group->state == QUEUE_GROUP_HELD && added->verdict == ROUTE_SEND)
            added->verdict = ROUTE_HOLD;
        if (added->reverse_path.len == 0 || next->group->has_sender)
            added->reverse_path = next->group->reverse_path;
    }
}

static void on_routed(struct call *call)
{
    struct receive_import *import = container_of(call, struct receive_import, tx.route.call);
    const struct route_answer *routed = &import->tx.route.answer;

    switch (routed->verdict) {
    case ROUTE_SEND:
    case ROUTE_HOLD:
    case ROUTE_DISCARD:
        add_recipients(import);
        import->next = import->next->next;
        route_next(import);
        return;
    case ROUTE_DEFER:
    case ROUTE_REJECT:
    case ROUTE_LATER:
        break;
    }
    say(import->piece, "<%.*s> has no route: %.*s", SPAN_ARG(import->next->recipient.address),
        SPAN_ARG(routed->status.text));
    finish(import);
}

static void route_next(struct receive_import *import)
{
    struct transaction *tx = &import->tx;
    const struct eml_recipient *next = import->next;

    if (next == NULL) {
        commit(import);
        return;
    }
    arena_fini(&tx->asking);
    tx->route = (struct route_query){
        .call.done = on_routed,
        .conf = tx->conf,
        .reverse_path =
            next->group->has_sender ? next->group->reverse_path : tx->message->reverse_path,
        .recipient = next->recipient.address,
        .domain = route_domain(&tx->asking, next->recipient.address),
        .tenant = tx->message->tenant,
        .arena = &tx->asking,
        .orcpt = next->recipient.original,
        .plugins = import->server->plugins,
        .tries = next->group->tries,
    };
    if (!route_wishes_parse(next->group->wishes, &tx->route.wishes)) {
        say(import->piece, "the wishes of <%.*s> are none", SPAN_ARG(next->recipient.address));
        finish(import);
        return;
    }
    if (plugin_worker_wants(tx->route.plugins, SMARTHOP_ON_ROUTE))
        tx->route.message = facts_message(tx, &tx->asking);
    list_init(&tx->route.call.link);
    route_recipient(import->server->loop, &tx->route);
}

/* ---- pieces --------------------------------------------------------------------------------- */

static void end(struct receive_import *import)
{
    struct transaction *tx = &import->tx;
    struct status status;

    header_scan_end(&tx->header);
    if (data_is_unfit(tx, &status)) {
        say(import->piece, "%.*s", SPAN_ARG(status.text));
        answer(import);
        return;
    }
    if (tx->keeps_head)
        buf_add(&tx->head, span_head(buf_span(&tx->message->body), (size_t)tx->header.bytes));
    import->next = import->envelope.recipients;
    import->server->detached++;
    route_next(import);
}

static void keep(struct transaction *tx, struct span run)
{
    struct buf *body = &tx->message->body;

    header_scan(&tx->header, run);
    tx->message->size += run.len;
    tx->too_large = tx->message->size > tx->conf->message_size_max;
    if (tx->too_large)
        buf_fini(body);
    else
        buf_add(body, run);
}

/* As of BDAT: nothing is stuffed. */
static void take_content(struct transaction *tx, struct span data)
{
    uint64_t header_before = tx->header.bytes;
    struct span run;

    if (tx->message->flags & QUEUE_BODY_BINARY) {
        keep(tx, data);
        line_checker_feed(&tx->dot.lines, span_head(data, tx->header.bytes - header_before));
        return;
    }
    while (line_checker_take(&tx->dot.lines, &data, &run))
        keep(tx, run);
}

/* An id says when its message came, and is never given twice. */
static bool takes_id(struct receive_import *import)
{
    struct queue_message *message = import->tx.message;
    uint64_t made = queue_id_time(message->id), fresh = queue_new_id(import->server->queue);

    import->is_back = message->id != 0;
    if (!import->is_back) {
        message->id = fresh;
        message->arrival = clock_steady_ms();
        return true;
    }
    uint64_t apart = made > message->arrival ? made - message->arrival : message->arrival - made;
    if (message->id >= fresh)
        say(import->piece, "its id is of a time to come: is the clock right?");
    else if (apart > DAY_MS)
        say(import->piece, "its arrival is not of the time of its id");
    return !import->piece->is_refused;
}

/* False where it is refused. */
static bool take_envelope(struct receive_import *import, struct span *data)
{
    struct receive_import_piece *piece = import->piece;

    switch (eml_read(&import->envelope, data)) {
    case PARSE_MORE:
        return true;
    case PARSE_BAD:
        piece->line = import->envelope.line;
        say(piece, "%s", import->envelope.fault);
        return false;
    case PARSE_DONE:
        break;
    }
    import->has_envelope = true;
    data_prepare(&import->tx);
    return takes_id(import);
}

static void take(struct receive_import *import)
{
    struct receive_import_piece *piece = import->piece;
    struct transaction *tx = &import->tx;
    struct span data = piece->data;

    if (!import->has_envelope && !take_envelope(import, &data)) {
        answer(import);
        return;
    }
    if (import->has_envelope)
        take_content(tx, data);
    if (!piece->is_last) {
        answer(import);
        return;
    }
    if (import->has_envelope) {
        keep(tx, line_checker_take_end(&tx->dot.lines));
        end(import);
        return;
    }
    piece->line = import->envelope.line + 1;
    say(piece, "it ends within the envelope");
    answer(import);
}

static struct receive_import *find(struct receive_server *server, uint64_t number)
{
    for (struct list *link = server->imports.next; link != &server->imports; link = link->next) {
        struct receive_import *import = container_of(link, struct receive_import, link);
        if (import->number == number && import->piece == NULL)
            return import;
    }
    return NULL;
}

void receive_server_import(struct receive_server *server, struct receive_import_piece *piece)
{
    struct receive_import *import = NULL;

    if (server->is_stopping)
        say(piece, "smarthopd is stopping");
    else if (piece->is_first && server->import_count == RECEIVE_IMPORTS_MAX)
        say(piece, "too many imports are under way");
    else if (piece->is_first)
        import = import_create(server, piece->import);
    else if ((import = find(server, piece->import)) == NULL)
        say(piece, "it took too long from one piece to the next");
    if (import == NULL) {
        loop_defer(server->loop, &piece->call);
        return;
    }
    timer_stop(server->loop, &import->idle);
    import->piece = piece;
    take(import);
}
