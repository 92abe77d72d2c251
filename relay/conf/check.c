#include "conf/load.h"

#include "base/memory.h"
#include "conf/address.h"
#include "conf/origin.h"
#include "conf/pattern.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <unistd.h>

enum { PLAIN_NAME_MAX = 64, LOCAL_MAX = 64, SMTP_PORT = 25, SMTPS_PORT = 465 };

static unsigned line_of(const struct conf_loading *loading, const char *name)
{
    const struct conf_key *key = conf_key_find(&conf_globals, span_cstr(name));

    return loading->key_lines[key - conf_globals.keys];
}

static unsigned place_of(const struct conf_loading *loading, unsigned type, unsigned i)
{
    return loading->places.items[type][i].line;
}

/* For a rule between two globals: the line of whichever the file gives, the first one rather. */
static unsigned line_of_either(const struct conf_loading *loading, const char *a, const char *b)
{
    unsigned line = line_of(loading, a);

    return line != 0 ? line : line_of(loading, b);
}

/* Bytes of a local part that needs no quotes (RFC 5321 4.1.2), but for letters, digits and dots. */
static const char local_marks[] = "!#$%&'*+-/=?^_`{|}~";

static bool is_mark(char c)
{
    return c != '\0' && strchr(local_marks, c) != NULL;
}

static bool is_mailbox(struct span text)
{
    size_t at = span_rindex(text, '@');
    struct span rest = span_head(text, at);

    if (at == text.len || at == 0 || at > LOCAL_MAX || text.ptr[at - 1] == '.' ||
        !conf_is_domain(span_from(text, at + 1)))
        return false;
    while (rest.len > 0) {
        struct span word = span_split(rest, '.', &rest);
        if (word.len == 0)
            return false;
        for (size_t i = 0; i < word.len; i++) {
            if (!ascii_is_alnum(word.ptr[i]) && !is_mark(word.ptr[i]))
                return false;
        }
    }
    return true;
}

/* Who receives what, in the gateway's keys. */
static void check_recipients(struct conf_loading *loading)
{
    const struct conf *conf = loading->conf;
    struct conf_source *source = &loading->source;

    if (conf->postmaster_address != NULL && !is_mailbox(span_cstr(conf->postmaster_address)))
        conf_source_problem(source, line_of(loading, "postmaster_address"),
                            "postmaster_address: \"%.100s\" is not an address; expected one like "
                            "admin@example.org",
                            conf->postmaster_address);
    if (conf->dsn_postmaster_copy != NULL && !is_mailbox(span_cstr(conf->dsn_postmaster_copy)))
        conf_source_problem(source, line_of(loading, "dsn_postmaster_copy"),
                            "dsn_postmaster_copy: \"%.100s\" is not an address; expected one like "
                            "admin@example.org",
                            conf->dsn_postmaster_copy);
    for (const char *c = conf->recipient_delimiter; c != NULL && *c != '\0'; c++) {
        if (!is_mark(*c))
            conf_source_problem(source, line_of(loading, "recipient_delimiter"),
                                "recipient_delimiter: \"%c\" cannot part an address; expected one "
                                "of %s",
                                *c, local_marks);
    }
}

static void check_globals(struct conf_loading *loading)
{
    const struct conf *conf = loading->conf;
    struct conf_source *source = &loading->source;

    if (conf->retry_first > conf->retry_max)
        conf_source_problem(source, line_of_either(loading, "retry_first", "retry_max"),
                            "retry_first is longer than retry_max");
    if (conf->host_retry_first > conf->host_retry_max)
        conf_source_problem(source, line_of_either(loading, "host_retry_first", "host_retry_max"),
                            "host_retry_first is longer than host_retry_max");
    if (conf->store_low_water >= conf->store_map_size)
        conf_source_problem(source, line_of_either(loading, "store_low_water", "store_map_size"),
                            "store_low_water is not less than store_map_size");
    if (span_equal(span_cstr(conf->guard_path), span_cstr(conf->store_path)) &&
        conf->guard_path != NULL)
        conf_source_problem(source, line_of_either(loading, "guard_path", "store_path"),
                            "guard_path and store_path are the same folder");
    if (conf->greylist_delay >= conf->greylist_window)
        conf_source_problem(source, line_of_either(loading, "greylist_delay", "greylist_window"),
                            "greylist_delay is not shorter than greylist_window");
    if ((conf->tls_certificate == NULL) != (conf->tls_key == NULL))
        conf_source_problem(source, line_of_either(loading, "tls_certificate", "tls_key"),
                            "tls_certificate and tls_key go together; one of them is missing");
}

