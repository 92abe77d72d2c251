/* SCRAM-SHA-256 and -PLUS: the vector of RFC 7677, both sides against each other, and all that a
 * client might try. tests/unit/test_auth_scram.py has the check by another implementation. */
#include "auth/sasl_client.h"
#include "unit/auth_users.h"

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define NONCE        CLIENT_NONCE SERVER_NONCE
#define FIRST        "n,,n=user,r=" CLIENT_NONCE
#define CHALLENGE    "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define FINAL        "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SIGNATURE    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

#define SCRAM_BIT (1u << SASL_SCRAM_SHA_256)
#define PLUS_BIT  (1u << SASL_SCRAM_SHA_256_PLUS)

static const struct crypto_secret secret = {"not very secret"};

static struct sasl_setting setting_of(const struct users *users, unsigned offered)
{
    return (struct sasl_setting){
        .offered = offered,
        .users = users,
        .secret = &secret,
        .bindings = {SPAN("exported keying material"), SPAN_NONE},
        .nonce = SPAN(SERVER_NONCE),
    };
}

static void server_does_the_vector(void **state)
{
    struct users *users = users_of(PENCIL_USER);
    struct sasl_setting setting = setting_of(users, SCRAM_BIT);
    struct sasl_server *server = sasl_server_create(&setting);

    (void)state;
    assert_int_equal(sasl_server_start(server, SASL_SCRAM_SHA_256, true, SPAN(FIRST)),
                     SASL_CHALLENGE);
    assert_true(span_equal(sasl_server_challenge(server), SPAN(CHALLENGE)));
    assert_int_equal(sasl_server_step(server, SPAN(FINAL)), SASL_CHALLENGE);
    assert_true(span_equal(sasl_server_challenge(server), SPAN(SIGNATURE)));
    assert_int_equal(sasl_server_step(server, SPAN("")), SASL_DONE);
    assert_true(span_equal(sasl_server_user(server), SPAN("user")));
    sasl_server_free(server);
    users_unref(users);
}

static struct sasl_client *vector_client(void)
{
    struct sasl_client_setting setting = {
        .mechanism = SASL_SCRAM_SHA_256,
        .user = SPAN("user"),
        .password = SPAN("pencil"),
        .nonce = SPAN(CLIENT_NONCE),
    };

    return sasl_client_create(&setting);
}

static void client_does_the_vector(void **state)
{
    struct sasl_client *client = vector_client();

    (void)state;
    assert_int_equal(sasl_client_start(client), SASL_CLIENT_SEND);
    assert_true(span_equal(sasl_client_response(client), SPAN(FIRST)));
    assert_int_equal(sasl_client_step(client, SPAN(CHALLENGE)), SASL_CLIENT_DERIVE);
    sasl_client_derive(client);
    assert_int_equal(sasl_client_derived(client), SASL_CLIENT_SEND);
    assert_true(span_equal(sasl_client_response(client), SPAN(FINAL)));
    assert_false(sasl_client_is_convinced(client));
    assert_int_equal(sasl_client_step(client, SPAN(SIGNATURE)), SASL_CLIENT_SEND);
    assert_int_equal(sasl_client_response(client).len, 0);
    assert_true(sasl_client_is_convinced(client));
    sasl_client_free(client);
}

static void client_refuses_bad_servers(void **state)
{
    static const char *const firsts[] = {
        "",
        "r=" NONCE,
        "r=" CLIENT_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=another" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
        "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001",
        "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=x",
        "r=" NONCE ",s=,i=4096",
        "r=" NONCE ",s=W22,i=4096",
        "m=x," CHALLENGE,
        "e=other-error",
    };
    static const char *const finals[] = {
        "",
        "e=invalid-proof",
        "v=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
        "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    };

    (void)state;
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        struct sasl_client *client = vector_client();
        sasl_client_start(client);
        if (sasl_client_step(client, span_cstr(firsts[i])) != SASL_CLIENT_FAILED)
            fail_msg("%s", firsts[i]);
        sasl_client_free(client);
    }
    for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
        struct sasl_client *client = vector_client();
        sasl_client_start(client);
        sasl_client_step(client, SPAN(CHALLENGE));
        sasl_client_derive(client);
        sasl_client_derived(client);
        if (sasl_client_step(client, span_cstr(finals[i])) != SASL_CLIENT_FAILED)
            fail_msg("%s", finals[i]);
        assert_false(sasl_client_is_convinced(client));
        sasl_client_free(client);
    }
}

