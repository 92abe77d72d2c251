#include "proto/smtp_path.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define P4  "A1 A2 A3 A4 "
#define P16 P4 "B1 B2 B3 B4 C1 C2 C3 C4 D1 D2 D3 D4"

static const struct {
    const char *args;
    unsigned flags;
    enum smtp_path_error error;
    const char *path;
    size_t params;
} mail_cases[] = {
    {"FROM:<>", 0, SMTP_PATH_OK, "", 0},
    {"from:<a@b>", 0, SMTP_PATH_OK, "a@b", 0},
    {"FROM:<a@b> SIZE=100 BODY=8BITMIME", 0, SMTP_PATH_OK, "a@b", 2},
    {"FROM:<a@b>  X", 0, SMTP_PATH_OK, "a@b", 1},
    {"FROM:<@c:a@b> X=y", 0, SMTP_PATH_OK, "a@b", 1},
    {"FROM:<\"a> SIZE=1\"@b> SIZE=2", 0, SMTP_PATH_OK, "\"a> SIZE=1\"@b", 1},
    {"FROM:<> " P16, 0, SMTP_PATH_OK, "", 16},
    {"FROM:<> AUTH=<>", 0, SMTP_PATH_OK, "", 1},
    {"FROM:<\xc3\xa4@b> SMTPUTF8", SMTP_PATH_ALLOW_UTF8, SMTP_PATH_OK, "\xc3\xa4@b", 1},
    {"FROM: <a@b>", SMTP_PATH_ALLOW_SPACE, SMTP_PATH_OK, "a@b", 0},
    {"FROM:a@b SIZE=1", SMTP_PATH_ALLOW_NO_BRACKETS, SMTP_PATH_OK, "a@b", 1},
    {"", 0, SMTP_PATH_NO_KEYWORD, NULL, 0},
    {"<a@b>", 0, SMTP_PATH_NO_KEYWORD, NULL, 0},
    {"FROM <a@b>", 0, SMTP_PATH_NO_KEYWORD, NULL, 0},
    {"FROM :<a@b>", 0, SMTP_PATH_NO_KEYWORD, NULL, 0},
    {"TO:<a@b>", 0, SMTP_PATH_NO_KEYWORD, NULL, 0},
    {"FROM: <a@b>", 0, SMTP_PATH_SPACE, NULL, 0},
    {"FROM:", 0, SMTP_PATH_NO_BRACKETS, NULL, 0},
    {"FROM:", SMTP_PATH_ALLOW_NO_BRACKETS, SMTP_PATH_NO_BRACKETS, NULL, 0},
    {"FROM: ", SMTP_PATH_ALLOW_SPACE, SMTP_PATH_NO_BRACKETS, NULL, 0},
    {"FROM:a@b", 0, SMTP_PATH_NO_BRACKETS, NULL, 0},
    {"FROM:<a@b", 0, SMTP_PATH_ADDRESS, NULL, 0},
    {"FROM:<a>", 0, SMTP_PATH_ADDRESS, NULL, 0},
    {"FROM:<postmaster>", 0, SMTP_PATH_ADDRESS, NULL, 0},
    {"FROM:<\xc3\xa4@b> SMTPUTF8", 0, SMTP_PATH_ADDRESS, NULL, 0},
    {"FROM:<\xc3\xa4@b>", SMTP_PATH_ALLOW_UTF8, SMTP_PATH_NEEDS_SMTPUTF8, NULL, 0},
    {"FROM:<a@b>SIZE=1", 0, SMTP_PATH_TRAILING, NULL, 0},
    {"FROM:<a@b>>", 0, SMTP_PATH_TRAILING, NULL, 0},
    {"FROM:<a@b>\tSIZE=1", 0, SMTP_PATH_TRAILING, NULL, 0},
    {"FROM:<> SIZE=", 0, SMTP_PATH_PARAM_SYNTAX, NULL, 0},
    {"FROM:<> =1", 0, SMTP_PATH_PARAM_SYNTAX, NULL, 0},
    {"FROM:<> -A", 0, SMTP_PATH_PARAM_SYNTAX, NULL, 0},
    {"FROM:<> A_B", 0, SMTP_PATH_PARAM_SYNTAX, NULL, 0},
    {"FROM:<> A=b=c", 0, SMTP_PATH_PARAM_SYNTAX, NULL, 0},
    {"FROM:<> A=b\tc", 0, SMTP_PATH_PARAM_SYNTAX, NULL, 0},
    {"FROM:<> A=\xc3\xa4", 0, SMTP_PATH_PARAM_SYNTAX, NULL, 0},
    {"FROM:<> A=\xc3", SMTP_PATH_ALLOW_UTF8, SMTP_PATH_PARAM_SYNTAX, NULL, 0},
    {"FROM:<> SIZE=1 size=2", 0, SMTP_PATH_PARAM_REPEATED, NULL, 0},
    {"FROM:<> " P16 " E1", 0, SMTP_PATH_PARAMS_TOO_MANY, NULL, 0},
};

