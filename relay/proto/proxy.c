#include "proto/proxy.h"

enum {
    V2_SIGNATURE = 12,
    V2_VERSION = 2,
    V2_COMMAND_LOCAL = 0,
    V2_COMMAND_PROXY = 1,
    V2_FAMILY_MOST = 3,    /* AF_UNIX */
    V2_TRANSPORT_MOST = 2, /* DGRAM */
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_TCP4_LENGTH = 12,
    V2_TCP6_LENGTH = 36,
    TLV_HEAD = 3,
    TLV_AUTHORITY = 0x02,
    TLV_SSL = 0x20,
    SSL_HEAD = 5,         /* client flags, verify */
    SSL_CLIENT_TLS = 1,   /* PP2_CLIENT_SSL */
    SSL_CLIENT_CERTS = 6, /* PP2_CLIENT_CERT_CONN, PP2_CLIENT_CERT_SESS */
};

static const struct span v1_signature = {"PROXY ", 6};
static const struct span v2_signature = {"\r\n\r\n\0\r\nQUIT\n", V2_SIGNATURE};

static uint8_t byte_at(struct span s, size_t at)
{
    return (uint8_t)s.ptr[at];
}

static uint16_t number_at(struct span s, size_t at)
{
    return (uint16_t)(byte_at(s, at) << 8 | byte_at(s, at + 1));
}

/* Could it be the beginning of something that starts so? */
static bool may_start(struct span input, struct span signature)
{
    size_t len = input.len < signature.len ? input.len : signature.len;

    return span_equal(span_head(input, len), span_head(signature, len));
}

/* The family is judged as it is written: ::ffff:192.0.2.1 is TCP6 here, whatever it means. */
static bool parse_address(struct span text, bool v6, struct ip_address *out)
{
    return (span_index(text, ':') < text.len) == v6 && ip_parse(text, out);
}

/* The line without "PROXY " and CRLF. */
static enum proxy_error parse_line(struct span line, struct proxy_header *out)
{
    struct span rest;
    struct span protocol = span_split(line, ' ', &rest);
    bool v6 = span_equal(protocol, SPAN("TCP6"));

    out->version = 1;
    out->kind = PROXY_UNKNOWN;
    if (span_equal(protocol, SPAN("UNKNOWN")))
        return PROXY_OK; /* what may follow is to be ignored */
    if (!v6 && !span_equal(protocol, SPAN("TCP4")))
        return PROXY_V1_SYNTAX;
    out->kind = PROXY_TCP;
    struct span source = span_split(rest, ' ', &rest);
    struct span target = span_split(rest, ' ', &rest);
    struct span source_port = span_split(rest, ' ', &rest);
    if (!parse_address(source, v6, &out->source) || !parse_address(target, v6, &out->target) ||
        !ip_port_parse(source_port, &out->source_port) || !ip_port_parse(rest, &out->target_port))
        return PROXY_V1_SYNTAX;
    return PROXY_OK;
}

static enum parse_result parse_v1(struct span input, size_t *consumed_out, struct proxy_header *out,
                                  enum proxy_error *error_out)
{
    struct span most = span_head(input, PROXY_V1_MAX);
    size_t cr = span_index(most, '\r');
    bool ended = cr + 1 < most.len;

    *error_out = PROXY_V1_SYNTAX;
    if (span_index(most, '\n') < cr || (ended && most.ptr[cr + 1] != '\n'))
        return PARSE_BAD;
    if (!ended)
        return most.len < PROXY_V1_MAX ? PARSE_MORE : PARSE_BAD;
    *error_out = parse_line(span_from(span_head(most, cr), v1_signature.len), out);
    if (*error_out != PROXY_OK)
        return PARSE_BAD;
    *consumed_out = cr + 2;
    return PARSE_DONE;
}

static void take_ip(struct span from, bool v6, struct ip_address *out)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (v6)
        memcpy(&in6.sin6_addr, from.ptr, sizeof in6.sin6_addr);
    else
        memcpy(&in4.sin_addr, from.ptr, sizeof in4.sin_addr);
    ip_from_sockaddr(v6 ? (const struct sockaddr *)&in6 : (const struct sockaddr *)&in4, out);
}

/* Takes the addresses off the front of *block. */
static enum proxy_error take_addresses(uint8_t family, struct span *block, struct proxy_header *out)
{
    bool v6 = family == V2_TCP6;
    size_t len = v6 ? V2_TCP6_LENGTH : V2_TCP4_LENGTH;