static void server_refuses_bad_firsts(void **state)
{
    static const struct {
        const char *first;
        enum sasl_failure failure;
    } cases[] = {
        {"", SASL_FAIL_MALFORMED},
        {"n", SASL_FAIL_MALFORMED},
        {"n,", SASL_FAIL_MALFORMED},
        {"n,,", SASL_FAIL_MALFORMED},
        {"x,,n=user,r=abc", SASL_FAIL_MALFORMED},
        {"n,n=user,r=abc", SASL_FAIL_MALFORMED},
        {"n,,r=abc,n=user", SASL_FAIL_MALFORMED},
        {"n,,n=user", SASL_FAIL_MALFORMED},
        {"n,,n=user,r=", SASL_FAIL_MALFORMED},
        {"n,,n=user,r=a b", SASL_FAIL_MALFORMED},
        {"n,,n=user,r=a\x80", SASL_FAIL_MALFORMED},
        {"n,,m=ext,n=user,r=abc", SASL_FAIL_MALFORMED},
        {"n,b=user,n=user,r=abc", SASL_FAIL_MALFORMED},
        {"n,,n=,r=abc", SASL_FAIL_CREDENTIALS},
        {"n,,n=us=er,r=abc", SASL_FAIL_CREDENTIALS},
        {"n,,n=us=2c,r=abc", SASL_FAIL_CREDENTIALS},
        {"n,,n=us\xFF,r=abc", SASL_FAIL_CREDENTIALS},
        {"n,a=other,n=user,r=abc", SASL_FAIL_CREDENTIALS},
        {"n,a=us=er,n=user,r=abc", SASL_FAIL_CREDENTIALS},
        {"p=tls-exporter,,n=user,r=abc", SASL_FAIL_BINDING},
        {"y,,n=user,r=abc", SASL_FAIL_BINDING},
    };
    struct users *users = users_of(PENCIL_USER);
    struct sasl_setting setting = setting_of(users, SCRAM_BIT | PLUS_BIT);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sasl_server *server = sasl_server_create(&setting);
        if (sasl_server_start(server, SASL_SCRAM_SHA_256, true, span_cstr(cases[i].first)) !=
                SASL_FAILED ||
            sasl_server_failure(server) != cases[i].failure)
            fail_msg("%s: %u", cases[i].first, sasl_server_failure(server));
        sasl_server_free(server);
    }
    users_unref(users);
}

