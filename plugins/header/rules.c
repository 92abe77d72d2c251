/* Rules: a file's content, read. */
#include "private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *rules_grow(void *array, uint32_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return array;
    array = realloc(array, (count > 0 ? 2 * (size_t)count : 1) * size);
    if (array == NULL)
        abort();
    memset((char *)array + count * size, 0, (count > 0 ? count : 1) * size);
    return array;
}

void parser_next(struct parser *parser)
{
    parser->token = token_next(&parser->tokens);
}

bool parser_fail(struct parser *parser, const char *format, ...)
{
    va_list arguments;
    int len =
        snprintf(parser->problem, RULES_PROBLEM_MAX, "%s:%u: ", parser->file, parser->token.line);

    if (len < 0 || len >= RULES_PROBLEM_MAX)
        return false;
    va_start(arguments, format);
    vsnprintf(parser->problem + len, (size_t)(RULES_PROBLEM_MAX - len), format, arguments);
    va_end(arguments);
    return false;
}

bool parser_take(struct parser *parser, const char *what, struct smarthop_span *text_out)
{
    if (parser->token.kind == TOKEN_BAD)
        return parser_fail(parser, "%.*s", TEXT_ARG(parser->token.text));
    if (parser->token.kind != TOKEN_WORD && parser->token.kind != TOKEN_TEXT)
        return parser_fail(parser, "%s is expected here", what);
    *text_out = parser->token.text;
    parser_next(parser);
    return true;
}

bool number_of(struct smarthop_span text, uint64_t *number_out, struct smarthop_span *rest_out)
{
    uint64_t number = 0;
    size_t at = 0;

    if (text.len == 0)
        return false;
    for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) {
        if (number > UINT64_MAX / 100)
            return false;
        number = number * 10 + (uint64_t)(text.ptr[at] - '0');
    }
    *number_out = number;
    *rest_out = smarthop_span_of(text.ptr + at, text.len - at);
    return at > 0;
}

static bool parse_conditions(struct parser *parser, struct rule *rule)
{
    do {
        if (rule->condition_count == RULE_CONDITIONS_MAX)
            return parser_fail(parser, "a rule has at most %d conditions", RULE_CONDITIONS_MAX);
        if (rule->condition_count > 0)
            parser_next(parser);
        rule->conditions =
            rules_grow(rule->conditions, rule->condition_count, sizeof *rule->conditions);
        if (!parse_condition(parser, &rule->conditions[rule->condition_count++]))
            return false;
    } while (token_is(&parser->token, "and"));
    return true;
}

static bool parse_rule(struct parser *parser, struct rule *rule)
{
    int len = snprintf(rule->why, sizeof rule->why, "the rule in line %u", parser->token.line);

    rule->verdict.why = smarthop_span_of(rule->why, (size_t)len);
    if (!parse_conditions(parser, rule))
        return false;
    if (!token_is(&parser->token, "->"))
        return parser_fail(parser, "`and` or `->` is expected here");
    parser_next(parser);
    return parse_action(parser, rule);
}

static bool parse_rules(struct parser *parser)
{
    struct rules *rules = parser->rules;

    for (parser_next(parser); parser->token.kind != TOKEN_FILE; parser_next(parser)) {
        rules->rules = rules_grow(rules->rules, rules->rule_count, sizeof *rules->rules);
        if (!parse_rule(parser, &rules->rules[rules->rule_count++]))
            return false;
    }
    return true;
}

/* Arrays have moved while they grew: what points to rules themselves is set at the end. */
static void settle(struct rules *rules)
{
    for (uint32_t i = 0; i < rules->rule_count; i++) {
        struct rule *rule = &rules->rules[i];
        rule->verdict.why.ptr = rule->why;
        rule->verdict.next_hops = rule->next_hops;
        rule->verdict.tags = rule->tags;
    }
}

struct rules *rules_parse(const char *text, size_t len, const char *file,
                          const struct pattern_limits *limits, char problem[RULES_PROBLEM_MAX])
{
    struct rules *rules = calloc(1, sizeof *rules);
    struct parser parser = {
        .rules = rules, .limits = limits, .file = file, .problem = problem, .token = {.line = 1}};

    if (rules == NULL || (rules->text = malloc(len + 1)) == NULL)
        abort();
    rules->refs = 1;
    if (len > 0)
        memcpy(rules->text, text, len);
    tokens_init(&parser.tokens, rules->text, len);
    if (!parse_rules(&parser)) {
        rules_unref(rules);
        return NULL;
    }
    settle(rules);
    return rules;
}

struct rules *rules_ref(struct rules *rules)
{
    atomic_fetch_add(&rules->refs, 1);
    return rules;
}

static void free_rule(struct rule *rule)
{
    for (uint32_t i = 0; i < rule->condition_count; i++)
        pattern_free(rule->conditions[i].pattern);
    free(rule->conditions);
    free(rule->next_hops);
    free(rule->tags);
}

void rules_unref(struct rules *rules)
{
    if (rules == NULL || atomic_fetch_sub(&rules->refs, 1) > 1)
        return;
    for (uint32_t i = 0; i < rules->rule_count; i++)
        free_rule(&rules->rules[i]);
    free(rules->rules);
    free(rules->names);
    free(rules->text);
    free(rules);
}
