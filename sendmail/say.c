#include "sendmail/say.h"

#include <stdarg.h>
#include <stdio.h>

static void print_clean(const char *before, struct span text)
{
    fputs(before, stderr);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        fputc(c < ' ' || c == 0x7f ? '?' : c, stderr);
    }
    fputc('\n', stderr);
}

int say(int exit_status, const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_clean("sendmail: ", span_cstr(text));
    return exit_status;
}

void say_dialogue(const char *mark, struct span line)
{
    print_clean(mark, line);
}
