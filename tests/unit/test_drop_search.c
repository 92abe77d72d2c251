/* drop/imap/search: what each key finds, SORT and THREAD, in a real store. */
#include "support/search_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DAY          86400

static const struct {
    uint32_t flags;
    const char *keyword;
    int64_t date;
    int16_t zone;
    const char *prefix;
    const char *text;
} mails[] = {
    /* 1 */
    {MAILSTORE_SEEN, NULL, 100 * DAY, 0, "Return-Path: <back@way.example>\r\n",
     "Date: Sun, 12 Apr 1970 00:30:00 +0200\r\nFrom: Anna Smith <anna@example.org>\r\n"
     "To: bert@example.org\r\nSubject: Hello beautiful\r\n world\r\nMessage-ID: <1@x>\r\n"
     "X-Extra: one\r\nX-Extra: two\r\n\r\nThe quick brown FOX\r\n"},
    /* 2: encoded words, Latin-1 in quoted-printable */
    {MAILSTORE_FLAGGED | MAILSTORE_SEEN, "$Work", 101 * DAY - 1, 60, "",
     "Date: Sat, 11 Apr 1970 23:30:00 -0500\r\n"
     "From: =?UTF-8?Q?J=C3=BCrgen_M=C3=BCller?= <jm@example.org>\r\n"
     "Subject: Re: =?iso-8859-1?Q?Gr=FC=DFe?=\r\n =?iso-8859-1?Q?_aus?= Rom\r\n"
     "Content-Type: text/plain; charset=iso-8859-1\r\n"
     "Content-Transfer-Encoding: quoted-printable\r\nMessage-ID: <2@x>\r\nReferences: <1@x>\r\n"
     "\r\nSch=F6ne Gr=\r\n=FC=DFe\r\n"},
    /* 3: base64 within a multipart; a picture; no Date */
    {MAILSTORE_DELETED, NULL, 101 * DAY, -120, "",
     "From: \"Zed\" <zed@example.org>\r\nCc: Team: (all) <c1 @ example.org>, c2@example.org;\r\n"
     "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n"
     "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
     "X-Part: "
     "inner\r\n\r\nPHA+R3ImdXVtbDvDn2UgPGI+"
     "bzwvYj\r\n51dCBvZiBhPHNjcmlwdD5oaWRkZW48L3NjcmlwdD4gYm94PC9wPg==\r\n--b\r\n"
     "Content-Type: image/png\r\nContent-Transfer-Encoding: 7bit\r\n\r\npicturebytes\r\n--b--\r\n"},
    /* 4: another message within, in Cyrillic KOI8-R, 8 bits */
    {MAILSTORE_DRAFT | MAILSTORE_ANSWERED, NULL, 50 * DAY, 0, "",
     "Date: not a date\r\nFrom: anna@example.org\r\nSubject: fwd\r\n"
     "Content-Type: message/rfc822\r\n\r\nSubject: =?koi8-r?B?8NLJ18XU?=\r\n"
     "Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
     "\xf0\xd2\xc9\xd7\xc5\xd4 inside\r\n"},
    /* 5: nothing */
    {0, "$work", 2 * DAY, 0, "", ""},
    /* 6: ISO-2022-JP: what looks like ASCII is none */
    {0, NULL, 3 * DAY, 0, "",
     "Subject: jp\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B$3$s\x1b(B ok\r\n"},
};

static int setup(void **state)
{
    (void)state;
    search_rig_start();
    for (size_t i = 0; i < COUNT(mails); i++) {
        struct span keyword = span_cstr(mails[i].keyword);
        struct mailstore_target target = {.flags = mails[i].flags,
                                          .keywords = &keyword,
                                          .keyword_count = mails[i].keyword != NULL,
                                          .internal_date = mails[i].date,
                                          .internal_zone = mails[i].zone,
                                          .prefix = span_cstr(mails[i].prefix)};

        search_rig_put(target, span_cstr(mails[i].text));
        /* So that sequence numbers are not UIDs. */
        uint32_t gone = search_rig_put((struct mailstore_target){0}, SPAN("gone"));
        rig_expunge(search_rig.store, search_rig.scope.box, (struct mailstore_range){gone, gone},
                    true);
    }
    search_rig_look();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    search_rig_stop();
    return 0;
}

struct expectation {
    const char *command;
    const char *found;
};

static void check(const struct expectation *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *found = search_rig_find(cases[i].command);

        if (strcmp(found, cases[i].found) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].command, found, cases[i].found);
        free(found);
    }
}

