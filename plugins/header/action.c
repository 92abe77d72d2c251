/* What a rule does: an action, and its modifiers. */
#include "private.h"

static bool parse_port(struct smarthop_span text, uint16_t *port_out)
{
    struct smarthop_span rest;
    uint64_t port;

    if (!number_of(text, &port, &rest) || rest.len > 0 || port == 0 || port > UINT16_MAX)
        return false;
    *port_out = (uint16_t)port;
    return true;
}

/* The length of a "smtps:" before a host; "smtps:25" is a host of that name. */
static size_t smtps_len(struct smarthop_span text)
{
    static const size_t len = 6;
    uint16_t port;

    if (text.len <= len || strncasecmp(text.ptr, "smtps:", len) != 0 ||
        parse_port(smarthop_span_of(text.ptr + len, text.len - len), &port))
        return 0;
    return len;
}

/* "mail.example.org", "mail.example.org:2525", "[2001:db8::1]:25", "smtps:mail.example.org",
 * "/run/lmtp". */
static bool hop_of(struct smarthop_span text, struct smarthop_next_hop *hop)
{
    size_t mark = smtps_len(text);
    const char *colon = text.len > 0 ? memrchr(text.ptr + mark, ':', text.len - mark) : NULL;
    const char *end = text.ptr + text.len;

    hop->host = text;
    if (text.len > 0 && text.ptr[0] == '/')
        return true;
    if (colon != NULL && memchr(colon, ']', (size_t)(end - colon)) == NULL) {
        hop->host.len = (size_t)(colon - text.ptr);
        if (!parse_port(smarthop_span_of(colon + 1, (size_t)(end - colon - 1)), &hop->port))
            return false;
    }
    if (mark == 0 && hop->host.len > 2 && hop->host.ptr[0] == '[' &&
        hop->host.ptr[hop->host.len - 1] == ']')
        hop->host = smarthop_span_of(hop->host.ptr + 1, hop->host.len - 2);
    return hop->host.len > mark;
}

static bool add_hop(struct parser *parser, struct rule *rule, struct smarthop_span text)
{
    uint32_t count = rule->verdict.next_hop_count;

    if (count == SMARTHOP_NEXT_HOPS_MAX)
        return parser_fail(parser, "there are at most %d next hops", SMARTHOP_NEXT_HOPS_MAX);
    rule->next_hops = rules_grow(rule->next_hops, count, sizeof *rule->next_hops);
    if (!hop_of(text, &rule->next_hops[count]))
        return parser_fail(parser, "%.*s is no host, or HOST:PORT", TEXT_ARG(text));
    rule->next_hops[count].priority = (uint16_t)count;
    rule->verdict.next_hop_count++;
    return true;
}

/* HOST,HOST... in the order in which they are tried. */
static bool parse_send(struct parser *parser, struct rule *rule)
{
    struct smarthop_span text;

    if (!parser_take(parser, "a next hop", &text))
        return false;
    for (;;) {
        const char *comma = text.len > 0 ? memchr(text.ptr, ',', text.len) : NULL;
        size_t len = comma != NULL ? (size_t)(comma - text.ptr) : text.len;
        if (!add_hop(parser, rule, smarthop_span_of(text.ptr, len)))
            return false;
        if (comma == NULL)
            return true;
        text = smarthop_span_of(comma + 1, text.len - len - 1);
    }
}

static bool parse_lmtp(struct parser *parser, struct rule *rule)
{
    rule->verdict.transport = SMARTHOP_LMTP;
    return parse_send(parser, rule);
}

static bool parse_mx(struct parser *parser, struct rule *rule)
{
    return parser_take(parser, "a domain", &rule->verdict.mx);
}

/* "5.7.1 text": the code goes where codes go. False: there is none of this class. */
static bool split_enhanced(struct smarthop_span *text, uint8_t enhanced[3], uint8_t class)
{
    struct smarthop_span rest = *text;
    uint64_t part[3];

    for (unsigned i = 0; i < 3; i++) {
        if (!number_of(rest, &part[i], &rest) || part[i] > UINT8_MAX)
            return false;
        if (rest.len == 0 || rest.ptr[0] != (i < 2 ? '.' : ' '))
            return false;
        rest = smarthop_span_of(rest.ptr + 1, rest.len - 1);
    }
    if (part[0] != class)
        return false;
    for (unsigned i = 0; i < 3; i++)
        enhanced[i] = (uint8_t)part[i];
    *text = rest;
    return true;
}

/* ["TEXT"] */
static void take_reason(struct parser *parser, struct rule *rule)
{
    if (parser->token.kind != TOKEN_TEXT)
        return;
    rule->verdict.text = parser->token.text;
    parser_next(parser);
}

static bool parse_reject(struct parser *parser, struct rule *rule)
{
    take_reason(parser, rule);
    split_enhanced(&rule->verdict.text, rule->verdict.enhanced, 5);
    return true;
}

