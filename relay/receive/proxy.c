/*
 * Whose connection it really is: the PROXY header of a load balancer (before the greeting), and
 * XCLIENT of a trusted proxy. Both are believed only from networks that the configuration names.
 */
#include "receive/session.h"

#include "auth/prepare.h"
#include "base/log.h"
#include "proto/proxy.h"
#include "proto/xclient.h"

#include <stdio.h>
#include <stdlib.h>

/* The counts and rights go from the proxy to the client behind it: a client of which nothing is
 * known (`ip` is NULL) has none. False: it has too many sessions. */
static bool take_peer(struct session *s, const struct ip_address *ip, uint16_t port)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};

    receive_limits_leave(s->server->limits, &s->seat);
    if (ip != NULL)
        ip_to_sockaddr(ip, port, &address);
    session_set_peer(s, (struct sockaddr *)&address);
    return receive_limits_enter(s->server->limits, s->conf, session_peer(s), &s->seat) == LIMIT_OK;
}

static void log_bad_proxy(const struct session *s, const char *text)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "proxy-refused"))
        return;
    log_u64(&line, "sid", s->id);
    log_text(&line, "client", s->client);
    log_text(&line, "text", text);
    log_end(&line);
}

bool proxy_is_trusted(const struct session *s)
{
    if (conf_networks_contain(&s->conf->proxy_networks, conn_peer(s->conn)))
        return true;
    log_bad_proxy(s, "the client is not in proxy_networks");
    return false;
}

bool proxy_take(struct session *s)
{
    struct proxy_header header;
    enum proxy_error error;
    size_t consumed = 0;
    enum parse_result result = proxy_parse(conn_input(s->conn), &consumed, &header, &error);

    if (result == PARSE_MORE)
        return false;
    if (result == PARSE_BAD) {
        log_bad_proxy(s, proxy_error_text(error));
        session_cut(s, "bad PROXY header");
        return false;
    }
    conn_consume(s->conn, consumed);
    const struct ip_address *source = header.kind == PROXY_TCP ? &header.source : NULL;
    if (header.kind != PROXY_LOCAL && !take_peer(s, source, header.source_port)) {
        session_reply(s, 421, ESC(4, 7, 0), "Too many sessions from your address");
        session_end(s, "too many sessions");
        return false;
    }
    session_begin(s);
    return true;
}

/* ---- XCLIENT ------------------------------------------------------------------------------ */

bool xclient_is_trusted(const struct session *s)
{
    return s->may_xclient;
}

void xclient_list_attributes(struct buf *out)
{
    buf_add(out, SPAN("\nXCLIENT"));
    for (unsigned i = 0; i < XCLIENT_ATTRIBUTE_COUNT; i++)
        buf_addf(out, " %s", xclient_attribute_name(i));
}

/* A log-in that came before was the proxy's own or another client's. */
static void take_login(struct session *s, const struct xclient_value *login)
{
    free(s->user);
    s->user = NULL;
    s->mechanism = NULL;
    if (login->state != XCLIENT_GIVEN)
        return;
    s->user = span_to_text(login->text);
    auth_name_prepare(login->text, s->user); /* as the users file has it, if it can have it */
    s->may_relay = true;
    rates_log_in(s);
}

static bool take_address(struct session *s, const struct xclient *x)
{
    switch (x->values[XCLIENT_ADDR].state) {
    case XCLIENT_ABSENT:
        session_judge_peer(s); /* a log-in before may have given it more */
        return true;
    case XCLIENT_GIVEN:
        return take_peer(s, &x->address, x->port);
    case XCLIENT_UNAVAILABLE:
    case XCLIENT_TEMPUNAVAIL:
        break;
    }
    return take_peer(s, NULL, 0);
}

/* What the session has learnt of its client so far is forgotten; it goes on from the greeting. */
void xclient_execute(struct session *s, struct span args)
{
    struct xclient x;
    struct arena arena;

    if (!xclient_is_trusted(s)) {
        session_refuse(s, 550, ESC(5, 7, 1), "XCLIENT is not for you");
        return;
    }
    if (s->tx != NULL) {
        session_refuse(s, 503, ESC(5, 5, 1), "A transaction is under way");
        return;
    }
    arena_init(&arena);
    enum xclient_error error = xclient_parse(args, &arena, &x);
    if (error != XCLIENT_OK) {
        session_refuse(s, 501, ESC(5, 5, 4), xclient_error_text(error));
        arena_fini(&arena);
        return;
    }
    bool is_another = x.values[XCLIENT_ADDR].state != XCLIENT_ABSENT;
    if (is_another)
        screen_forget(s);
    screen_take_name(s, &x.values[XCLIENT_NAME]);
    s->is_proxied = true;
    certificate_forget(s);
    bool fits = take_address(s, &x);
    take_login(s, &x.values[XCLIENT_LOGIN]);
    arena_fini(&arena);
    free(s->hello);
    s->hello = NULL;
    s->esmtp = false;
    if (fits && s->is_tapped)
        tapped_begin(s);
    if (!fits) {
        session_reply(s, 421, ESC(4, 7, 0), "Too many sessions from this address");
        session_end(s, "too many sessions");
    } else if (!is_another || rates_admit(s)) {
        session_greet(s);
    }
}
