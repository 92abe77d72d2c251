/*
 * What a client's certificate gives it: the right to relay, and the name by which it may log in
 * (EXTERNAL). Only what the listener's configuration lets count is kept of a certificate.
 */
#include "receive/session.h"

#include "auth/prepare.h"
#include "base/log.h"

/* The configuration of the session's listener; NULL where the newest one does not have it any
 * more, or where it is not one of a port. */
static const struct conf_listener *policy_of(const struct session *s)
{
    return s->listener.name != NULL ? conf_listener_find(s->conf, s->listener.name) : NULL;
}

static void log_refused(const struct session *s, const struct tls_peer *peer)
{
    struct log_line line;

    if (!log_begin(&line, LOG_INFO, "certificate-refused"))
        return;
    log_u64(&line, "sid", s->id);
    log_text(&line, "client", s->client);
    certificate_log(peer, &line);
    log_text(&line, "reason", peer->problem);
    log_end(&line);
}

void certificate_log(const struct tls_peer *peer, struct log_line *line)
{
    char text[FINGERPRINT_TEXT_SIZE];

    log_text(line, "certificate", fingerprint_format(&peer->fingerprint, text));
    log_text(line, "certificate_name", peer->name);
    log_text(line, "certificate_verified", peer->verified ? "yes" : "no");
}

const struct tls_clients *certificate_clients(const struct session *s)
{
    if (s->tls == NULL || s->listener.client_certificates == CONF_CERTIFICATES_NO)
        return NULL;
    return tls_server_clients(s->tls, s->listener.name);
}

static bool may_relay(const struct tls_peer *peer, const struct conf_listener *policy)
{
    for (unsigned i = 0; i < policy->relay_certificate_count; i++) {
        const struct conf_identity *identity = &policy->relay_certificates[i];
        switch (identity->kind) {
        case CONF_IDENTITY_FINGERPRINT:
            if (fingerprint_compare(&identity->fingerprint, &peer->fingerprint) == 0)
                return true;
            break;
        case CONF_IDENTITY_HOST:
            if (peer->verified && tls_peer_has_host(peer, span_cstr(identity->host)))
                return true;
            break;
        case CONF_IDENTITY_VERIFIED:
            if (peer->verified)
                return true;
            break;
        }
    }
    return false;
}

void certificate_take(struct session *s)
{
    const struct conf_listener *policy = policy_of(s);

    if (policy == NULL || s->listener.client_certificates == CONF_CERTIFICATES_NO)
        return;
    struct tls_peer *peer = conn_tls_peer(s->conn);
    if (peer == NULL)
        return;
    s->has_certificate = policy->client_ca == NULL || peer->verified;
    if (!s->has_certificate)
        log_refused(s, peer);
    if (!s->has_certificate || s->is_proxied) {
        tls_peer_free(peer);
        return;
    }
    s->certificate = peer;
    if (s->listener.role != CONF_ROLE_SUBMISSION && may_relay(peer, policy))
        s->may_relay = true;
}

void certificate_forget(struct session *s)
{
    tls_peer_free(s->certificate);
    s->certificate = NULL;
}

bool certificate_is_missing(const struct session *s)
{
    return s->listener.client_certificates == CONF_CERTIFICATES_REQUIRE && !s->has_certificate;
}

bool certificate_lets_in(struct session *s)
{
    if (!certificate_is_missing(s))
        return true;
    session_refuse(s, 530, ESC(5, 7, 10),
                   s->secured ? "A client certificate that is known here is required"
                              : "STARTTLS first, with a client certificate");
    return false;
}

struct span certificate_user(const struct session *s, const struct users *users)
{
    const struct tls_peer *peer = s->certificate;
    char name[AUTH_NAME_MAX];

    if (peer == NULL)
        return SPAN_NONE;
    const struct users_entry *entry = users_find_certificate(users, &peer->fingerprint);
    for (unsigned i = 0; peer->verified && entry == NULL && i < peer->mailbox_count; i++)
        if (auth_name_prepare(peer->mailboxes[i], name))
            entry = users_find(users, span_of(name, peer->mailboxes[i].len));
    return entry != NULL ? entry->name : SPAN_NONE;
}
