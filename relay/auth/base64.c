#include "auth/base64.h"

enum { QUAD = 4, TRIPLE = 3, SEXTET = 6, SEXTET_MASK = 0x3F, BAD = 0xFF };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(struct span bytes, char *text)
{
    size_t out = 0;

    for (size_t i = 0; i < bytes.len; i += TRIPLE) {
        size_t have = bytes.len - i < TRIPLE ? bytes.len - i : TRIPLE;
        uint32_t bits = 0;
        for (size_t n = 0; n < TRIPLE; n++)
            bits = bits << 8 | (n < have ? (unsigned char)bytes.ptr[i + n] : 0);
        for (size_t n = 0; n < QUAD; n++) {
            char digit = alphabet[bits >> (SEXTET * (TRIPLE - n)) & SEXTET_MASK];
            text[out++] = n <= have ? digit : '=';
        }
    }
    return out;
}

static uint32_t digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (ascii_is_digit(c))
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : BAD;
}

/* The bytes of one group of four characters, of which only the last may be padded; 0 = bad. */
static size_t decode_quad(const char *text, bool is_last, char bytes[TRIPLE])
{
    size_t digits = QUAD;
    uint32_t bits = 0;

    while (is_last && digits > 2 && text[digits - 1] == '=')
        digits--;
    for (size_t i = 0; i < QUAD; i++) {
        uint32_t value = i < digits ? digit_value(text[i]) : 0;
        if (value == BAD)
            return 0;
        bits = bits << SEXTET | value;
    }
    size_t count = digits - 1;
    if ((bits & (0xFFFFFFu >> (8 * count))) != 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        bytes[i] = (char)(bits >> (8 * (TRIPLE - 1 - i)) & 0xFF);
    return count;
}

bool base64_decode(struct span text, char *bytes, size_t room, size_t *len_out)
{
    size_t len = 0;

    if (text.len % QUAD != 0)
        return false;
    for (size_t i = 0; i < text.len; i += QUAD) {
        char group[TRIPLE];
        size_t count = decode_quad(text.ptr + i, i + QUAD == text.len, group);
        if (count == 0 || count > room - len)
            return false;
        memcpy(bytes + len, group, count);
        len += count;
    }
    *len_out = len;
    return true;
}
