/* Aliases and whose mailboxes an address stands for. */
#include "plugins/drop/address/address.h"

#include "auth_users.h"
#include "support/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const domains[] = {"Example.org", "b\xC3\xBC"
                                                     "cher.example"};

static const char sample[] =
    "# the office\n"
    "sales@example.org: alice, bob@example.org , far@elsewhere.example\t# all of them\n"
    "\n"
    "Postmaster: alice\n"
    "copy: copy, bob\n"
    "one: two\n"
    "two: three\n"
    "three: one\n"
    "left: right, alice\n"
    "right: left, bob\n"
    "twice: right, left, one, bob, alice\n"
    "diamond: middle, middle, bob\n"
    "middle: alice+Lists\n"
    "@b\xC3\xBC"
    "cher.example: nobody, carol@xn--bcher-kva.example\n"
    "alice+junk: bob\n"
    "\"x y\": alice\n"
    "\"a:b,#\"@example.org: alice # why not\n"
    "hidden: bob, alice@b\xC3\xBC"
    "cher.example, gone\n"
    "shadow: middle, alice\n"
    "empty: gone\n"
    "# a user of its own, too\n"
    "dave: bob\n"
    "via: dave, dave\n"
    "ladies: erna, carol\n";

static const char users_text[] =
    "alice:*\nbob:*\ncarol@xn--bcher-kva.example:*\ndave:*\n"
    "erna@example.org:*\na+b:*\ncopy:*\n\xC3\xA4:*\nbob@xn--bcher-kva.example:*\n";

static struct addresses *parse(const char *text, const char *separator, struct buf *messages)
{
    struct addresses *addresses;
    struct err e = addresses_parse(span_cstr(text), "file", domains, COUNT(domains), separator,
                                   messages, &addresses);

    assert_int_equal(err_is(e), addresses == NULL);
    assert_int_equal(err_is(e), buf_len(messages) > 0);
    return addresses;
}

static struct addresses *parse_good(const char *text, const char *separator)
{
    struct buf messages;

    buf_init(&messages, 0);
    struct addresses *addresses = parse(text, separator, &messages);
    if (addresses == NULL)
        fail_msg("%.*s", SPAN_ARG(buf_span(&messages)));
    return addresses;
}

/* "user/folder", "address", joined by spaces; "?" unknown, "-" foreign. */
static void tell(const struct addresses *addresses, const struct users *users, const char *address,
                 struct buf *out)
{
    struct arena arena;
    struct address_result *results;
    struct span text = span_cstr(address);
    size_t at = span_rindex(text, '@');

    arena_init(&arena);
    enum address_answer answer = addresses_find(addresses, users, span_head(text, at),
                                                span_from(text, at + 1), &arena, &results);
    assert_int_equal(answer == ADDRESS_KNOWN, results != NULL);
    if (answer != ADDRESS_KNOWN)
        buf_add_text(out, answer == ADDRESS_FOREIGN ? "-" : "?");
    for (struct address_result *r = results; r != NULL; r = r->next) {
        if (r->forward.len > 0)
            buf_add(out, r->forward);
        else
            buf_addf(out, "%.*s/%.*s", SPAN_ARG(r->user), SPAN_ARG(r->folder));
        if (r->next != NULL)
            buf_add_text(out, " ");
    }
    arena_fini(&arena);
}

