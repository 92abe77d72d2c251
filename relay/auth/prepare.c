#include "auth/prepare.h"

#include "proto/utf8.h"

/* C0, DEL and, in UTF-8, C1 (U+0080 to U+009F). */
static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < ' ' || c == 0x7F)
            return true;
        if (c == 0xC2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xA0)
            return true;
    }
    return false;
}

static bool is_text(struct span text, size_t max)
{
    return text.len > 0 && text.len <= max && !has_control(text) && utf8_is_valid(text);
}

bool auth_name_prepare(struct span name, char out[AUTH_NAME_MAX])
{
    if (!is_text(name, AUTH_NAME_MAX) || span_index(name, ':') < name.len ||
        span_index(name, ' ') < name.len || name.ptr[0] == '#')
        return false;
    for (size_t i = 0; i < name.len; i++)
        out[i] = ascii_lower(name.ptr[i]);
    return true;
}

bool auth_password_is_valid(struct span password)
{
    return is_text(password, AUTH_PASSWORD_MAX);
}
