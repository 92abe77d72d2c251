/* Every text that is understood has one plain form that means the same. */
#include "proto/ip.h"
#include "tests/support/fuzz.h"

static void check_address(const struct ip_address *ip)
{
    struct ip_address again;
    struct sockaddr_storage storage;
    char text[IP_TEXT_MAX], literal[IP_LITERAL_MAX], port[IP_PORT_TEXT_MAX];

    MUST(ip_parse(span_of(text, ip_format(ip, text)), &again) && ip_equal(ip, &again));
    MUST(ip_parse_literal(span_of(literal, ip_format_literal(ip, literal)), &again));
    MUST(ip_equal(ip, &again));
    ip_to_sockaddr(ip, UINT16_MAX, &storage);
    MUST(ip_from_sockaddr((const struct sockaddr *)&storage, &again) && ip_equal(ip, &again));
    MUST(sockaddr_format((const struct sockaddr *)&storage, port) < IP_PORT_TEXT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of((const char *)data, size);
    struct ip_address ip;
    struct ip_network network;

    if (ip_parse(text, &ip))
        check_address(&ip);
    if (ip_parse_literal(text, &ip))
        check_address(&ip);
    if (ip_network_parse(text, &network) == IP_NETWORK_OK) {
        ip = (struct ip_address){.family = network.family};
        memcpy(ip.bytes, network.bytes, sizeof ip.bytes);
        MUST(network.prefix <= (network.family == AF_INET ? 32 : 128));
        MUST(ip_network_contains_ip(&network, &ip));
    }
    return 0;
}