static void server_refuses_bad_finals(void **state)
{
    static const struct {
        const char *final;
        enum sasl_failure failure;
    } cases[] = {
        {"", SASL_FAIL_MALFORMED},
        {"c=biws,r=" NONCE, SASL_FAIL_MALFORMED},
        {"r=" NONCE ",c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SASL_FAIL_MALFORMED},
        {"c=biws,r=" NONCE ",p=dHzb", SASL_FAIL_MALFORMED},
        {"c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=y",
         SASL_FAIL_MALFORMED},
        {"c=biws,r=" NONCE "x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         SASL_FAIL_CREDENTIALS},
        {"c=biws,r=" CLIENT_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         SASL_FAIL_CREDENTIALS},
        {"c=biws,r=" NONCE ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         SASL_FAIL_CREDENTIALS},
        {"c=biws,r=" NONCE ",x=y,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         SASL_FAIL_CREDENTIALS},
        {"c=eSws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SASL_FAIL_BINDING},
        {"c=,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SASL_FAIL_BINDING},
        {"c=!,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SASL_FAIL_BINDING},
    };
    struct users *users = users_of(PENCIL_USER);
    struct sasl_setting setting = setting_of(users, SCRAM_BIT);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sasl_server *server = sasl_server_create(&setting);
        sasl_server_start(server, SASL_SCRAM_SHA_256, true, SPAN(FIRST));
        if (sasl_server_step(server, span_cstr(cases[i].final)) != SASL_FAILED ||
            sasl_server_failure(server) != cases[i].failure)
            fail_msg("%s: %u", cases[i].final, sasl_server_failure(server));
        sasl_server_free(server);
    }
    users_unref(users);
}

/* Both sides against each other; what the server says in the end, SASL_DONE or why not. */
static enum sasl_failure login(const struct sasl_setting *at, const struct sasl_client_setting *who,
                               bool *convinced)
{
    struct sasl_server *server = sasl_server_create(at);
    struct sasl_client *client = sasl_client_create(who);
    enum sasl_client_result say = sasl_client_start(client);
    enum sasl_result result = sasl_server_start(server, who->mechanism, say == SASL_CLIENT_SEND,
                                                sasl_client_response(client));

    while (result == SASL_CHALLENGE) {
        say = sasl_client_step(client, sasl_server_challenge(server));
        if (say == SASL_CLIENT_DERIVE) {
            sasl_client_derive(client);
            say = sasl_client_derived(client);
        }
        assert_int_equal(say, SASL_CLIENT_SEND);
        result = sasl_server_step(server, sasl_client_response(client));
    }
    if (result == SASL_VERIFY)
        result =
            sasl_server_verified(server, span_equal(sasl_server_password(server), SPAN("pencil")));
    enum sasl_failure failure = sasl_server_failure(server);
    assert_int_equal(result, failure == SASL_FAIL_NONE ? SASL_DONE : SASL_FAILED);
    *convinced = sasl_client_is_convinced(client);
    sasl_client_free(client);
    sasl_server_free(server);
    return failure;
}

static void both_sides_agree(void **state)
{
    static const struct {
        const char *name;
        struct sasl_client_setting client;
        unsigned offered;
        enum sasl_failure failure;
    } cases[] = {
#define USER .user = SPAN("user"), .password = SPAN("pencil")
#define BOUND(data)                                                                                \
    .mechanism = SASL_SCRAM_SHA_256_PLUS, .binding = SASL_BINDING_TLS_EXPORTER,                    \
    .binding_data = SPAN(data)
        {"scram", {.mechanism = SASL_SCRAM_SHA_256, USER}, SCRAM_BIT, SASL_FAIL_NONE},
        {"bound", {BOUND("exported keying material"), USER}, SCRAM_BIT | PLUS_BIT, SASL_FAIL_NONE},
        {"another channel", {BOUND("exported keying materiel"), USER}, PLUS_BIT, SASL_FAIL_BINDING},
        {"no such binding here",
         {.mechanism = SASL_SCRAM_SHA_256_PLUS,
          .binding = SASL_BINDING_TLS_UNIQUE,
          .binding_data = SPAN("x"),
          USER},
         PLUS_BIT,
         SASL_FAIL_BINDING},
        {"honest y",
         {.mechanism = SASL_SCRAM_SHA_256, .would_bind = true, USER},
         SCRAM_BIT,
         SASL_FAIL_NONE},
        {"downgraded",
         {.mechanism = SASL_SCRAM_SHA_256, .would_bind = true, USER},
         SCRAM_BIT | PLUS_BIT,
         SASL_FAIL_BINDING},
        {"could not bind",
         {.mechanism = SASL_SCRAM_SHA_256, USER},
         SCRAM_BIT | PLUS_BIT,
         SASL_FAIL_NONE},
        {"wrong",
         {.mechanism = SASL_SCRAM_SHA_256, .user = SPAN("user"), .password = SPAN("p")},
         SCRAM_BIT,
         SASL_FAIL_CREDENTIALS},
        {"unknown",
         {.mechanism = SASL_SCRAM_SHA_256, .user = SPAN("who"), .password = SPAN("p")},
         SCRAM_BIT,
         SASL_FAIL_CREDENTIALS},
        {"without keys",
         {.mechanism = SASL_SCRAM_SHA_256, .user = SPAN("bare"), .password = SPAN("pencil")},
         SCRAM_BIT,
         SASL_FAIL_CREDENTIALS},
        {"odd name",
         {.mechanism = SASL_SCRAM_SHA_256, .user = SPAN("a,b=c"), .password = SPAN("pencil")},
         SCRAM_BIT,
         SASL_FAIL_NONE},
        {"plain", {.mechanism = SASL_PLAIN, USER}, 1u << SASL_PLAIN, SASL_FAIL_NONE},
        {"login", {.mechanism = SASL_LOGIN, USER}, 1u << SASL_LOGIN, SASL_FAIL_NONE},
        {"external",
         {.mechanism = SASL_EXTERNAL, .user = SPAN("user")},
         1u << SASL_EXTERNAL,
         SASL_FAIL_NONE},
    };
    struct users *users =
        users_of(PENCIL_USER "bare:" PENCIL_HASH "\na,b=c:*:scram=" PENCIL_KEYS "\n");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sasl_setting setting = setting_of(users, cases[i].offered);
        bool convinced;
        setting.nonce = SPAN_NONE;
        setting.identity = SPAN("user");
        enum sasl_failure failure = login(&setting, &cases[i].client, &convinced);
        if (failure != cases[i].failure)
            fail_msg("%s: %u", cases[i].name, failure);
        if (failure == SASL_FAIL_NONE)
            assert_true(convinced);
    }
    users_unref(users);
}

static void client_checks_its_setting(void **state)
{
    const struct sasl_client_setting bad[] = {
        {.mechanism = SASL_PLAIN, .user = SPAN(""), .password = SPAN("x")},
        {.mechanism = SASL_PLAIN, .user = SPAN("x"), .password = SPAN("")},
        {.mechanism = SASL_PLAIN, .user = span_of("a\0b", 3), .password = SPAN("x")},
        {.mechanism = SASL_PLAIN, .user = SPAN("x"), .password = span_of("a\0b", 3)},
        {.mechanism = SASL_SCRAM_SHA_256_PLUS, USER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(sasl_client_create(&bad[i]));
    sasl_client_free(NULL);
}

/* What a stranger sees of a name: salt and iterations. */
static void see(const struct users *users, const char *name, char out[SASL_CHALLENGE_MAX])
{
    struct sasl_setting setting = setting_of(users, SCRAM_BIT);
    struct sasl_server *server = sasl_server_create(&setting);
    char first[300];

    snprintf(first, sizeof first, "n,,n=%s,r=" CLIENT_NONCE, name);
    assert_int_equal(sasl_server_start(server, SASL_SCRAM_SHA_256, true, span_cstr(first)),
                     SASL_CHALLENGE);
    snprintf(out, SASL_CHALLENGE_MAX, "%.*s", SPAN_ARG(sasl_server_challenge(server)));
    sasl_server_free(server);
}

static void strangers_look_like_users(void **state)
{
    struct users *users = users_of(PENCIL_USER "bare:" PENCIL_HASH "\n");
    char real[SASL_CHALLENGE_MAX], one[SASL_CHALLENGE_MAX], again[SASL_CHALLENGE_MAX];

    (void)state;
    see(users, "user", real);
    see(users, "stranger", one);
    see(users, "Stranger", again);
    assert_string_equal(one, again);
    assert_int_equal(strlen(one), strlen(real));
    assert_string_equal(strstr(one, ",i="), strstr(real, ",i="));
    see(users, "bare", again);
    assert_int_equal(strlen(again), strlen(real));
    assert_string_not_equal(one, again);
    users_unref(users);
}

static void keys_are_written_and_read(void **state)
{
    static const char *const bad[] = {
        "",
        "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$AAAA:BBBB",
        "SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        PENCIL_KEYS "=",
        PENCIL_KEYS ":x",
    };
    struct scram_keys keys;
    char text[SCRAM_KEYS_TEXT_MAX];

    (void)state;
    assert_true(scram_keys_parse(SPAN(PENCIL_KEYS), &keys));
    assert_string_equal(scram_keys_format(&keys, text), PENCIL_KEYS);
    assert_true(scram_keys_match(&keys, SPAN("pencil")));
    assert_false(scram_keys_match(&keys, SPAN("pencils")));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(scram_keys_parse(span_cstr(bad[i]), &keys));
    scram_keys_make(SPAN("pencil"), &keys);
    assert_true(scram_keys_match(&keys, SPAN("pencil")));
    assert_true(scram_keys_parse(span_cstr(scram_keys_format(&keys, text)), &keys));
    assert_true(scram_keys_match(&keys, SPAN("pencil")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_does_the_vector),     cmocka_unit_test(client_does_the_vector),
        cmocka_unit_test(client_refuses_bad_servers), cmocka_unit_test(server_refuses_bad_firsts),
        cmocka_unit_test(server_refuses_bad_finals),  cmocka_unit_test(both_sides_agree),
        cmocka_unit_test(client_checks_its_setting),  cmocka_unit_test(strangers_look_like_users),
        cmocka_unit_test(keys_are_written_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
