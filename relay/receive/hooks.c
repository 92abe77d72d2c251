/* Plugins that are asked about a session and what is sent in it. The session waits meanwhile; when
 * it ends first the asking is cancelled, and outlives it until that has been told. */
#include "receive/edits.h"
#include "receive/session.h"

#include "base/log.h"
#include "proto/base32.h"

#include <stdlib.h>

struct hook {
    struct session *session; /* NULL when nobody waits any more */
    struct receive_server *server;
    enum session_state back;
    hook_then *then;
    struct arena arena;
    struct smarthop_recipient recipient;
    struct plugin_run run;
};

/* ---- answers ------------------------------------------------------------------------------ */

static struct status usual(enum smarthop_hook hook, bool is_final)
{
    switch (hook) {
    case SMARTHOP_ON_CONNECT:
        return is_final ? STATUS(554, 5, 7, 1, "Not welcome here")
                        : STATUS(421, 4, 3, 2, "Not now, try again later");
    case SMARTHOP_ON_AUTH:
        return is_final ? STATUS(535, 5, 7, 8, "This log-in is not permitted")
                        : STATUS(454, 4, 7, 0, "No log-in for now, try again later");
    default:
        return is_final ? STATUS(550, 5, 7, 1, "Refused by local policy")
                        : STATUS(451, 4, 7, 1, "Deferred by local policy, try again later");
    }
}

/* What it says of the client into `out`, where that is to be refused. Codes that mean something
 * else where they are said (RFC 5321 3.1, RFC 4954 6) are not for plugins to choose. */
static void judge(const struct plugin_run *run, struct status *out)
{
    const struct smarthop_verdict *verdict = &run->verdict;
    bool is_final = verdict->action == SMARTHOP_REJECT;
    struct status own = usual(run->hook, is_final);

    if (is_final || verdict->action == SMARTHOP_DEFER)
        *out = route_verdict_status(verdict, own);
    if (out->code != 0 && (run->hook == SMARTHOP_ON_CONNECT || run->hook == SMARTHOP_ON_AUTH))
        out->code = own.code;
}

void hooks_refuse(struct session *s, const struct status *refusal)
{
    if (refusal->code >= 500) {
        count(&s->server->counters.rejected);
        session_refuse_span(s, refusal->code, refusal->enhanced, refusal->text);
        return;
    }
    session_reply_span(s, refusal->code, refusal->enhanced, refusal->text);
    if (refusal->code == 421)
        session_end(s, "refused by a plugin");
}

/* What was decided, and by whom. */
static void log_decision(const struct session *s, const struct plugin_run *run)
{
    char id[ID_TEXT_SIZE];
    struct log_line line;

    if (run->verdict.action == SMARTHOP_PASS || !log_begin(&line, LOG_INFO, "plugin-decided"))
        return;
    log_u64(&line, "sid", s->id);
    if (s->tx != NULL)
        log_text(&line, "id", id_format(s->tx->message->id, id));
    log_text(&line, "plugin", run->by);
    log_text(&line, "hook", plugin_hook_name(run->hook));
    log_text(&line, "action", plugin_action_name(run->verdict.action));
    log_span(&line, "why", span_of(run->verdict.why.ptr, run->verdict.why.len));
    log_end(&line);
}

/* What is to become of the message. */
static void keep_fate(struct transaction *tx, const struct plugin_run *run)
{
    const struct smarthop_verdict *verdict = &run->verdict;
    struct status held = STATUS(450, 4, 7, 1, "Held by local policy");

    if (run->hook == SMARTHOP_ON_HEADERS && verdict->edit_count > 0 && tx->keeps_head) {
        edits_apply(&tx->head, verdict->edits, verdict->edit_count);
        tx->head_edited = true;
    }
    tx->is_discarded = verdict->action == SMARTHOP_DISCARD;
    if (verdict->action != SMARTHOP_HOLD)
        return;
    held = route_verdict_status(verdict, held);
    tx->held = status_dup(&tx->message->arena, &held);
}

