#include "base/problems.h"

#include <stdarg.h>
#include <stdio.h>

enum { TEXT_MAX = 512 };

bool problems_add(struct problems *problems, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    if (problems->count++ >= PROBLEMS_TOLD_MAX)
        return false;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_addf(problems->messages, "%s:%u: %s\n", problems->file, problems->line, text);
    return false;
}

bool problems_end(const struct problems *problems)
{
    if (problems->count > PROBLEMS_TOLD_MAX)
        buf_addf(problems->messages, "%s: and %u problems more\n", problems->file,
                 problems->count - PROBLEMS_TOLD_MAX);
    return problems->count == 0;
}
