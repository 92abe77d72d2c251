/* PLAIN, LOGIN and EXTERNAL, response by response; SCRAM has a file of its own. */
#include "auth/sasl.h"
#include "unit/auth_users.h"

#define USERS PENCIL_USER "alice@example.com:*\nb\xC3\xBC:*\n"

#define NUL      "\\0"
#define N51      "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define NAME_255 N51 N51 N51 N51 N51

/* Responses are written with "\0" for NUL; the first one comes with the command unless it is "-".
 * What happens is written as CHALLENGE's text in brackets, "verify(user,password)", "done(user)",
 * or the failure. */
struct dialogue {
    const char *name;
    enum sasl_mechanism mechanism;
    const char *responses[4];
    const char *identity;
    const char *want;
};

static const struct dialogue dialogues[] = {
    {"plain", SASL_PLAIN, {NUL "user" NUL "pencil"}, "", "verify(user,pencil) done(user)"},
    {"plain, asked for",
     SASL_PLAIN,
     {"-", NUL "user" NUL "pencil"},
     "",
     "[] verify(user,pencil) done(user)"},
    {"own authzid",
     SASL_PLAIN,
     {"User" NUL "uSER" NUL "pencil"},
     "",
     "verify(user,pencil) done(user)"},
    {"other authzid", SASL_PLAIN, {"root" NUL "user" NUL "pencil"}, "", "credentials(user)"},
    {"wrong password",
     SASL_PLAIN,
     {NUL "user" NUL "pen"},
     "",
     "verify(user,pen) credentials(user)"},
    {"unknown user",
     SASL_PLAIN,
     {NUL "who" NUL "pencil"},
     "",
     "verify(who,pencil) credentials(who)"},
    {"utf-8",
     SASL_PLAIN,
     {NUL "b\xC3\xBC" NUL "p\xC3\xA4 ss"},
     "",
     "verify(b\xC3\xBC,p\xC3\xA4 ss) credentials(b\xC3\xBC)"},
    {"longest name",
     SASL_PLAIN,
     {NUL NAME_255 NUL "p"},
     "",
     "verify(" NAME_255 ",p) credentials(" NAME_255 ")"},
    {"longer name", SASL_PLAIN, {NUL NAME_255 "n" NUL "p"}, "", "credentials()"},
    {"no nul", SASL_PLAIN, {"user"}, "", "malformed()"},
    {"one nul", SASL_PLAIN, {"user" NUL "pencil"}, "", "malformed()"},
    {"three nuls", SASL_PLAIN, {NUL "user" NUL "pencil" NUL "x"}, "", "malformed()"},
    {"trailing nul", SASL_PLAIN, {NUL "user" NUL "pencil" NUL}, "", "malformed()"},
    {"no name", SASL_PLAIN, {NUL NUL "pencil"}, "", "malformed()"},
    {"no password", SASL_PLAIN, {NUL "user" NUL}, "", "malformed()"},
    {"empty", SASL_PLAIN, {""}, "", "malformed()"},
    {"name with a control", SASL_PLAIN, {NUL "us\ner" NUL "p"}, "", "credentials()"},
    {"name with a blank", SASL_PLAIN, {NUL "us er" NUL "p"}, "", "credentials()"},
    {"name with a colon", SASL_PLAIN, {NUL "us:er" NUL "p"}, "", "credentials()"},
    {"name is no utf-8", SASL_PLAIN, {NUL "us\xFF" NUL "p"}, "", "credentials()"},
    {"c1 in a name", SASL_PLAIN, {NUL "us\xC2\x85" NUL "p"}, "", "credentials()"},
    {"password is no utf-8", SASL_PLAIN, {NUL "user" NUL "\xC3"}, "", "credentials(user)"},
    {"password with a control", SASL_PLAIN, {NUL "user" NUL "a\x7F"}, "", "credentials(user)"},

    {"login",
     SASL_LOGIN,
     {"-", "user", "pencil"},
     "",
     "[Username:] [Password:] verify(user,pencil) done(user)"},
    {"login, name at once",
     SASL_LOGIN,
     {"user", "pencil"},
     "",
     "[Password:] verify(user,pencil) done(user)"},
    {"login, wrong", SASL_LOGIN, {"user", "x"}, "", "[Password:] verify(user,x) credentials(user)"},
    {"login, no name", SASL_LOGIN, {"-", ""}, "", "[Username:] malformed()"},
    {"login, bad name", SASL_LOGIN, {"-", "a b"}, "", "[Username:] credentials()"},
    {"login, no password", SASL_LOGIN, {"user", ""}, "", "[Password:] credentials(user)"},
    {"login, nul", SASL_LOGIN, {"user", "pencil" NUL}, "", "[Password:] credentials(user)"},

    {"external", SASL_EXTERNAL, {""}, "alice@example.com", "done(alice@example.com)"},
    {"external, asked for",
     SASL_EXTERNAL,
     {"-", ""},
     "Alice@example.com",
     "[] done(alice@example.com)"},
    {"external, own name",
     SASL_EXTERNAL,
     {"alice@Example.com"},
     "alice@example.com",
     "done(alice@example.com)"},
    {"external, other name",
     SASL_EXTERNAL,
     {"user"},
     "alice@example.com",
     "credentials(alice@example.com)"},
    {"external, no user",
     SASL_EXTERNAL,
     {""},
     "carol@example.com",
     "credentials(carol@example.com)"},
    {"external, no certificate", SASL_EXTERNAL, {"alice@example.com"}, "", "credentials()"},
};

