#include "proto/esmtp.h"
#include "proto/rfc3339.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define X10(text)  text text text text text text text text text text
#define X100(text) X10(X10(text))

static const struct esmtp_offer everything = {
    .extensions = ~0u, .hold_for_max = 86400, .hold_until_max = 2000000000, .deliver_by_min = 60};

static struct smtp_params params_of(const char *text)
{
    struct smtp_mail_args args;
    struct buf command;

    buf_init(&command, 0);
    buf_addf(&command, "FROM:<> %s", text);
    /* The spans of the parameters are to point into `text`. */
    struct span params = span_from(buf_span(&command), 8);
    if (smtp_parse_mail(buf_span(&command), SMTP_PATH_ALLOW_UTF8, &args) != SMTP_PATH_OK)
        fail_msg("%s is no list of parameters", text);
    for (size_t i = 0; i < args.params.count; i++) {
        struct smtp_param *param = &args.params.list[i];
        param->keyword.ptr = text + (param->keyword.ptr - params.ptr);
        if (param->has_value)
            param->value.ptr = text + (param->value.ptr - params.ptr);
    }
    buf_fini(&command);
    return args.params;
}

/* What was understood, in one line. */
static void describe_mail(const struct esmtp_mail *m, struct buf *out)
{
    static const char *const bodies[] = {"", "7bit ", "8bit ", "binary "};
    static const char *const rets[] = {"", "full ", "headers "};
    static const char *const holds[] = {"", "for", "until"};
    static const char *const bys[] = {"", "return", "notify"};

    if (m->has_size)
        buf_addf(out, "size=%llu ", (unsigned long long)m->size);
    buf_addf(out, "%s%s", bodies[m->body], rets[m->ret]);
    buf_addf(out, "%s%s", m->smtputf8 ? "utf8 " : "", m->require_tls ? "tls " : "");
    if (m->envid.len > 0)
        buf_addf(out, "envid=%.*s ", SPAN_ARG(m->envid));
    if (m->has_auth)
        buf_addf(out, "auth=%.*s ", SPAN_ARG(m->auth));
    if (m->has_priority)
        buf_addf(out, "priority=%d ", m->priority);
    if (m->hold != ESMTP_HOLD_NONE)
        buf_addf(out, "%s=%llu ", holds[m->hold], (unsigned long long)m->hold_value);
    if (m->by != ESMTP_BY_NONE)
        buf_addf(out, "%s=%d%s ", bys[m->by], m->by_seconds, m->by_trace ? "t" : "");
}

static void check_mail(const char *text, enum esmtp_error expected, const char *meaning)
{
    struct smtp_params params = params_of(text);
    struct esmtp_mail mail;
    struct span culprit = SPAN_NONE;
    struct arena arena;
    struct buf described;

    arena_init(&arena);
    buf_init(&described, 0);
    enum esmtp_error error = esmtp_parse_mail(&params, &everything, &arena, &mail, &culprit);
    if (error != expected)
        fail_msg("%s: %.*s", text, SPAN_ARG(esmtp_error_status(error).text));
    CHECK(text, (error == ESMTP_OK) == (culprit.len == 0));
    if (error == ESMTP_OK) {
        describe_mail(&mail, &described);
        CHECK_SPAN(text, span_trim(buf_span(&described)), span_cstr(meaning));
    }
    buf_fini(&described);
    arena_fini(&arena);
}

