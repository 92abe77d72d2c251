#include "support/resolver_rig.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { TEXT_SIZE = 4096 };

/* "10 mx.test 192.0.2.1, ..." */
static void print_targets(const struct resolver_answer *answer, char text[TEXT_SIZE])
{
    size_t len = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < answer->target_count; i++) {
        const struct resolver_target *target = &answer->targets[i];
        const union resolver_address *address = &target->address;
        char number[INET6_ADDRSTRLEN];
        bool is_v6 = address->any.sa_family == AF_INET6;
        const void *raw =
            is_v6 ? (const void *)&address->in6.sin6_addr : (const void *)&address->in4.sin_addr;
        inet_ntop(is_v6 ? AF_INET6 : AF_INET, raw, number, sizeof number);
        len += (size_t)snprintf(text + len, TEXT_SIZE - len, "%s%u %s %s", i > 0 ? ", " : "",
                                (unsigned)target->preference, target->host, number);
    }
}

/* ---- what a zone comes to ---- */

struct zone_case {
    const char *name;
    const char *zone;
    const char *domain;
    enum resolver_outcome outcome;
    const char *targets;
    const char *text; /* a part of it */
    bool is_implicit;
    bool asks_addresses;
};

#define TWENTY_FIVE_MX                                                                             \
    "d.test MX 60 1 a.test\nd.test MX 60 2 a2.test\nd.test MX 60 3 a3.test\n"                      \
    "d.test MX 60 4 a4.test\nd.test MX 60 5 a5.test\nd.test MX 60 6 a6.test\n"                     \
    "d.test MX 60 7 a7.test\nd.test MX 60 8 a8.test\nd.test MX 60 9 a9.test\n"                     \
    "d.test MX 60 10 a10.test\nd.test MX 60 11 a11.test\nd.test MX 60 12 a12.test\n"               \
    "d.test MX 60 13 a13.test\nd.test MX 60 14 a14.test\nd.test MX 60 15 a15.test\n"               \
    "d.test MX 60 16 a16.test\nd.test MX 60 17 a17.test\nd.test MX 60 18 a18.test\n"               \
    "d.test MX 60 19 a19.test\nd.test MX 60 20 a20.test\nd.test MX 60 21 late.test\n"              \
    "late.test A 60 192.0.2.99\nd.test MX 60 0 first.test\nfirst.test A 60 192.0.2.1\n"

