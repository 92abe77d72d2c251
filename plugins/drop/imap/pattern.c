/* Patterns of LIST (RFC 9051 6.3.9). */
#include "plugins/drop/imap/command.h"

/* The first level of INBOX and of what is below it is INBOX in any case. */
static size_t inbox_length(struct span name)
{
    const struct span inbox = SPAN("INBOX");

    if (!span_equal(span_head(name, inbox.len), inbox) ||
        (name.len > inbox.len && name.ptr[inbox.len] != '/'))
        return 0;
    return inbox.len;
}

/*
 * Where it does not go on, the last wildcard takes one character more. A '%' that may not, since
 * that is a '/', leaves it to the '*' before it. Earlier wildcards need not be tried again:
 * whatever they could take the later one can take as well.
 */
bool imap_pattern_matches(struct span pattern, struct span name)
{
    size_t inbox = inbox_length(name);
    const size_t none = SIZE_MAX;
    size_t star = none, star_from = 0; /* behind the wildcard; what it has taken ends here */
    size_t percent = none, percent_from = 0;
    size_t p = 0, n = 0;

    while (n < name.len || p < pattern.len) {
        char c = p < pattern.len ? pattern.ptr[p] : '\0';
        if (c == '*') {
            star = ++p;
            star_from = n;
            percent = none;
        } else if (c == '%') {
            percent = ++p;
            percent_from = n;
        } else if (n < name.len && p < pattern.len &&
                   (n < inbox ? ascii_lower(c) == ascii_lower(name.ptr[n]) : c == name.ptr[n])) {
            p++;
            n++;
        } else if (percent != none && percent_from < name.len && name.ptr[percent_from] != '/') {
            p = percent;
            n = ++percent_from;
        } else if (star != none && star_from < name.len) {
            p = star;
            n = ++star_from;
            percent = none;
        } else {
            return false;
        }
    }
    return true;
}
