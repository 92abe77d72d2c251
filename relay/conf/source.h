/*
 * source: a configuration file with its includes as one flat text without comments, and what is
 * wrong with it, line by line.
 *
 * libConfuse counts lines wrongly behind comments, drops characters it does not know without a
 * word, and its lexer keeps its state after some errors, so that the next load would fail too.
 * Here the text is brought into a form in which none of that can happen.
 */
#ifndef SMARTHOP_CONF_SOURCE_H
#define SMARTHOP_CONF_SOURCE_H

#include "base/buf.h"
#include "base/err.h"

enum conf_token_kind {
    CONF_TOKEN_END,
    CONF_TOKEN_WORD,   /* unquoted text */
    CONF_TOKEN_QUOTED, /* with its quotes */
    CONF_TOKEN_SIGN,   /* { } ( ) = , += */
    CONF_TOKEN_BAD,
};

struct conf_token {
    enum conf_token_kind kind;
    struct span text;
    unsigned line;     /* of its first byte */
    const char *wrong; /* CONF_TOKEN_BAD: why */
};

struct conf_scanner {
    struct span rest;
    unsigned line;
};

static inline bool conf_is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

struct conf_token conf_scan(struct conf_scanner *scanner);

static inline bool conf_token_is(const struct conf_token *token, const char *sign)
{
    return token->kind == CONF_TOKEN_SIGN && span_equal(token->text, span_cstr(sign));
}

static inline bool conf_token_is_text(const struct conf_token *token)
{
    return token->kind == CONF_TOKEN_WORD || token->kind == CONF_TOKEN_QUOTED;
}

struct conf_source_line {
    unsigned file;
    unsigned line;
};

struct conf_problem {
    unsigned line; /* of the flat text; 0 = of the file as a whole */
    char *text;
};

struct conf_source {
    char **files; /* [0] is the one that was asked for */
    unsigned file_count;
    struct buf text;
    struct conf_source_line *lines; /* where line i + 1 of the text comes from */
    unsigned line_count;
    struct conf_problem *problems;
    unsigned problem_count;
};

void conf_source_init(struct conf_source *source);
void conf_source_fini(struct conf_source *source);

/* Fills an empty source. Fails only where the file itself cannot be read; all else is a problem. */
struct err conf_source_read(struct conf_source *source, const char *file);

__attribute__((format(printf, 3, 4))) void
conf_source_problem(struct conf_source *source, unsigned line, const char *format, ...);
/* "file:line" of a line of the text, "file" for line 0. */
void conf_source_print_place(const struct conf_source *source, unsigned line, struct buf *out);
/* The problems, a line each, in the order of the text. */
void conf_source_print_problems(struct conf_source *source, struct buf *out);

#endif
