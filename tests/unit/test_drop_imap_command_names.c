/* Names of mailboxes in modified UTF-7, and LIST's patterns. */
#include "plugins/drop/imap/command.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void goes_both_ways(void **state)
{
    static const struct {
        const char *utf7;
        const char *utf8;
    } cases[] = {
        {"", ""},
        {"plain ~ name", "plain ~ name"},
        {"a&-b", "a&b"},
        {"&-", "&"},
        {"&-&-", "&&"},
        {"&AOQ-", "\xc3\xa4"},
        {"p&AOQA5A-x", "p\xc3\xa4\xc3\xa4x"},
        {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
         "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"&2D3eAA-", "\xf0\x9f\x98\x80"},
        {"&2D3eANg93gE-", "\xf0\x9f\x98\x80\xf0\x9f\x98\x81"},
        {"&AOQ-&-&AOQ-", "\xc3\xa4&\xc3\xa4"},
        {"&AKA-", "\xc2\xa0"},
        {"&,,0-", "\xef\xbf\xbd"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        buf_init(&out, 0);
        CHECK(cases[i].utf7, imap_utf7_decode(span_cstr(cases[i].utf7), &out));
        CHECK_SPAN(cases[i].utf7, buf_span(&out), span_cstr(cases[i].utf8));
        buf_clear(&out);
        imap_utf7_encode(span_cstr(cases[i].utf8), &out);
        CHECK_SPAN(cases[i].utf8, buf_span(&out), span_cstr(cases[i].utf7));
        buf_fini(&out);
    }
}

static void refuses_what_is_not_canonical(void **state)
{
    static const char *const cases[] = {
        "&",          /* no end */
        "a&AOQ",      /* likewise */
        "&AOQ -",     /* not of the alphabet */
        "&AOQ/-",     /* likewise */
        "&AOQ=-",     /* likewise */
        "&A-",        /* fewer than 16 bits */
        "&AO-",       /* likewise */
        "&AOR-",      /* bits behind the last character */
        "&AOQA-",     /* a whole character of them */
        "&AGE-",      /* 'a' stands for itself */
        "&ACY-",      /* '&' is "&-" */
        "&AAA-",      /* NUL */
        "&AAo-",      /* LF */
        "&AH8-",      /* DEL */
        "&AOQ-&AOQ-", /* two where one is enough */
        "&2D0-",      /* half a pair */
        "&3gA-",      /* the other half */
        "&2D3YPQ-",   /* two first halves */
        "&2D0A5A-",   /* a half before another character */
        "\xc3\xa4",   /* UTF-8 */
        "a\tb",       /* a control */
        "a\x7f",      /* likewise */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;
        buf_init(&out, 0);
        CHECK(cases[i], !imap_utf7_decode(span_cstr(cases[i]), &out));
        buf_fini(&out);
    }
}

static void matches_patterns(void **state)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*", "", true},
        {"%", "", true},
        {"a", "a", true},
        {"a", "A", false},
        {"a", "ab", false},
        {"ab", "a", false},
        {"*", "a/b/c", true},
        {"%", "abc", true},
        {"%", "a/b", false},
        {"a/%", "a/b", true},
        {"a/%", "a", false},
        {"a/%", "a/b/c", false},
        {"a/*", "a/b/c", true},
        {"a*", "a", true},
        {"%/%", "a/b", true},
        {"%/%", "a/b/c", false},
        {"%/%/%", "a/b/c", true},
        {"*c", "a/bc", true},
        {"%c", "abcabc", true},
        {"%c", "a/bc", false},
        {"*%", "a/b", true},
        {"%*", "a/b", true},
        {"%*%", "a/b/c", true},
        {"*/%b", "a/b/xb", true},
        {"%a%a/b", "aaa/b", true},
        {"*a%b*c", "xa/ayb/zc", true},
        {"*a%b", "a/b", false},
        {"*a%b", "a/ab", true},
        {"%t*4", "test3/test4", true},
        {"*2%3", "1/2/3", false},
        {"inbox", "INBOX", true},
        {"inBox", "INBOX", true},
        {"inbox", "INBOXES", false},
        {"inboxes", "INBOXES", false},
        {"INBOX*", "INBOXES", true},
        {"inb*", "INBOX", true},
        {"inb*", "INBOX/a", true},
        {"in%/A", "INBOX/a", false},
        {"in%/a", "INBOX/a", true},
        {"inbox", "Inbox", false},
        {"a\xc3%", "a\xc3\xa4", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (imap_pattern_matches(span_cstr(cases[i].pattern), span_cstr(cases[i].name)) !=
            cases[i].matches)
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_both_ways),
        cmocka_unit_test(refuses_what_is_not_canonical),
        cmocka_unit_test(matches_patterns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