static void understands_mail(void **state)
{
    static const struct {
        const char *text;
        const char *meaning;
    } cases[] = {
        {"", ""},
        {"SIZE=0", "size=0"},
        {"SIZE=18446744073709551615", "size=18446744073709551615"},
        {"SIZE=18446744073709551616", "size=18446744073709551615"},
        {"SIZE=99999999999999999999", "size=18446744073709551615"},
        {"size=18446744073709551615", "size=18446744073709551615"},
        {"BODY=7BIT", "7bit"},
        {"BODY=8bitmime", "8bit"},
        {"BODY=BINARYMIME", "binary"},
        {"SMTPUTF8 REQUIRETLS", "utf8 tls"},
        {"RET=FULL", "full"},
        {"RET=hdrs ENVID=a+2Bb+20c", "headers envid=a+b c"},
        {"ENVID=" X100("x"), "envid=" X100("x")},
        {"AUTH=<>", "auth="},
        {"AUTH=+3C+3E", "auth="},
        {"AUTH=a+2Bb@example.org", "auth=a+b@example.org"},
        {"AUTH=postmaster", "auth=postmaster"},
        {"MT-PRIORITY=0", "priority=0"},
        {"MT-PRIORITY=9", "priority=9"},
        {"mt-priority=-9", "priority=-9"},
        {"HOLDFOR=0", "for=0"},
        {"HOLDFOR=86400", "for=86400"},
        {"HOLDUNTIL=2033-05-18T03:33:20Z", "until=2000000000"},
        {"BY=60;R", "return=60"},
        {"BY=+120;rt", "return=120t"},
        {"BY=0;N", "notify=0"},
        {"BY=-999999999;NT", "notify=-999999999t"},
        {"BY=1;N", "notify=1"},
        {"SIZE=1 BODY=8BITMIME RET=FULL", "size=1 8bit full"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_mail(cases[i].text, ESMTP_OK, cases[i].meaning);
}

static void refuses_mail(void **state)
{
    static const struct {
        const char *text;
        enum esmtp_error error;
    } cases[] = {
        {"X=1", ESMTP_NOT_OFFERED},
        {"SIZ=1", ESMTP_NOT_OFFERED},
        {"NOTIFY=NEVER", ESMTP_NOT_OFFERED},
        {"SIZE", ESMTP_SIZE},
        {"SIZE=-1", ESMTP_SIZE},
        {"SIZE=1k", ESMTP_SIZE},
        {"SIZE=100000000000000000000", ESMTP_SIZE},
        {"SIZE=1844674407370955161x", ESMTP_SIZE},
        {"SIZE=000000000000000000001", ESMTP_SIZE},
        {"BODY", ESMTP_BODY},
        {"BODY=9BIT", ESMTP_BODY},
        {"SMTPUTF8=1", ESMTP_SMTPUTF8},
        {"RET", ESMTP_RET},
        {"RET=HEADERS", ESMTP_RET},
        {"ENVID", ESMTP_ENVID},
        {"ENVID=a+2b", ESMTP_ENVID},
        {"ENVID=a+0D+0ABcc:b", ESMTP_ENVID},
        {"ENVID=+C3+A4", ESMTP_ENVID},
        {"ENVID=" X100("x") "x", ESMTP_ENVID},
        {"AUTH", ESMTP_AUTH},
        {"AUTH=a@b+", ESMTP_AUTH},
        {"AUTH=a+0Ab@c", ESMTP_AUTH},
        {"AUTH=a@", ESMTP_AUTH},
        {"AUTH=" X100("xxxxx") "@b", ESMTP_AUTH},
        {"REQUIRETLS=yes", ESMTP_REQUIRETLS},
        {"MT-PRIORITY", ESMTP_PRIORITY},
        {"MT-PRIORITY=-", ESMTP_PRIORITY},
        {"MT-PRIORITY=-0", ESMTP_PRIORITY},
        {"MT-PRIORITY=+1", ESMTP_PRIORITY},
        {"MT-PRIORITY=10", ESMTP_PRIORITY},
        {"HOLDFOR", ESMTP_HOLD_FOR},
        {"HOLDFOR=1h", ESMTP_HOLD_FOR},
        {"HOLDFOR=0000000001", ESMTP_HOLD_FOR},
        {"HOLDFOR=86401", ESMTP_HOLD_TOO_LONG},
        {"HOLDUNTIL=2033-05-18", ESMTP_HOLD_UNTIL},
        {"HOLDUNTIL=2033-05-18T03:33:21Z", ESMTP_HOLD_TOO_LONG},
        {"HOLDFOR=1 HOLDUNTIL=2030-01-01T00:00:00Z", ESMTP_HOLD_TWICE},
        {"HOLDUNTIL=2030-01-01T00:00:00Z HOLDFOR=1", ESMTP_HOLD_TWICE},
        {"BY", ESMTP_BY},
        {"BY=60", ESMTP_BY},
        {"BY=60;", ESMTP_BY},
        {"BY=;R", ESMTP_BY},
        {"BY=+-1;N", ESMTP_BY},
        {"BY=60;T", ESMTP_BY},
        {"BY=60;RR", ESMTP_BY},
        {"BY=1000000000;N", ESMTP_BY},
        {"BY=0;R", ESMTP_BY},
        {"BY=-60;R", ESMTP_BY},
        {"BY=59;R", ESMTP_BY_TOO_SOON},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_mail(cases[i].text, cases[i].error, NULL);
}

static void refuses_what_is_not_offered(void **state)
{
    static const struct {
        const char *text;
        unsigned offered;
        enum esmtp_error error;
    } cases[] = {
        {"SIZE=1", 0, ESMTP_NOT_OFFERED},
        {"SIZE=1", ~(unsigned)SMTP_EXT_SIZE, ESMTP_NOT_OFFERED},
        {"SIZE=1", SMTP_EXT_SIZE, ESMTP_OK},
        {"BODY=8BITMIME", SMTP_EXT_8BITMIME, ESMTP_OK},
        {"BODY=8BITMIME", SMTP_EXT_BINARYMIME, ESMTP_BODY},
        {"BODY=BINARYMIME", SMTP_EXT_BINARYMIME, ESMTP_OK},
        {"BODY=BINARYMIME", SMTP_EXT_8BITMIME, ESMTP_BODY},
        {"BODY=7BIT", SMTP_EXT_SIZE, ESMTP_NOT_OFFERED},
        {"RET=FULL", ~(unsigned)SMTP_EXT_DSN, ESMTP_NOT_OFFERED},
        {"AUTH=<>", ~(unsigned)SMTP_EXT_AUTH, ESMTP_NOT_OFFERED},
        {"REQUIRETLS", ~(unsigned)SMTP_EXT_REQUIRETLS, ESMTP_NOT_OFFERED},
        {"HOLDFOR=1", ~(unsigned)SMTP_EXT_FUTURERELEASE, ESMTP_NOT_OFFERED},
    };
    struct esmtp_mail mail;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct esmtp_offer offer = everything;
        struct smtp_params params = params_of(cases[i].text);
        offer.extensions = cases[i].offered;
        enum esmtp_error error = esmtp_parse_mail(&params, &offer, &arena, &mail, NULL);
        CHECK(cases[i].text, error == cases[i].error);
    }
    arena_fini(&arena);
}

static void names_the_culprit(void **state)
{
    struct smtp_params params = params_of("SIZE=1 Foo=2 RET=x");
    struct esmtp_mail mail;
    struct span culprit;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    assert_int_equal(esmtp_parse_mail(&params, &everything, &arena, &mail, &culprit),
                     ESMTP_NOT_OFFERED);
    CHECK_SPAN("culprit", culprit, SPAN("Foo"));
    params.list[1] = params.list[0];
    assert_int_equal(esmtp_parse_mail(&params, &everything, &arena, &mail, &culprit),
                     ESMTP_REPEATED);
    CHECK_SPAN("culprit", culprit, SPAN("SIZE"));
    arena_fini(&arena);
}

/* What is passed on means what was said. */
static bool notify_comes_back(unsigned notify)
{
    char text[16 + ESMTP_NOTIFY_TEXT_MAX] = "NOTIFY=";
    size_t len = esmtp_notify_format(notify, text + 7);
    struct esmtp_rcpt rcpt = {0};

    if (len > 0) {
        struct smtp_params params = params_of(text);
        struct arena arena;
        arena_init(&arena);
        esmtp_parse_rcpt(&params, &everything, &arena, &rcpt, NULL);
        arena_fini(&arena);
    }
    return strlen(text) == 7 + len && rcpt.notify == notify;
}

static void writes_what_is_passed_on(void **state)
{
    char text[ESMTP_NOTIFY_TEXT_MAX];

    (void)state;
    CHECK_SPAN("FULL", esmtp_ret_format(ESMTP_RET_FULL), SPAN("FULL"));
    CHECK_SPAN("HDRS", esmtp_ret_format(ESMTP_RET_HEADERS), SPAN("HDRS"));
    CHECK_SPAN("none", esmtp_ret_format(ESMTP_RET_NONE), SPAN_NONE);
    esmtp_notify_format(ESMTP_NOTIFY_ALL, text); /* never said, but it has room */
    assert_string_equal(text, "NEVER,SUCCESS,FAILURE,DELAY");
}

static void judges_rcpt(void **state)
{
    enum { S = ESMTP_NOTIFY_SUCCESS, F = ESMTP_NOTIFY_FAILURE, D = ESMTP_NOTIFY_DELAY };
    static const struct {
        const char *text;
        enum esmtp_error error;
        unsigned notify;
        const char *type;
        const char *address;
    } cases[] = {
        {"", ESMTP_OK, 0, "", ""},
        {"NOTIFY=NEVER", ESMTP_OK, ESMTP_NOTIFY_NEVER, "", ""},
        {"NOTIFY=success,FAILURE,Delay", ESMTP_OK, S | F | D, "", ""},
        {"NOTIFY=DELAY,DELAY", ESMTP_OK, D, "", ""},
        {"ORCPT=rfc822;a+2Bb@c", ESMTP_OK, 0, "rfc822", "a+b@c"},
        {"ORCPT=x-fax;+20;x", ESMTP_OK, 0, "x-fax", " ;x"},
        {"ORCPT=utf-8;\\x{E4}@b", ESMTP_OK, 0, "utf-8", "\\x{E4}@b"},
        {"ORCPT=UTF-8;\xc3\xa4@b", ESMTP_OK, 0, "UTF-8", "\xc3\xa4@b"},
        {"NOTIFY=NEVER ORCPT=rfc822;a", ESMTP_OK, ESMTP_NOTIFY_NEVER, "rfc822", "a"},
        {"NOTIFY", ESMTP_NOTIFY, 0, NULL, NULL},
        {"NOTIFY=ALWAYS", ESMTP_NOTIFY, 0, NULL, NULL},
        {"NOTIFY=NEVER,DELAY", ESMTP_NOTIFY, 0, NULL, NULL},
        {"NOTIFY=DELAY,NEVER", ESMTP_NOTIFY, 0, NULL, NULL},
        {"NOTIFY=DELAY,", ESMTP_NOTIFY, 0, NULL, NULL},
        {"NOTIFY=,DELAY", ESMTP_NOTIFY, 0, NULL, NULL},
        {"ORCPT", ESMTP_ORCPT, 0, NULL, NULL},
        {"ORCPT=a@b", ESMTP_ORCPT, 0, NULL, NULL},
        {"ORCPT=rfc822;", ESMTP_ORCPT, 0, NULL, NULL},
        {"ORCPT=;a@b", ESMTP_ORCPT, 0, NULL, NULL},
        {"ORCPT=rfc.822;a@b", ESMTP_ORCPT, 0, NULL, NULL},
        {"ORCPT=rfc822;a+0D+0AX:", ESMTP_ORCPT, 0, NULL, NULL},
        {"ORCPT=rfc822;a+", ESMTP_ORCPT, 0, NULL, NULL},
        {"ORCPT=rfc822;\xc3\xa4@b", ESMTP_ORCPT, 0, NULL, NULL},
        {"ORCPT=rfc822;" X100("xxxxx"), ESMTP_ORCPT, 0, NULL, NULL},
        {"SIZE=1", ESMTP_NOT_OFFERED, 0, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct smtp_params params = params_of(cases[i].text);
        struct esmtp_rcpt rcpt;
        struct arena arena;
        arena_init(&arena);
        enum esmtp_error error = esmtp_parse_rcpt(&params, &everything, &arena, &rcpt, NULL);
        CHECK(cases[i].text, error == cases[i].error);
        if (error == ESMTP_OK) {
            CHECK(cases[i].text, rcpt.notify == cases[i].notify);
            CHECK(cases[i].text, notify_comes_back(rcpt.notify));
            CHECK_SPAN(cases[i].text, rcpt.orcpt_type, span_cstr(cases[i].type));
            CHECK_SPAN(cases[i].text, rcpt.orcpt_address, span_cstr(cases[i].address));
        }
        arena_fini(&arena);
    }
}

static void has_a_reply_for_each_error(void **state)
{
    (void)state;
    assert_int_equal(esmtp_error_status(ESMTP_OK).code, 0);
    for (unsigned error = ESMTP_NOT_OFFERED; error < ESMTP_ERROR_COUNT; error++) {
        struct status status = esmtp_error_status((enum esmtp_error)error);
        assert_int_equal(status.code, error == ESMTP_NOT_OFFERED ? 555 : 501);
        assert_int_equal(status.enhanced.klass, 5);
        assert_int_equal(status.enhanced.subject, 5);
        assert_int_equal(status.enhanced.detail, 4);
        assert_true(status.text.len > 0);
    }
}

static void reads_dates(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t seconds;
    } cases[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2000-02-29t12:00:00z", true, 951825600},
        {"2024-03-01T00:30:00.25+01:00", true, 1709249400},
        {"2024-02-29T23:30:00-00:30", true, 1709251200},
        {"2016-12-31T23:59:60Z", true, 1483228800},
        {"9999-12-31T23:59:59Z", true, 253402300799},
        {"2023-02-29T00:00:00Z", false, 0},
        {"2023-04-31T00:00:00Z", false, 0},
        {"1970-01-01T00:00:00+00:01", false, 0},
        {"1969-12-31T23:59:59Z", false, 0},
        {"2024-13-01T00:00:00Z", false, 0},
        {"2024-00-01T00:00:00Z", false, 0},
        {"2024-01-00T00:00:00Z", false, 0},
        {"2024-01-01T24:00:00Z", false, 0},
        {"2024-01-01T00:60:00Z", false, 0},
        {"2024-01-01T00:00:61Z", false, 0},
        {"2024-01-01T00:00:00", false, 0},
        {"2024-01-01T00:00:00.Z", false, 0},
        {"2024-01-01T00:00:00+1:00", false, 0},
        {"2024-01-01T00:00:00+24:00", false, 0},
        {"2024-01-01T00:00:00Zx", false, 0},
        {"2024-01-01 00:00:00Z", false, 0},
        {"2024-1-1T00:00:00Z", false, 0},
        {"", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t seconds = 0;
        CHECK(cases[i].text, rfc3339_parse(span_cstr(cases[i].text), &seconds) == cases[i].good);
        CHECK(cases[i].text, seconds == cases[i].seconds);
    }
}

static void writes_dates(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {253402300799, "9999-12-31T23:59:59Z"},
    };
    char text[RFC3339_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t seconds = 0;
        size_t len = rfc3339_format(cases[i].seconds, text);
        CHECK(cases[i].text, span_equal(span_of(text, len), span_cstr(cases[i].text)));
        CHECK(cases[i].text, rfc3339_parse(span_of(text, len), &seconds));
        CHECK(cases[i].text, seconds == cases[i].seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_mail),
        cmocka_unit_test(refuses_mail),
        cmocka_unit_test(refuses_what_is_not_offered),
        cmocka_unit_test(names_the_culprit),
        cmocka_unit_test(judges_rcpt),
        cmocka_unit_test(writes_what_is_passed_on),
        cmocka_unit_test(has_a_reply_for_each_error),
        cmocka_unit_test(reads_dates),
        cmocka_unit_test(writes_dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