    if (family >> 4 > V2_FAMILY_MOST || (family & 15) > V2_TRANSPORT_MOST)
        return PROXY_V2_FAMILY;
    if (!v6 && family != V2_TCP4) {
        out->kind = PROXY_UNKNOWN;
        return PROXY_OK;
    }
    if (block->len < len)
        return PROXY_V2_TOO_SHORT;
    out->kind = PROXY_TCP;
    take_ip(*block, v6, &out->source);
    take_ip(span_from(*block, (len - 4) / 2), v6, &out->target);
    out->source_port = number_at(*block, len - 4);
    out->target_port = number_at(*block, len - 2);
    *block = span_from(*block, len);
    return PROXY_OK;
}

static bool take_tlv(uint8_t type, struct span value, struct proxy_header *out)
{
    if (type == TLV_AUTHORITY)
        out->authority = value;
    if (type != TLV_SSL)
        return true;
    if (value.len < SSL_HEAD)
        return false;
    uint8_t client = byte_at(value, 0);
    bool verified = span_equal(span_head(span_from(value, 1), 4), SPAN("\0\0\0\0"));
    out->tls = (client & SSL_CLIENT_TLS) != 0;
    out->certificate_verified = out->tls && (client & SSL_CLIENT_CERTS) != 0 && verified;
    return true;
}

static enum proxy_error parse_tlvs(struct span rest, struct proxy_header *out)
{
    while (rest.len > 0) {
        if (rest.len < TLV_HEAD || rest.len - TLV_HEAD < number_at(rest, 1))
            return PROXY_V2_TLV;
        struct span value = span_head(span_from(rest, TLV_HEAD), number_at(rest, 1));
        if (!take_tlv(byte_at(rest, 0), value, out))
            return PROXY_V2_TLV;
        rest = span_from(rest, TLV_HEAD + value.len);
    }
    return PROXY_OK;
}

static enum proxy_error parse_block(uint8_t command, uint8_t family, struct span block,
                                    struct proxy_header *out)
{
    out->version = V2_VERSION;
    if (command == V2_COMMAND_LOCAL)
        return PROXY_OK; /* whatever the block holds is to be ignored */
    enum proxy_error error = take_addresses(family, &block, out);
    /* Behind addresses of an unknown shape the TLVs cannot be found. */
    if (error != PROXY_OK || out->kind != PROXY_TCP)
        return error;
    return parse_tlvs(block, out);
}

static enum parse_result parse_v2(struct span input, size_t *consumed_out, struct proxy_header *out,
                                  enum proxy_error *error_out)
{
    if (input.len <= V2_SIGNATURE)
        return PARSE_MORE;
    uint8_t command = byte_at(input, V2_SIGNATURE) & 15;
    if (byte_at(input, V2_SIGNATURE) >> 4 != V2_VERSION || command > V2_COMMAND_PROXY) {
        *error_out = PROXY_V2_VERSION;
        return PARSE_BAD;
    }
    if (input.len < PROXY_V2_FIXED)
        return PARSE_MORE;
    size_t len = number_at(input, PROXY_V2_FIXED - 2);
    if (len > PROXY_V2_LENGTH_MAX) {
        *error_out = PROXY_V2_TOO_LONG;
        return PARSE_BAD;
    }
    if (input.len < PROXY_V2_FIXED + len)
        return PARSE_MORE;
    struct span block = span_head(span_from(input, PROXY_V2_FIXED), len);
    *error_out = parse_block(command, byte_at(input, V2_SIGNATURE + 1), block, out);
    if (*error_out != PROXY_OK)
        return PARSE_BAD;
    *consumed_out = PROXY_V2_FIXED + len;
    return PARSE_DONE;
}

enum parse_result proxy_parse(struct span input, size_t *consumed_out, struct proxy_header *out,
                              enum proxy_error *error_out)
{
    *out = (struct proxy_header){0};
    *consumed_out = 0;
    *error_out = PROXY_OK;
    if (input.len == 0)
        return PARSE_MORE;
    if (may_start(input, v2_signature))
        return parse_v2(input, consumed_out, out, error_out);
    if (may_start(input, v1_signature))
        return parse_v1(input, consumed_out, out, error_out);
    *error_out = PROXY_SIGNATURE;
    return PARSE_BAD;
}

const char *proxy_error_text(enum proxy_error error)
{
    static const char *const texts[] = {
        [PROXY_OK] = "ok",
        [PROXY_SIGNATURE] = "PROXY header: none",
        [PROXY_V1_SYNTAX] = "PROXY header: malformed line",
        [PROXY_V2_VERSION] = "PROXY header: unknown version or command",
        [PROXY_V2_FAMILY] = "PROXY header: unknown address family or transport",
        [PROXY_V2_TOO_LONG] = "PROXY header: too long",
        [PROXY_V2_TOO_SHORT] = "PROXY header: too short for its addresses",
        [PROXY_V2_TLV] = "PROXY header: malformed TLV",
    };

    return (size_t)error < sizeof texts / sizeof texts[0] ? texts[error] : "unknown";
}
