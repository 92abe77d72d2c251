/* What plugins are told of a session and of the message that is arriving in it. */
#include "receive/session.h"

static struct smarthop_span text_of(const char *text)
{
    return text != NULL ? smarthop_span_of(text, strlen(text)) : smarthop_span_of(NULL, 0);
}

static uint32_t flags_of(const struct session *s)
{
    uint32_t flags = 0;

    flags |= s->secured ? SMARTHOP_SESSION_TLS : 0;
    flags |= s->user != NULL ? SMARTHOP_SESSION_LOGGED_IN : 0;
    flags |= s->may_relay ? SMARTHOP_SESSION_MAY_RELAY : 0;
    flags |= session_is_lmtp(s) ? SMARTHOP_SESSION_LMTP : 0;
    flags |= session_peer(s)->sa_family == AF_UNIX ? SMARTHOP_SESSION_LOCAL : 0;
    flags |= s->is_proxied ? SMARTHOP_SESSION_PROXIED : 0;
    return flags;
}

/* "[192.0.2.1]" and "[IPv6:2001:db8::1]" without what makes literals of them. */
static struct smarthop_span address_of(const struct session *s, struct arena *arena)
{
    struct ip_address ip;
    char *text = arena_alloc(arena, IP_TEXT_MAX);

    if (!ip_parse_literal(span_cstr(s->client), &ip))
        return smarthop_span_of(NULL, 0);
    return smarthop_span_of(text, ip_format(&ip, text));
}

/* Copies, since the session may be gone while a plugin is still thinking. */
const struct smarthop_session *facts_session(const struct session *s, struct arena *arena)
{
    struct smarthop_session *facts = arena_alloc(arena, sizeof *facts);

    *facts = (struct smarthop_session){
        .size = sizeof *facts,
        .flags = flags_of(s),
        .id = s->id,
        .address = address_of(s, arena),
        .name = plugin_text(arena_dup(arena, span_cstr(screen_verified_name(s)))),
        .helo = plugin_text(arena_dup(arena, span_cstr(s->hello != NULL ? s->hello : ""))),
        .user = plugin_text(arena_dup(arena, span_cstr(s->user != NULL ? s->user : ""))),
        .mechanism = text_of(s->mechanism),
        .listener = plugin_text(
            arena_dup(arena, span_cstr(s->listener.name != NULL ? s->listener.name : ""))),
        .port = sockaddr_port(session_peer(s)),
    };
    return facts;
}

const struct smarthop_message *facts_message(const struct transaction *tx, struct arena *arena)
{
    struct smarthop_message *facts = route_message_facts(tx->message, arena);

    facts->header = plugin_text(buf_span(&tx->head));
    facts->recipients = tx->recipient_count;
    if (facts->bytes == 0)
        facts->bytes = tx->declared_size;
    return facts;
}

void facts_add(const struct session *s, struct route_query *query)
{
    struct transaction *tx = s->tx;

    query->plugins = s->server->plugins;
    if (!plugin_worker_wants(query->plugins, SMARTHOP_ON_ROUTE))
        return;
    if (tx->client == NULL) /* what is told of it stays as it is from MAIL on */
        tx->client = facts_session(s, &tx->facts);
    query->session = tx->client;
    query->message = facts_message(tx, query->arena);
}