/* "\0" becomes a NUL. */
static struct span bytes_of(const char *text, char out[1024])
{
    size_t len = 0;

    for (; *text != '\0'; text++) {
        bool is_nul = text[0] == '\\' && text[1] == '0';
        text += is_nul;
        out[len++] = is_nul ? '\0' : *text;
    }
    return span_of(out, len);
}

static void tell(struct buf *got, struct sasl_server *server, enum sasl_result result)
{
    static const char *const failures[] = {
        [SASL_FAIL_NONE] = "none",           [SASL_FAIL_UNSUPPORTED] = "unsupported",
        [SASL_FAIL_MALFORMED] = "malformed", [SASL_FAIL_CREDENTIALS] = "credentials",
        [SASL_FAIL_BINDING] = "binding",
    };
    struct span user = sasl_server_user(server);

    buf_addf(got, buf_len(got) > 0 ? " " : "");
    switch (result) {
    case SASL_CHALLENGE:
        buf_addf(got, "[%.*s]", SPAN_ARG(sasl_server_challenge(server)));
        break;
    case SASL_VERIFY:
        buf_addf(got, "verify(%.*s,%.*s)", SPAN_ARG(user), SPAN_ARG(sasl_server_password(server)));
        break;
    case SASL_DONE:
        buf_addf(got, "done(%.*s)", SPAN_ARG(user));
        break;
    case SASL_FAILED:
        buf_addf(got, "%s(%.*s)", failures[sasl_server_failure(server)], SPAN_ARG(user));
        assert_int_equal(sasl_server_password(server).len, 0);
        break;
    }
}

