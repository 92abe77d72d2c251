#include "rules/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(of) (sizeof(of) / sizeof((of)[0]))

static struct rules *parse(const char *text, struct buf *messages)
{
    return rules_parse(span_cstr(text), "t", messages);
}

static struct status reply(uint16_t code, const char *enhanced, const char *text)
{
    struct status status = {.code = code, .text = span_cstr(text), .said = true};

    enhanced_code_parse(span_cstr(enhanced), &status.enhanced);
    return status;
}

static const char *const action_names[] = {"default", "retry", "bounce", "back-off", "next-host"};

/* ---- the built-in table -------------------------------------------------------------------- */

enum { HOST, CODE, ENHANCED, TEXT, ACTION, CLASS, FIELDS };

static const struct rule *match_sample(const struct rules *rules, struct span fields[FIELDS])
{
    struct status status = {.text = fields[TEXT], .said = true};
    uint64_t code;

    assert_true(span_parse_u64(fields[CODE], &code));
    status.code = (uint16_t)code;
    assert_int_equal(enhanced_code_parse(fields[ENHANCED], &status.enhanced), fields[ENHANCED].len);
    return rules_match(rules, fields[HOST], SPAN(""), &status);
}

/* Samples are in the order of the table, so each rule has one, and is reached. */
static void test_builtin(void **state)
{
    struct rules *rules = rules_builtin();
    FILE *samples = fopen(RULES_SAMPLES, "r");
    char line[2048];
    unsigned count = 0, last = 0;

    (void)state;
    assert_non_null(samples);
    while (fgets(line, sizeof line, samples) != NULL) {
        struct span rest = span_cstr(line), fields[FIELDS], ignored;
        if (line[0] == '#')
            continue;
        rest.len--; /* the line's end */
        for (unsigned i = 0; i < FIELDS; i++)
            fields[i] = span_split(rest, '|', &rest);
        const struct rule *rule = match_sample(rules, fields);
        if (rule == NULL || rule->line <= last ||
            !span_equal(span_cstr(rule->klass), fields[CLASS]))
            fail_msg("%s is met by the rule of line %u, behind %u", line, rule ? rule->line : 0,
                     last);
        assert_true(span_equal(span_cstr(action_names[rule->action]),
                               span_split(fields[ACTION], ':', &ignored)));
        last = rule->line;
        count++;
    }
    fclose(samples);
    assert_int_equal(count, rules_count(rules));
    rules_unref(rules);
}

/* ---- reading ------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"* 421 * * retry", "t:1: a rule has six words"},
        {"\n* 421 * * retry x y", "t:2: a rule has six words"},
        {"* 621 * * retry x", "t:1: \"621\" is no code"},
        {"* 4x1 * * retry x", "t:1: \"4x1\" is no code"},
        {"* 42 * * retry x", "is no code"},
        {"* 421 4.7 * retry x", "\"4.7\" is no enhanced code"},
        {"* 421 4.7.1.2 * retry x", "is no enhanced code"},
        {"* 421 4.7.1000 * retry x", "is no enhanced code"},
        {"* 421 * \"\" retry x", "the text is empty"},
        {"* 421 * \"open retry x", "lacks its closing quote"},
        {"* 421 * * retries x", "\"retries\" is no action"},
        {"* 421 * * retry:1m x", "is no action"},
        {"* 421 * * back-off x", "is no action"},
        {"* 421 * * back-off:15 x", "is no action"},
        {"* 421 * * back-off:0m x", "is no action"},
        {"* 421 * * back-off:31d x", "is no action"},
        {"* 421 * * back-off:99999999999999999999d x", "is no action"},
        {"* 421 * * retry a_b", "\"a_b\" is no class"},
        {"* 421 * * retry abcdefghijklmnopqrstuvwxyzabcdefg", "is no class"},
        {"a*b 421 * * retry x", "\"a*b\" is no destination"},
        {"\"\" 421 * * retry x", "is no destination"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf messages;
        buf_init(&messages, 0);
        assert_null(parse(cases[i].text, &messages));
        buf_add(&messages, span_of("", 1));
        if (strstr(buf_span(&messages).ptr, cases[i].message) == NULL)
            fail_msg("%s: %s", cases[i].text, buf_span(&messages).ptr);
        buf_fini(&messages);
    }
}

static void test_bounds(void **state)
{
    struct buf text, messages;

    (void)state;
    buf_init(&text, 0);
    buf_init(&messages, 0);
    for (unsigned i = 0; i < RULES_MAX; i++)
        buf_addf(&text, "* 4xx * * retry c%u # a comment\r\n\n", i);
    struct rules *rules = rules_parse(buf_span(&text), "t", &messages);
    assert_non_null(rules);
    assert_int_equal(rules_count(rules), RULES_MAX);
    rules_unref(rules);
    buf_addf(&text, "* 4xx * * retry one-more\n");
    assert_null(rules_parse(buf_span(&text), "t", &messages));
    buf_clear(&text);
    buf_addf(&text, "%*s\n", RULES_LINE_MAX + 1, "* 4xx * * retry x");
    assert_null(rules_parse(buf_span(&text), "t", &messages));
    assert_null(rules_parse(SPAN("* 4xx * \"a\0b\" retry x"), "t", &messages));
    for (unsigned i = 0; i < 1000; i++)
        buf_addf(&text, "wrong\n");
    buf_clear(&messages);
    assert_null(rules_parse(buf_span(&text), "t", &messages));
    assert_in_range(buf_len(&messages), 1, 4096);
    buf_fini(&text);
    buf_fini(&messages);
}

/* ---- matching ------------------------------------------------------------------------------ */

