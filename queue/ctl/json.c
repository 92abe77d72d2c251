#include "queue/ctl/json.h"

#include "proto/utf8.h"

#include <stdio.h>

static bool comma_owed;

static void begin(const char *name)
{
    if (comma_owed)
        putc_unlocked(',', stdout);
    comma_owed = true;
    if (name != NULL) {
        putc_unlocked('"', stdout);
        fputs_unlocked(name, stdout);
        fputs_unlocked("\":", stdout);
    }
}

void json_open(const char *name, char bracket)
{
    begin(name);
    putc_unlocked(bracket, stdout);
    comma_owed = false;
}

void json_close(char bracket)
{
    putc_unlocked(bracket, stdout);
    comma_owed = true;
}

static bool is_plain(char byte)
{
    return byte >= ' ' && byte != '"' && byte != '\\' && byte != 0x7F; /* 8-bit is negative */
}

static size_t plain_run(struct span text)
{
    size_t len = 0;

    while (len < text.len && is_plain(text.ptr[len]))
        len++;
    return len;
}

/* Writes the first character, which needs a look; returns its length. */
static size_t write_character(struct span text)
{
    unsigned char first = (unsigned char)text.ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    struct span character = span_head(text, len);

    if (first == '"' || first == '\\')
        fprintf(stdout, "\\%c", first);
    else if (first < 0x80)
        fprintf(stdout, "\\u%04x", first);
    else if (character.len == len && utf8_is_valid(character))
        fwrite_unlocked(character.ptr, 1, len, stdout);
    else
        len = 1, fputs_unlocked("\\ufffd", stdout);
    return len;
}

void json_text(const char *name, struct span text)
{
    begin(name);
    putc_unlocked('"', stdout);
    while (text.len > 0) {
        size_t len = plain_run(text);
        if (len > 0)
            fwrite_unlocked(text.ptr, 1, len, stdout);
        text = span_from(text, len);
        if (text.len > 0)
            text = span_from(text, write_character(text));
    }
    putc_unlocked('"', stdout);
}

/* By hand: a list has millions of them, and printf is slow. */
void json_number(const char *name, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;

    begin(name);
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    fwrite_unlocked(digits + at, 1, sizeof digits - at, stdout);
}

void json_signed(const char *name, int number)
{
    begin(name);
    fprintf(stdout, "%d", number);
}

void json_bool(const char *name, bool value)
{
    begin(name);
    fputs_unlocked(value ? "true" : "false", stdout);
}

void json_none(const char *name)
{
    begin(name);
    fputs_unlocked("null", stdout);
}

void json_next_line(void)
{
    if (comma_owed)
        putc_unlocked(',', stdout);
    json_end_line();
}

void json_end_line(void)
{
    comma_owed = false;
    putc_unlocked('\n', stdout);
}
