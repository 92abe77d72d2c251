#include "proto/xclient.h"

#include "proto/domain.h"
#include "proto/xtext.h"

static const struct span unavailable = {"[UNAVAILABLE]", 13};
static const struct span tempunavail = {"[TEMPUNAVAIL]", 13};
static const struct span v6_tag = {"IPV6:", 5};

/* An IPv4 address, or an IPv6 address behind its tag. */
static bool parse_address(struct span text, struct ip_address *out)
{
    if (span_starts_nocase(text, v6_tag)) {
        text = span_from(text, v6_tag.len);
        return span_index(text, ':') < text.len && ip_parse(text, out);
    }
    return span_index(text, ':') == text.len && ip_parse(text, out);
}

static bool check_name(struct xclient *x, struct span text)
{
    (void)x;
    return domain_is_valid_with(text, DOMAIN_ALLOW_UNDERSCORE);
}

static bool check_addr(struct xclient *x, struct span text)
{
    return parse_address(text, &x->address);
}

static bool check_port(struct xclient *x, struct span text)
{
    return ip_port_parse(text, &x->port);
}

static bool check_proto(struct xclient *x, struct span text)
{
    x->esmtp = span_equal_nocase(text, SPAN("ESMTP"));
    return x->esmtp || span_equal_nocase(text, SPAN("SMTP"));
}

static bool check_helo(struct xclient *x, struct span text)
{
    (void)x;
    return hello_is_valid(text, true);
}