static void keep_tags(struct session *s, struct arena *arena,
                      const struct smarthop_verdict *verdict)
{
    struct span had = s->tags != NULL ? span_cstr(s->tags) : SPAN_NONE;

    if (verdict->tag_count == 0)
        return;
    if (s->tx != NULL) {
        struct queue_message *message = s->tx->message;
        message->tags = route_add_tags(&message->arena, message->tags, verdict);
        return;
    }
    char *all = span_to_text(route_add_tags(arena, had, verdict));
    free(s->tags);
    s->tags = all;
}

/* What holds for the message, or, while there is none, for all that will come. */
static void keep(struct session *s, const struct plugin_run *run, struct status *refusal)
{
    if (s->tx != NULL)
        keep_fate(s->tx, run);
    keep_tags(s, run->arena, &run->verdict);
    wishes_keep(s, run, refusal);
}

/* ---- asking ------------------------------------------------------------------------------- */

static void hook_free(struct hook *h)
{
    arena_fini(&h->arena);
    free(h);
}

static void on_asked(struct call *call)
{
    struct plugin_run *run = container_of(call, struct plugin_run, call);
    struct hook *h = container_of(run, struct hook, run);
    struct session *s = h->session;
    struct status refusal = {0};

    if (s == NULL) {
        h->server->detached--;
        server_check_stopped(h->server);
        hook_free(h);
        return;
    }
    s->hook = NULL;
    keep(s, run, &refusal);
    judge(run, &refusal);
    log_decision(s, run);
    session_enter(s, h->back);
    h->then(s, refusal.code != 0 ? &refusal : NULL);
    hook_free(h);
    session_run(s);
}

static void ask(struct session *s, struct hook *h, enum smarthop_hook hook, hook_then *then)
{
    h->session = s;
    h->server = s->server;
    h->back = s->state;
    h->then = then;
    list_init(&h->run.call.link);
    h->run.call.done = on_asked;
    h->run.hook = hook;
    h->run.arena = &h->arena;
    h->run.event.session = facts_session(s, &h->arena);
    if (s->tx != NULL)
        h->run.event.message = facts_message(s->tx, &h->arena);
    if (hook == SMARTHOP_ON_MESSAGE && s->tx->content != NULL)
        h->run.content = content_lend(s->tx->content);
    s->hook = h;
    session_enter(s, SESSION_HOOK);
    plugin_ask(s->server->plugins, &h->run);
}

static struct hook *hook_create(void)
{
    struct hook *h = mem_zalloc(sizeof *h);

    arena_init(&h->arena);
    return h;
}

void hooks_ask(struct session *s, enum smarthop_hook hook, hook_then *then)
{
    if (plugin_worker_wants(s->server->plugins, hook))
        ask(s, hook_create(), hook, then);
    else
        then(s, NULL);
}

void hooks_ask_recipient(struct session *s, hook_then *then)
{
    const struct route_query *query = &s->tx->route;

    if (!plugin_worker_wants(s->server->plugins, SMARTHOP_ON_RCPT)) {
        then(s, NULL);
        return;
    }
    struct hook *h = hook_create();
    h->recipient = route_recipient_facts(&h->arena, query->recipient, query->domain, query->orcpt);
    h->run.event.recipient = &h->recipient;
    ask(s, h, SMARTHOP_ON_RCPT, then);
}

void hooks_abandon(struct session *s)
{
    struct hook *h = s->hook;

    if (h == NULL)
        return;
    s->hook = NULL;
    h->session = NULL;
    h->server->detached++;
    plugin_cancel(&h->run);
}

bool hooks_are_awaited(const struct session *s)
{
    return s->hook != NULL ? plugin_is_awaited(&s->hook->run)
                           : s->state == SESSION_ROUTE && route_is_awaited(&s->tx->route);
}
