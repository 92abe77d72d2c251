/* One line of Postfix's transport(5): PATTERN TRANSPORT:NEXTHOP. */
#include "rule.h"

enum { SMTP_PORT = 25 };

static bool take_pattern(struct rule_line *line, struct smarthop_span key)
{
    if (text_is(key, "*"))
        return rule_key(line, key, KEY_ANY);
    if (key.ptr[0] == '.' && text_is_domain(text_from(key, 1)))
        return rule_key(line, key, KEY_PARENT);
    if (text_is_domain(key))
        return rule_key(line, key, KEY_DOMAIN);
    if (text_is_address(key))
        return rule_key(line, key, KEY_ADDRESS);
    return rule_refuse(line, key,
                       "it is no pattern; there is user@domain, domain, .domain and * "
                       "(a domain in its ASCII form; no regular expressions)");
}

static bool is_smtp(const struct dialect *dialect, struct smarthop_span name)
{
    for (uint32_t i = 0; i < dialect->smtp_name_count; i++)
        if (smarthop_equal(dialect->smtp_names[i], name))
            return true;
    return name.len == 0 || text_is(name, "smtp") || text_is(name, "relay");
}

/* A port by its service's name. */
struct service {
    const char *name, *number;
};

static const struct service services[] = {
    {"smtp", "25"}, {"submission", "587"}, {"lmtp", "24"}, {NULL, NULL}};
/* With TLS from the first byte. */
static const struct service smtps_services[] = {
    {"smtps", "465"}, {"submissions", "465"}, {NULL, NULL}};

static struct smarthop_span with_number(struct smarthop_span text, const struct service *ports,
                                        char *room, size_t size)
{
    size_t at = text_rindex(text, ':');

    for (size_t i = 0; at < text.len && ports[i].name != NULL; i++) {
        size_t len = strlen(ports[i].number);
        if (!text_is(text_from(text, at + 1), ports[i].name) || at + 1 + len > size)
            continue;
        memcpy(room, text.ptr, at + 1);
        memcpy(room + at + 1, ports[i].number, len);
        return smarthop_span_of(room, at + 1 + len);
    }
    return text;
}

static bool refuse_hop(struct rule_line *line, struct smarthop_span word)
{
    return rule_refuse(line, word,
                       "it is no next hop; write host, host:port, [host] or "
                       "[host]:port, the port as a number");
}

/* The host part and the port of one next hop; the span stays in the line. */
static bool split(struct rule_line *line, struct smarthop_span word, const struct service *ports,
                  struct smarthop_span *host, uint16_t *port, bool *bracketed)
{
    char room[300];
    struct smarthop_span numbered = with_number(word, ports, room, sizeof room);

    if (!rule_split_host(numbered, host, port, bracketed))
        return refuse_hop(line, word);
    if (numbered.ptr == room)
        *host = smarthop_span_of(word.ptr + (host->ptr - room), host->len);
    return true;
}

static bool take_smtp(struct rule_line *line, struct smarthop_span nexthop)
{
    struct rule *rule = &line->rule;
    struct smarthop_span word = text_word(&nexthop, true);
    bool is_alone = text_trim(nexthop).len == 0;
    struct smarthop_span host;
    uint16_t port;
    bool bracketed;

    rule->action = SMARTHOP_SEND;
    rule->own_mx = word.len == 0;
    for (; word.len > 0; word = text_word(&nexthop, true)) {
        if (!split(line, word, services, &host, &port, &bracketed))
            return false;
        if (bracketed || (port != 0 && port != SMTP_PORT)) {
            if (!rule_add_hop(line, host, port, 0))
                return false;
        } else if (is_alone) {
            rule->mx = host;
        } else {
            return rule_refuse(line, word,
                               "the MX hosts of several domains cannot be tried one "
                               "after the other; write hosts in brackets");
        }
    }
    return true;
}

/* As a transport with smtp_tls_wrappermode; there are no MX look-ups. */
static bool take_smtps(struct rule_line *line, struct smarthop_span nexthop)
{
    struct smarthop_span word;
    struct smarthop_span host;
    uint16_t port;
    bool bracketed;

    line->rule.action = SMARTHOP_SEND;
    while ((word = text_word(&nexthop, true)).len > 0)
        if (!split(line, word, smtps_services, &host, &port, &bracketed) ||
            !rule_add_smtps(line, host, port, 0))
            return false;
    return line->rule.hop_count > 0 || rule_refuse(line, nexthop, "smtps: needs a host");
}

/* unix:/path, inet:host:port, or as with SMTP; there are no MX look-ups. */
static bool take_lmtp(struct rule_line *line, struct smarthop_span nexthop)
{
    struct smarthop_span word;
    struct smarthop_span host;
    uint16_t port;
    bool bracketed;

    line->rule.action = SMARTHOP_SEND;
    line->rule.transport = SMARTHOP_LMTP;
    while ((word = text_word(&nexthop, true)).len > 0) {
        if (text_starts(word, "unix:")) {
            host = text_from(word, 5);
            port = 0;
            if (host.len == 0 || host.ptr[0] != '/')
                return rule_refuse(line, word,
                                   "write the whole path of the socket: "
                                   "lmtp:unix:/var/spool/postfix/...");
        } else {
            if (text_starts(word, "inet:"))
                word = text_from(word, 5);
            if (!split(line, word, services, &host, &port, &bracketed))
                return false;
        }
        if (!rule_add_hop(line, host, port, 0))
            return false;
    }
    return line->rule.hop_count > 0 ||
           rule_refuse(line, nexthop, "lmtp: needs a next hop: unix:/path, or a host");
}

static bool take_text(struct rule_line *line, struct smarthop_span text, uint8_t action)
{
    line->rule.action = action;
    rule_take_text(&line->rule, text);
    return line->rule.text.len <= 400 ||
           rule_refuse(line, line->rule.text, "the text is longer than 400 bytes");
}

bool transport_parse(struct rule_line *line, const struct dialect *dialect,
                     struct smarthop_span text)
{
    struct smarthop_span key = text_word(&text, false);
    struct smarthop_span result = text_trim(text);
    struct smarthop_span name = smarthop_span_of(result.ptr, text_index(result, ':'));
    struct smarthop_span nexthop = text_from(result, name.len);

    if (nexthop.len > 0)
        nexthop = text_trim(text_from(nexthop, 1));
    if (!take_pattern(line, key))
        return false;
    if (result.len == 0)
        return rule_refuse(line, key, "there is no transport:nexthop behind it");
    if (name.len == 0 && nexthop.len == 0) {
        line->rule.action = SMARTHOP_PASS; /* as if the line were not there */
        return true;
    }
    if (is_smtp(dialect, name))
        return take_smtp(line, nexthop);
    if (text_is(name, "smtps") || text_is(name, "relay-smtps"))
        return take_smtps(line, nexthop);
    if (text_is(name, "lmtp"))
        return take_lmtp(line, nexthop);
    if (text_is(name, "error"))
        return take_text(line, nexthop, SMARTHOP_REJECT);
    if (text_is(name, "retry"))
        return take_text(line, nexthop, SMARTHOP_DEFER);
    if (text_is(name, "hold"))
        return take_text(line, nexthop, SMARTHOP_HOLD);
    if (text_is(name, "discard")) {
        line->rule.action = SMARTHOP_DISCARD;
        return true;
    }
    return rule_refuse(
        line, name,
        "there is no such transport; there is smtp, relay, smtps, relay-smtps, lmtp, "
        "error, retry, hold and discard, and those that smtp_transports names");
}