/* Logged and compared, so no control bytes; otherwise whatever the proxy's users are called. */
static bool check_login(struct xclient *x, struct span text)
{
    (void)x;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool check_destaddr(struct xclient *x, struct span text)
{
    return parse_address(text, &x->target);
}

static bool check_destport(struct xclient *x, struct span text)
{
    return ip_port_parse(text, &x->target_port);
}

static const struct {
    const char *name;
    bool (*check)(struct xclient *x, struct span text);
} attributes[XCLIENT_ATTRIBUTE_COUNT] = {
    [XCLIENT_NAME] = {"NAME", check_name},
    [XCLIENT_ADDR] = {"ADDR", check_addr},
    [XCLIENT_PORT] = {"PORT", check_port},
    [XCLIENT_PROTO] = {"PROTO", check_proto},
    [XCLIENT_HELO] = {"HELO", check_helo},
    [XCLIENT_LOGIN] = {"LOGIN", check_login},
    [XCLIENT_DESTADDR] = {"DESTADDR", check_destaddr},
    [XCLIENT_DESTPORT] = {"DESTPORT", check_destport},
};

const char *xclient_attribute_name(enum xclient_attribute attribute)
{
    return attributes[attribute].name;
}

static enum xclient_attribute find_attribute(struct span name)
{
    unsigned i = 0;

    while (i < XCLIENT_ATTRIBUTE_COUNT && !span_equal_nocase(name, span_cstr(attributes[i].name)))
        i++;
    return (enum xclient_attribute)i;
}

static enum xclient_error take_value(struct xclient *x, enum xclient_attribute attribute,
                                     struct span text, struct arena *arena)
{
    struct xclient_value *value = &x->values[attribute];

    if (span_equal_nocase(text, unavailable)) {
        value->state = XCLIENT_UNAVAILABLE;
        return XCLIENT_OK;
    }
    if (span_equal_nocase(text, tempunavail)) {
        value->state = XCLIENT_TEMPUNAVAIL;
        return XCLIENT_OK;
    }
    if (!xtext_decode(text, arena, &value->text))
        return XCLIENT_SYNTAX;
    value->state = XCLIENT_GIVEN;
    if (value->text.len == 0 || value->text.len > XCLIENT_VALUE_MAX ||
        !attributes[attribute].check(x, value->text))
        return XCLIENT_VALUE;
    return XCLIENT_OK;
}

static enum xclient_error take_word(struct xclient *x, struct span word, struct arena *arena)
{
    struct span text;
    struct span name = span_split(word, '=', &text);

    if (name.len == 0 || name.len == word.len)
        return XCLIENT_SYNTAX;
    enum xclient_attribute attribute = find_attribute(name);
    if (attribute == XCLIENT_ATTRIBUTE_COUNT)
        return XCLIENT_UNKNOWN;
    if (x->values[attribute].state != XCLIENT_ABSENT)
        return XCLIENT_REPEATED;
    return take_value(x, attribute, text, arena);
}

enum xclient_error xclient_parse(struct span args, struct arena *arena, struct xclient *out)
{
    enum xclient_error error = XCLIENT_EMPTY;

    *out = (struct xclient){0};
    while (args.len > 0) {
        struct span word = span_split(args, ' ', &args);
        if (word.len == 0)
            continue;
        error = take_word(out, word, arena);
        if (error != XCLIENT_OK)
            break;
    }
    return error;
}

const char *xclient_error_text(enum xclient_error error)
{
    static const char *const texts[] = {
        [XCLIENT_OK] = "ok",
        [XCLIENT_EMPTY] = "no attributes",
        [XCLIENT_SYNTAX] = "malformed attribute",
        [XCLIENT_UNKNOWN] = "unknown attribute",
        [XCLIENT_REPEATED] = "attribute repeated",
        [XCLIENT_VALUE] = "bad value of an attribute",
    };

    return (size_t)error < sizeof texts / sizeof texts[0] ? texts[error] : "unknown";
}

static const struct {
    struct span name;
    enum xforward_attribute bit;
} forwards[XFORWARD_ATTRIBUTE_COUNT] = {
    {{"NAME", 4}, XFORWARD_NAME},     {{"ADDR", 4}, XFORWARD_ADDR}, {{"PORT", 4}, XFORWARD_PORT},
    {{"PROTO", 5}, XFORWARD_PROTO},   {{"HELO", 4}, XFORWARD_HELO}, {{"IDENT", 5}, XFORWARD_IDENT},
    {{"SOURCE", 6}, XFORWARD_SOURCE},
};

unsigned xforward_attributes(struct span names)
{
    unsigned bits = 0;

    while (names.len > 0) {
        struct span name = span_split(names, ' ', &names);
        for (size_t i = 0; i < XFORWARD_ATTRIBUTE_COUNT; i++)
            if (span_equal_nocase(name, forwards[i].name))
                bits |= (unsigned)forwards[i].bit;
    }
    return bits;
}

static struct span address_text(const struct ip_address *address, struct arena *arena)
{
    char text[IP_TEXT_MAX];

    if (address == NULL)
        return SPAN_NONE;
    ip_format(address, text);
    return arena_printf(arena, "%s%s", address->family == AF_INET6 ? v6_tag.ptr : "", text);
}

/* Not encoded yet; empty where nothing is known. */
static struct span forward_value(const struct xforward *x, enum xforward_attribute attribute,
                                 struct arena *arena)
{
    switch (attribute) {
    case XFORWARD_NAME:
        return x->name;
    case XFORWARD_ADDR:
        return address_text(x->address, arena);
    case XFORWARD_PORT:
        return x->port != 0 ? arena_printf(arena, "%u", x->port) : SPAN_NONE;
    case XFORWARD_PROTO:
        return x->protocol;
    case XFORWARD_HELO:
        return x->hello;
    case XFORWARD_IDENT:
        return x->ident;
    case XFORWARD_SOURCE:
        return x->local ? SPAN("LOCAL") : SPAN("REMOTE");
    }
    return SPAN_NONE;
}

enum { FORWARD_OVERHEAD = sizeof "XFORWARD SOURCE=\r\n" - 1 };

static struct span encoded_value(struct span value, struct arena *arena)
{
    if (value.len == 0 || value.len > XCLIENT_VALUE_MAX)
        return unavailable;
    struct span text = xtext_encode(value, arena);
    return text.len + FORWARD_OVERHEAD > XFORWARD_LINE_MAX ? unavailable : text;
}

unsigned xforward_write(const struct xforward *x, unsigned offered, struct arena *arena,
                        struct buf *out)
{
    struct buf lines;
    unsigned count = 0;
    size_t line_len = 0; /* of the open line, without CRLF; 0 where none is open */

    buf_init(&lines, 0);
    for (size_t i = 0; i < XFORWARD_ATTRIBUTE_COUNT; i++) {
        if ((offered & (unsigned)forwards[i].bit) == 0)
            continue;
        struct span value = encoded_value(forward_value(x, forwards[i].bit, arena), arena);
        size_t len = 1 + forwards[i].name.len + 1 + value.len;
        if (line_len == 0 || line_len + len > XFORWARD_LINE_MAX - 2) {
            buf_addf(&lines, "%sXFORWARD", line_len > 0 ? "\r\n" : "");
            line_len = strlen("XFORWARD");
            count++;
        }
        buf_addf(&lines, " %s=%.*s", forwards[i].name.ptr, SPAN_ARG(value));
        line_len += len;
    }
    if (count > 0)
        buf_add(&lines, SPAN("\r\n"));
    if (!buf_append(out, buf_span(&lines)))
        count = 0;
    buf_fini(&lines);
    return count;
}
