#include "proto/ip.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void parses_and_formats(void **state)
{
    static const struct {
        const char *text;
        const char *formatted; /* NULL: refused */
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"::", "::"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:c000:201", "192.0.2.1"},
        {"", NULL},
        {"192.0.2", NULL},
        {"192.0.2.256", NULL},
        {"192.0.2.01", NULL},
        {"192.0.2.1 ", NULL},
        {"fe80::1%eth0", NULL},
        {"[::1]", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0001", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ip_address ip;
        char text[IP_TEXT_MAX];
        bool good = ip_parse(span_cstr(cases[i].text), &ip);
        CHECK(cases[i].text, good == (cases[i].formatted != NULL));
        if (good) {
            size_t len = ip_format(&ip, text);
            CHECK_SPAN(cases[i].text, span_of(text, len), span_cstr(cases[i].formatted));
        }
    }
    struct ip_address ip;
    assert_false(ip_parse(SPAN("192.0.2.1\0"), &ip));
}

static void parses_ports(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint16_t port;
    } cases[] = {
        {"0", true, 0},         {"25", true, 25},  {"65535", true, 65535}, {"65536", false, 0},
        {"99999999", false, 0}, {"025", false, 0}, {"00", false, 0},       {"-1", false, 0},
        {"", false, 0},         {"25 ", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint16_t port = 0;
        CHECK(cases[i].text, ip_port_parse(span_cstr(cases[i].text), &port) == cases[i].good);
        CHECK(cases[i].text, port == cases[i].port);
    }
}

static void parses_literals(void **state)
{
    static const struct {
        const char *text;
        const char *formatted;
    } cases[] = {
        {"[192.0.2.1]", "[192.0.2.1]"},
        {"[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"},
        {"[ipv6:::1]", "[IPv6:::1]"},
        {"[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]"},
        {"[]", NULL},
        {"[", NULL},
        {"]", NULL},
        {"192.0.2.1", NULL},
        {"[192.0.2.1", NULL},
        {"[2001:db8::1]", NULL},
        {"[IPv6:192.0.2.1]", NULL},
        {"[IPv6:]", NULL},
        {"[tag:content]", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ip_address ip;
        char text[IP_LITERAL_MAX];
        bool good = ip_parse_literal(span_cstr(cases[i].text), &ip);
        CHECK(cases[i].text, good == (cases[i].formatted != NULL));
        if (good) {
            size_t len = ip_format_literal(&ip, text);
            CHECK_SPAN(cases[i].text, span_of(text, len), span_cstr(cases[i].formatted));
        }
    }
}

static void check_socket_texts(const char *address, uint16_t port, const char *literal,
                               const char *with_port)
{
    struct ip_address ip, back;
    struct sockaddr_storage storage;
    char literal_text[IP_LITERAL_MAX], port_text[IP_PORT_TEXT_MAX];

    assert_true(ip_parse(span_cstr(address), &ip));
    ip_to_sockaddr(&ip, port, &storage);
    const struct sockaddr *socket_address = (const struct sockaddr *)&storage;
    assert_true(ip_from_sockaddr(socket_address, &back));
    assert_true(ip_equal(&ip, &back));
    assert_int_equal(sockaddr_format_literal(socket_address, literal_text), strlen(literal));
    assert_string_equal(literal_text, literal);
    assert_int_equal(sockaddr_format(socket_address, port_text), strlen(with_port));
    assert_string_equal(port_text, with_port);
    assert_int_equal(sockaddr_port(socket_address), port);
}

static void formats_socket_addresses(void **state)
{
    (void)state;
    check_socket_texts("192.0.2.1", 25, "[192.0.2.1]", "192.0.2.1:25");
    check_socket_texts("2001:db8::1", 65535, "[IPv6:2001:db8::1]", "[2001:db8::1]:65535");
    check_socket_texts("1111:2222:3333:4444:5555:6666:7777:8888", 12345,
                       "[IPv6:1111:2222:3333:4444:5555:6666:7777:8888]",
                       "[1111:2222:3333:4444:5555:6666:7777:8888]:12345");

    struct sockaddr unix_address = {.sa_family = AF_UNIX};
    struct ip_address ip;
    char literal[IP_LITERAL_MAX], port[IP_PORT_TEXT_MAX];
    assert_false(ip_from_sockaddr(&unix_address, &ip));
    sockaddr_format_literal(&unix_address, literal);
    assert_string_equal(literal, "[0.0.0.0]");
    sockaddr_format(&unix_address, port);
    assert_string_equal(port, "unix");
    assert_int_equal(sockaddr_port(&unix_address), 0);
}

static void treats_mapped_peers_as_ipv4(void **state)
{
    struct sockaddr_in6 peer = {.sin6_family = AF_INET6, .sin6_port = htons(25)};
    struct ip_network network;
    char text[IP_LITERAL_MAX];

    (void)state;
    peer.sin6_addr.s6_addr[10] = peer.sin6_addr.s6_addr[11] = 0xff;
    peer.sin6_addr.s6_addr[12] = 10;
    peer.sin6_addr.s6_addr[15] = 1;
    sockaddr_format_literal((const struct sockaddr *)&peer, text);
    assert_string_equal(text, "[10.0.0.1]");
    assert_int_equal(ip_network_parse(SPAN("10.0.0.0/8"), &network), IP_NETWORK_OK);
    assert_true(ip_network_contains(&network, (const struct sockaddr *)&peer));
}

static void parses_networks(void **state)
{
    static const struct {
        const char *text;
        enum ip_network_error error;
        int family;
        unsigned prefix;
    } cases[] = {
        {"10.0.0.0/8", IP_NETWORK_OK, AF_INET, 8},
        {"10.0.0.1", IP_NETWORK_OK, AF_INET, 32},
        {"0.0.0.0/0", IP_NETWORK_OK, AF_INET, 0},
        {"::/0", IP_NETWORK_OK, AF_INET6, 0},
        {"2001:db8::/32", IP_NETWORK_OK, AF_INET6, 32},
        {"2001:db8::1", IP_NETWORK_OK, AF_INET6, 128},
        {"::ffff:10.0.0.0/104", IP_NETWORK_OK, AF_INET, 8},
        {"::ffff:10.0.0.1", IP_NETWORK_OK, AF_INET, 32},
        {"10.0.0.0/33", IP_NETWORK_PREFIX, 0, 0},
        {"10.0.0.0/", IP_NETWORK_PREFIX, 0, 0},
        {"10.0.0.0/x", IP_NETWORK_PREFIX, 0, 0},
        {"10.0.0.0/-1", IP_NETWORK_PREFIX, 0, 0},
        {"::/129", IP_NETWORK_PREFIX, 0, 0},
        {"10.0.0.1/8", IP_NETWORK_HOST_BITS, 0, 0},
        {"10.128.0.0/8", IP_NETWORK_HOST_BITS, 0, 0},
        {"10.64.0.0/9", IP_NETWORK_HOST_BITS, 0, 0},
        {"0.0.0.1/0", IP_NETWORK_HOST_BITS, 0, 0},
        {"2001:db8::1/127", IP_NETWORK_HOST_BITS, 0, 0},
        {"", IP_NETWORK_ADDRESS, 0, 0},
        {"/8", IP_NETWORK_ADDRESS, 0, 0},
        {"example.com/8", IP_NETWORK_ADDRESS, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ip_network network;
        enum ip_network_error error = ip_network_parse(span_cstr(cases[i].text), &network);
        CHECK(cases[i].text, error == cases[i].error);
        if (error == IP_NETWORK_OK) {
            CHECK(cases[i].text, network.family == cases[i].family);
            CHECK(cases[i].text, network.prefix == cases[i].prefix);
        }
    }
}

static void makes_networks_of_addresses(void **state)
{
    static const struct {
        const char *ip;
        uint8_t prefix;
        const char *network;
    } cases[] = {
        {"192.0.2.77", 24, "192.0.2.0/24"},
        {"192.0.2.77", 32, "192.0.2.77"},
        {"192.0.2.77", 64, "192.0.2.77"},
        {"192.0.255.77", 17, "192.0.128.0/17"},
        {"192.0.2.77", 0, "0.0.0.0/0"},
        {"2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"},
        {"2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6"},
        {"2001:db8:1:2:3:4:5:6", 15, "2000::/15"},
        {"1111:2222:3333:4444:5555:6666:7777:8888", 127,
         "1111:2222:3333:4444:5555:6666:7777:8888/127"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ip_network network, parsed;
        struct ip_address ip;
        char text[IP_NETWORK_TEXT_MAX];
        assert_true(ip_parse(span_cstr(cases[i].ip), &ip));
        ip_network_of(&ip, cases[i].prefix, &network);
        CHECK(cases[i].network, ip_network_contains_ip(&network, &ip));
        CHECK(cases[i].network, ip_network_format(&network, text) == strlen(cases[i].network));
        assert_string_equal(text, cases[i].network);
        CHECK(text, ip_network_parse(span_cstr(text), &parsed) == IP_NETWORK_OK);
    }
}

static void knows_what_a_network_contains(void **state)
{
    static const struct {
        const char *network;
        const char *ip;
        bool contained;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/9", "10.127.255.255", true},
        {"10.0.0.0/9", "10.128.0.0", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.0", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ip_network network;
        struct ip_address ip;
        assert_int_equal(ip_network_parse(span_cstr(cases[i].network), &network), IP_NETWORK_OK);
        assert_true(ip_parse(span_cstr(cases[i].ip), &ip));
        CHECK(cases[i].ip, ip_network_contains_ip(&network, &ip) == cases[i].contained);
    }
}

static void names_the_errors(void **state)
{
    (void)state;
    assert_string_equal(ip_network_error_text(IP_NETWORK_OK), "ok");
    assert_string_equal(ip_network_error_text(IP_NETWORK_ADDRESS), "not an IP address");
    assert_string_equal(ip_network_error_text(IP_NETWORK_PREFIX), "prefix length out of range");
    assert_string_equal(ip_network_error_text(IP_NETWORK_HOST_BITS),
                        "address bits set behind the prefix");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_and_formats),
        cmocka_unit_test(parses_ports),
        cmocka_unit_test(parses_literals),
        cmocka_unit_test(formats_socket_addresses),
        cmocka_unit_test(treats_mapped_peers_as_ipv4),
        cmocka_unit_test(parses_networks),
        cmocka_unit_test(makes_networks_of_addresses),
        cmocka_unit_test(knows_what_a_network_contains),
        cmocka_unit_test(names_the_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
