#include "net/tls_name.h"

bool tls_name_matches(struct span pattern, struct span name)
{
    if (pattern.len < 2 || pattern.ptr[0] != '*')
        return span_equal_nocase(pattern, name);
    size_t label = span_index(name, '.');
    return label > 0 && span_equal_nocase(span_from(name, label), span_from(pattern, 1));
}

void tls_name_clean(struct span name, char *text, size_t size)
{
    static const char marks[] = " -_.@+=/:,*";
    size_t len = name.len < size ? name.len : size - 1;

    for (size_t i = 0; i < len; i++) {
        char c = name.ptr[i];
        bool plain = ascii_is_alnum(c) || memchr(marks, c, sizeof marks - 1) != NULL;
        text[i] = plain ? c : '?';
    }
    text[len] = '\0';
}
