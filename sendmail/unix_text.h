/*
 * unix_text: turns what a Unix program writes into the lines of a message: they end by CRLF, hold
 * no other CR and no NUL, and a lone dot may end the input.
 */
#ifndef SMARTHOP_SENDMAIL_UNIX_TEXT_H
#define SMARTHOP_SENDMAIL_UNIX_TEXT_H

#include "base/buf.h"

enum unix_text_state {
    UNIX_TEXT_LINE_START = 0,
    UNIX_TEXT_INSIDE,
    UNIX_TEXT_CR,     /* behind CRs that may belong to a line end */
    UNIX_TEXT_DOT,    /* behind a dot that began a line */
    UNIX_TEXT_DOT_CR, /* behind the CR that followed it */
    UNIX_TEXT_END,    /* the lone dot has come: the rest is not looked at */
};

struct unix_text {
    bool dot_is_text;
    enum unix_text_state state;
};

/* Appends the converted `input`. A line ends by LF, whatever number of CRs is before it; a CR
 * elsewhere becomes a space, so that it can start no header field, and so does a NUL. */
void unix_text_feed(struct unix_text *t, struct span input, struct buf *out);

/* At the end of the input: what was held back, and a line end where one is missing. */
void unix_text_end(struct unix_text *t, struct buf *out);

#endif