bool conf_is_plain_name(struct span name)
{
    if (name.len == 0 || name.len > PLAIN_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (!ascii_is_alnum(name.ptr[i]) && strchr("-_.", name.ptr[i]) == NULL)
            return false;
    }
    return true;
}

static bool same_address(const struct conf_address *a, const struct conf_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->in4.sin_port == b->in4.sin_port && a->in4.sin_port != 0 &&
               a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
    return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_port != 0 &&
           memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
}

static bool uses_address(const struct conf_listener *listener, unsigned count,
                         const struct conf_address *address)
{
    for (unsigned i = 0; i < count; i++) {
        if (same_address(&listener->addresses[i], address))
            return true;
    }
    return false;
}

/* Each address must be new among those of the listeners before and its own before it. */
static void check_addresses(struct conf_loading *loading, unsigned at)
{
    const struct conf_listener *listeners = loading->conf->listeners;

    for (unsigned i = 0; i < listeners[at].address_count; i++) {
        const struct conf_address *address = &listeners[at].addresses[i];
        for (unsigned other = 0; other <= at; other++) {
            unsigned count = other == at ? i : listeners[other].address_count;
            if (!uses_address(&listeners[other], count, address))
                continue;
            struct buf text;
            buf_init(&text, 0);
            conf_address_print(address, &text);
            conf_source_problem(&loading->source, place_of(loading, CONF_LISTENER, at),
                                "listener \"%s\" has the address %.*s, which listener \"%s\" "
                                "has already",
                                listeners[at].name, SPAN_ARG(buf_span(&text)),
                                listeners[other].name);
            buf_fini(&text);
        }
    }
}

static uint16_t port_of(const struct conf_address *address)
{
    return ntohs(address->any.sa_family == AF_INET ? address->in4.sin_port
                                                   : address->in6.sin6_port);
}

/* What a role excludes. */
static void check_role(struct conf_loading *loading, const struct conf_listener *listener,
                       unsigned line)
{
    struct conf_source *source = &loading->source;

    if (listener->role == CONF_ROLE_SUBMISSION &&
        listener->relay_networks.count + listener->relay_domains.count > 0)
        conf_source_problem(source, line,
                            "listener \"%s\" is for submission, where only users may send; "
                            "relay_networks and relay_domains mean nothing there",
                            listener->name);
    for (unsigned i = 0; listener->role == CONF_ROLE_LMTP && i < listener->address_count; i++) {
        if (port_of(&listener->addresses[i]) == SMTP_PORT) /* RFC 2033 section 5 */
            conf_source_problem(source, line,
                                "listener \"%s\" is for LMTP, which may not be spoken on port 25; "
                                "take another, such as 24",
                                listener->name);
    }
}

