#include "receive/screen.h"

#include "base/log.h"
#include "receive/session.h"
#include "resolver/resolver.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REST_MS = 1, /* until what has come behind a TLS handshake is to be seen */
    REPLY_MAX = 600,
};

/* One look-up, or two: an address in a block list, and then why. */
struct screen_query {
    struct resolver_query query;
    struct screen *screen;
    const struct conf_block_list *list; /* NULL = the client's name */
    struct screen_listing *listing;     /* whose text is asked for */
};

/* It outlives its session, or its time, until the last look-up has completed. */
struct screen {
    struct session *session; /* NULL then: nothing that the session has may be used */
    struct receive_server *server;
    bool is_delay_over;
    unsigned pending;
    unsigned query_count;
    struct screen_query queries[];
};

static void greet(struct session *s)
{
    session_greet(s);
    session_run(s);
}

/* ---- facts -------------------------------------------------------------------------------- */

static void set_name(struct session *s, enum screen_name_state state, const char *name)
{
    free(s->facts.name);
    s->facts.name = name != NULL ? mem_strdup(name) : NULL;
    s->facts.name_state = state;
}

void screen_forget(struct session *s)
{
    free(s->facts.name);
    free(s->facts.listings);
    s->facts = (struct screen_facts){0};
}

void screen_take_name(struct session *s, const struct xclient_value *name)
{
    switch (name->state) {
    case XCLIENT_ABSENT:
        break;
    case XCLIENT_GIVEN:
        free(s->facts.name);
        s->facts.name = span_to_text(name->text);
        s->facts.name_state = SCREEN_NAME_TOLD;
        break;
    case XCLIENT_UNAVAILABLE:
        set_name(s, SCREEN_NAME_NONE, NULL);
        break;
    case XCLIENT_TEMPUNAVAIL:
        set_name(s, SCREEN_NAME_UNKNOWN, NULL);
        break;
    }
}

const char *screen_verified_name(const struct session *s)
{
    return s->facts.name_state == SCREEN_NAME_VERIFIED ? s->facts.name : NULL;
}

static void log_listings(const struct session *s)
{
    char answer[INET_ADDRSTRLEN];
    struct log_line line;

    for (unsigned i = 0; i < s->facts.listing_count; i++) {
        const struct screen_listing *listing = &s->facts.listings[i];
        if (!log_begin(&line, LOG_INFO, "listed"))
            return;
        log_u64(&line, "sid", s->id);
        log_text(&line, "client", s->client);
        log_text(&line, "zone", listing->zone);
        log_text(&line, "answer", inet_ntop(AF_INET, &listing->answer, answer, sizeof answer));
        log_text(&line, "text", listing->text);
        log_end(&line);
    }
}

/* ---- answers ------------------------------------------------------------------------------ */

static void take_name(struct session *s, const struct resolver_answer *answer)
{
    switch (answer->outcome) {
    case RESOLVER_OK:
        set_name(s, SCREEN_NAME_VERIFIED, answer->name);
        break;
    case RESOLVER_FORGED:
        set_name(s, SCREEN_NAME_FORGED, answer->name);
        break;
    case RESOLVER_TEMPFAIL:
        set_name(s, SCREEN_NAME_UNKNOWN, answer->name);
        break;
    case RESOLVER_NO_DOMAIN:
    case RESOLVER_NO_ADDRESS:
    case RESOLVER_NULL_MX:
    case RESOLVER_BAD_NAME:
    case RESOLVER_NO_DATA:
        set_name(s, SCREEN_NAME_NONE, NULL);
        break;
    }
}

/* A list that tells of an error (127.255.255.0/24: too many queries, an open resolver), or that is
 * gone and whose zone answers anything. Told once by each worker for each configuration. */
static void warn_of_list(struct session *s, const struct conf_block_list *list, const char *answer)
{
    struct receive_server *server = s->server;
    unsigned bit = 1u << (list - s->conf->block_lists);
    struct log_line line;

    if (s->conf != server->conf || (server->lists_warned & bit) != 0)
        return;
    server->lists_warned |= bit;
    if (!log_begin(&line, LOG_WARN, "list-error"))
        return;
    log_text(&line, "zone", list->zone);
    log_text(&line, "answer", answer);
    log_end(&line);
}

