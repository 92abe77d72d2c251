#include "proto/xtext.h"

static int hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* RFC 3461 4: xchar is any byte from "!" to "~" but "+" and "=". */
static bool is_xchar(char c)
{
    return c >= '!' && c <= '~' && c != '+' && c != '=';
}

bool xtext_decode(struct span text, struct arena *arena, struct span *out)
{
    char *plain = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    *out = SPAN_NONE;
    for (size_t i = 0; i < text.len; i++) {
        if (is_xchar(text.ptr[i])) {
            plain[len++] = text.ptr[i];
            continue;
        }
        if (text.ptr[i] != '+' || text.len - i < 3)
            return false;
        int high = hex_value(text.ptr[i + 1]);
        int low = hex_value(text.ptr[i + 2]);
        if (high < 0 || low < 0)
            return false;
        plain[len++] = (char)(high << 4 | low);
        i += 2;
    }
    *out = span_of(plain, len);
    return true;
}

struct span xtext_encode(struct span plain, struct arena *arena)
{
    static const char hex[] = "0123456789ABCDEF";
    char *text = arena_alloc(arena, plain.len * 3 + 1);
    size_t len = 0;

    for (size_t i = 0; i < plain.len; i++) {
        unsigned char byte = (unsigned char)plain.ptr[i];
        if (is_xchar(plain.ptr[i])) {
            text[len++] = plain.ptr[i];
            continue;
        }
        text[len++] = '+';
        text[len++] = hex[byte >> 4];
        text[len++] = hex[byte & 15];
    }
    return span_of(text, len);
}
