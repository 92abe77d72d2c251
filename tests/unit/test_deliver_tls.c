/* deliver/: STARTTLS, granted, refused, broken and attacked, under each policy. */
#include "support/deliver_rig.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define OK      "250 2.0.0 ok\r\n"
#define HI      "S:220 hi\r\n", "C:EHLO me.example\r\n"
#define OFFER   HI, "S:250-peer\r\n250 STARTTLS\r\n", "C:STARTTLS\r\n"
#define WRAPPED "!tls", HI
#define SECURED OFFER, "S:220 go\r\n", "!tls", "C:EHLO me.example\r\n"
#define QUICK   "S:250-peer\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define MESSAGE                                                                                    \
    "C:MAIL FROM:<a@example.com>\r\nRCPT TO:<r1@example.net>\r\nBDAT 36 LAST\r\n" RIG_TRACE        \
        RIG_BODY,                                                                                  \
        "S:" OK OK OK
#define BYE "C:QUIT\r\n", "S:221 bye\r\n", "!eof"

static const char relayed[] = "250 2.0.0 sent; closed";
static const char secured[] = "250 2.0.0 sent tls; closed";

#define OPPORTUNISTIC .tls = DELIVER_TLS_OPPORTUNISTIC
#define REQUIRED      .tls = DELIVER_TLS_REQUIRED
#define IMPLICIT      .implicit_tls = true
#define REQUIRETLS    .flags = QUEUE_REQUIRE_TLS
#define LOGIN         .user = "user", .password = "secret"