/* Whether an answer tells that the client is listed. */
static bool judge_answer(struct session *s, const struct conf_block_list *list,
                         struct in_addr answer)
{
    uint32_t number = ntohl(answer.s_addr);
    bool is_error = number >> 24 != 127 || number >> 8 == 0x7fffff;
    char text[INET_ADDRSTRLEN];

    if (is_error)
        warn_of_list(s, list, inet_ntop(AF_INET, &answer, text, sizeof text));
    return !is_error && conf_block_list_counts(list, answer);
}

/* True where the client is listed. */
static bool take_addresses(struct session *s, struct screen_query *q,
                           const struct resolver_answer *answer)
{
    for (unsigned i = 0; i < answer->target_count; i++) {
        struct in_addr address = answer->targets[i].address.in4.sin_addr;
        if (!judge_answer(s, q->list, address))
            continue;
        if (s->facts.listings == NULL)
            s->facts.listings = mem_zalloc(s->conf->block_list_count * sizeof *s->facts.listings);
        q->listing = &s->facts.listings[s->facts.listing_count++];
        q->listing->zone = q->list->zone;
        q->listing->answer = address;
        return true;
    }
    return false;
}

static void take_text(struct screen_listing *listing, struct span text)
{
    size_t len = text.len < SCREEN_TEXT_MAX ? text.len : SCREEN_TEXT_MAX;

    for (size_t i = 0; i < len; i++)
        listing->text[i] = text.ptr[i] >= ' ' && text.ptr[i] < 0x7f ? text.ptr[i] : '?';
}

/* True where more is to be asked. */
static bool take_answer(struct session *s, struct screen_query *q)
{
    const struct resolver_answer *answer = q->query.answer;

    if (q->listing == NULL && q->list != NULL)
        return take_addresses(s, q, answer);
    if (q->listing == NULL)
        take_name(s, answer);
    else if (answer->text_count > 0)
        take_text(q->listing, answer->texts[0]);
    return false;
}

/* ---- look-ups ----------------------------------------------------------------------------- */

/* Asks a list for the client. */
static void ask_list(struct session *s, struct screen_query *q,
                     void (*ask)(struct resolver *, struct resolver_query *, struct span))
{
    char name[RESOLVER_NAME_SIZE] = "";

    /* It fits: the configuration bounds zones. */
    resolver_reverse(session_peer(s), span_cstr(q->list->zone), name);
    ask(s->server->resolver, &q->query, span_cstr(name));
}

static void let_go(struct session *s)
{
    struct screen *x = s->screen;

    if (x == NULL)
        return;
    s->screen = NULL;
    x->session = NULL;
    x->server->detached++;
    for (unsigned i = 0; i < x->query_count; i++)
        resolver_cancel(x->server->resolver, &x->queries[i].query);
}

static void finish(struct screen *x)
{
    struct session *s = x->session;
    bool is_delay_over = x->is_delay_over;

    if (s == NULL) {
        x->server->detached--;
        server_check_stopped(x->server);
        free(x);
        return;
    }
    s->screen = NULL;
    free(x);
    log_listings(s);
    if (is_delay_over)
        greet(s);
}

static void on_answer(struct call *call)
{
    struct resolver_query *query = container_of(call, struct resolver_query, call);
    struct screen_query *q = container_of(query, struct screen_query, query);
    struct screen *x = q->screen;

    bool asks_on = x->session != NULL && take_answer(x->session, q);
    resolver_answer_unref(query->answer);
    if (asks_on)
        ask_list(x->session, q, resolver_text);
    else if (--x->pending == 0)
        finish(x);
}

static struct screen_query *add_query(struct screen *x)
{
    struct screen_query *q = &x->queries[x->query_count++];

    q->screen = x;
    q->query.call.done = on_answer;
    x->pending++;
    return q;
}

static bool is_looked_up_in_lists(const struct session *s)
{
    return !s->may_relay &&
           !conf_networks_contain(&s->conf->limit_exempt_networks, session_peer(s));
}

