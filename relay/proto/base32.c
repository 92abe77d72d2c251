#include "proto/base32.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const char *id_format(uint64_t id, char out[ID_TEXT_SIZE])
{
    out[ID_TEXT_LEN] = '\0';
    for (size_t i = ID_TEXT_LEN; i > 0; i--) {
        out[i - 1] = alphabet[id & 31];
        id >>= 5;
    }
    return out;
}

static int digit_value(char c)
{
    char lower = ascii_lower(c);

    if (lower == 'i' || lower == 'l')
        return 1;
    if (lower == 'o')
        return 0;
    for (int value = 0; value < 32; value++)
        if (ascii_lower(alphabet[value]) == lower)
            return value;
    return -1;
}

bool id_parse(struct span text, uint64_t *id_out)
{
    uint64_t id = 0;

    if (text.len != ID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        int value = digit_value(text.ptr[i]);
        /* 13 characters hold 65 bits: the first one has room for four. */
        if (value < 0 || (i == 0 && value > 15))
            return false;
        id = id << 5 | (uint64_t)value;
    }
    *id_out = id;
    return true;
}