static const struct rig_case cases[] = {
    {"none: not even where it is offered",
     {HI, "S:250-peer\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 CHUNKING\r\n", MESSAGE, BYE},
     .want = relayed,
     .tls = DELIVER_TLS_NONE},
    {"opportunistic", {SECURED, QUICK, MESSAGE, BYE}, .want = secured, OPPORTUNISTIC},
    {"opportunistic, not offered", {HI, QUICK, MESSAGE, BYE}, .want = relayed, OPPORTUNISTIC},
    {"opportunistic, refused",
     {OFFER, "S:454 4.7.0 no key\r\n", "C:MAIL FROM:<a@example.com>\r\n", "S:" OK,
      "C:RCPT TO:<r1@example.net>\r\n", "S:550 5.1.1 who?\r\n", "C:RSET\r\n", "S:" OK, BYE},
     .want = "550 5.1.1; closed",
     OPPORTUNISTIC},
    {"opportunistic, broken handshake: again without",
     {OFFER, "S:220 go\r\n", "!broken-tls", "!accept", HI,
      "S:250-peer\r\n250-STARTTLS\r\n"
      "250-PIPELINING\r\n250 CHUNKING\r\n",
      MESSAGE, BYE},
     .want = relayed,
     OPPORTUNISTIC},
    {"opportunistic, silent handshake: again without",
     {OFFER, "S:220 go\r\n", "!accept", HI, QUICK, MESSAGE, BYE},
     .want = relayed,
     OPPORTUNISTIC,
     .tiny = RIG_TINY(hello)},
    {"opportunistic, lost behind the handshake: again without",
     {SECURED, "!hang-up", "!accept", HI, QUICK, MESSAGE, BYE},
     .want = relayed,
     OPPORTUNISTIC},
    {"opportunistic, STARTTLS lost: again without",
     {OFFER, "!hang-up", "!accept", HI, QUICK, MESSAGE, BYE},
     .want = relayed,
     OPPORTUNISTIC},
    {"opportunistic, no answer to STARTTLS: again without",
     {OFFER, "!accept", HI, QUICK, MESSAGE, BYE},
     .want = relayed,
     OPPORTUNISTIC,
     .tiny = RIG_TINY(hello)},
    {"opportunistic, 421 to STARTTLS",
     {OFFER, "S:421 4.3.2 bye\r\n", "!eof"},
     .want = "closed 421 4.3.2 host",
     OPPORTUNISTIC},
    {"opportunistic, injected plain text",
     {OFFER, "S:220 go\r\n250-peer\r\n250 AUTH PLAIN\r\n", "!drain"},
     .want = "closed 451 4.7.5 host",
     OPPORTUNISTIC},
    {"EHLO refused under TLS",
     {SECURED, "S:554 5.7.1 no\r\n", "!eof"},
     .want = "closed 454 4.7.1 host",
     OPPORTUNISTIC},
    {"required, verified",
     {SECURED, QUICK, MESSAGE, BYE},
     .want = secured,
     REQUIRED,
     .trusted = true},
    {"required, not to be verified",
     {OFFER, "S:220 go\r\n", "!tls", "!drain"},
     .want = "closed 451 4.7.5 host",
     REQUIRED},
    {"required, not offered", {HI, QUICK, "!eof"}, .want = "closed 451 4.7.4 host", REQUIRED},
    {"required, no EHLO",
     {HI, "S:500 what?\r\n", "C:HELO me.example\r\n", "S:250 peer\r\n", "!eof"},
     .want = "closed 451 4.7.4 host",
     REQUIRED},
    {"required, refused",
     {OFFER, "S:454 4.7.0 no key\r\n", "!eof"},
     .want = "closed 454 4.7.0 host",
     REQUIRED},
    {"required, broken handshake",
     {OFFER, "S:220 go\r\n", "!broken-tls", "!drain"},
     .want = "closed 451 4.7.5 host",
     REQUIRED},
    {"required, silent handshake",
     {OFFER, "S:220 go\r\n", "!drain"},
     .want = "closed 451 4.7.5 host",
     REQUIRED,
     .tiny = RIG_TINY(hello)},
    {"required, lost behind the handshake",
     {SECURED},
     .want = "closed 451 4.4.2 host",
     REQUIRED,
     .trusted = true},
    {"required, STARTTLS lost", {OFFER}, .want = "closed 451 4.4.2 host", REQUIRED},

    /* from the first byte */
    {"implicit", {WRAPPED, QUICK, MESSAGE, BYE}, .want = secured, OPPORTUNISTIC, IMPLICIT},
    {"implicit, whatever the policy",
     {WRAPPED, QUICK, MESSAGE, BYE},
     .want = secured,
     .tls = DELIVER_TLS_NONE,
     IMPLICIT},
    {"implicit, STARTTLS is not asked for",
     {WRAPPED, "S:250-peer\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 CHUNKING\r\n", MESSAGE, BYE},
     .want = secured,
     OPPORTUNISTIC,
     IMPLICIT},
    {"implicit, byte by byte",
     {"!tls", "T:220 hi\r\n", "C:EHLO me.example\r\n", QUICK, MESSAGE, BYE},
     .want = secured,
     OPPORTUNISTIC,
     IMPLICIT},
    {"implicit, verified",
     {WRAPPED, QUICK, MESSAGE, BYE},
     .want = secured,
     REQUIRED,
     IMPLICIT,
     .trusted = true},
    {"implicit, not to be verified",
     {"!tls", "!drain"},
     .want = "closed 451 4.7.5 host",
     REQUIRED,
     IMPLICIT},
    {"implicit, a greeting in plain text",
     {"S:220 hi\r\n", "!drain"},
     .want = "closed 451 4.7.5 host",
     OPPORTUNISTIC,
     IMPLICIT},
    {"implicit, broken handshake: never without",
     {"!broken-tls", "!drain"},
     .want = "closed 451 4.7.5 host",
     OPPORTUNISTIC,
     IMPLICIT},
    {"implicit, silent handshake: never without",
     {"!drain"},
     .want = "closed 451 4.7.5 host",
     OPPORTUNISTIC,
     IMPLICIT,
     .tiny = RIG_TINY(hello)},
    {"implicit, no greeting",
     {"!tls", "!drain"},
     .want = "closed 451 4.4.2 host",
     OPPORTUNISTIC,
     IMPLICIT,
     .tiny = RIG_TINY(greeting)},
    {"implicit, lost behind the handshake: never without",
     {"!tls"},
     .want = "closed 451 4.4.2 host",
     OPPORTUNISTIC,
     IMPLICIT},
    {"implicit, no EHLO",
     {WRAPPED, "S:500 what?\r\n", "C:HELO me.example\r\n", "S:250 peer\r\n",
      "C:MAIL FROM:<a@example.com>\r\n", "S:550 5.7.1 no\r\n", "C:RSET\r\n", "S:" OK, BYE},
     .want = "550 5.7.1 message tls; closed",
     OPPORTUNISTIC,
     IMPLICIT},
    {"implicit, REQUIRETLS",
     {WRAPPED, "S:250-peer\r\n250 REQUIRETLS\r\n", "C:MAIL FROM:<a@example.com> REQUIRETLS\r\n",
      "S:550 5.7.1 no\r\n", "C:RSET\r\n", "S:" OK, BYE},
     .want = "550 5.7.1 message tls; closed",
     OPPORTUNISTIC,
     IMPLICIT,
     REQUIRETLS,
     .trusted = true,
     .told = true},
    {"implicit, login",
     {WRAPPED, "S:250-peer\r\n250 AUTH PLAIN\r\n", "C:AUTH PLAIN AHVzZXIAc2VjcmV0\r\n",
      "S:235 2.7.0 ok\r\n", "C:MAIL FROM:<a@example.com>\r\n", "S:550 5.7.1 no\r\n", "C:RSET\r\n",
      "S:" OK, BYE},
     .want = "550 5.7.1 message tls; closed",
     OPPORTUNISTIC,
     IMPLICIT,
     LOGIN,
     .trusted = true,
     .told = true},
    {"implicit, login, but the certificate is not verified",
     {WRAPPED, "S:250-peer\r\n250 AUTH PLAIN\r\n", "!eof"},
     .want = "closed 451 4.7.5 host",
     OPPORTUNISTIC,
     IMPLICIT,
     LOGIN,
     .told = true},

    /* logging in */
    {"login, verified",
     {SECURED, "S:250-peer\r\n250 AUTH PLAIN\r\n", "C:AUTH PLAIN AHVzZXIAc2VjcmV0\r\n",
      "S:235 2.7.0 ok\r\n", "C:MAIL FROM:<a@example.com>\r\n", "S:550 5.7.1 no\r\n", "C:RSET\r\n",
      "S:" OK, BYE},
     .want = "550 5.7.1 message tls; closed",
     OPPORTUNISTIC,
     LOGIN,
     .trusted = true,
     .told = true},
    {"login, but the certificate is not verified",
     {SECURED, "S:250-peer\r\n250 AUTH PLAIN\r\n", "!eof"},
     .want = "closed 451 4.7.5 host",
     OPPORTUNISTIC,
     LOGIN,
     .told = true},
    {"login, but the name comes from DNS",
     {SECURED, "S:250-peer\r\n250 AUTH PLAIN\r\n", "!eof"},
     .want = "closed 451 4.7.5 host",
     OPPORTUNISTIC,
     LOGIN,
     .trusted = true},
    {"login, but the handshake is broken",
     {OFFER, "S:220 go\r\n", "!broken-tls", "!accept", HI, "S:250-peer\r\n250 AUTH PLAIN\r\n",
      "!eof"},
     .want = "closed 451 4.7.5 host",
     OPPORTUNISTIC,
     LOGIN,
     .trusted = true,
     .told = true},

    /* REQUIRETLS (RFC 8689) */
    {"REQUIRETLS",
     {SECURED, "S:250-peer\r\n250 REQUIRETLS\r\n", "C:MAIL FROM:<a@example.com> REQUIRETLS\r\n",
      "S:" OK, "C:RCPT TO:<r1@example.net>\r\n", "S:550 5.1.1 who?\r\n", "C:RSET\r\n", "S:" OK,
      BYE},
     .want = "550 5.1.1 tls; closed",
     OPPORTUNISTIC,
     REQUIRETLS,
     .trusted = true,
     .told = true},
    {"REQUIRETLS is not offered",
     {SECURED, QUICK, BYE},
     .want = "550 5.7.30 message declined tls; closed",
     OPPORTUNISTIC,
     REQUIRETLS,
     .trusted = true,
     .told = true},
    {"REQUIRETLS, but the certificate is not verified",
     {SECURED, "S:250-peer\r\n250 REQUIRETLS\r\n", BYE},
     .want = "550 5.7.10 message declined tls; closed",
     OPPORTUNISTIC,
     REQUIRETLS,
     .told = true},
    {"REQUIRETLS, but the name comes from DNS",
     {SECURED, "S:250-peer\r\n250 REQUIRETLS\r\n", BYE},
     .want = "550 5.7.10 message declined tls; closed",
     OPPORTUNISTIC,
     REQUIRETLS,
     .trusted = true},
    {"REQUIRETLS without STARTTLS",
     {HI, "S:250-peer\r\n250 REQUIRETLS\r\n", BYE},
     .want = "550 5.7.10 message declined; closed",
     OPPORTUNISTIC,
     REQUIRETLS,
     .trusted = true,
     .told = true},
    {"REQUIRETLS, TLS has failed",
     {OFFER, "S:220 go\r\n", "!broken-tls", "!accept", HI, QUICK, BYE},
     .want = "451 4.7.5 message declined; closed",
     OPPORTUNISTIC,
     REQUIRETLS,
     .trusted = true,
     .told = true},
};