static bool delay_of(struct smarthop_span text, uint64_t *ms_out)
{
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    struct smarthop_span unit;
    uint64_t number;

    if (!number_of(text, &number, &unit) || unit.len != 1 || number == 0 || number > UINT32_MAX)
        return false;
    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].unit == unit.ptr[0]) {
            *ms_out = number * units[i].ms;
            return true;
        }
    return false;
}

/* [for DURATION] ["TEXT"] */
static bool parse_defer(struct parser *parser, struct rule *rule)
{
    struct smarthop_span text;

    if (token_is(&parser->token, "for")) {
        parser_next(parser);
        if (!parser_take(parser, "a duration", &text))
            return false;
        if (!delay_of(text, &rule->verdict.delay))
            return parser_fail(parser, "%.*s is no duration, such as 15m", TEXT_ARG(text));
    }
    take_reason(parser, rule);
    split_enhanced(&rule->verdict.text, rule->verdict.enhanced, 4);
    return true;
}

static bool parse_hold(struct parser *parser, struct rule *rule)
{
    take_reason(parser, rule);
    return true;
}

static bool parse_nothing(struct parser *parser, struct rule *rule)
{
    (void)parser, (void)rule;
    return true;
}

static const struct {
    const char *word;
    enum smarthop_action action;
    bool (*parse)(struct parser *parser, struct rule *rule);
} actions[] = {
    {"send", SMARTHOP_SEND, parse_send},
    {"lmtp", SMARTHOP_SEND, parse_lmtp},
    {"mx", SMARTHOP_SEND, parse_mx},
    {"reject", SMARTHOP_REJECT, parse_reject},
    {"defer", SMARTHOP_DEFER, parse_defer},
    {"hold", SMARTHOP_HOLD, parse_hold},
    {"discard", SMARTHOP_DISCARD, parse_nothing},
    {"pass", SMARTHOP_PASS, parse_nothing},
};

/* ---- modifiers ------------------------------------------------------------------------------ */

static bool add_tag(struct parser *parser, struct rule *rule)
{
    uint32_t count = rule->verdict.tag_count;

    if (count == SMARTHOP_TAGS_MAX)
        return parser_fail(parser, "there are at most %d tags", SMARTHOP_TAGS_MAX);
    rule->tags = rules_grow(rule->tags, count, sizeof *rule->tags);
    rule->verdict.tag_count++;
    return parser_take(parser, "a tag", &rule->tags[count]);
}

static bool parse_tls(struct parser *parser, struct rule *rule)
{
    static const struct {
        const char *word;
        enum smarthop_tls tls;
    } words[] = {{"none", SMARTHOP_TLS_NONE},
                 {"opportunistic", SMARTHOP_TLS_OPPORTUNISTIC},
                 {"required", SMARTHOP_TLS_REQUIRED}};

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (token_is(&parser->token, words[i].word)) {
            rule->verdict.tls = words[i].tls;
            parser_next(parser);
            return true;
        }
    return parser_fail(parser, "none, opportunistic or required is expected here");
}

/* Where the word of a modifier of one text goes; NULL = there is none of that name. */
static struct smarthop_span *place_of(const struct token *token, struct smarthop_verdict *verdict)
{
    if (token_is(token, "tenant"))
        return &verdict->tenant;
    if (token_is(token, "limits"))
        return &verdict->limits;
    if (token_is(token, "source"))
        return &verdict->source;
    return token_is(token, "credentials") ? &verdict->credentials : NULL;
}

static bool parse_modifier(struct parser *parser, struct rule *rule)
{
    struct smarthop_span *place = place_of(&parser->token, &rule->verdict);
    struct smarthop_span word;

    if (place != NULL) {
        parser_next(parser);
        return parser_take(parser, "a name", place);
    }
    if (token_is(&parser->token, "tag")) {
        parser_next(parser);
        return add_tag(parser, rule);
    }
    if (token_is(&parser->token, "tls")) {
        parser_next(parser);
        return parse_tls(parser, rule);
    }
    if (!parser_take(parser, "a modifier", &word))
        return false;
    return parser_fail(parser, "there is no modifier %.*s", TEXT_ARG(word));
}

bool parse_action(struct parser *parser, struct rule *rule)
{
    unsigned i = 0, count = sizeof actions / sizeof actions[0];
    struct smarthop_span word;

    while (i < count && !token_is(&parser->token, actions[i].word))
        i++;
    if (!parser_take(parser, "an action", &word))
        return false;
    if (i == count)
        return parser_fail(parser, "there is no action %.*s", TEXT_ARG(word));
    rule->verdict.action = actions[i].action;
    if (!actions[i].parse(parser, rule))
        return false;
    while (parser->token.kind != TOKEN_RULE)
        if (!parse_modifier(parser, rule))
            return false;
    return true;
}
