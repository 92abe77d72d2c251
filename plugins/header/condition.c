/* Conditions of rules. */
#include "private.h"

#include <arpa/inet.h>
#include <strings.h>

enum { MINUTES_A_DAY = 24 * 60, DAYS = 7 };

static const struct {
    const char *word;
    enum subject subject;
} words[] = {
    {"any", SUBJECT_ANY},           {"header", SUBJECT_FIELD},
    {"sender", SUBJECT_SENDER},     {"recipient", SUBJECT_RECIPIENT},
    {"user", SUBJECT_USER},         {"tenant", SUBJECT_TENANT},
    {"helo", SUBJECT_HELO},         {"client-name", SUBJECT_CLIENT_NAME},
    {"listener", SUBJECT_LISTENER}, {"client", SUBJECT_CLIENT},
    {"size", SUBJECT_SIZE},         {"time", SUBJECT_TIME},
    {"days", SUBJECT_DAYS},
};

/* ---- networks ------------------------------------------------------------------------------- */

static bool is_zero_behind(const struct network *network, unsigned whole)
{
    for (unsigned bit = network->bits; bit < whole; bit++)
        if (network->bytes[bit / 8] & (0x80u >> bit % 8))
            return false;
    return true;
}

bool network_parse(struct smarthop_span text, struct network *out)
{
    const char *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - text.ptr) : text.len;
    char address[INET6_ADDRSTRLEN];
    struct smarthop_span rest = {0};
    uint64_t bits;

    if (len == 0 || len >= sizeof address)
        return false;
    memcpy(address, text.ptr, len);
    address[len] = '\0';
    *out = (struct network){.family = memchr(address, ':', len) != NULL ? AF_INET6 : AF_INET};
    unsigned whole = out->family == AF_INET6 ? 128 : 32;
    if (inet_pton(out->family, address, out->bytes) != 1)
        return false;
    bits = whole;
    if (slash != NULL &&
        (!number_of(smarthop_span_of(slash + 1, text.len - len - 1), &bits, &rest) ||
         rest.len > 0 || bits > whole))
        return false;
    out->bits = (unsigned)bits;
    return is_zero_behind(out, whole);
}

bool network_holds(const struct network *network, const struct network *address)
{
    unsigned whole = network->bits / 8, left = network->bits % 8;

    if (network->family != address->family || memcmp(network->bytes, address->bytes, whole) != 0)
        return false;
    return left == 0 || (network->bytes[whole] ^ address->bytes[whole]) >> (8 - left) == 0;
}

static bool parse_network(struct parser *parser, struct condition *condition)
{
    struct smarthop_span text;

    if (!parser_take(parser, "a network", &text))
        return false;
    if (!network_parse(text, &condition->network))
        return parser_fail(parser, "%.*s is no address or network", TEXT_ARG(text));
    return true;
}

/* ---- sizes, times, days --------------------------------------------------------------------- */

static bool unit_of(struct smarthop_span unit, unsigned *shift_out)
{
    static const struct smarthop_span units[] = {
        SMARTHOP_TEXT_INIT("KiB"), SMARTHOP_TEXT_INIT("MiB"), SMARTHOP_TEXT_INIT("GiB")};

    *shift_out = 0;
    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++)
        if (smarthop_equal(unit, units[i]))
            *shift_out = 10 * (i + 1);
    return unit.len == 0 || *shift_out > 0;
}

static bool parse_size(struct parser *parser, struct condition *condition)
{
    bool is_less = token_is(&parser->token, "<");
    struct smarthop_span text, unit;
    uint64_t number;
    unsigned shift;

    if (!is_less && !token_is(&parser->token, ">"))
        return parser_fail(parser, "< or > is expected here");
    parser_next(parser);
    if (!parser_take(parser, "a size", &text))
        return false;
    if (!number_of(text, &number, &unit) || !unit_of(unit, &shift) || number > UINT32_MAX ||
        (is_less && number == 0))
        return parser_fail(parser, "%.*s is no size, such as 10MiB", TEXT_ARG(text));
    number <<= shift;
    condition->from = is_less ? 0 : number + 1;
    condition->to = is_less ? number - 1 : UINT64_MAX;
    return true;
}

/* "08:30", to 24:00. */
static bool minute_of(struct smarthop_span text, uint64_t *minute_out,
                      struct smarthop_span *rest_out)
{
    uint64_t hours, minutes;
    struct smarthop_span rest;

    if (!number_of(text, &hours, &rest) || rest.len == 0 || rest.ptr[0] != ':' || hours > 24 ||
        !number_of(smarthop_span_of(rest.ptr + 1, rest.len - 1), &minutes, rest_out) ||
        minutes > 59)
        return false;
    *minute_out = hours * 60 + minutes;
    return *minute_out <= MINUTES_A_DAY;
}

static bool parse_time(struct parser *parser, struct condition *condition)
{
    struct smarthop_span text, rest, end;

    if (!parser_take(parser, "a time of day", &text))
        return false;
    if (!minute_of(text, &condition->from, &rest) || rest.len == 0 || rest.ptr[0] != '-' ||
        !minute_of(smarthop_span_of(rest.ptr + 1, rest.len - 1), &condition->to, &end) ||
        end.len > 0)
        return parser_fail(parser, "%.*s is no time of day, such as 08:00-17:30", TEXT_ARG(text));
    return true;
}

