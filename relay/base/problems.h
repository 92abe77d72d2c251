/*
 * problems: what is wrong with a file that an administrator writes, line by line, as lines for him:
 * "file:line: what is wrong". Of very many the first are told, and how many more there are. Pure.
 */
#ifndef SMARTHOP_BASE_PROBLEMS_H
#define SMARTHOP_BASE_PROBLEMS_H

#include "base/buf.h"

enum { PROBLEMS_TOLD_MAX = 20 };

/* Embedded in a parser, which keeps `line` up to date. */
struct problems {
    struct buf *messages;
    const char *file;
    unsigned line;
    unsigned count;
};

/* False, so that who finds one can return it. A text is cut at some hundred bytes. */
__attribute__((format(printf, 2, 3))) bool problems_add(struct problems *problems,
                                                        const char *format, ...);
/* At the end: tells how many were not told. True where there was none. */
bool problems_end(const struct problems *problems);

#endif
