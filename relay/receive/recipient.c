/* Who may send to whom: the rights of a client, Postmaster, and the recipients that there are. */
#include "receive/session.h"

#include "recipients/recipients.h"

/* ---- rights ------------------------------------------------------------------------------- */

void session_find_rights(struct session *s)
{
    const char *name = s->listener.name;
    const struct conf_listener *listener = name ? conf_listener_find(s->conf, name) : NULL;

    if (name != NULL && listener == NULL)
        return; /* a reload has taken it away: nobody knows whom it was for */
    s->relay_networks = conf_relay_networks(s->conf, listener);
    s->relay_domains = conf_relay_domains(s->conf, listener);
}

void session_judge_peer(struct session *s)
{
    const struct sockaddr *peer = session_peer(s);

    /* Who may open one of our own sockets is for its mode to say. */
    s->may_relay = peer->sa_family == AF_UNIX ||
                   (s->listener.role != CONF_ROLE_SUBMISSION && s->relay_networks != NULL &&
                    conf_networks_contain(s->relay_networks, peer));
}

/* ---- Postmaster --------------------------------------------------------------------------- */

/* Whether it is local part `postmaster`, however that is written. */
static bool is_postmaster(const struct address *path, struct arena *scratch)
{
    return span_equal_nocase(address_canonical_local(path, scratch), SPAN("postmaster"));
}

bool recipient_is_postmaster(const struct address *path)
{
    struct arena scratch;

    arena_init(&scratch);
    bool is = path->kind == ADDRESS_POSTMASTER || is_postmaster(path, &scratch);
    arena_fini(&scratch);
    return is;
}

/* RFC 5321 4.5.1: mail for our own Postmaster goes where the configuration says. */
static bool take_postmaster(const struct session *s, struct address *path)
{
    if (!recipient_is_postmaster(path) ||
        (path->kind != ADDRESS_POSTMASTER &&
         !domain_equal(path->domain, span_cstr(s->conf->hostname))))
        return false;
    struct span text = span_cstr(s->conf->postmaster_address);
    size_t at = span_rindex(text, '@');
    *path = (struct address){.kind = ADDRESS_MAILBOX,
                             .text = text,
                             .local = span_head(text, at),
                             .domain = span_from(text, at + 1)};
    return true;
}

/* ---- recipients --------------------------------------------------------------------------- */

/* What other servers may take for a way to somewhere else: user%other, other!user, "user@other".
 * For a stranger that would be a way through us and the next hop, which trusts us. */
static bool names_another_host(struct span local)
{
    for (size_t i = 0; i < local.len; i++) {
        if (local.ptr[i] != '\0' && strchr("%!@", local.ptr[i]) != NULL)
            return true;
    }
    return false;
}

/* Whether there is such a user, as far as that is known. `is_ours`: all that is not in the file is
 * unknown. */
static bool is_there(const struct session *s, const struct address *path, struct span domain,
                     bool is_ours, struct arena *scratch)
{
    struct follow *source = s->server->recipients;
    struct recipients *recipients = source != NULL ? follow_get(source) : NULL;

    if (recipients == NULL)
        return true;
    enum recipients_answer answer =
        recipients_find(recipients, path, domain, s->conf->recipient_delimiter, scratch);
    recipients_unref(recipients);
    return answer == RECIPIENTS_KNOWN || (answer == RECIPIENTS_FOREIGN && !is_ours);
}

/* False: `why` is set. */
static bool judge(const struct session *s, const struct address *path, struct arena *scratch,
                  struct status *why)
{
    struct span local = address_canonical_local(path, scratch), domain = path->domain;

    if (!path->literal)
        domain_to_ascii(path->domain, scratch, &domain);
    bool is_open = s->relay_domains != NULL && conf_domains_contain(s->relay_domains, domain);
    if (!s->may_relay && s->relay_domains == NULL)
        *why = STATUS(451, 4, 3, 5, "This listener is no longer configured, try again later");
    else if (!s->may_relay && !is_open)
        *why = STATUS(550, 5, 7, 1, "Relaying is not permitted for your address");
    else if (!s->may_relay && names_another_host(local))
        *why = STATUS(550, 5, 7, 1, "Relaying by way of this address is not permitted");
    else if (!is_postmaster(path, scratch) &&
             !is_there(s, path, domain,
                       is_open || conf_domains_contain(&s->conf->relay_domains, domain), scratch))
        *why = STATUS(550, 5, 1, 1, "No such user here");
    else
        return true;
    return false;
}

void recipient_refuse(struct session *s, struct span to, struct status why)
{
    session_log_refused(s, s->tx->message->reverse_path, to, &why);
    if (why.code < 500) {
        session_reply_span(s, why.code, why.enhanced, why.text);
        return;
    }
    count(&s->server->counters.rejected);
    s->recipients_refused++;
    session_refuse_span(s, why.code, why.enhanced, why.text);
}

bool recipient_admit(struct session *s, struct address *path)
{
    struct arena scratch;
    struct status why;

    if (take_postmaster(s, path) || (s->may_relay && s->conf->recipients_file == NULL))
        return true;
    arena_init(&scratch);
    bool admitted = judge(s, path, &scratch, &why);
    arena_fini(&scratch);
    if (!admitted)
        recipient_refuse(s, path->text, why);
    return admitted;
}
