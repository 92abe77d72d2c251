/*
 * prompt: a password from a person or a pipe.
 */
#ifndef SMARTHOP_QUEUE_CTL_PROMPT_H
#define SMARTHOP_QUEUE_CTL_PROMPT_H

#include "base/span.h"

enum { PROMPT_MAX = 1024 };

struct prompt_password {
    char bytes[PROMPT_MAX];
    size_t len;
};

/* From standard input: its first line. False, with a complaint, where there is none. */
bool prompt_read(struct prompt_password *out);
/* From the terminal, without echo; `twice` where a slip would lock somebody out. False, with a
 * complaint, where there is no terminal or the two differ. Interrupted, the terminal is put right
 * before the process ends. */
bool prompt_ask(const char *name, bool twice, struct prompt_password *out);

static inline struct span prompt_span(const struct prompt_password *password)
{
    return span_of(password->bytes, password->len);
}

#endif
