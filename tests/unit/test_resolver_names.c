/* What the DNS knows of an address: its name, confirmed, and what a block list says of it. */
#include "resolver/packet.h"
#include "support/resolver_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- the name of an address --------------------------------------------------------------- */

struct name_case {
    const char *title;
    const char *zone;
    const char *address;
    enum resolver_outcome outcome;
    const char *name; /* NULL: none is told */
};

#define PTR1 "1.2.0.192.in-addr.arpa "
#define PTR6 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa "

static const struct name_case name_cases[] = {
    {"confirmed", PTR1 "PTR 60 A.Test\na.test A 60 192.0.2.1", "192.0.2.1", RESOLVER_OK, "a.test"},
    {"one address of many", PTR1 "PTR 60 a.test\na.test A 60 192.0.2.2\na.test A 60 192.0.2.1",
     "192.0.2.1", RESOLVER_OK, "a.test"},
    {"the second name",
     PTR1 "PTR 60 a.test\n" PTR1 "PTR 60 b.test\na.test A 60 192.0.2.2\nb.test A 60 192.0.2.1",
     "192.0.2.1", RESOLVER_OK, "b.test"},
    {"behind a name that fails",
     PTR1 "PTR 60 a.test\n" PTR1 "PTR 60 b.test\na.test * !servfail\nb.test A 60 192.0.2.1",
     "192.0.2.1", RESOLVER_OK, "b.test"},
    {"the fourth name is the last that is tried",
     PTR1 "PTR 60 a.test\n" PTR1 "PTR 60 b.test\n" PTR1 "PTR 60 c.test\n" PTR1 "PTR 60 d.test\n"
          "d.test A 60 192.0.2.1",
     "192.0.2.1", RESOLVER_OK, "d.test"},
    {"the fifth is not",
     PTR1 "PTR 60 a.test\n" PTR1 "PTR 60 b.test\n" PTR1 "PTR 60 c.test\n" PTR1
          "PTR 60 d.test\n" PTR1 "PTR 60 e.test\ne.test A 60 192.0.2.1",
     "192.0.2.1", RESOLVER_FORGED, "a.test"},
    {"an alias of the name", PTR1 "PTR 60 a.test\na.test CNAME 60 b.test\nb.test A 60 192.0.2.1",
     "192.0.2.1", RESOLVER_OK, "a.test"},
    {"a network smaller than a /24",
     PTR1 "CNAME 60 1.0/25.2.0.192.in-addr.arpa\n"
          "1.0/25.2.0.192.in-addr.arpa PTR 60 a.test\na.test A 60 192.0.2.1",
     "192.0.2.1", RESOLVER_OK, "a.test"},
    {"IPv6", PTR6 "PTR 60 a.test\na.test AAAA 60 2001:db8::1", "2001:db8::1", RESOLVER_OK,
     "a.test"},
    {"IPv6, of a host with IPv4",
     PTR6 "PTR 60 a.test\na.test A 60 192.0.2.1\na.test AAAA 60 2001:db8::2", "2001:db8::1",
     RESOLVER_FORGED, "a.test"},
    {"IPv4 mapped into IPv6", PTR1 "PTR 60 a.test\na.test A 60 192.0.2.1", "::ffff:192.0.2.1",
     RESOLVER_OK, "a.test"},
    {"another address", PTR1 "PTR 60 a.test\na.test A 60 192.0.2.2", "192.0.2.1", RESOLVER_FORGED,
     "a.test"},
    {"a name without address", PTR1 "PTR 60 a.test\na.test A !nodata", "192.0.2.1", RESOLVER_FORGED,
     "a.test"},
    {"a name that does not exist", PTR1 "PTR 60 a.test", "192.0.2.1", RESOLVER_FORGED, "a.test"},
    {"a name that cannot be confirmed for now", PTR1 "PTR 60 a.test\na.test * !servfail",
     "192.0.2.1", RESOLVER_TEMPFAIL, "a.test"},
    {"one of two names cannot be asked for",
     PTR1 "PTR 60 a.test\n" PTR1 "PTR 60 b.test\na.test * !servfail\nb.test A 60 192.0.2.2",
     "192.0.2.1", RESOLVER_TEMPFAIL, "a.test"},
    {"an address as name", PTR1 "PTR 60 192.0.2.1", "192.0.2.1", RESOLVER_NO_DATA, NULL},
    {"bytes that no name has", PTR1 "PTR 60 a!b.test", "192.0.2.1", RESOLVER_NO_DATA, NULL},
    {"the root as name", PTR1 "PTR 60 .", "192.0.2.1", RESOLVER_NO_DATA, NULL},
    {"a bad name before a good one",
     PTR1 "PTR 60 a!b.test\n" PTR1 "PTR 60 a.test\na.test A 60 192.0.2.1", "192.0.2.1", RESOLVER_OK,
     "a.test"},
    {"no PTR", PTR1 "PTR !nodata", "192.0.2.1", RESOLVER_NO_DATA, NULL},
    {"no such name", "", "192.0.2.1", RESOLVER_NO_DOMAIN, NULL},
    {"failure", PTR1 "* !servfail", "192.0.2.1", RESOLVER_TEMPFAIL, NULL},
    {"not an address", "", "unix", RESOLVER_BAD_NAME, NULL},
};