static void judges_mail(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mail_cases / sizeof mail_cases[0]; i++) {
        struct smtp_mail_args args;
        enum smtp_path_error error =
            smtp_parse_mail(span_cstr(mail_cases[i].args), mail_cases[i].flags, &args);
        if (error != mail_cases[i].error)
            fail_msg("%s: %s", mail_cases[i].args, smtp_path_error_text(error));
        if (error != SMTP_PATH_OK)
            continue;
        CHECK_SPAN(mail_cases[i].args, args.path.text, span_cstr(mail_cases[i].path));
        CHECK(mail_cases[i].args, args.params.count == mail_cases[i].params);
    }
}

static void judges_rcpt(void **state)
{
    static const struct {
        const char *args;
        unsigned flags;
        enum smtp_path_error error;
        enum address_error address_error;
    } cases[] = {
        {"TO:<a@b>", 0, SMTP_PATH_OK, ADDRESS_OK},
        {"to:<Postmaster>", 0, SMTP_PATH_OK, ADDRESS_OK},
        {"TO:<a@b> NOTIFY=NEVER ORCPT=rfc822;a@b", 0, SMTP_PATH_OK, ADDRESS_OK},
        {"TO:<\xc3\xa4@b>", SMTP_PATH_ALLOW_UTF8, SMTP_PATH_OK, ADDRESS_OK},
        {"TO:<>", 0, SMTP_PATH_NULL_RECIPIENT, ADDRESS_OK},
        {"FROM:<a@b>", 0, SMTP_PATH_NO_KEYWORD, ADDRESS_OK},
        {"TO:<a..b@c>", 0, SMTP_PATH_ADDRESS, ADDRESS_LOCAL_SYNTAX},
        {"TO:<\xc3\xa4@b>", 0, SMTP_PATH_ADDRESS, ADDRESS_UTF8_REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct smtp_rcpt_args args;
        enum smtp_path_error error =
            smtp_parse_rcpt(span_cstr(cases[i].args), cases[i].flags, &args);
        if (error != cases[i].error)
            fail_msg("%s: %s", cases[i].args, smtp_path_error_text(error));
        CHECK(cases[i].args, args.address_error == cases[i].address_error);
    }
}

static void finds_parameters(void **state)
{
    struct smtp_mail_args args;

    (void)state;
    assert_int_equal(smtp_parse_mail(SPAN("FROM:<> size=12 SMTPUTF8"), 0, &args), SMTP_PATH_OK);
    const struct smtp_param *size = smtp_param_find(&args.params, SPAN("SIZE"));
    assert_non_null(size);
    assert_true(size->has_value);
    CHECK_SPAN("size", size->value, SPAN("12"));
    const struct smtp_param *utf8 = smtp_param_find(&args.params, SPAN("SMTPUTF8"));
    assert_non_null(utf8);
    assert_false(utf8->has_value);
    assert_int_equal(utf8->value.len, 0);
    assert_null(smtp_param_find(&args.params, SPAN("BODY")));
}

static void names_the_errors(void **state)
{
    (void)state;
    assert_string_equal(smtp_path_error_text(SMTP_PATH_NULL_RECIPIENT), "null recipient");
    for (int error = SMTP_PATH_OK; error <= SMTP_PATH_PARAMS_TOO_MANY; error++)
        assert_string_not_equal(smtp_path_error_text((enum smtp_path_error)error), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_mail),
        cmocka_unit_test(judges_rcpt),
        cmocka_unit_test(finds_parameters),
        cmocka_unit_test(names_the_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
