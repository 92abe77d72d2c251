/* One line of a table file: its key, and addresses that it stands for. */
#include "rule.h"

bool rule_refuse(struct rule_line *line, struct smarthop_span word, const char *why)
{
    problem_add(line->problems, line->file, line->line, "\"%.*s\": %s",
                (int)(word.len < 80 ? word.len : 80), word.len > 0 ? word.ptr : "", why);
    return false;
}

bool rule_key(struct rule_line *line, struct smarthop_span written, enum key_kind kind)
{
    line->kind = kind;
    line->key = key_fold(written, line->key_room);
    return line->key.len > 0 || rule_refuse(line, written, "it is too long for a key");
}

/* False: there is no room for it. */
static bool join(struct rule_line *line, struct smarthop_span one, char between,
                 struct smarthop_span other, struct smarthop_span *out)
{
    size_t len = one.len + 1 + other.len;
    char *to = line->room + line->room_used;

    if (len > sizeof line->room - line->room_used)
        return false;
    memcpy(to, one.ptr, one.len);
    to[one.len] = between;
    memcpy(to + one.len + 1, other.ptr, other.len);
    line->room_used += len;
    *out = smarthop_span_of(to, len);
    return true;
}

/* ---- next hops ---------------------------------------------------------------------------- */

static bool is_ip6(struct smarthop_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr("0123456789abcdefABCDEF:.", s.ptr[i]) == NULL)
            return false;
    return text_index(s, ':') < s.len;
}

bool rule_split_host(struct smarthop_span text, struct smarthop_span *host, uint16_t *port,
                     bool *bracketed)
{
    size_t end = text_index(text, ']');

    *bracketed = text.len > 0 && text.ptr[0] == '[';
    *port = 0;
    if (*bracketed && end == text.len)
        return false;
    *host = *bracketed ? smarthop_span_of(text.ptr + 1, end - 1)
                       : smarthop_span_of(text.ptr, text_index(text, ':'));
    struct smarthop_span rest = text_from(text, *bracketed ? end + 1 : host->len);
    if (*bracketed && host->len > 5 && strncasecmp(host->ptr, "ipv6:", 5) == 0)
        *host = text_from(*host, 5);
    if (!text_is_domain(*host) && !(*bracketed && is_ip6(*host)))
        return false;
    return rest.len == 0 || (rest.ptr[0] == ':' && text_port(text_from(rest, 1), port));
}

bool rule_add_hop(struct rule_line *line, struct smarthop_span host, uint16_t port, uint32_t weight)
{
    struct rule *rule = &line->rule;

    if (rule->hop_count == SMARTHOP_NEXT_HOPS_MAX)
        return rule_refuse(line, host, "a route has at most 16 hosts");
    if (host.len > 255)
        return rule_refuse(line, host, "a host has at most 255 bytes");
    rule->hops[rule->hop_count] = (struct smarthop_next_hop){
        .host = host,
        .port = port,
        .priority = weight != 0 ? 0 : rule->hop_count,
        .weight = weight,
    };
    rule->hop_count++;
    return true;
}

bool rule_add_smtps(struct rule_line *line, struct smarthop_span host, uint16_t port,
                    uint32_t weight)
{
    struct smarthop_span marked;

    if (!join(line, SMARTHOP_TEXT("smtps"), ':', host, &marked))
        return rule_refuse(line, host, "a host has at most 255 bytes");
    return rule_add_hop(line, marked, port, weight);
}

/* ---- refusals ----------------------------------------------------------------------------- */

static bool is_digits(struct smarthop_span s, size_t most)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 0 && s.len <= most;
}

/* "5.7.1" of the class. */
static bool take_enhanced(struct smarthop_span word, char class, uint8_t *out)
{
    unsigned values[3];

    for (int i = 0; i < 3; i++) {
        size_t end = i < 2 ? text_index(word, '.') : word.len;
        struct smarthop_span part = smarthop_span_of(word.ptr, end);
        if (!is_digits(part, 3) || (i < 2 && end == word.len))
            return false;
        values[i] = 0;
        for (size_t k = 0; k < part.len; k++)
            values[i] = values[i] * 10 + (unsigned)(part.ptr[k] - '0');
        if (values[i] > UINT8_MAX)
            return false;
        word = text_from(word, i < 2 ? end + 1 : end);
    }
    if (values[0] != (unsigned)(class - '0'))
        return false;
    for (int i = 0; i < 3; i++)
        out[i] = (uint8_t)values[i];
    return true;
}

void rule_take_text(struct rule *rule, struct smarthop_span text)
{
    char class = rule->action == SMARTHOP_REJECT ? '5' : '4';
    struct smarthop_span rest = text;
    struct smarthop_span word = text_word(&rest, false);

    if (is_digits(word, 3) && word.len == 3 && word.ptr[0] == class &&
        rule->action != SMARTHOP_HOLD) {
        rule->code =
            (uint16_t)((word.ptr[0] - '0') * 100 + (word.ptr[1] - '0') * 10 + word.ptr[2] - '0');
        text = rest;
        word = text_word(&rest, false);
    }
    if (take_enhanced(word, class, rule->enhanced))
        text = rest;
    rule->text = text_trim(text);
}

