#include "proto/address.h"

#include "proto/ip.h"
#include "proto/utf8.h"

/* RFC 5322 3.2.3, RFC 6531 3.3 */
static bool is_atext(char c)
{
    return ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL) ||
           (unsigned char)c >= 0x80;
}

/* RFC 5321 4.1.2: qtextSMTP is what may stand between quotes without a backslash. */
static bool is_qtext(char c)
{
    return (unsigned char)c >= 0x80 || (c >= ' ' && c <= '~' && c != '"' && c != '\\');
}

static size_t dot_string_length(struct span text)
{
    size_t len = 0;

    while (len < text.len && (is_atext(text.ptr[len]) || text.ptr[len] == '.'))
        len++;
    return len;
}

/* Atoms separated by single dots. */
static bool is_dot_string(struct span text)
{
    char last = '.';

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.' ? last == '.' : !is_atext(c))
            return false;
        last = c;
    }
    return last != '.';
}

/* Length with both quotes, 0 where it is no quoted string. */
static size_t quoted_string_length(struct span text)
{
    for (size_t i = 1; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"')
            return i + 1;
        if (c == '\\') {
            i++;
            if (i == text.len || text.ptr[i] < ' ' || text.ptr[i] > '~')
                return 0;
        } else if (!is_qtext(c)) {
            return 0;
        }
    }
    return 0;
}

static enum address_error parse_local(struct span text, unsigned flags, struct address *out)
{
    size_t len;

    out->quoted = text.len > 0 && text.ptr[0] == '"';
    if (out->quoted) {
        len = quoted_string_length(text);
        if (len == 0)
            return ADDRESS_QUOTED_SYNTAX;
    } else {
        len = dot_string_length(text);
        if (!is_dot_string(span_head(text, len)))
            return ADDRESS_LOCAL_SYNTAX;
    }
    out->local = span_head(text, len);
    if (len > ADDRESS_LOCAL_MAX && (flags & ADDRESS_ALLOW_LONG_LOCAL) == 0)
        return ADDRESS_LOCAL_TOO_LONG;
    return ADDRESS_OK;
}

static enum address_error parse_literal(struct span text, struct address *out)
{
    struct ip_address ip;

    if (!ip_parse_literal(text, &ip))
        return ADDRESS_LITERAL_SYNTAX;
    out->literal = true;
    out->family = ip.family;
    if (ip.family == AF_INET)
        memcpy(&out->in4, ip.bytes, sizeof out->in4);
    else
        memcpy(&out->in6, ip.bytes, sizeof out->in6);
    return ADDRESS_OK;
}

static enum address_error parse_domain(struct span text, unsigned flags, struct address *out)
{
    out->domain = text;
    if (text.len > 0 && text.ptr[0] == '[')
        return parse_literal(text, out);
    return domain_is_valid_with(text, flags) ? ADDRESS_OK : ADDRESS_DOMAIN_SYNTAX;
}

static enum address_error check_utf8(struct span text, unsigned flags, struct address *out)
{
    out->utf8 = !utf8_is_ascii(text);
    if (!out->utf8)
        return ADDRESS_OK;
    if ((flags & ADDRESS_ALLOW_UTF8) == 0)
        return ADDRESS_UTF8_REFUSED;
    return utf8_is_valid(text) ? ADDRESS_OK : ADDRESS_UTF8_SYNTAX;
}

enum address_error address_parse(struct span text, unsigned flags, struct address *out)
{
    *out = (struct address){.kind = ADDRESS_MAILBOX, .text = text};
    if (text.len > ADDRESS_TEXT_MAX)
        return ADDRESS_TOO_LONG;
    enum address_error error = check_utf8(text, flags, out);
    if (error == ADDRESS_OK)
        error = parse_local(text, flags, out);
    if (error != ADDRESS_OK)
        return error;
    struct span rest = span_from(text, out->local.len);
    if (rest.len > 0 && rest.ptr[0] == '@')
        return parse_domain(span_from(rest, 1), flags, out);
    if (rest.len > 0)
        return out->quoted ? ADDRESS_QUOTED_SYNTAX : ADDRESS_LOCAL_SYNTAX;
    if (!span_equal_nocase(text, SPAN("postmaster")))
        return ADDRESS_NO_DOMAIN;
    out->kind = ADDRESS_POSTMASTER;
    return ADDRESS_OK;
}

/* Index of the ">" that ends a path: the first one outside quotes. */
static size_t path_end(struct span input)
{
    bool quoted = false;

    for (size_t i = 1; i < input.len; i++) {
        char c = input.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == '>' && !quoted)
            return i;
    }
    return input.len;
}

/* RFC 5321 4.1.2 and appendix C: "@a,@b:" is accepted and ignored. */
static enum address_error skip_route(struct span *text, unsigned flags)
{
    struct span rest;
    struct span hops = span_split(*text, ':', &rest);