static struct {
    SSL_CTX *server;
    struct tls_client *trusting; /* its only root is the peer's own certificate */
    struct tls_client *wary;     /* it has no roots */
    char path[64];
} tls;

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_EXTENSION *alternative =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:peer.example");

    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"peer.example", -1,
                               -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    X509_add_ext(certificate, alternative, -1);
    X509_EXTENSION_free(alternative);
    X509_sign(certificate, key, EVP_sha256());
    return certificate;
}

static void write_certificate(X509 *certificate)
{
    snprintf(tls.path, sizeof tls.path, "/tmp/smarthop-test-XXXXXX");
    FILE *file = fdopen(mkstemp(tls.path), "w");

    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
}

static int set_up(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key);

    (void)state;
    tls.server = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(tls.server, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls.server, key), 1);
    write_certificate(certificate);
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    assert_false(err_is(tls_client_create(&tls.wary)));
    setenv("SSL_CERT_FILE", tls.path, 1);
    assert_false(err_is(tls_client_create(&tls.trusting)));
    X509_free(certificate);
    EVP_PKEY_free(key);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_client_unref(tls.trusting);
    tls_client_unref(tls.wary);
    SSL_CTX_free(tls.server);
    unlink(tls.path);
    return 0;
}

static void run(const struct rig_case *test, struct rig *rig)
{
    rig_init(rig, test);
    rig_set_body(rig, SPAN(RIG_BODY), true);
    rig->peer.tls = tls.server;
    rig->tls_client = test->trusted ? tls.trusting : tls.wary;
    rig_run(rig);
}