static const struct zone_case zone_cases[] = {
    {"mx in order of preference",
     "d.test MX 60 20 b.test\nd.test MX 60 10 a.test\na.test A 60 192.0.2.1\nb.test A 60 192.0.2.2",
     "d.test", RESOLVER_OK, "10 a.test 192.0.2.1, 20 b.test 192.0.2.2", "d.test", 0, 0},
    {"case and final dot do not matter", "d.test MX 60 5 A.Test\na.test A 60 192.0.2.1", "D.TEST.",
     RESOLVER_OK, "5 a.test 192.0.2.1", "", 0, 0},
    {"implicit mx", "d.test A 60 192.0.2.7", "d.test", RESOLVER_OK, "0 d.test 192.0.2.7", "", 1, 0},
    {"implicit mx, no soa", "d.test MX !empty\nd.test A 60 192.0.2.7", "d.test", RESOLVER_OK,
     "0 d.test 192.0.2.7", "", 1, 0},
    {"no such domain", "x.test A 60 192.0.2.1", "d.test", RESOLVER_NO_DOMAIN, "", "no such domain",
     0, 0},
    {"no such domain, though an address is there", "d.test MX !nxdomain\nd.test A 60 192.0.2.1",
     "d.test", RESOLVER_NO_DOMAIN, "", "", 0, 0},
    {"neither mx nor address", "d.test MX !nodata", "d.test", RESOLVER_NO_ADDRESS, "",
     "neither MX nor address", 1, 0},
    {"null mx", "d.test MX 60 0 .\nd.test A 60 192.0.2.1", "d.test", RESOLVER_NULL_MX, "",
     "null MX", 0, 0},
    {"null mx among others is left out",
     "d.test MX 60 0 .\nd.test MX 60 1 a.test\na.test A 60 192.0.2.1", "d.test", RESOLVER_OK,
     "1 a.test 192.0.2.1", "left out: not a host name", 0, 0},
    {"mx that is an address is left out",
     "d.test MX 60 1 192.0.2.9\nd.test MX 60 2 a.test\na.test A 60 192.0.2.1", "d.test",
     RESOLVER_OK, "2 a.test 192.0.2.1", "192.0.2.9", 0, 0},
    {"no usable mx never falls back to the domain",
     "d.test MX 60 1 192.0.2.9\nd.test A 60 192.0.2.1", "d.test", RESOLVER_NO_ADDRESS, "",
     "no usable MX", 0, 0},
    {"mx without address is left out",
     "d.test MX 60 1 gone.test\nd.test MX 60 2 a.test\na.test A 60 192.0.2.1", "d.test",
     RESOLVER_OK, "2 a.test 192.0.2.1", "gone.test: no such host", 0, 0},
    {"no mx has an address", "d.test MX 60 1 gone.test\nd.test MX 60 2 bare.test\nbare.test NS 1 x",
     "d.test", RESOLVER_NO_ADDRESS, "", "bare.test: no address", 0, 0},
    {"an mx that fails for now",
     "d.test MX 60 1 gone.test\nd.test MX 60 2 bad.test\nbad.test * !servfail", "d.test",
     RESOLVER_TEMPFAIL, "", "bad.test: A look-up: server failure", 0, 0},
    {"one mx fails, one is there",
     "d.test MX 60 1 bad.test\nd.test MX 60 2 a.test\nbad.test * !servfail\na.test A 60 192.0.2.1",
     "d.test", RESOLVER_OK, "2 a.test 192.0.2.1", "server failure", 0, 0},
    {"mx server failure is no implicit mx", "d.test MX !servfail\nd.test A 60 192.0.2.1", "d.test",
     RESOLVER_TEMPFAIL, "", "d.test: MX look-up: server failure", 0, 0},
    {"refused", "d.test * !refused", "d.test", RESOLVER_TEMPFAIL, "", "refused", 0, 0},
    {"referral", "d.test * !referral", "d.test", RESOLVER_TEMPFAIL, "", "referral", 0, 0},
    {"silence", "d.test * !silent", "d.test", RESOLVER_TEMPFAIL, "", "timed out", 0, 0},
    {"wrong ids are not heard", "d.test * !wrong-id\nd.test MX 60 1 d.test", "d.test",
     RESOLVER_TEMPFAIL, "", "timed out", 0, 0},
    {"malformed", "d.test MX 60 1 a.test\nd.test * !malformed", "d.test", RESOLVER_TEMPFAIL, "",
     "a broken reply", 0, 0},
    {"late but in time", "d.test MX 60 1 a.test\nd.test * !delay 30\na.test A 60 192.0.2.1",
     "d.test", RESOLVER_OK, "1 a.test 192.0.2.1", "", 0, 0},
    {"truncated, whole over tcp",
     "d.test * !truncated\nd.test MX 60 1 a.test\na.test A 60 192.0.2.1", "d.test", RESOLVER_OK,
     "1 a.test 192.0.2.1", "", 0, 0},
    {"domain is a cname", "d.test CNAME 60 e.test\ne.test MX 60 1 a.test\na.test A 60 192.0.2.1",
     "d.test", RESOLVER_OK, "1 a.test 192.0.2.1", "", 0, 0},
    {"domain is a cname to a name without mx", "d.test CNAME 60 e.test\ne.test A 60 192.0.2.1",
     "d.test", RESOLVER_OK, "0 d.test 192.0.2.1", "", 1, 0},
    {"domain is a cname to nothing", "d.test CNAME 60 e.test", "d.test", RESOLVER_NO_DOMAIN, "", "",
     0, 0},
    {"mx is a cname", "d.test MX 60 1 a.test\na.test CNAME 60 b.test\nb.test A 60 192.0.2.1",
     "d.test", RESOLVER_OK, "1 a.test 192.0.2.1", "", 0, 0},
    {"the server leaves the cname to us",
     "d.test CNAME 60 e.test\nd.test * !no-follow\ne.test CNAME 60 f.test\ne.test * !no-follow\n"
     "f.test MX 60 1 a.test\na.test A 60 192.0.2.1",
     "d.test", RESOLVER_OK, "1 a.test 192.0.2.1", "", 0, 0},
    {"cname circle in one reply", "d.test CNAME 60 e.test\ne.test CNAME 60 d.test", "d.test",
     RESOLVER_TEMPFAIL, "", "circle", 0, 0},
    {"cname circle over many replies",
     "d.test CNAME 60 e.test\nd.test * !no-follow\ne.test CNAME 60 d.test\ne.test * !no-follow",
     "d.test", RESOLVER_TEMPFAIL, "", "circle", 0, 0},
    {"eight cnames",
     "c0.test CNAME 60 c1.test\nc1.test CNAME 60 c2.test\nc2.test CNAME 60 c3.test\n"
     "c3.test CNAME 60 c4.test\nc4.test CNAME 60 c5.test\nc5.test CNAME 60 c6.test\n"
     "c6.test CNAME 60 c7.test\nc7.test CNAME 60 c8.test\nc8.test A 60 192.0.2.1",
     "c0.test", RESOLVER_OK, "0 c0.test 192.0.2.1", "", 0, 1},
    {"nine cnames",
     "c.test CNAME 60 c0.test\nc0.test CNAME 60 c1.test\nc1.test CNAME 60 c2.test\n"
     "c2.test CNAME 60 c3.test\nc3.test CNAME 60 c4.test\nc4.test CNAME 60 c5.test\n"
     "c5.test CNAME 60 c6.test\nc6.test CNAME 60 c7.test\nc7.test CNAME 60 c8.test\n"
     "c8.test A 60 192.0.2.1",
     "c.test", RESOLVER_TEMPFAIL, "", "too many CNAMEs", 0, 1},
    {"a cname to what is no host name", "d.test CNAME 60 a!b.test", "d.test", RESOLVER_TEMPFAIL, "",
     "no host name", 0, 0},
    {"the best twenty of many mx", TWENTY_FIVE_MX, "d.test", RESOLVER_OK, "0 first.test 192.0.2.1",
     "", 0, 0},
    {"the same host twice", "d.test MX 60 1 a.test\nd.test MX 60 2 a.test\na.test A 60 192.0.2.1",
     "d.test", RESOLVER_OK, "1 a.test 192.0.2.1", "", 0, 0},
    {"addresses of both families", "h.test A 60 192.0.2.1\nh.test AAAA 60 2001:db8::1", "h.test",
     RESOLVER_OK, "0 h.test 2001:db8::1, 0 h.test 192.0.2.1", "", 0, 1},
    {"addresses of no such host", "d.test A 60 192.0.2.1", "h.test", RESOLVER_NO_DOMAIN, "",
     "h.test: no such host", 0, 1},
    {"no address", "h.test MX 60 1 a.test", "h.test", RESOLVER_NO_ADDRESS, "", "no address", 0, 1},
    {"aaaa fails, a is there", "h.test A 60 192.0.2.1\nh.test AAAA !servfail", "h.test",
     RESOLVER_OK, "0 h.test 192.0.2.1", "", 0, 1},
    {"aaaa fails, a says no", "h.test A !nodata\nh.test AAAA !servfail", "h.test",
     RESOLVER_TEMPFAIL, "", "AAAA look-up: server failure", 0, 1},
    {"aaaa denies the name, a is silent", "h.test A !silent\nh.test AAAA !nxdomain", "h.test",
     RESOLVER_TEMPFAIL, "", "timed out", 0, 1},
    {"aaaa denies the name, a is there", "h.test A 60 192.0.2.1\nh.test AAAA !nxdomain", "h.test",
     RESOLVER_OK, "0 h.test 192.0.2.1", "", 0, 1},
    {"localhost is a name like any other", "localhost A 60 127.0.0.9", "localhost", RESOLVER_OK,
     "0 localhost 127.0.0.9", "", 0, 1},
    {"onion names stay here", "x.onion A 60 192.0.2.1", "x.onion", RESOLVER_NO_DOMAIN, "", "", 0,
     0},
    {"ipv4 literal", "", "192.0.2.1", RESOLVER_OK, "0 192.0.2.1 192.0.2.1", "", 0, 1},
    {"ipv6 literal", "", "2001:db8::1", RESOLVER_OK, "0 2001:db8::1 2001:db8::1", "", 0, 1},
    {"mail to a bare address", "", "192.0.2.1", RESOLVER_BAD_NAME, "", "not a domain", 0, 0},
    {"empty name", "", "", RESOLVER_BAD_NAME, "", "", 0, 0},
    {"empty label", "", "a..test", RESOLVER_BAD_NAME, "", "", 0, 0},
    {"only a dot", "", ".", RESOLVER_BAD_NAME, "", "", 0, 0},
    {"label too long", "", "a123456789b123456789c123456789d123456789e123456789f123456789g123.test",
     RESOLVER_BAD_NAME, "", "", 0, 0},
    {"bytes that no host name has", "", "a b.test", RESOLVER_BAD_NAME, "", "", 0, 1},
};