    if (hops.len == text->len)
        return ADDRESS_ROUTE_SYNTAX;
    for (bool last = false; !last;) {
        size_t len = span_index(hops, ',');
        struct span hop = span_head(hops, len);
        if (hop.len == 0 || hop.ptr[0] != '@' || !domain_is_valid_with(span_from(hop, 1), flags))
            return ADDRESS_ROUTE_SYNTAX;
        last = len == hops.len;
        hops = span_from(hops, len + 1);
    }
    *text = rest;
    return ADDRESS_OK;
}

enum address_error address_parse_path(struct span input, unsigned flags, struct address *out,
                                      size_t *consumed_out)
{
    *out = (struct address){0};
    *consumed_out = 0;
    if (input.len == 0 || input.ptr[0] != '<')
        return ADDRESS_PATH_SYNTAX;
    size_t end = path_end(input);
    if (end == input.len)
        return ADDRESS_PATH_SYNTAX;
    *consumed_out = end + 1;
    if (end + 1 > ADDRESS_PATH_MAX)
        return ADDRESS_TOO_LONG;
    struct span text = span_of(input.ptr + 1, end - 1);
    if (text.len == 0)
        return ADDRESS_OK;
    bool source_route = text.ptr[0] == '@';
    if (source_route) {
        enum address_error error = skip_route(&text, flags);
        if (error != ADDRESS_OK)
            return error;
    }
    enum address_error error = address_parse(text, flags, out);
    out->source_route = source_route;
    if (error == ADDRESS_OK && source_route && out->kind != ADDRESS_MAILBOX)
        return ADDRESS_NO_DOMAIN;
    return error;
}

struct address address_dup(struct arena *arena, const struct address *a)
{
    struct address copy = *a;

    if (a->text.len == 0)
        return copy;
    copy.text = arena_dup(arena, a->text);
    copy.local = span_of(copy.text.ptr, a->local.len);
    if (a->domain.len > 0)
        copy.domain = span_of(copy.text.ptr + (a->domain.ptr - a->text.ptr), a->domain.len);
    return copy;
}

/* What a quoted string means: without quotes and backslashes. Returns the length. */
static size_t unquote(struct span quoted, char *plain)
{
    size_t len = 0;

    for (size_t i = 1; i + 1 < quoted.len; i++) {
        if (quoted.ptr[i] == '\\')
            i++;
        plain[len++] = quoted.ptr[i];
    }
    return len;
}

struct span address_canonical_local(const struct address *a, struct arena *arena)
{
    if (!a->quoted)
        return a->local;
    char *plain = arena_alloc(arena, a->local.len);
    size_t plain_len = unquote(a->local, plain);
    if (is_dot_string(span_of(plain, plain_len)))
        return span_of(plain, plain_len);
    char *text = arena_alloc(arena, plain_len * 2 + 2);
    size_t len = 0;
    text[len++] = '"';
    for (size_t i = 0; i < plain_len; i++) {
        if (plain[i] == '"' || plain[i] == '\\')
            text[len++] = '\\';
        text[len++] = plain[i];
    }
    text[len++] = '"';
    return span_of(text, len);
}

bool address_format(const struct address *a, bool ascii, struct arena *arena, struct span *out)
{
    struct span domain;

    *out = SPAN_NONE;
    if (!ascii || !a->utf8) {
        *out = a->text;
        return true;
    }
    if (!utf8_is_ascii(a->local) || !domain_to_ascii(a->domain, arena, &domain))
        return false;
    if (a->local.len + 1 + domain.len > ADDRESS_TEXT_MAX)
        return false;
    *out = arena_printf(arena, "%.*s@%.*s", SPAN_ARG(a->local), SPAN_ARG(domain));
    return true;
}

const char *address_error_text(enum address_error error)
{
    static const char *const texts[] = {
        [ADDRESS_OK] = "ok",
        [ADDRESS_TOO_LONG] = "path too long",
        [ADDRESS_LOCAL_TOO_LONG] = "local part too long",
        [ADDRESS_LOCAL_SYNTAX] = "malformed local part",
        [ADDRESS_QUOTED_SYNTAX] = "malformed quoted local part",
        [ADDRESS_NO_DOMAIN] = "domain missing",
        [ADDRESS_DOMAIN_SYNTAX] = "malformed domain",
        [ADDRESS_LITERAL_SYNTAX] = "malformed address literal",
        [ADDRESS_ROUTE_SYNTAX] = "malformed source route",
        [ADDRESS_PATH_SYNTAX] = "malformed path",
        [ADDRESS_UTF8_REFUSED] = "address needs SMTPUTF8",
        [ADDRESS_UTF8_SYNTAX] = "malformed UTF-8 in address",
    };

    return (size_t)error < sizeof texts / sizeof texts[0] ? texts[error] : "unknown";
}
