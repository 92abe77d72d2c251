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

/* `reached`: by what has been looked at of the pattern, how much of the name may have been. */
static bool reach(char c, struct span name, size_t inbox, bool *reached)
{
    bool some = false;

    switch (c) {
    case '*':
        for (size_t i = 0; i <= name.len; i++)
            some = reached[i] = reached[i] || some;
        return some;
    case '%':
        for (size_t i = 1; i <= name.len; i++)
            reached[i] = reached[i] || (reached[i - 1] && name.ptr[i - 1] != '/');
        return true;
    default:
        for (size_t i = name.len; i > 0; i--) {
            char other = name.ptr[i - 1];
            bool is_same = c == other || (i <= inbox && ascii_lower(c) == ascii_lower(other));
            some = (reached[i] = reached[i - 1] && is_same) || some;
        }
        reached[0] = false;
        return some;
    }
}

bool imap_pattern_matches(struct span pattern, struct span name)
{
    bool reached[MAILSTORE_NAME_MAX + 1] = {true};
    size_t inbox = inbox_length(name);

    if (name.len > MAILSTORE_NAME_MAX)
        return false;
    for (size_t i = 0; i < pattern.len; i++)
        if (!reach(pattern.ptr[i], name, inbox, reached))
            return false;
    return reached[name.len];
}