/* What a listener says of certificates must be able to have an effect. */
static void check_client_certificates(struct conf_loading *loading, unsigned at)
{
    const struct conf_listener *listener = &loading->conf->listeners[at];
    unsigned line = place_of(loading, CONF_LISTENER, at);
    bool asks = listener->client_certificates != CONF_CERTIFICATES_NO;

    if (asks && listener->tls == CONF_TLS_NONE)
        conf_source_problem(&loading->source, line,
                            "listener \"%s\": client_certificates needs TLS", listener->name);
    if (!asks && (listener->client_ca != NULL || listener->relay_certificate_count > 0))
        conf_source_problem(&loading->source, line,
                            "listener \"%s\": client_certificates is no, so that %s has no effect",
                            listener->name,
                            listener->client_ca != NULL ? "client_ca" : "relay_certificates");
    if (listener->role == CONF_ROLE_SUBMISSION && listener->relay_certificate_count > 0)
        conf_source_problem(&loading->source, line,
                            "listener \"%s\" is for users who log in, so that "
                            "relay_certificates has no effect",
                            listener->name);
    for (unsigned i = 0; listener->client_ca == NULL && i < listener->relay_certificate_count; i++)
        if (listener->relay_certificates[i].kind != CONF_IDENTITY_FINGERPRINT) {
            conf_source_problem(&loading->source, line,
                                "listener \"%s\": without client_ca relay_certificates takes "
                                "fingerprints only",
                                listener->name);
            break;
        }
}

static void check_listeners(struct conf_loading *loading)
{
    const struct conf *conf = loading->conf;
    struct conf_source *source = &loading->source;

    if (conf->listener_count == 0)
        conf_source_problem(source, 0, "there is no listener section; at least one is needed");
    for (unsigned i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];
        unsigned line = place_of(loading, CONF_LISTENER, i);
        if (!conf_is_plain_name(span_cstr(listener->name)))
            conf_source_problem(source, line,
                                "\"%.64s\" does not name a listener; expected up to %d letters, "
                                "digits and -_.",
                                listener->name, PLAIN_NAME_MAX);
        if (listener->tls != CONF_TLS_NONE &&
            (conf->tls_certificate == NULL || conf->tls_key == NULL))
            conf_source_problem(source, line,
                                "listener \"%s\" has TLS; tls_certificate and tls_key are needed",
                                listener->name);
        check_role(loading, listener, line);
        check_addresses(loading, i);
        check_client_certificates(loading, i);
    }
}

static void check_certificates(struct conf_loading *loading)
{
    for (unsigned i = 0; i < loading->conf->certificate_count; i++) {
        struct span name = span_cstr(loading->conf->certificates[i].server_name);
        if (span_starts_nocase(name, SPAN("*.")))
            name = span_from(name, 2);
        if (!conf_is_domain(name))
            conf_source_problem(&loading->source, place_of(loading, CONF_CERTIFICATE, i),
                                "\"%.100s\" is not a server name; expected a domain or *.domain",
                                loading->conf->certificates[i].server_name);
    }
}

static void check_waits(struct conf_loading *loading, unsigned i)
{
    const struct conf *conf = loading->conf;
    const struct conf_destination *own = &conf->destinations[i];
    uint64_t first = own->retry_first ? own->retry_first : conf->retry_first;
    uint64_t most = own->retry_max ? own->retry_max : conf->retry_max;

    if (first > most && (own->retry_first != 0 || own->retry_max != 0))
        conf_source_problem(&loading->source, place_of(loading, CONF_DESTINATION, i),
                            "destination \"%.100s\": retry_first is longer than retry_max",
                            own->pattern);
}

static void check_destinations(struct conf_loading *loading)
{
    const struct conf *conf = loading->conf;

    for (unsigned i = 0; i < conf->destination_count; i++) {
        struct span pattern = span_cstr(conf->destinations[i].pattern);
        check_waits(loading, i);
        if (!conf_is_pattern(pattern) && !span_equal(pattern, SPAN("*")) &&
            !conf_is_address(pattern))
            conf_source_problem(&loading->source, place_of(loading, CONF_DESTINATION, i),
                                "\"%.100s\" is not a pattern; expected a domain, .domain, * or an "
                                "address",
                                conf->destinations[i].pattern);
    }
}

