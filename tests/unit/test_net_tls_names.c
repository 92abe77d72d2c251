/* net/tls_name and net/tls_peer: what a name matches, and what is made of what a certificate says,
 * whatever bytes that is. */
#include "net/tls_name.h"
#include "net/tls_peer.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_matches(void **state)
{
    static const struct {
        const char *pattern;
        struct span name;
        bool good;
    } cases[] = {
        {"mail.example", SPAN("mail.example"), true},
        {"mail.example", SPAN("MAIL.Example"), true},
        {"mail.example", SPAN("mail.example."), false},
        {"mail.example", SPAN("mail.example\\"), false},
        {"mail.example", SPAN("mail.example\0"), false},
        {"mail.example", SPAN("mail.example\0.evil"), false},
        {"mail.example", SPAN("mail.exampl"), false},
        {"mail.example", SPAN(""), false},
        {"*.example", SPAN("a.example"), true},
        {"*.example", SPAN("A.EXAMPLE"), true},
        {"*.example", SPAN("a.b.example"), false},
        {"*.example", SPAN("example"), false},
        {"*.example", SPAN(".example"), false},
        {"*.example", SPAN("a.example\\"), false},
        {"*.example", SPAN("a.example\0"), false},
        {"*.example", SPAN("a"), false},
        {"*.example", SPAN(""), false},
        {"", SPAN(""), true},
        {"", SPAN("a"), false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (tls_name_matches(span_cstr(cases[i].pattern), cases[i].name) != cases[i].good)
            fail_msg("case %zu: %s", i, cases[i].pattern);
}

static void test_long_names(void **state)
{
    enum { LONG = 65536 };
    char *name = malloc(LONG), text[16];

    (void)state;
    memset(name, 'a', LONG);
    assert_false(tls_name_matches(SPAN("*.example"), span_of(name, LONG)));
    memcpy(name + LONG - 8, ".example", 8);
    assert_true(tls_name_matches(SPAN("*.example"), span_of(name, LONG)));
    tls_name_clean(span_of(name, LONG), text, sizeof text);
    assert_string_equal(text, "aaaaaaaaaaaaaaa");
    free(name);
}

static void test_clean(void **state)
{
    char text[64];

    (void)state;
    tls_name_clean(SPAN("A b-c_d.e@f+g=h/i:j,k*9"), text, sizeof text);
    assert_string_equal(text, "A b-c_d.e@f+g=h/i:j,k*9");
    tls_name_clean(SPAN("\r\n\0\t\"\\()<>;%\x7f\xc3\xbc"), text, sizeof text);
    assert_string_equal(text, "???????????????");
    tls_name_clean(SPAN("abc"), text, 3);
    assert_string_equal(text, "ab");
    tls_name_clean(SPAN_NONE, text, sizeof text);
    assert_string_equal(text, "");
}

/* ---- certificates ------------------------------------------------------------------------- */

static void add_common_name(X509 *x, int type, struct span name)
{
    assert_int_equal(X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, type,
                                                (const unsigned char *)name.ptr, (int)name.len, -1,
                                                0),
                     1);
}

static void add_name(GENERAL_NAMES *names, int type, struct span value)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *string = ASN1_IA5STRING_new();

    ASN1_STRING_set(string, value.ptr, (int)value.len);
    GENERAL_NAME_set0_value(name, type, string);
    sk_GENERAL_NAME_push(names, name);
}

struct alternative {
    int type;
    struct span value;
};

static X509 *make(const struct alternative *alternatives, size_t count)
{
    X509 *x = X509_new();
    GENERAL_NAMES *names = GENERAL_NAMES_new();

    for (size_t i = 0; i < count; i++)
        add_name(names, alternatives[i].type, alternatives[i].value);
    X509_set_version(x, X509_VERSION_3);
    if (count > 0)
        assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
    return x;
}