static void test_matching(void **state)
{
    static const char table[] = "mx.a.test 421 * * back-off:90s exact\n"
                                ".a.test 4xx 4.7.* \"*Slow DOWN*\" next-host slow\n"
                                "dom.test 550 5.1.1 * retry by-domain\n"
                                "* 5xx * \"a?c\" bounce whole-text\n";
    static const struct {
        const char *host, *domain;
        uint16_t code;
        const char *enhanced, *text, *klass;
    } cases[] = {
        {"mx.a.test", "", 421, "4.0.0", "x", "exact"},
        {"MX.A.TEST", "", 421, "4.0.0", "x", "exact"},
        {"mx2.a.test", "", 421, "4.0.0", "x", NULL},
        {"mx2.a.test", "", 450, "4.7.1", "please slow down now", "slow"},
        {"a.test", "", 450, "4.7.1", "SLOW DOWN", "slow"},
        {"xa.test", "", 450, "4.7.1", "slow down", NULL},
        {"mx2.a.test", "", 450, "4.6.1", "slow down", NULL},
        {"mx", "dom.test", 550, "5.1.1", "", "by-domain"},
        {"mx", "dom.test", 551, "5.1.1", "", NULL},
        {"mx", "", 554, "5.0.0", "aBC", "whole-text"},
        {"mx", "", 554, "5.0.0", "abcd", NULL},
        {"mx", "", 454, "4.0.0", "abc", NULL},
    };
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    struct rules *rules = parse(table, &messages);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct status status = reply(cases[i].code, cases[i].enhanced, cases[i].text);
        const struct rule *rule =
            rules_match(rules, span_cstr(cases[i].host), span_cstr(cases[i].domain), &status);
        if (cases[i].klass == NULL)
            assert_null(rule);
        else
            assert_string_equal(rule->klass, cases[i].klass);
    }
    struct status status = reply(421, "4.0.0", "x");
    assert_int_equal(rules_match(rules, SPAN("mx.a.test"), SPAN(""), &status)->duration_ms, 90000);
    status.text = SPAN("a\0c"); /* hostile text is only looked at */
    status.code = 550;
    assert_string_equal(rules_match(rules, SPAN("mx"), SPAN(""), &status)->klass, "whole-text");
    rules_unref(rules);
    buf_fini(&messages);
}

static void test_a_file(void **state)
{
    char path[] = "/tmp/smarthop-rules-XXXXXX";
    struct follow *follow = follow_create(&rules_follow, NULL);
    struct buf messages;
    int fd = mkstemp(path);

    (void)state;
    buf_init(&messages, 0);
    assert_true(write(fd, "* 421 * * retry x\n", 18) == 18);
    assert_false(err_is(follow_set(follow, path, &messages)));
    struct rules *rules = follow_get(follow);
    assert_int_equal(rules_count(rules), 1);
    rules_unref(rules);
    assert_true(write(fd, "wrong\n", 6) == 6);
    assert_false(follow_poll(follow));
    rules = follow_get(follow);
    assert_int_equal(rules_count(rules), 1);
    rules_unref(rules);
    assert_true(err_is(follow_set(follow, "/nonexistent/rules", &messages)));
    close(fd);
    unlink(path);
    follow_free(follow);
    buf_fini(&messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_matching),
        cmocka_unit_test(test_a_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