static bool is_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void finds_the_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(name_cases); i++) {
        const struct name_case *c = &name_cases[i];
        struct rig rig = {0};
        struct asked asked = {0};
        rig_open(&rig, c->zone);
        asked_start_name(&rig, &asked, c->address);
        rig_wait_for(&rig, 1);
        const struct resolver_answer *answer = asked.query.answer;
        if (answer->outcome != c->outcome || !is_same(answer->name, c->name))
            fail_msg("%s: outcome %d, name %s, text \"%s\"", c->title, (int)answer->outcome,
                     answer->name ? answer->name : "none", answer->text);
        asked_let_go(&asked);
        rig_close(&rig);
    }
}

/* A client's name costs one PTR and one A, and the next client from there nothing. */
static void asks_no_more_than_it_needs(void **state)
{
    struct rig rig = {0};
    struct asked asked[3] = {0};

    (void)state;
    rig_open(&rig, PTR1 "PTR 60 a.test\na.test A 60 192.0.2.1");
    asked_start_name(&rig, &asked[0], "192.0.2.1");
    asked_start_name(&rig, &asked[1], "192.0.2.1");
    rig_wait_for(&rig, 2);
    asked_start_name(&rig, &asked[2], "192.0.2.1");
    rig_wait_for(&rig, 3);
    assert_int_equal(dns_server_count(rig.server, NULL, NULL), 2);
    for (size_t i = 0; i < COUNT(asked); i++) {
        assert_string_equal(asked[i].query.answer->name, "a.test");
        asked_let_go(&asked[i]);
    }
    rig_close(&rig);
}

static void remembers_that_there_is_no_name(void **state)
{
    struct rig rig = {0};
    struct asked asked[2] = {0};

    (void)state;
    rig_open(&rig, "");
    for (size_t i = 0; i < COUNT(asked); i++) {
        asked_start_name(&rig, &asked[i], "192.0.2.1");
        rig_wait_for(&rig, (unsigned)i + 1);
        assert_int_equal(asked[i].query.answer->outcome, RESOLVER_NO_DOMAIN);
        assert_true(asked[i].query.answer->expires > loop_now(rig.loop));
        asked_let_go(&asked[i]);
    }
    assert_int_equal(dns_server_count(rig.server, NULL, NULL), 1);
    rig_close(&rig);
}

/* In either of its two steps. */
static void can_be_cancelled(void **state)
{
    static const char *const zones[] = {PTR1 "* !silent", PTR1 "PTR 60 a.test\na.test * !silent"};

    (void)state;
    for (size_t i = 0; i < COUNT(zones); i++) {
        struct rig rig = {0};
        struct asked asked = {0};
        rig_open(&rig, zones[i]);
        asked_start_name(&rig, &asked, "192.0.2.1");
        while (dns_server_count(rig.server, NULL, NULL) <= i)
            rig_pass_time(&rig, 1);
        resolver_cancel(rig.resolver, &asked.query);
        assert_int_equal(asked.completions, 0);
        rig_wait_for(&rig, 1);
        assert_int_equal(asked.query.answer->outcome, RESOLVER_TEMPFAIL);
        asked_let_go(&asked);
        rig_close(&rig);
    }
}