static void test_entries(void **state)
{
    static const struct expectation cases[] = {
        {"SEARCH ALL", "1 2 3 4 5 6"},
        {"SEARCH 2:3,6", "2 3 6"},
        {"SEARCH *", "6"},
        {"SEARCH UID 3:7", "2 3 4"},
        {"SEARCH UID 2", ""},
        {"SEARCH 2:4 UID 5:20", "3 4"},
        {"SEARCH 1:3 NOT UID 3", "1 3"},
        {"SEARCH OR 1 UID 11", "1 6"},
        {"SEARCH 1:2 3:4", ""},
        {"SEARCH (1:5) ALL", "1 2 3 4 5"},
        {"SEARCH SEEN", "1 2"},
        {"SEARCH UNSEEN", "3 4 5 6"},
        {"SEARCH FLAGGED", "2"},
        {"SEARCH DELETED", "3"},
        {"SEARCH UNDELETED SEEN", "1 2"},
        {"SEARCH OR DRAFT ANSWERED", "4"},
        {"SEARCH NOT (OR SEEN DRAFT)", "3 5 6"},
        {"SEARCH KEYWORD $WORK", "2 5"},
        {"SEARCH UNKEYWORD $work", "1 3 4 6"},
        {"SEARCH KEYWORD $none", ""},
        {"SEARCH UNKEYWORD $none", "1 2 3 4 5 6"},
        {"SEARCH RECENT", "3 4"},
        {"SEARCH OLD", "1 2 5 6"},
        {"SEARCH NEW", "3 4"},
        {"SEARCH LARGER 0", "1 2 3 4 6"},
        {"SEARCH SMALLER 1", "5"},
        {"SEARCH EMAILID M0", ""},
        {"SEARCH THREADID M1", ""},
        {"SEARCH MODSEQ 1", "1 2 3 4 5 6"},
        {"SEARCH MODSEQ 1000000", ""},
        {"SEARCH YOUNGER 60", ""},
        {"SEARCH OLDER 60", "1 2 3 4 5 6"},
        {"SEARCH SAVEDATESUPPORTED", "1 2 3 4 5 6"},
        {"SEARCH SAVEDBEFORE 1-Jan-2020", ""},
        {"SEARCH SAVEDSINCE 1-Jan-2020", "1 2 3 4 5 6"},
        {"SEARCH NOT SAVEDON 1-Jan-2020", "1 2 3 4 5 6"},
    };

    (void)state;
    search_rig.scope.recent_from = 5;
    search_rig.scope.recent_end = 9;
    check(cases, COUNT(cases));
}

