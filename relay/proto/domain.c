#include "proto/domain.h"

#include "proto/ip.h"
#include "proto/utf8.h"

#include <idn2.h>
#include <stdlib.h>

/* UTS 46 mapping (so that upper-case U-labels pass) under the rules of IDNA2008. */
enum { IDNA_FLAGS = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL };

static bool label_is_valid(struct span label, unsigned flags)
{
    if (label.len == 0 || label.len > DOMAIN_LABEL_MAX)
        return false;
    if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        bool underscore = c == '_' && (flags & DOMAIN_ALLOW_UNDERSCORE) != 0;
        if (!ascii_is_alnum(c) && c != '-' && !underscore)
            return false;
    }
    return true;
}

static bool ascii_domain_is_valid(struct span domain, unsigned flags)
{
    if (domain.len == 0 || domain.len > DOMAIN_MAX)
        return false;
    for (;;) {
        size_t dot = span_index(domain, '.');
        if (!label_is_valid(span_head(domain, dot), flags))
            return false;
        if (dot == domain.len)
            return true;
        domain = span_from(domain, dot + 1);
    }
}

/* The A-label form of a name with U-labels; 0 where there is none. The mapping may bring forth any
 * ASCII (full-width forms), so the result is judged again. */
static size_t convert_labels(struct span domain, unsigned flags, char ascii[DOMAIN_MAX + 1])
{
    uint8_t source[DOMAIN_MAX + 1];
    uint8_t *converted = NULL;
    size_t len = 0;

    if (domain.len > DOMAIN_MAX || span_index(domain, '\0') < domain.len || !utf8_is_valid(domain))
        return 0;
    memcpy(source, domain.ptr, domain.len);
    source[domain.len] = '\0';
    if (idn2_lookup_u8(source, &converted, IDNA_FLAGS) != IDN2_OK)
        return 0;
    struct span result = span_cstr((const char *)converted);
    if (ascii_domain_is_valid(result, flags)) {
        memcpy(ascii, result.ptr, result.len);
        len = result.len;
    }
    idn2_free(converted);
    return len;
}

/* Lower-case A-label form; 0 where the name is not valid. */
static size_t to_ascii(struct span domain, unsigned flags, char ascii[DOMAIN_MAX + 1])
{
    size_t len = domain.len;

    if (utf8_is_ascii(domain)) {
        if (!ascii_domain_is_valid(domain, flags))
            return 0;
        memcpy(ascii, domain.ptr, domain.len);
    } else {
        len = convert_labels(domain, flags, ascii);
    }
    for (size_t i = 0; i < len; i++)
        ascii[i] = ascii_lower(ascii[i]);
    return len;
}

bool domain_is_valid_with(struct span domain, unsigned flags)
{
    char ascii[DOMAIN_MAX + 1];

    if (utf8_is_ascii(domain))
        return ascii_domain_is_valid(domain, flags);
    return (flags & DOMAIN_ALLOW_UTF8) != 0 && convert_labels(domain, flags, ascii) > 0;
}

bool domain_is_valid(struct span domain)
{
    return domain_is_valid_with(domain, 0);
}

static bool hello_byte_is_tolerable(char c)
{
    return ascii_is_alnum(c) || (c != '\0' && strchr(".-_:[]", c) != NULL);
}

bool hello_is_valid(struct span argument, bool lenient)
{
    struct ip_address ip;

    if (domain_is_valid(argument) || ip_parse_literal(argument, &ip))
        return true;
    if (!lenient || argument.len == 0 || argument.len > DOMAIN_MAX)
        return false;
    for (size_t i = 0; i < argument.len; i++)
        if (!hello_byte_is_tolerable(argument.ptr[i]))
            return false;
    return true;
}

bool domain_to_ascii(struct span domain, struct arena *arena, struct span *out)
{
    char ascii[DOMAIN_MAX + 1];
    size_t len = to_ascii(domain, DOMAIN_ALLOW_UNDERSCORE, ascii);

    *out = len > 0 ? arena_dup(arena, span_of(ascii, len)) : SPAN_NONE;
    return len > 0;
}

bool domain_equal(struct span a, struct span b)
{
    char ascii_a[DOMAIN_MAX + 1];
    char ascii_b[DOMAIN_MAX + 1];

    if (span_equal_nocase(a, b))
        return true;
    if (utf8_is_ascii(a) && utf8_is_ascii(b))
        return false;
    size_t len_a = to_ascii(a, DOMAIN_ALLOW_UNDERSCORE, ascii_a);
    size_t len_b = to_ascii(b, DOMAIN_ALLOW_UNDERSCORE, ascii_b);
    return len_a > 0 && span_equal(span_of(ascii_a, len_a), span_of(ascii_b, len_b));
}
