/*
 * text: bytes of table files and addresses, and the problems that were found in them.
 */
#ifndef SMARTHOP_TABLE_TEXT_H
#define SMARTHOP_TABLE_TEXT_H

#include <smarthop_plugin.h>

#define SPAN_ARGS(s) (int)((s).len < 80 ? (s).len : 80), (s).ptr

static inline bool text_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline char text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static inline struct smarthop_span text_from(struct smarthop_span s, size_t at)
{
    return smarthop_span_of(s.ptr + at, s.len - at);
}

static inline bool text_is(struct smarthop_span s, const char *word)
{
    return s.len == strlen(word) && memcmp(s.ptr, word, s.len) == 0;
}

static inline bool text_starts(struct smarthop_span s, const char *word)
{
    size_t len = strlen(word);

    return s.len >= len && memcmp(s.ptr, word, len) == 0;
}

/* Where the byte is first, last; s.len = nowhere. */
static inline size_t text_index(struct smarthop_span s, char byte)
{
    size_t at = 0;

    while (at < s.len && s.ptr[at] != byte)
        at++;
    return at;
}
size_t text_rindex(struct smarthop_span s, char byte);
struct smarthop_span text_trim(struct smarthop_span s);
/* Takes the next word, which ends at a blank, or at a comma where `comma` is set, outside double
 * quotes. Empty = there is none. */
struct smarthop_span text_word(struct smarthop_span *rest, bool comma);
/* 1 to 65535, in decimal. */
bool text_port(struct smarthop_span s, uint16_t *out);
/* A name of a host or domain in ASCII form, without a dot at its end: [A-Za-z0-9_-] and dots. */
bool text_is_domain(struct smarthop_span s);
/* local@domain: the local part not empty, without blanks outside quotes; the domain as above, or
 * in brackets. */
bool text_is_address(struct smarthop_span s);

enum { PROBLEMS_MAX = 10, PROBLEM_ROOM = 400 };

/* "file:line: what is wrong, and what to do"; those beyond the tenth are only counted. */
struct problems {
    unsigned count;
    char texts[PROBLEMS_MAX][PROBLEM_ROOM];
};

/* line 0 = of the file as a whole. */
__attribute__((format(printf, 4, 5))) void problem_add(struct problems *problems, const char *file,
                                                       unsigned line, const char *format, ...);

#endif