static const struct {
    const char *address;
    const char *found;
} questions[] = {
    {"alice@example.org", "alice/INBOX"},
    {"ALICE@example.org", "alice/INBOX"},
    {"alice@xn--bcher-kva.example", "alice/INBOX"},
    {"alice@elsewhere.example", "-"},
    {"alice@sub.example.org", "-"},
    {"erna@example.org", "erna@example.org/INBOX"},
    {"gerd@example.org", "?"},
    {"alice+Lists@example.org", "alice/Lists"},
    {"alice+a+b@example.org", "alice/a+b"},
    {"alice+@example.org", "alice/INBOX"},
    {"alice+inbox@example.org", "alice/INBOX"},
    {"alice-x@example.org", "?"},
    {"+alice@example.org", "?"},
    {"a+b@example.org", "a+b/INBOX"},
    {"a+b+c@example.org", "?"},
    {"\"alice+x y\"@example.org", "?"},
    {"alice+junk@example.org", "bob/INBOX"},
    {"alice+JUNK@example.org", "bob/INBOX"},
    {"\"x Y\"@example.org", "alice/INBOX"},
    {"\"a:b,#\"@example.org", "alice/INBOX"},
    {"\"a:b,#\"@xn--bcher-kva.example", "carol@xn--bcher-kva.example/INBOX"},
    {"\xC3\xA4@example.org", "\xC3\xA4/INBOX"},
    /* a user's name with the domain goes before the one without */
    {"bob@xn--bcher-kva.example", "bob@xn--bcher-kva.example/INBOX"},
    {"carol@xn--bcher-kva.example", "carol@xn--bcher-kva.example/INBOX"},
    {"carol@example.org", "?"},
    /* aliases */
    {"sales@example.org", "alice/INBOX bob/INBOX far@elsewhere.example"},
    {"sales+x@example.org", "alice/INBOX bob/INBOX far@elsewhere.example"},
    {"sales@xn--bcher-kva.example", "carol@xn--bcher-kva.example/INBOX"},
    {"postmaster@example.org", "alice/INBOX"},
    {"Postmaster@xn--bcher-kva.example", "alice/INBOX"},
    {"Postmaster@", "alice/INBOX"},
    {"dave@example.org", "bob/INBOX"},
    {"via@example.org", "bob/INBOX"},
    {"hidden@example.org", "bob/INBOX alice/INBOX"},
    {"empty@example.org", "?"},
    /* names of the domain that was asked for */
    {"ladies@example.org", "erna@example.org/INBOX"},
    {"ladies@xn--bcher-kva.example", "carol@xn--bcher-kva.example/INBOX"},
    /* what meets itself */
    {"copy@example.org", "copy/INBOX bob/INBOX"},
    {"one@example.org", "?"},
    {"left@example.org", "bob/INBOX alice/INBOX"},
    {"twice@example.org", "alice/INBOX bob/INBOX"},
    {"diamond@example.org", "alice/Lists bob/INBOX"},
    {"shadow@example.org", "alice/Lists alice/INBOX"},
    /* everybody else */
    {"anybody@xn--bcher-kva.example", "carol@xn--bcher-kva.example/INBOX"},
};

static void finds(void **state)
{
    struct addresses *addresses = parse_good(sample, "+");
    struct users *users = users_of(users_text);
    struct buf text;

    (void)state;
    buf_init(&text, 0);
    assert_int_equal(addresses_alias_count(addresses), 21);
    for (size_t i = 0; i < COUNT(questions); i++) {
        tell(addresses, users, questions[i].address, &text);
        if (!span_equal(buf_span(&text), span_cstr(questions[i].found)))
            fail_msg("%s: %.*s", questions[i].address, SPAN_ARG(buf_span(&text)));
        buf_clear(&text);
    }
    assert_true(addresses_is_local(addresses, SPAN("example.org")));
    assert_false(addresses_is_local(addresses, SPAN("example.or")));
    assert_ptr_equal(addresses_ref(addresses), addresses);
    addresses_unref(addresses);
    addresses_unref(addresses);
    addresses_unref(NULL);
    users_unref(users);
    buf_fini(&text);
}

static void separators(void **state)
{
    struct users *users = users_of(users_text);
    struct addresses *none = parse_good("", ""), *two = parse_good("", "-+");
    struct buf text;

    (void)state;
    buf_init(&text, 0);
    tell(none, users, "alice+x@example.org", &text);
    tell(two, users, "alice+x-y@example.org", &text);
    tell(two, users, "alice-x@example.org", &text);
    tell(two, NULL, "alice-x@example.org", &text);
    buf_add_text(&text, "|");
    assert_true(span_equal(buf_span(&text), SPAN("?alice/x-yalice/x?|")));
    buf_fini(&text);
    addresses_unref(none);
    addresses_unref(two);
    users_unref(users);
}

/* What is deeper than the bound is nobody, and what doubles at each step ends all the same. */
static void bounds(void **state)
{
    struct users *users = users_of(users_text);
    struct buf text, found;

    (void)state;
    buf_init(&text, 0);
    buf_init(&found, 0);
    for (int i = 0; i < 30; i++)
        buf_addf(&text, "n%d: n%d, n%d\n", i, i + 1, i + 1);
    buf_addf(&text, "n30: alice\nmany: alice+0");
    for (int i = 1; i < ADDRESS_RESULTS_MAX; i++)
        buf_addf(&text, ", alice+%d", i);
    buf_addf(&text, "\nmore: many, bob\n%c", '\0');
    struct addresses *addresses = parse_good(buf_span(&text).ptr, "+");
    tell(addresses, users, "n10@example.org", &found);
    tell(addresses, users, "n11@example.org", &found);
    assert_true(span_equal(buf_span(&found), SPAN("?alice/INBOX")));
    buf_clear(&found);
    tell(addresses, users, "more@example.org", &found);
    assert_true(span_ends_nocase(buf_span(&found), SPAN(" alice/999")));
    addresses_unref(addresses);
    users_unref(users);
    buf_fini(&text);
    buf_fini(&found);
}