static void run_dialogue(const struct dialogue *test, const struct users *users)
{
    struct sasl_setting setting = {
        .offered = 1u << test->mechanism, .users = users, .identity = span_cstr(test->identity)};
    struct sasl_server *server = sasl_server_create(&setting);
    bool has_initial = strcmp(test->responses[0], "-") != 0;
    char bytes[1024];
    struct buf got;

    buf_init(&got, 0);
    enum sasl_result result =
        sasl_server_start(server, test->mechanism, has_initial,
                          has_initial ? bytes_of(test->responses[0], bytes) : SPAN_NONE);
    tell(&got, server, result);
    for (unsigned i = 1; result == SASL_CHALLENGE && test->responses[i] != NULL; i++) {
        result = sasl_server_step(server, bytes_of(test->responses[i], bytes));
        tell(&got, server, result);
    }
    if (result == SASL_VERIFY) {
        bool is_good = span_equal(sasl_server_password(server), SPAN("pencil")) &&
                       span_equal(sasl_server_user(server), SPAN("user"));
        tell(&got, server, sasl_server_verified(server, is_good));
    }
    if (!span_equal(buf_span(&got), span_cstr(test->want)))
        fail_msg("%s: %.*s", test->name, SPAN_ARG(buf_span(&got)));
    buf_fini(&got);
    sasl_server_free(server);
}

static void walks_through_the_dialogues(void **state)
{
    struct users *users = users_of(USERS);

    (void)state;
    for (size_t i = 0; i < sizeof dialogues / sizeof *dialogues; i++)
        run_dialogue(&dialogues[i], users);
    users_unref(users);
}

static void knows_its_mechanisms(void **state)
{
    enum sasl_mechanism found;

    (void)state;
    for (unsigned i = 0; i < SASL_MECHANISMS; i++) {
        const char *name = sasl_mechanism_name((enum sasl_mechanism)i);
        assert_true(sasl_mechanism_find(span_cstr(name), &found));
        assert_int_equal(found, i);
    }
    assert_true(sasl_mechanism_find(SPAN("scram-sha-256-plus"), &found));
    assert_int_equal(found, SASL_SCRAM_SHA_256_PLUS);
    assert_false(sasl_mechanism_find(SPAN("SCRAM-SHA-1"), &found));
    assert_false(sasl_mechanism_find(SPAN(""), &found));
}

static void does_only_what_is_offered(void **state)
{
    struct users *users = users_of(USERS);

    (void)state;
    for (unsigned i = 0; i < SASL_MECHANISMS; i++) {
        struct sasl_setting setting = {.offered = ~(1u << i), .users = users};
        struct sasl_server *server = sasl_server_create(&setting);
        assert_int_equal(sasl_server_start(server, (enum sasl_mechanism)i, true, SPAN("x")),
                         SASL_FAILED);
        assert_int_equal(sasl_server_failure(server), SASL_FAIL_UNSUPPORTED);
        sasl_server_free(server);
    }
    sasl_server_free(NULL);
    users_unref(users);
}

static void is_over_when_it_is_over(void **state)
{
    struct users *users = users_of(USERS);
    struct sasl_setting setting = {.offered = 1u << SASL_PLAIN, .users = users};
    struct sasl_server *server = sasl_server_create(&setting);
    static char longest[SASL_RESPONSE_MAX + 1];

    (void)state;
    assert_int_equal(sasl_server_verified(server, true), SASL_FAILED);
    assert_int_equal(sasl_server_start(server, SASL_PLAIN, false, SPAN_NONE), SASL_FAILED);
    sasl_server_free(server);

    server = sasl_server_create(&setting);
    assert_int_equal(sasl_server_start(server, SASL_PLAIN, true, span_of("\0user\0x", 7)),
                     SASL_VERIFY);
    assert_int_equal(sasl_server_step(server, span_of("\0user\0x", 7)), SASL_FAILED);
    assert_int_equal(sasl_server_verified(server, true), SASL_FAILED);
    sasl_server_free(server);

    server = sasl_server_create(&setting);
    assert_int_equal(sasl_server_start(server, SASL_PLAIN, true, span_of(longest, sizeof longest)),
                     SASL_FAILED);
    assert_int_equal(sasl_server_failure(server), SASL_FAIL_MALFORMED);
    sasl_server_free(server);
    users_unref(users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_through_the_dialogues),
        cmocka_unit_test(knows_its_mechanisms),
        cmocka_unit_test(does_only_what_is_offered),
        cmocka_unit_test(is_over_when_it_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
