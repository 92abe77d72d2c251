/*
 * thread_ids: the message ids of a field (RFC 5322 3.6.4, with the blanks of its obsolete form),
 * made comparable as RFC 5256 3 (REFERENCES) wants them: the quotes of a left side are not part of
 * it.
 */
#include "plugins/drop/imap/thread_private.h"

struct id_scan {
    struct span in; /* behind '<' */
    size_t at;
    char *text;
    size_t len;
};

static bool id_add(struct id_scan *s, char c)
{
    if (s->len == THREAD_ID_MAX)
        return false;
    s->text[s->len++] = c;
    return true;
}

/* A quoted string; s->at is behind its opening quote. */
static bool id_take_quoted(struct id_scan *s)
{
    while (s->at < s->in.len) {
        char c = s->in.ptr[s->at++];

        if (c == '"')
            return true;
        if (c == '\\' && s->at < s->in.len)
            c = s->in.ptr[s->at++];
        if (!id_add(s, c))
            return false;
    }
    return false;
}

/* To behind '>'; false where it is no id. */
static bool id_take(struct id_scan *s)
{
    size_t left = 0; /* bytes of it, once there is an '@' */
    bool has_at = false;

    while (s->at < s->in.len) {
        char c = s->in.ptr[s->at++];

        if (c == '>')
            return has_at && left > 0 && s->len > left + 1;
        if (c == '<')
            return false;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (c == '"' && !has_at) {
            if (!id_take_quoted(s))
                return false;
            continue;
        }
        if (c == '@' && !has_at) {
            has_at = true;
            left = s->len;
        }
        if (!id_add(s, c))
            return false;
    }
    return false;
}

bool thread_next_id(struct span *rest_inout, char text[THREAD_ID_MAX], size_t *len_out)
{
    for (;;) {
        size_t open = span_index(*rest_inout, '<');

        if (open == rest_inout->len)
            return false;
        struct id_scan s = {.in = span_from(*rest_inout, open + 1), .text = text};
        if (id_take(&s)) {
            *rest_inout = span_from(s.in, s.at);
            *len_out = s.len;
            return true;
        }
        /* What was looked at in vain is not looked at again, but for another '<'. */
        bool is_open = s.at > 0 && s.in.ptr[s.at - 1] == '<';
        *rest_inout = span_from(s.in, is_open ? s.at - 1 : s.at);
    }
}