static const struct {
    const char *text;
    const char *messages;
} mistakes[] = {
    {"alice\n", "file:1: write \"address: target, target\"\n"},
    {"\n : bob\n", "file:2: \"\": malformed local part\n"},
    {"alice:\n", "file:1: \"\": malformed local part\n"},
    {"alice: bob,\n", "file:1: \"\": malformed local part\n"},
    {"alice: bob carol\n", "file:1: \"bob carol\": malformed local part\n"},
    {"a@far.example: bob\n",
     "file:1: \"a@far.example\": its domain is not one of the local domains\n"},
    {"@far.example: bob\n",
     "file:1: \"@far.example\": its domain is not one of the local domains\n"},
    {"@: bob\n", "file:1: \"@\": this is no domain\n"},
    {"a@[127.0.0.1]: bob\n", "file:1: \"a@[127.0.0.1]\": malformed domain\n"},
    {"a: |run\n", "file:1: \"|run\": programs, files and lists in files are not taken\n"},
    {"a: \"|run this\"\n",
     "file:1: \"\"|run this\"\": programs, files and lists in files are not taken\n"},
    {"a: b, /var/mail/b\n",
     "file:1: \"/var/mail/b\": programs, files and lists in files are not taken\n"},
    {"a: :include:/x\n",
     "file:1: \":include:/x\": programs, files and lists in files are not taken\n"},
    {"a: b\r\n",
     "file:1: there is a control character in the line; lines end with a line feed alone\n"},
    {"a: b\nc: d\nA: e\n",
     "file:3: \"a\" is there already, on line 1; write all its targets in one line\n"},
    {"a: \"b\n", "file:1: \"\"b\": malformed quoted local part\n"},
};

static void tells_of_mistakes(void **state)
{
    struct buf messages;

    (void)state;
    buf_init(&messages, 0);
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        assert_null(parse(mistakes[i].text, "+", &messages));
        if (!span_equal(buf_span(&messages), span_cstr(mistakes[i].messages)))
            fail_msg("%s: %.*s", mistakes[i].text, SPAN_ARG(buf_span(&messages)));
        buf_clear(&messages);
    }
    buf_fini(&messages);
}

static void tells_of_some(void **state)
{
    struct buf text, messages;

    (void)state;
    buf_init(&text, 0);
    buf_init(&messages, 0);
    for (int i = 0; i < PROBLEMS_TOLD_MAX + 5; i++)
        buf_add_text(&text, "x\n");
    buf_addf(&text, "%c", '\0');
    assert_null(parse(buf_span(&text).ptr, "+", &messages));
    assert_true(span_ends_nocase(buf_span(&messages), SPAN("\nfile: and 5 problems more\n")));
    buf_clear(&messages);
    buf_clear(&text);
    for (int i = 0; i < ADDRESS_LINE_MAX; i++)
        buf_add_text(&text, "#");
    buf_addf(&text, "#%c", '\0');
    assert_null(parse(buf_span(&text).ptr, "+", &messages));
    assert_true(
        span_equal(buf_span(&messages), SPAN("file:1: the line is longer than 65536 bytes\n")));
    buf_fini(&text);
    buf_fini(&messages);
}

static void loads(void **state)
{
    const char *const bad[] = {"exa mple"};
    char folder[SCRATCH_PATH], path[SCRATCH_PATH + 16];
    struct addresses *addresses;
    struct buf messages;
    struct stat st;

    (void)state;
    buf_init(&messages, 0);
    scratch_make(folder);
    snprintf(path, sizeof path, "%s/aliases", folder);
    assert_true(err_is(addresses_load(path, domains, 2, "+", &st, &messages, &addresses)));
    assert_true(buf_len(&messages) > 0);
    buf_clear(&messages);
    FILE *file = fopen(path, "w");
    fputs(sample, file);
    fclose(file);
    assert_false(err_is(addresses_load(path, domains, 2, "+", &st, &messages, &addresses)));
    assert_int_equal(addresses_alias_count(addresses), 21);
    addresses_unref(addresses);
    assert_false(err_is(addresses_load(NULL, domains, 2, "+", &st, &messages, &addresses)));
    assert_int_equal(addresses_alias_count(addresses), 0);
    addresses_unref(addresses);
    assert_int_equal(buf_len(&messages), 0);
    assert_true(err_is(addresses_load(NULL, bad, 1, "+", &st, &messages, &addresses)));
    assert_null(addresses);
    assert_true(span_equal(buf_span(&messages), SPAN("\"exa mple\": this is no domain\n")));
    buf_fini(&messages);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),         cmocka_unit_test(separators),
        cmocka_unit_test(bounds),        cmocka_unit_test(tells_of_mistakes),
        cmocka_unit_test(tells_of_some), cmocka_unit_test(loads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
