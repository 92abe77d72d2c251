#include "proto/utf8.h"

bool utf8_is_ascii(struct span s)
{
    const uint64_t high = 0x8080808080808080u;
    size_t i = 0;

    for (; i + sizeof(uint64_t) <= s.len; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, s.ptr + i, sizeof word);
        if ((word & high) != 0)
            return false;
    }
    for (; i < s.len; i++)
        if (((unsigned char)s.ptr[i] & 0x80) != 0)
            return false;
    return true;
}

/* Length of the character at the start of `p`, or 0. The bounds of the second byte are what
 * excludes overlong forms, surrogates and U+110000 upwards (RFC 3629 4). */
static size_t character_length(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t len;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        len = 2;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        len = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        len = 4;
    else
        return 0;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    if (left < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

size_t utf8_length(struct span s)
{
    return s.len > 0 ? character_length((const unsigned char *)s.ptr, s.len) : 0;
}

bool utf8_is_valid(struct span s)
{
    for (size_t i = 0; i < s.len;) {
        size_t len = character_length((const unsigned char *)s.ptr + i, s.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

struct span utf8_to_ascii(struct span s, struct arena *arena)
{
    size_t len = 0;

    if (utf8_is_ascii(s))
        return s;
    char *out = arena_alloc(arena, s.len);
    for (size_t i = 0; i < s.len;) {
        size_t character = character_length((const unsigned char *)s.ptr + i, s.len - i);
        out[len++] = character == 1 ? s.ptr[i] : '?';
        i += character > 0 ? character : 1;
    }
    return span_of(out, len);
}

uint32_t utf8_read(struct span s, size_t *len_out)
{
    size_t len = utf8_length(s);

    *len_out = len;
    if (len == 0)
        return 0;
    uint32_t first = (unsigned char)s.ptr[0];
    uint32_t character = len == 1 ? first : first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        character = character << 6 | ((unsigned char)s.ptr[i] & 0x3fu);
    return character;
}

size_t utf8_write(uint32_t character, char *out)
{
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    size_t len = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    unsigned lead = len == 2 ? 0xc0 : len == 3 ? 0xe0 : 0xf0;
    for (size_t i = len; i-- > 1; character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3f));
    out[0] = (char)(lead | character);
    return len;
}