static void ends_with_the_resolver(void **state)
{
    struct rig rig = {0};
    struct asked asked[3] = {0};

    (void)state;
    rig_open(&rig, PTR1 "* !silent\nx.test * !silent");
    asked_start_name(&rig, &asked[0], "192.0.2.1");
    asked_start_ipv4(&rig, &asked[1], "x.test");
    asked_start_text(&rig, &asked[2], "x.test");
    resolver_close(rig.resolver);
    rig_wait_for(&rig, 3);
    rig.resolver = NULL;
    for (size_t i = 0; i < COUNT(asked); i++) {
        assert_int_equal(asked[i].query.answer->outcome, RESOLVER_TEMPFAIL);
        asked_let_go(&asked[i]);
    }
    rig_close(&rig);
}

/* ---- what block lists are asked ----------------------------------------------------------- */

static void asks_for_ipv4_alone(void **state)
{
    static const struct {
        const char *zone;
        enum resolver_outcome outcome;
        unsigned targets;
    } cases[] = {
        {"l.test A 60 127.0.0.2\nl.test A 60 127.0.0.4\nl.test AAAA 60 ::1", RESOLVER_OK, 2},
        {"l.test AAAA 60 ::1", RESOLVER_NO_ADDRESS, 0},
        {"", RESOLVER_NO_DOMAIN, 0},
        {"l.test A !refused", RESOLVER_TEMPFAIL, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rig rig = {0};
        struct asked asked = {0};
        rig_open(&rig, cases[i].zone);
        asked_start_ipv4(&rig, &asked, "L.test");
        rig_wait_for(&rig, 1);
        assert_int_equal(asked.query.answer->outcome, cases[i].outcome);
        assert_int_equal(asked.query.answer->target_count, cases[i].targets);
        assert_int_equal(dns_server_count(rig.server, NULL, "AAAA"), 0);
        asked_let_go(&asked);
        rig_close(&rig);
    }
}

static void refuses_what_is_no_name(void **state)
{
    struct rig rig = {0};
    struct asked asked[4] = {0};

    (void)state;
    rig_open(&rig, "");
    asked_start_ipv4(&rig, &asked[0], "192.0.2.1");
    asked_start_ipv4(&rig, &asked[1], "a b.test");
    asked_start_text(&rig, &asked[2], "2001:db8::1");
    asked_start_text(&rig, &asked[3], "");
    rig_wait_for(&rig, 4);
    for (size_t i = 0; i < COUNT(asked); i++) {
        assert_int_equal(asked[i].query.answer->outcome, RESOLVER_BAD_NAME);
        asked_let_go(&asked[i]);
    }
    rig_close(&rig);
}

static void reads_texts(void **state)
{
    static const struct {
        const char *zone;
        enum resolver_outcome outcome;
        unsigned count;
        const char *text; /* of the last */
    } cases[] = {
        {"t.test TXT 60 Listed, see https://l.test/", RESOLVER_OK, 1,
         "Listed, see https://l.test/"},
        {"t.test TXT 60 Listed, |see |https://l.test/", RESOLVER_OK, 1,
         "Listed, see https://l.test/"},
        {"t.test TXT 60 one\nt.test TXT 60 two", RESOLVER_OK, 2, "two"},
        {"t.test TXT 60 |", RESOLVER_OK, 1, ""},
        {"t.test CNAME 60 u.test\nu.test TXT 60 one", RESOLVER_OK, 1, "one"},
        {"t.test TXT !truncated\nt.test TXT 60 one", RESOLVER_OK, 1, "one"},
        {"t.test TXT !nodata", RESOLVER_NO_DATA, 0, ""},
        {"", RESOLVER_NO_DOMAIN, 0, ""},
        {"t.test TXT !servfail", RESOLVER_TEMPFAIL, 0, ""},
        {"t.test TXT 60 one\nt.test TXT !malformed", RESOLVER_TEMPFAIL, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rig rig = {0};
        struct asked asked[2] = {0};
        rig_open(&rig, cases[i].zone);
        for (unsigned n = 0; n < 2; n++) {
            asked_start_text(&rig, &asked[n], "t.test");
            rig_wait_for(&rig, n + 1);
            assert_int_equal(asked[n].query.answer->outcome, cases[i].outcome);
            const struct resolver_answer *answer = asked[n].query.answer;
            assert_int_equal(answer->text_count, cases[i].count);
            if (cases[i].count > 0)
                assert_true(
                    span_equal(answer->texts[cases[i].count - 1], span_cstr(cases[i].text)));
            asked_let_go(&asked[n]);
        }
        /* The second time it was known; over TCP it is asked once more. */
        assert_in_range(dns_server_count(rig.server, "t.test", "TXT"), 1, 2);
        rig_close(&rig);
    }
}

/* A reply with one TXT record of the root, of this data. */
static size_t make_text_reply(const uint8_t *data, size_t size, uint8_t reply[4096])
{
    static const uint8_t head[] = {0, 1, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, /* one answer: */
                                   0, 0, 16,   0,    1, 0, 0, 0, 60};

    memcpy(reply, head, sizeof head);
    reply[sizeof head] = (uint8_t)(size >> 8);
    reply[sizeof head + 1] = (uint8_t)size;
    memcpy(reply + sizeof head + 2, data, size);
    return sizeof head + 2 + size;
}

static enum packet_step read_text(const uint8_t *data, size_t size, struct packet_record *record)
{
    uint8_t reply[4096];
    struct packet packet;
    size_t len = make_text_reply(data, size, reply);

    assert_true(packet_open(&packet, span_of((const char *)reply, len)));
    return packet_next(&packet, record);
}

static void cuts_long_texts(void **state)
{
    enum { STRINGS = 6 };
    static uint8_t data[STRINGS * 256];
    struct packet_record record;

    (void)state;
    for (int i = 0; i < STRINGS; i++) {
        memset(data + (size_t)i * 256, 'a' + i, 256);
        data[(size_t)i * 256] = 255;
    }
    assert_int_equal(read_text(data, sizeof data, &record), PACKET_RECORD);
    assert_int_equal(record.text_len, PACKET_TEXT_MAX);
    assert_int_equal(record.text[254], 'a');
    assert_int_equal(record.text[255], 'b');
    assert_int_equal(record.text[PACKET_TEXT_MAX - 1], 'e');
}

static void refuses_broken_texts(void **state)
{
    static const uint8_t past_the_end[] = {3, 'a', 'b', 'c', 2, 'd'};
    struct packet_record record;

    (void)state;
    assert_int_equal(read_text(past_the_end, 4, &record), PACKET_RECORD);
    assert_int_equal(read_text(past_the_end, 6, &record), PACKET_BAD);
    assert_int_equal(read_text(past_the_end, 0, &record), PACKET_BAD);
}

static void writes_reverse_names(void **state)
{
    static const struct {
        const char *address, *zone, *name;
    } cases[] = {
        {"192.0.2.1", "zen.test", "1.2.0.192.zen.test"},
        {"::ffff:192.0.2.1", "zen.test", "1.2.0.192.zen.test"},
        {"2001:db8::1f", "zen.test",
         "f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.test"},
        {"unix", "zen.test", NULL},
    };
    char name[RESOLVER_NAME_SIZE], zone[RESOLVER_NAME_SIZE];
    union resolver_address address;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        rig_address(cases[i].address, &address);
        bool good = resolver_reverse(&address.any, span_cstr(cases[i].zone), name);
        assert_int_equal(good, cases[i].name != NULL);
        if (good)
            assert_string_equal(name, cases[i].name);
    }
    memset(zone, 'z', sizeof zone);
    rig_address("2001:db8::1", &address);
    assert_true(resolver_reverse(&address.any, span_of(zone, RESOLVER_NAME_SIZE - 1 - 64), name));
    assert_int_equal(strlen(name), RESOLVER_NAME_SIZE - 1);
    assert_false(resolver_reverse(&address.any, span_of(zone, RESOLVER_NAME_SIZE - 64), name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_name),
        cmocka_unit_test(asks_no_more_than_it_needs),
        cmocka_unit_test(remembers_that_there_is_no_name),
        cmocka_unit_test(can_be_cancelled),
        cmocka_unit_test(ends_with_the_resolver),
        cmocka_unit_test(asks_for_ipv4_alone),
        cmocka_unit_test(refuses_what_is_no_name),
        cmocka_unit_test(reads_texts),
        cmocka_unit_test(cuts_long_texts),
        cmocka_unit_test(refuses_broken_texts),
        cmocka_unit_test(writes_reverse_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
