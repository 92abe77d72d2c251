#include "names.h"

#include <arpa/inet.h>

static bool is_name_byte(char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

bool name_normalize(struct span text, char name_out[NAME_MAX_LENGTH + 1])
{
    size_t label = 0;

    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > NAME_MAX_LENGTH)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_name_byte(c) || ++label > NAME_LABEL_MAX) {
            return false;
        }
        name_out[i] = ascii_lower(c);
    }
    name_out[text.len] = '\0';
    return label > 0;
}

bool name_is_address(struct span text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr any;

    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET, copy, &any) == 1 || inet_pton(AF_INET6, copy, &any) == 1;
}