static void check_zone_case(const struct zone_case *c)
{
    struct rig rig = {0};
    struct asked asked = {0};
    char targets[TEXT_SIZE];

    rig_open(&rig, c->zone);
    if (c->asks_addresses)
        asked_start_addresses(&rig, &asked, c->domain);
    else
        asked_start(&rig, &asked, c->domain);
    rig_wait_for(&rig, 1);
    const struct resolver_answer *answer = asked.query.answer;
    print_targets(answer, targets);
    bool good = answer->outcome == c->outcome && strcmp(targets, c->targets) == 0 &&
                strstr(answer->text, c->text) != NULL && answer->implicit_mx == c->is_implicit;
    if (!good)
        fail_msg("%s: outcome %d, targets \"%s\", text \"%s\"", c->name, (int)answer->outcome,
                 targets, answer->text);
    asked_let_go(&asked);
    rig_close(&rig);
}

static void resolves_zones(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof zone_cases / sizeof zone_cases[0]; i++)
        check_zone_case(&zone_cases[i]);
}

static void goes_to_tcp_only_when_truncated(void **state)
{
    struct rig rig = {0};

    (void)state;
    rig_open(&rig, "d.test MX !truncated\nd.test MX 60 1 a.test\na.test A 60 192.0.2.1");
    assert_int_equal(rig_ask(&rig, "d.test"), RESOLVER_OK);
    assert_int_equal(dns_server_count_tcp(rig.server), 1);
    assert_int_equal(dns_server_count(rig.server, "d.test", "MX"), 2);
    rig_close(&rig);
}