/* "5.7.1 text": the receiver puts 550 before it. */
static bool is_rejection(struct span text)
{
    struct span words;
    struct span detail;
    struct span rest = span_split(text, ' ', &words);
    struct span class = span_split(rest, '.', &rest);
    struct span subject = span_split(rest, '.', &detail);
    uint64_t number;

    return span_equal(class, SPAN("5")) && subject.len <= 3 && detail.len <= 3 &&
           span_parse_u64(subject, &number) && span_parse_u64(detail, &number) &&
           span_trim(words).len > 0;
}

/* What is wrong with the host where the route's protocol is this one, or NULL. */
static const char *host_problem(const struct conf_route *route, const struct conf_hop *host)
{
    if (host->is_path && route->protocol != CONF_ROUTE_LMTP)
        return "unix: is for protocol = lmtp only";
    if (host->is_path && route->tls == CONF_ROUTE_TLS_REQUIRED)
        return "there is no TLS over unix:";
    if (host->implicit_tls && route->protocol == CONF_ROUTE_LMTP)
        return "smtps: is for protocol = smtp only";
    if (host->implicit_tls && route->tls == CONF_ROUTE_TLS_NONE)
        return "smtps: does not go with tls = none";
    if (!host->is_path && route->protocol == CONF_ROUTE_LMTP && host->port == SMTP_PORT)
        return "LMTP is not for port 25 (RFC 2033); write the port";
    return NULL;
}

static void check_hosts(struct conf_loading *loading, struct conf_route *route, unsigned line)
{
    if (route->protocol == CONF_ROUTE_LMTP && route->action != CONF_ROUTE_HOSTS)
        conf_source_problem(&loading->source, line,
                            "route \"%s\": protocol = lmtp goes with hosts only", route->pattern);
    for (unsigned i = 0; i < route->host_count; i++) {
        struct conf_hop *host = &route->hosts[i];
        if (host->port == 0 && !host->is_path)
            host->port = host->implicit_tls ? SMTPS_PORT : route->port;
        const char *problem = host_problem(route, host);
        if (problem != NULL)
            conf_source_problem(&loading->source, line, "route \"%s\": %s", route->pattern,
                                problem);
    }
    conf_check_balance(loading, route, line);
}

static void check_routes(struct conf_loading *loading)
{
    for (unsigned i = 0; i < loading->conf->route_count; i++) {
        struct conf_route *route = &loading->conf->routes[i];
        unsigned line = place_of(loading, CONF_ROUTE, i);
        struct span pattern = span_cstr(route->pattern);
        if (!span_equal(pattern, SPAN("*")) && !conf_is_pattern(pattern))
            conf_source_problem(&loading->source, line,
                                "\"%.100s\" is not a pattern; expected a domain, .domain or *",
                                route->pattern);
        if (route->action == CONF_ROUTE_REJECT && route->text != NULL &&
            !is_rejection(span_cstr(route->text)))
            conf_source_problem(&loading->source, line,
                                "route \"%s\": reject is not like \"5.7.1 text\"", route->pattern);
        check_hosts(loading, route, line);
    }
}

void conf_check(struct conf_loading *loading)
{
    check_globals(loading);
    check_recipients(loading);
    check_listeners(loading);
    conf_check_origins(loading);
    check_certificates(loading);
    check_routes(loading);
    check_destinations(loading);
}

char *conf_own_hostname(void)
{
    char name[256] = "";
    struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    if (gethostname(name, sizeof name - 1) != 0)
        return NULL;
    const char *best = name;
    if (strchr(name, '.') == NULL && getaddrinfo(name, NULL, &hints, &found) == 0 &&
        found->ai_canonname != NULL && conf_is_domain(span_cstr(found->ai_canonname)))
        best = found->ai_canonname;
    char *result = conf_is_domain(span_cstr(best)) ? mem_strdup(best) : NULL;
    if (found != NULL)
        freeaddrinfo(found);
    return result;
}