static void look_up(struct session *s)
{
    sa_family_t family = session_peer(s)->sa_family;
    unsigned lists = is_looked_up_in_lists(s) ? s->conf->block_list_count : 0;
    bool name = s->conf->client_names;

    if (s->server->resolver == NULL || (family != AF_INET && family != AF_INET6) ||
        (lists == 0 && !name))
        return;
    struct screen *x = mem_zalloc(sizeof *x + (lists + 1) * sizeof x->queries[0]);
    x->session = s;
    x->server = s->server;
    x->is_delay_over = s->conf->greeting_delay == 0;
    s->screen = x;
    if (name) {
        s->facts.name_state = SCREEN_NAME_UNKNOWN;
        resolver_name(s->server->resolver, &add_query(x)->query, session_peer(s));
    }
    for (unsigned i = 0; i < lists; i++) {
        struct screen_query *q = add_query(x);
        q->list = &s->conf->block_lists[i];
        ask_list(s, q, resolver_ipv4);
    }
}

/* ---- the wait for the greeting ------------------------------------------------------------ */

void screen_begin(struct session *s)
{
    const struct conf *conf = s->conf;
    bool talks = conn_input(s->conn).len > 0 || conn_tls_has_more(s->conn);

    if (s->listener.role != CONF_ROLE_RELAY) {
        session_greet(s);
        return;
    }
    look_up(s);
    if (conf->greeting_delay == 0 && s->screen == NULL && !(talks && conf->refuse_early_talkers)) {
        session_greet(s);
        return;
    }
    session_enter(s, SESSION_SCREEN); /* its deadline is the delay */
    if (conf->greeting_delay == 0)
        conn_deadline(s->conn, s->screen != NULL ? conf->client_lookup_timeout : REST_MS);
}

void screen_on_deadline(struct session *s)
{
    const struct conf *conf = s->conf;
    struct screen *x = s->screen;

    if (x != NULL && !x->is_delay_over && conf->client_lookup_timeout > conf->greeting_delay) {
        x->is_delay_over = true;
        conn_deadline(s->conn, conf->client_lookup_timeout - conf->greeting_delay);
        return;
    }
    if (x != NULL) {
        let_go(s);
        log_listings(s);
    }
    greet(s);
}

void screen_abandon(struct session *s)
{
    let_go(s);
    screen_forget(s);
}

/* ---- clients that do not wait ------------------------------------------------------------- */

void screen_refuse_early(struct session *s, const char *text, const char *why)
{
    count(&s->server->counters.rejected);
    session_reply(s, 521, ESC(5, 5, 0), text);
    session_end(s, why);
}

bool screen_take(struct session *s)
{
    if (s->conf->refuse_early_talkers)
        screen_refuse_early(s, "You talk before the greeting", "talked before the greeting");
    return false;
}

/* Programs of this machine, by any of its sockets, are no spammers in a hurry. */
static bool is_local(const struct session *s)
{
    return s->listener.role == CONF_ROLE_LOCAL || session_peer(s)->sa_family == AF_UNIX;
}

bool screen_is_premature(const struct session *s, const struct smtp_command *command, size_t behind)
{
    /* What is behind a QUIT is ignored, and a broken line is answered as such. */
    return behind > 0 && s->state == SESSION_COMMAND && !s->esmtp &&
           s->conf->refuse_early_talkers && !is_local(s) && command->verb != SMTP_VERB_QUIT &&
           command->error == SMTP_COMMAND_OK;
}

/* ---- clients that are listed -------------------------------------------------------------- */

bool screen_refuses(struct session *s, const struct address *recipient)
{
    char text[REPLY_MAX];

    if (s->facts.listing_count == 0 || s->conf->block_list_action != CONF_LIST_REFUSE ||
        s->may_relay || recipient_is_postmaster(recipient))
        return false;
    const struct screen_listing *first = &s->facts.listings[0];
    snprintf(text, sizeof text, "%s is listed by %s%s%s", s->client, first->zone,
             first->text[0] != '\0' ? ": " : "", first->text);
    struct status why = STATUS(554, 5, 7, 1, "");
    why.text = span_cstr(text);
    session_log_refused(s, s->tx->message->reverse_path, recipient->text, &why);
    count(&s->server->counters.rejected);
    session_refuse_span(s, why.code, why.enhanced, why.text);
    return true;
}
