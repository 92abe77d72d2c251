#include "sendmail/unix_text.h"

#include <assert.h>

/* The most that one byte of input makes of what was held back and of itself: ". x". */
enum { OUTPUT_MAX = 3 };

static char *put_plain(struct unix_text *t, char c, char *out)
{
    if (c == '\n') {
        t->state = UNIX_TEXT_LINE_START;
        *out++ = '\r';
        *out++ = '\n';
    } else if (c == '\r') {
        t->state = UNIX_TEXT_CR;
    } else if (c == '.' && t->state == UNIX_TEXT_LINE_START && !t->dot_is_text) {
        t->state = UNIX_TEXT_DOT;
    } else {
        t->state = UNIX_TEXT_INSIDE;
        *out++ = c != '\0' ? c : ' ';
    }
    return out;
}

static char *put(struct unix_text *t, char c, char *out)
{
    bool dot = t->state == UNIX_TEXT_DOT || t->state == UNIX_TEXT_DOT_CR;
    bool cr = t->state == UNIX_TEXT_CR || t->state == UNIX_TEXT_DOT_CR;

    if (t->state == UNIX_TEXT_END || (cr && c == '\r'))
        return out;
    if (dot && c == '\n') {
        t->state = UNIX_TEXT_END;
        return out;
    }
    if (t->state == UNIX_TEXT_DOT && c == '\r') {
        t->state = UNIX_TEXT_DOT_CR;
        return out;
    }
    if (dot)
        *out++ = '.';
    if (cr && c != '\n')
        *out++ = ' ';
    if (dot || cr)
        t->state = UNIX_TEXT_INSIDE;
    return put_plain(t, c, out);
}

void unix_text_feed(struct unix_text *t, struct span input, struct buf *out)
{
    char *start = buf_reserve(out, input.len * OUTPUT_MAX);
    char *end = start;

    assert(start != NULL);
    for (size_t i = 0; i < input.len; i++)
        end = put(t, input.ptr[i], end);
    buf_commit(out, (size_t)(end - start));
}

void unix_text_end(struct unix_text *t, struct buf *out)
{
    if (t->state == UNIX_TEXT_INSIDE || t->state == UNIX_TEXT_CR)
        buf_add(out, SPAN("\r\n"));
}
