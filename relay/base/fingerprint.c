#include "base/fingerprint.h"

static const struct span prefix = SPAN("sha256:");

bool fingerprint_parse(struct span text, struct fingerprint *out)
{
    if (!span_starts_nocase(text, prefix))
        return false;
    text = span_from(text, prefix.len);
    for (size_t i = 0; i < FINGERPRINT_BYTES; i++) {
        if (i > 0 && text.len > 0 && text.ptr[0] == ':')
            text = span_from(text, 1);
        int high = text.len >= 2 ? ascii_hex_value(text.ptr[0]) : -1;
        int low = text.len >= 2 ? ascii_hex_value(text.ptr[1]) : -1;
        if (high < 0 || low < 0)
            return false;
        out->bytes[i] = (unsigned char)(high << 4 | low);
        text = span_from(text, 2);
    }
    return text.len == 0;
}

const char *fingerprint_format(const struct fingerprint *fingerprint,
                               char text[FINGERPRINT_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    char *at = text + prefix.len;

    memcpy(text, prefix.ptr, prefix.len);
    for (size_t i = 0; i < FINGERPRINT_BYTES; i++) {
        *at++ = digits[fingerprint->bytes[i] >> 4];
        *at++ = digits[fingerprint->bytes[i] & 15];
    }
    *at = '\0';
    return text;
}