/* Signs and encodes it, so that it has a digest, and reads it back as it would come. */
static struct tls_peer *peer_of(X509 *x, long result)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    unsigned char *der = NULL;

    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    int len = i2d_X509(x, &der);
    const unsigned char *at = der;
    X509 *read = d2i_X509(NULL, &at, len);
    assert_non_null(read);
    struct tls_peer *peer = tls_peer_create(read, result);
    X509_free(read);
    X509_free(x);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    return peer;
}

static void test_names_of_a_certificate(void **state)
{
    static const struct alternative alternatives[] = {
        {GEN_DNS, SPAN("a.example")},
        {GEN_EMAIL, SPAN("Alice@a.example")},
        {GEN_URI, SPAN("https://c.example")},
        {GEN_DNS, SPAN("*.b.example")},
        {GEN_DNS, SPAN("victim.example\0.evil.example")},
        {GEN_DNS, SPAN("victim.example ")},
        {GEN_DNS, SPAN("")},
        {GEN_EMAIL, SPAN("root\0@a.example")},
    };
    X509 *x = make(alternatives, sizeof alternatives / sizeof *alternatives);

    (void)state;
    add_common_name(x, MBSTRING_UTF8, SPAN("victim.example"));
    struct tls_peer *peer = peer_of(x, X509_V_OK);
    assert_true(peer->verified);
    assert_string_equal(peer->problem, "ok");
    assert_int_equal(peer->host_count, 5);
    assert_int_equal(peer->mailbox_count, 2);
    assert_true(span_equal(peer->mailboxes[0], SPAN("Alice@a.example")));
    assert_true(span_equal(peer->mailboxes[1], SPAN("root\0@a.example")));
    assert_true(tls_peer_has_host(peer, SPAN("A.example")));
    assert_true(tls_peer_has_host(peer, SPAN("*.b.example")));
    static const char *const others[] = {"victim.example", "x.b.example", "b.example", "c.example",
                                         "evil.example",   "a.exampl",    "root"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(tls_peer_has_host(peer, span_cstr(others[i])));
    tls_peer_free(peer);
    tls_peer_free(NULL);
}

static void assert_name(X509 *x, const char *name)
{
    struct tls_peer *peer = peer_of(x, X509_V_ERR_CERT_HAS_EXPIRED);

    assert_false(peer->verified);
    assert_string_equal(peer->problem, "certificate has expired");
    assert_string_equal(peer->name, name);
    tls_peer_free(peer);
}

static X509 *named(int type, struct span name)
{
    X509 *x = make(NULL, 0);

    add_common_name(x, type, name);
    return x;
}

static void test_name_to_show(void **state)
{
    static const struct alternative host = {GEN_DNS, SPAN("a.example\r\n")};
    static const struct alternative mailbox = {GEN_EMAIL, SPAN("b@a.example")};
    static const struct alternative address = {GEN_URI, SPAN("https://c.example")};

    (void)state;
    assert_name(named(MBSTRING_UTF8, SPAN("plain name")), "plain name");
    assert_name(named(MBSTRING_UTF8, SPAN("a\r\nX-Evil: \"(b)\\\0c")), "a??X-Evil: ??b???c");
    assert_name(named(V_ASN1_BMPSTRING, SPAN("\0a\0b\x20\xac")), "ab???");
    assert_name(named(V_ASN1_T61STRING, SPAN("a\xe9\n")), "a???");
    assert_name(make(NULL, 0), "");
    assert_name(make(&host, 1), "a.example??");
    assert_name(make(&mailbox, 1), "b@a.example");
    assert_name(make(&address, 1), "");
    X509 *two = named(MBSTRING_UTF8, SPAN("first"));
    add_common_name(two, MBSTRING_UTF8, SPAN("last"));
    assert_name(two, "last");
    X509 *twice = make(&host, 1);
    X509_EXTENSION *again = X509_EXTENSION_dup(X509_get_ext(twice, 0));
    X509_add_ext(twice, again, -1);
    X509_EXTENSION_free(again);
    assert_name(twice, ""); /* which of the two holds? */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),      cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_clean),        cmocka_unit_test(test_names_of_a_certificate),
        cmocka_unit_test(test_name_to_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