/* ---- order ---- */

static void shuffles_equals_for_each_query(void **state)
{
    enum { ROUNDS = 60 };
    struct rig rig = {0};
    unsigned a_first = 0;

    (void)state;
    rig_open(&rig, "d.test MX 60 10 a.test\nd.test MX 60 10 b.test\nd.test MX 60 20 c.test\n"
                   "a.test A 60 192.0.2.1\nb.test A 60 192.0.2.2\nc.test A 60 192.0.2.3");
    for (int i = 0; i < ROUNDS; i++) {
        struct asked asked = {0};
        asked_start(&rig, &asked, "d.test");
        rig_wait_for(&rig, rig.done + 1);
        const struct resolver_answer *answer = asked.query.answer;
        assert_int_equal(answer->target_count, 3);
        assert_string_equal(answer->targets[2].host, "c.test");
        a_first += strcmp(answer->targets[0].host, "a.test") == 0;
        asked_let_go(&asked);
    }
    assert_in_range(a_first, ROUNDS / 6, ROUNDS - ROUNDS / 6);
    assert_int_equal(dns_server_count(rig.server, NULL, NULL), 7);
    rig_close(&rig);
}

static void orders_families_as_preferred(void **state)
{
    static const struct {
        enum resolver_preference preference;
        const char *families; /* one letter a target */
    } cases[] = {{RESOLVER_ANY, "64644"}, {RESOLVER_IPV4, "44466"}, {RESOLVER_IPV6, "66444"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig = {0};
        struct asked asked = {0};
        struct resolver_options options = rig_options();
        char families[8] = {0};
        options.preference = cases[i].preference;
        rig_open_with(&rig, options,
                      "h.test A 60 192.0.2.1\nh.test A 60 192.0.2.2\nh.test A 60 192.0.2.3\n"
                      "h.test AAAA 60 2001:db8::1\nh.test AAAA 60 2001:db8::2");
        asked_start_addresses(&rig, &asked, "h.test");
        rig_wait_for(&rig, 1);
        assert_int_equal(asked.query.answer->target_count, 5);
        for (unsigned t = 0; t < 5; t++)
            families[t] =
                asked.query.answer->targets[t].address.any.sa_family == AF_INET6 ? '6' : '4';
        assert_string_equal(families, cases[i].families);
        asked_let_go(&asked);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolves_zones),
        cmocka_unit_test(goes_to_tcp_only_when_truncated),
        cmocka_unit_test(shuffles_equals_for_each_query),
        cmocka_unit_test(orders_families_as_preferred),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