/* "mon" at the beginning of `text`, which goes on behind it. */
static bool day_of(struct smarthop_span *text, unsigned *day_out)
{
    static const char names[] = "sunmontuewedthufrisat";

    for (unsigned day = 0; day < DAYS; day++)
        if (text->len >= 3 && strncasecmp(text->ptr, names + 3 * day, 3) == 0) {
            *text = smarthop_span_of(text->ptr + 3, text->len - 3);
            *day_out = day;
            return true;
        }
    return false;
}

static bool skip_char(struct smarthop_span *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    *text = smarthop_span_of(text->ptr + 1, text->len - 1);
    return true;
}

/* "mon-fri,sun". */
static bool days_of(struct smarthop_span text, unsigned *days)
{
    unsigned first, last;

    do {
        if (!day_of(&text, &first))
            return false;
        last = first;
        if (skip_char(&text, '-') && !day_of(&text, &last))
            return false;
        for (unsigned day = first; *days |= 1u << day, day != last;)
            day = (day + 1) % DAYS;
    } while (skip_char(&text, ','));
    return text.len == 0;
}

static bool parse_days(struct parser *parser, struct condition *condition)
{
    struct smarthop_span text;

    if (!parser_take(parser, "days", &text))
        return false;
    if (!days_of(text, &condition->days))
        return parser_fail(parser, "%.*s are no days, such as mon-fri,sun", TEXT_ARG(text));
    return true;
}

/* ---- texts ---------------------------------------------------------------------------------- */

static bool parse_pattern(struct parser *parser, struct condition *condition)
{
    char why[RULES_PROBLEM_MAX];

    condition->test = TEST_PATTERN;
    condition->pattern =
        pattern_create(parser->token.text, parser->token.flags, parser->limits, why, sizeof why);
    if (condition->pattern == NULL)
        return parser_fail(parser, "%s", why);
    parser_next(parser);
    return true;
}

/* Of addresses a word beginning with @ is a domain, with @. those below it too; <> is none. */
static void choose_test(struct condition *condition)
{
    struct smarthop_span *text = &condition->text;

    condition->test = TEST_EQUAL;
    if (condition->subject != SUBJECT_SENDER && condition->subject != SUBJECT_RECIPIENT)
        return;
    if (smarthop_equal(*text, SMARTHOP_TEXT("<>")))
        text->len = 0;
    if (!skip_char(text, '@'))
        return;
    condition->test = skip_char(text, '.') ? TEST_BELOW : TEST_DOMAIN;
}

static bool parse_text(struct parser *parser, struct condition *condition)
{
    if (parser->token.kind == TOKEN_PATTERN)
        return parse_pattern(parser, condition);
    if (!parser_take(parser, "a text or a pattern", &condition->text))
        return false;
    choose_test(condition);
    return true;
}

static uint32_t name_number(struct rules *rules, struct smarthop_span name)
{
    uint32_t i = 0;

    while (i < rules->name_count && (rules->names[i].len != name.len ||
                                     strncasecmp(rules->names[i].ptr, name.ptr, name.len) != 0))
        i++;
    if (i == rules->name_count) {
        rules->names = rules_grow(rules->names, rules->name_count++, sizeof *rules->names);
        rules->names[i] = name;
    }
    return i;
}

static bool is_field_name(struct smarthop_span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
            return false;
    return name.len > 0;
}

/* header NAME [TEXT]: without a text it is enough that there is one. */
static bool parse_field(struct parser *parser, struct condition *condition)
{
    struct smarthop_span name;

    if (!parser_take(parser, "the name of a field", &name))
        return false;
    if (!is_field_name(name))
        return parser_fail(parser, "%.*s is no name of a field", TEXT_ARG(name));
    condition->field = name_number(parser->rules, name);
    if (parser->token.kind == TOKEN_TEXT || parser->token.kind == TOKEN_PATTERN)
        return parse_text(parser, condition);
    return true;
}

static bool parse_value(struct parser *parser, struct condition *condition)
{
    switch (condition->subject) {
    case SUBJECT_ANY:
        return true;
    case SUBJECT_FIELD:
        return parse_field(parser, condition);
    case SUBJECT_CLIENT:
        return parse_network(parser, condition);
    case SUBJECT_SIZE:
        return parse_size(parser, condition);
    case SUBJECT_TIME:
        return parse_time(parser, condition);
    case SUBJECT_DAYS:
        return parse_days(parser, condition);
    default:
        return parse_text(parser, condition);
    }
}

bool parse_condition(struct parser *parser, struct condition *condition)
{
    struct smarthop_span word;

    condition->is_negated = token_is(&parser->token, "not");
    if (condition->is_negated)
        parser_next(parser);
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (token_is(&parser->token, words[i].word)) {
            condition->subject = words[i].subject;
            parser_next(parser);
            return parse_value(parser, condition);
        }
    if (!parser_take(parser, "a condition", &word))
        return false;
    return parser_fail(parser, "there is no condition %.*s", TEXT_ARG(word));
}