/* ---- addresses ---------------------------------------------------------------------------- */

static bool add_target(struct rule_line *line, const struct dialect *dialect,
                       struct smarthop_span target)
{
    struct rule *rule = &line->rule;
    struct smarthop_span written = target;

    if (rule->target_count == SMARTHOP_REWRITES_MAX)
        return rule_refuse(line, written, "an address stands for at most 1000 others");
    bool is_domain = target.ptr[0] == '@' && text_is_domain(text_from(target, 1));
    if (!is_domain && text_rindex(target, '@') == target.len) {
        if (dialect->origin.len == 0)
            return rule_refuse(line, written,
                               "it has no domain; write user@domain, or set local_domains, the "
                               "first of which is added");
        if (!join(line, target, '@', dialect->origin, &target))
            return rule_refuse(line, written, "too many addresses without a domain; add it");
    }
    if (!is_domain && !text_is_address(target))
        return rule_refuse(line, written,
                           "it is no address; write user@domain, or @domain for the same user "
                           "there (a domain in its ASCII form; no files and no commands)");
    if (target.len > 900)
        return rule_refuse(line, written, "the address is too long");
    rule->targets[rule->target_count++] = target;
    return true;
}

bool rule_targets(struct rule_line *line, const struct dialect *dialect, struct smarthop_span text)
{
    struct smarthop_span word;

    line->rule.action = SMARTHOP_REWRITE;
    while ((word = text_word(&text, true)).len > 0)
        if (!add_target(line, dialect, word))
            return false;
    return line->rule.target_count > 0 ||
           rule_refuse(line, text,
                       "there is no address behind the key; write the one that it "
                       "stands for");
}

/* A key of addresses: user@domain, @domain, user. */
static bool address_key(struct rule_line *line, const struct dialect *dialect,
                        struct smarthop_span key)
{
    if (key.ptr[0] == '@' && text_is_domain(text_from(key, 1)))
        return rule_key(line, key, KEY_CATCHALL);
    if (text_is_address(key))
        return rule_key(line, key, KEY_ADDRESS);
    if (text_rindex(key, '@') < key.len)
        return rule_refuse(line, key,
                           "it is no key; write user@domain, @domain for all of a domain, or user "
                           "(a domain in its ASCII form)");
    if (dialect->origin.len == 0)
        return rule_refuse(line, key,
                           "it has no domain; write user@domain, or set local_domains, in which "
                           "it then holds");
    return rule_key(line, key, KEY_LOCAL);
}

static bool addresses_parse(struct rule_line *line, const struct dialect *dialect,
                            struct smarthop_span text)
{
    struct smarthop_span key = text_word(&text, false);

    if (!address_key(line, dialect, key) || !rule_targets(line, dialect, text))
        return false;
    return dialect->kind != DIALECT_CANONICAL || line->rule.target_count == 1 ||
           rule_refuse(line, text_trim(text),
                       "an address has one canonical form; for several "
                       "recipients use aliases");
}

/* ---- Postfix: virtual(5) ------------------------------------------------------------------ */

/* A domain whose addresses are all in the table; what stands behind it does not matter. */
static bool is_virtual_domain(const struct dialect *dialect, struct smarthop_span key)
{
    return text_is_domain(key) && (dialect->origin.len == 0 || text_index(key, '.') < key.len);
}

bool virtual_parse(struct rule_line *line, const struct dialect *dialect, struct smarthop_span text)
{
    struct smarthop_span rest = text;
    struct smarthop_span key = text_word(&rest, false);

    if (!is_virtual_domain(dialect, key))
        return addresses_parse(line, dialect, text);
    line->rule.action = SMARTHOP_REJECT;
    line->rule.code = 550;
    memcpy(line->rule.enhanced, (uint8_t[]){5, 1, 1}, sizeof line->rule.enhanced);
    line->rule.text = SMARTHOP_TEXT("User unknown in virtual alias table");
    return rule_key(line, key, KEY_DOMAIN);
}

bool rule_parse(struct rule_line *line, const struct dialect *dialect, struct smarthop_span text)
{
    struct rule *rule = &line->rule;

    memset(rule, 0, offsetof(struct rule, hops));
    line->room_used = 0;
    switch (dialect->kind) {
    case DIALECT_MAPS:
        return maps_parse(line, text);
    case DIALECT_TRANSPORT:
        return transport_parse(line, dialect, text);
    case DIALECT_VIRTUAL:
        return virtual_parse(line, dialect, text);
    default:
        return addresses_parse(line, dialect, text);
    }
}
