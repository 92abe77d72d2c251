/* One line of a file of routes: KEY, a word that says what becomes of it, and with what. */
#include "rule.h"

#include <stdlib.h>

/* address, domain, .domain, *.domain, * */
static bool take_key(struct rule_line *line, struct smarthop_span key)
{
    if (text_is(key, "*"))
        return rule_key(line, key, KEY_ANY);
    if (text_starts(key, "*."))
        key = text_from(key, 1);
    if (key.ptr[0] == '.' && text_is_domain(text_from(key, 1)))
        return rule_key(line, key, KEY_PARENT);
    if (key.ptr[0] == '@' && text_is_domain(text_from(key, 1)))
        return rule_key(line, text_from(key, 1), KEY_DOMAIN);
    if (text_is_domain(key))
        return rule_key(line, key, KEY_DOMAIN);
    if (text_is_address(key))
        return rule_key(line, key, KEY_ADDRESS);
    return rule_refuse(line, key,
                       "it is no key; write user@domain, domain, .domain for all below "
                       "it, or * (a domain in its ASCII form)");
}

static bool take_tls(struct rule_line *line, struct smarthop_span value)
{
    static const char *const words[] = {
        [SMARTHOP_TLS_NONE] = "none",
        [SMARTHOP_TLS_OPPORTUNISTIC] = "opportunistic",
        [SMARTHOP_TLS_REQUIRED] = "required",
    };

    for (uint8_t i = SMARTHOP_TLS_NONE; i <= SMARTHOP_TLS_REQUIRED; i++)
        if (text_is(value, words[i])) {
            line->rule.tls = i;
            return true;
        }
    return rule_refuse(line, value, "tls= takes none, opportunistic or required");
}

/* NAME=VALUE */
static bool take_attribute(struct rule_line *line, struct smarthop_span word)
{
    struct smarthop_span name = smarthop_span_of(word.ptr, text_index(word, '='));
    struct smarthop_span value = text_from(word, name.len + 1);

    if (value.len == 0 || value.len > 255)
        return rule_refuse(line, word, "a value of 1 to 255 bytes has to follow the =");
    if (text_is(name, "tls"))
        return take_tls(line, value);
    if (text_is(name, "limits"))
        line->rule.limits = value;
    else if (text_is(name, "source"))
        line->rule.source = value;
    else if (text_is(name, "credentials"))
        line->rule.credentials = value;
    else if (text_is(name, "tenant"))
        line->rule.tenant = value;
    else
        return rule_refuse(line, word, "there is tls=, limits=, source=, credentials= and tenant=");
    return true;
}

/* "*5" at the end of a host. */
static bool take_weight(struct smarthop_span *word, uint32_t *weight)
{
    size_t at = text_rindex(*word, '*');
    uint16_t value = 0;

    if (at < word->len && !text_port(text_from(*word, at + 1), &value))
        return false;
    word->len = at;
    *weight = value;
    return true;
}

/* "smtps:HOST"; "smtps:25" is a host of that name. */
static bool take_smtps(struct smarthop_span *word)
{
    uint16_t port;

    if (!text_starts(*word, "smtps:") || text_port(text_from(*word, 6), &port))
        return false;
    *word = text_from(*word, 6);
    return true;
}

static bool take_host(struct rule_line *line, struct smarthop_span word)
{
    struct smarthop_span written = word;
    struct smarthop_span host;
    uint32_t weight;
    uint16_t port;
    bool bracketed;

    if (word.ptr[0] == '/' && line->rule.transport == SMARTHOP_LMTP)
        return rule_add_hop(line, word, 0, 0);
    bool is_weighted = take_weight(&word, &weight);
    bool is_smtps = line->rule.transport == SMARTHOP_SMTP && take_smtps(&word);
    if (!is_weighted || !rule_split_host(word, &host, &port, &bracketed))
        return rule_refuse(
            line, written,
            "it is no host; write NAME, ADDRESS or [IPv6], with :PORT and *WEIGHT "
            "where they are wanted, for lmtp also /path/of/a/socket, for smtp smtps:HOST");
    return is_smtps ? rule_add_smtps(line, host, port, weight)
                    : rule_add_hop(line, host, port, weight);
}

static bool take_hosts(struct rule_line *line, struct smarthop_span rest, uint8_t transport)
{
    struct smarthop_span word;

    line->rule.action = SMARTHOP_SEND;
    line->rule.transport = transport;
    while ((word = text_word(&rest, true)).len > 0)
        if (!(text_index(word, '=') < word.len && word.ptr[0] != '/' ? take_attribute(line, word)
                                                                     : take_host(line, word)))
            return false;
    return line->rule.hop_count > 0 || rule_refuse(line, smarthop_span_of("", 0),
                                                   "there is no host; write one behind smtp or "
                                                   "lmtp");
}

static bool take_mx(struct rule_line *line, struct smarthop_span rest)
{
    struct smarthop_span word;

    line->rule.action = SMARTHOP_SEND;
    while ((word = text_word(&rest, true)).len > 0) {
        if (text_index(word, '=') < word.len) {
            if (!take_attribute(line, word))
                return false;
        } else if (line->rule.mx.len > 0 || !text_is_domain(word)) {
            return rule_refuse(line, word, "mx takes one domain at most, without a port");
        } else {
            line->rule.mx = word;
        }
    }
    line->rule.own_mx = line->rule.mx.len == 0;
    return true;
}

static bool take_refusal(struct rule_line *line, struct smarthop_span rest, uint8_t action)
{
    line->rule.action = action;
    rule_take_text(&line->rule, rest);
    return line->rule.text.len <= 400 ||
           rule_refuse(line, line->rule.text, "the text is longer than 400 bytes");
}

bool maps_parse(struct rule_line *line, struct smarthop_span text)
{
    struct smarthop_span key = text_word(&text, false);
    struct smarthop_span verb = text_word(&text, false);

    if (!take_key(line, key))
        return false;
    if (text_is(verb, "smtp"))
        return take_hosts(line, text, SMARTHOP_SMTP);
    if (text_is(verb, "lmtp"))
        return take_hosts(line, text, SMARTHOP_LMTP);
    if (text_is(verb, "mx"))
        return take_mx(line, text);
    if (text_is(verb, "reject"))
        return take_refusal(line, text, SMARTHOP_REJECT);
    if (text_is(verb, "defer"))
        return take_refusal(line, text, SMARTHOP_DEFER);
    if (text_is(verb, "hold"))
        return take_refusal(line, text, SMARTHOP_HOLD);
    line->rule.action = text_is(verb, "discard") ? SMARTHOP_DISCARD : SMARTHOP_PASS;
    if (!text_is(verb, "discard") && !text_is(verb, "pass"))
        return rule_refuse(line, verb,
                           "behind the key comes smtp, lmtp, mx, reject, defer, hold, "
                           "discard or pass");
    return text_trim(text).len == 0 || rule_refuse(line, text_trim(text), "nothing may follow");
}
