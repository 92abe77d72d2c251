/*
 * Greylisting: whom a stranger's first mail is put off for. A sender of spam seldom comes again; a
 * mail server does. Clients change their address within a network, so the network is what counts.
 */
#include "receive/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "guard/guard.h"

#include <stdio.h>

enum { IPV4_NETWORK = 24, IPV6_NETWORK = 64 };

static bool is_exempt(const struct session *s)
{
    const struct conf_networks *named = &s->conf->greylist_exempt_networks;

    return s->server->guard == NULL || s->listener.role != CONF_ROLE_RELAY || s->user != NULL ||
           (named->count > 0 ? conf_networks_contain(named, session_peer(s)) : s->may_relay);
}

/* "network sender recipient", of which the domain or the case of a letter may be written anyhow. */
static struct span make_triplet(const struct session *s, struct span network,
                                const struct address *recipient)
{
    struct span sender = s->tx->message->reverse_path;
    struct span text = arena_printf(&s->tx->message->arena, "%.*s <%.*s> <%.*s>", SPAN_ARG(network),
                                    SPAN_ARG(sender), SPAN_ARG(recipient->text));
    char *bytes = (char *)(uintptr_t)text.ptr;

    for (size_t i = 0; i < text.len; i++)
        bytes[i] = ascii_lower(bytes[i]);
    return text;
}

static void log_verdict(const struct session *s, const char *event, const struct address *recipient)
{
    struct log_line line;

    if (!log_begin(&line, LOG_INFO, event))
        return;
    log_u64(&line, "sid", s->id);
    log_text(&line, "client", s->client);
    log_span(&line, "from", s->tx->message->reverse_path);
    log_span(&line, "to", recipient->text);
    log_end(&line);
}

static void put_off(struct session *s, uint64_t wait_ms)
{
    uint64_t wait_s = (wait_ms + 999) / 1000;
    char text[96];

    snprintf(text, sizeof text, "You are not known here yet; try again in %llu second%s",
             (unsigned long long)wait_s, wait_s == 1 ? "" : "s");
    session_reply(s, 451, ESC(4, 7, 1), text);
}

bool greylist_defers(struct session *s, const struct address *recipient)
{
    const struct conf *conf = s->conf;
    char text[IP_NETWORK_TEXT_MAX];
    struct span network = SPAN("unknown");
    struct ip_address ip;
    struct ip_network range;
    uint64_t wait;

    if (!conf->greylist || is_exempt(s))
        return false;
    if (ip_from_sockaddr(session_peer(s), &ip)) {
        ip_network_of(&ip, ip.family == AF_INET ? IPV4_NETWORK : IPV6_NETWORK, &range);
        network = span_of(text, ip_network_format(&range, text));
    }
    const struct guard_greylist policy = {
        .delay_ms = conf->greylist_delay,
        .window_ms = conf->greylist_window,
        .lifetime_ms = conf->greylist_lifetime,
        .known_after = conf->greylist_known_after,
    };
    struct span triplet = make_triplet(s, network, recipient);
    enum guard_verdict verdict =
        guard_greylist(s->server->guard, &policy, network, triplet, clock_steady_ms(), &wait);
    if (verdict == GUARD_DEFER_FIRST)
        log_verdict(s, "greylisted", recipient);
    if (verdict == GUARD_PASS_FIRST)
        log_verdict(s, "greylist-passed", recipient);
    if (verdict == GUARD_PASS || verdict == GUARD_PASS_FIRST)
        return false;
    put_off(s, wait);
    return true;
}