static void test_policy(void **state)
{
    struct rig rig;

    run(*state, &rig);
    tls_session_free(rig.kept);
}

/* A session made without verification must not open the door to a host that has to be verified. */
static void test_resumption_is_no_way_around_verification(void **state)
{
    static const struct rig_case first = {
        "first", {SECURED, QUICK, MESSAGE, BYE}, .want = secured, OPPORTUNISTIC};
    static const struct rig_case second = {"second",
                                           {OFFER, "S:220 go\r\n", "!tls", "!drain"},
                                           .want = "closed 451 4.7.5 host",
                                           REQUIRED};
    struct rig rig;

    (void)state;
    run(&first, &rig);
    assert_non_null(rig.kept);
    struct ssl_session_st *kept = rig.kept;
    rig_init(&rig, &second);
    rig.peer.tls = tls.server;
    rig.tls_client = tls.wary;
    rig.resume = kept;
    rig_run(&rig);
    tls_session_free(kept);
}

static void test_plain_text_where_tls_is_expected(void **state)
{
    static const struct rig_case test = {"plain",
                                         {"S:220 hi\r\n", "!drain"},
                                         .want = "closed 451 4.7.5 host",
                                         OPPORTUNISTIC,
                                         IMPLICIT};
    struct rig rig;

    (void)state;
    run(&test, &rig);
    assert_string_equal(rig.failure, "connection failed while in the TLS handshake: wrong version "
                                     "number (the peer does not speak TLS)");
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_resumption_is_no_way_around_verification),
        cmocka_unit_test(test_plain_text_where_tls_is_expected),
    };
    struct CMUnitTest tests[COUNT(cases) + COUNT(others)];

    memcpy(tests, others, sizeof others);
    for (size_t i = 0; i < COUNT(cases); i++)
        tests[COUNT(others) + i] =
            (struct CMUnitTest){.name = cases[i].name,
                                .test_func = test_policy,
                                .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