/* Day 100 is the eleventh of April. */
static void test_dates(void **state)
{
    static const struct expectation cases[] = {
        {"SEARCH ON 11-Apr-1970", "1 3"}, /* of 3 it is the 12th, but not in its zone */
        {"SEARCH ON 12-Apr-1970", "2"},
        {"SEARCH BEFORE 11-Apr-1970", "4 5 6"},
        {"SEARCH BEFORE 12-Apr-1970", "1 3 4 5 6"},
        {"SEARCH SINCE 11-Apr-1970", "1 2 3"},
        {"SEARCH SINCE 1-Jan-1960", "1 2 3 4 5 6"},
        {"SEARCH BEFORE 1-Jan-1960", ""},
        {"SEARCH SENTON 12-Apr-1970", "1"},
        {"SEARCH SENTON 11-Apr-1970", "2"},
        {"SEARCH SENTBEFORE 12-Apr-1970", "2"},
        {"SEARCH SENTSINCE 11-Apr-1970", "1 2"},
        {"SEARCH NOT SENTSINCE 11-Apr-1970", "3 4 5 6"},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void test_headers(void **state)
{
    static const struct expectation cases[] = {
        {"SEARCH SUBJECT hello", "1"},
        {"SEARCH SUBJECT \"EAUTIFUL WORL\"", "1"},
        {"SEARCH SUBJECT \"gr\xc3\xbc\xc3\x9f"
         "e AUS rom\"",
         "2"},
        {"SEARCH SUBJECT iso-8859", ""},
        {"SEARCH SUBJECT \"\"", "1 2 4 6"},
        {"SEARCH HEADER x-extra \"\"", "1"},
        {"SEARCH HEADER X-EXTRA Two", "1"},
        {"SEARCH HEADER x-part inner", ""},
        {"SEARCH HEADER return-path way.example", "1"},
        {"SEARCH FROM \"J\xc3\x9cRGEN M\"", "2"},
        {"SEARCH FROM anna@", "1 4"},
        {"SEARCH CC c1@example.org", "3"},
        {"SEARCH CC \"Team:\"", "3"},
        {"SEARCH CC \"(all)\"", "3"},
        {"SEARCH TO bert NOT FROM zed", "1"},
        {"SEARCH CHARSET koi8-r TEXT {6}\r\n\xd0\xd2\xc9\xd7\xc5\xd4", "4"},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void test_texts(void **state)
{
    static const struct expectation cases[] = {
        {"SEARCH BODY \"brown fox\"", "1"},
        {"SEARCH BODY hello", ""},
        {"SEARCH TEXT hello", "1"},
        {"SEARCH TEXT \"subject: hello beautiful world\"", "1"},
        {"SEARCH TEXT way.example", "1"},
        {"SEARCH BODY \"SCH\xc3\x96NE GR\xc3\x9c\xc3\x9f"
         "E\"",
         "2"},
        {"SEARCH BODY \"gr\xc3\xbc\xc3\x9f"
         "e\"",
         "2 3"},
        {"SEARCH BODY \"a box\"", "3"},
        {"SEARCH BODY \"e out of\"", "3"},
        {"SEARCH BODY uuml", ""},
        {"SEARCH BODY \"<b>\"", ""},
        {"SEARCH TEXT hidden", ""},
        {"SEARCH BODY picturebytes", ""},
        {"SEARCH BODY preamble", ""},
        {"SEARCH TEXT \"x-part: INNER\"", "3"},
        {"SEARCH BODY inner", ""},
        {"SEARCH TEXT \"\xd0\xbf\xd1\x80\xd0\xb8\"", "4"},
        {"SEARCH BODY \"\xd0\x9f\xd0\xa0\xd0\x98\xd0\x92\xd0\x95\xd0\xa2 in\"", "4"},
        {"SEARCH TEXT \"subject: \xd0\x9f\xd0\xa0\xd0\x98\"", "4"},
        {"SEARCH BODY \"\"", "1 2 3 4 5 6"},
        {"SEARCH TEXT \"\"", "1 2 3 4 5 6"},
        {"SEARCH BODY \"$3$s\"", ""},
        {"SEARCH BODY \"\xe3\x81\x93\xe3\x82\x93 OK\"", "6"},
        {"SEARCH NOT BODY fox NOT TEXT anna", "2 3 5 6"},
        {"SEARCH OR BODY fox (SEEN BODY sch)", "1 2"},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void test_sort(void **state)
{
    static const struct expectation cases[] = {
        {"SORT (ARRIVAL) UTF-8 ALL", "5 6 4 1 2 3"},
        {"SORT (REVERSE ARRIVAL) UTF-8 ALL", "3 2 1 4 6 5"},
        {"SORT (DATE) UTF-8 1:4", "4 1 3 2"},
        {"SORT (SIZE) UTF-8 5:6", "5 6"},
        {"SORT (REVERSE SIZE) UTF-8 5:6", "6 5"},
        {"SORT (SUBJECT) UTF-8 ALL", "3 5 4 2 1 6"},
        {"SORT (FROM) UTF-8 ALL", "5 6 1 4 2 3"},
        {"SORT (FROM REVERSE ARRIVAL) UTF-8 ALL", "6 5 1 4 2 3"},
        {"SORT (TO) UTF-8 ALL", "2 3 4 5 6 1"},
        {"SORT (CC) UTF-8 ALL", "1 2 4 5 6 3"},
        {"SORT (DISPLAYFROM) UTF-8 ALL", "5 6 1 4 2 3"},
        {"SORT (REVERSE DISPLAYFROM) UTF-8 1:4", "3 2 4 1"},
        {"SORT (DISPLAYTO) UTF-8 SEEN", "2 1"},
        {"SORT (SUBJECT) UTF-8 BODY \"sch\"", "2"},
    };

    (void)state;
    check(cases, COUNT(cases));
}

static void test_thread(void **state)
{
    static const struct expectation cases[] = {
        {"THREAD REFERENCES UTF-8 ALL", " (5)(6)(4)(1 2)(3)"},
        {"THREAD REFERENCES UTF-8 2:3", " (3)(2)"},
        {"THREAD ORDEREDSUBJECT UTF-8 ALL", " (5 3)(6)(4)(1)(2)"},
        {"THREAD REFERENCES UTF-8 TEXT nowhere", ""},
    };

    (void)state;
    check(cases, COUNT(cases));
}

/* A view is not what is there now. */
static void test_view(void **state)
{
    struct imap_scope scope = search_rig.scope;
    static const uint32_t uids[] = {1, 2, 7, 9, 100};
    static const struct mailstore_range saved[] = {{7, 8}};
    static const struct expectation cases[] = {
        {"SEARCH ALL", "1 3 4"}, {"SEARCH $", "3"},
        {"SEARCH NOT $", "1 4"}, {"SEARCH UID $", "3"},
        {"SEARCH UID *", ""},    {"SORT (REVERSE ARRIVAL) UTF-8 ALL", "1 3 4"},
    };
    static const struct expectation empty[] = {
        {"SEARCH ALL", ""},
        {"SEARCH NOT 1", ""},
        {"SORT (SUBJECT) UTF-8 ALL", ""},
        {"THREAD REFERENCES UTF-8 ALL", ""},
    };

    (void)state;
    search_rig.scope.uids = uids;
    search_rig.scope.count = COUNT(uids);
    search_rig.scope.saved = saved;
    search_rig.scope.saved_count = COUNT(saved);
    check(cases, COUNT(cases));
    search_rig.scope.count = 0;
    check(empty, COUNT(empty));
    search_rig.scope = scope;
    search_rig.scope.box += 1000;
    check(empty, COUNT(empty));
    search_rig.scope = scope;
}

static void test_run(void **state)
{
    struct imap_search program = {.returns = 0};
    struct imap_search_run run = {.scope = search_rig.scope, .program = &program};
    const char *code = "";

    (void)state;
    search_rig_run(&run, false);
    assert_int_equal(run.result.kind, ERR_NONE);
    assert_int_equal(run.found_count, COUNT(mails));
    assert_int_equal(run.highest_modseq,
                     rig_entry(search_rig.store, run.scope.box, run.scope.uids[5]).modseq);
    imap_search_fini(&run);
    run.state = NULL;
    search_rig_run(&run, true);
    assert_int_equal(run.result.kind, ERR_CANCELLED);
    imap_search_fini(&run);
    assert_int_equal(loop_rig.astray, 0);

    assert_null(imap_search_check(&program, &code));
    assert_null(code);
    program.charset = SPAN("KOI8-R");
    assert_null(imap_search_check(&program, &code));
    program.charset = SPAN("nonsense");
    assert_non_null(imap_search_check(&program, &code));
    assert_string_equal(code, "BADCHARSET (US-ASCII UTF-8)");
}

/* What a loop has no time for is done elsewhere, and no match is lost between pieces. */
static void test_large(void **state)
{
    enum { LINES = 40000, LINE = 72 };
    struct buf message;
    char command[200];

    (void)state;
    buf_init(&message, 0);
    buf_add(&message, SPAN("Subject: large\r\n\r\n"));
    for (unsigned i = 0; i < LINES; i++)
        buf_addf(&message, "line %08u %*s\r\n", i, LINE, "Filling");
    search_rig_put((struct mailstore_target){0}, buf_span(&message));
    buf_fini(&message);
    search_rig_look();
    for (unsigned i = 0; i < LINES; i += 1999) {
        snprintf(command, sizeof(command), "SEARCH BODY \"Line %08u \"", i);
        check(&(struct expectation){command, "7"}, 1);
    }
    check(&(struct expectation){"SEARCH BODY \"line 00040000\"", ""}, 1);
    check(&(struct expectation){"SORT (REVERSE SIZE) UTF-8 BODY fill", "7"}, 1);
}

/* A letter and its mark may lie in two chunks. */
static void test_marks(void **state)
{
    enum { LETTERS = 4000 };
    struct buf message, command;

    (void)state;
    buf_init(&message, 0);
    buf_init(&command, 0);
    buf_add(&message, SPAN("Content-Type: text/plain; charset=utf-8\r\n\r\n"));
    buf_add(&command, SPAN("SEARCH BODY \""));
    for (unsigned i = 0; i < LETTERS; i++) {
        buf_add(&message, SPAN("E\xcc\x81"));
        buf_add(&command, SPAN("\xc3\xa9"));
    }
    buf_add(&command, SPAN("\"\0"));
    search_rig_put((struct mailstore_target){0}, buf_span(&message));
    search_rig_look();
    char last[16];
    snprintf(last, sizeof(last), "%u", search_rig.scope.count);
    check(&(struct expectation){buf_span(&command).ptr, last}, 1);
    buf_fini(&message);
    buf_fini(&command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries), cmocka_unit_test(test_dates),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_sort),    cmocka_unit_test(test_thread),
        cmocka_unit_test(test_view),    cmocka_unit_test(test_run),
        cmocka_unit_test(test_large),   cmocka_unit_test(test_marks),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
