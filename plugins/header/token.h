/*
 * token: the words of a rules file. A rule ends with its line, unless the next one begins with a
 * blank; `#` begins a comment. Texts point into the file's content, which they change: what is
 * quoted loses its backslashes in place.
 */
#ifndef SMARTHOP_HEADER_TOKEN_H
#define SMARTHOP_HEADER_TOKEN_H

#include <smarthop_plugin.h>

enum token_kind {
    TOKEN_WORD,    /* up to a blank */
    TOKEN_TEXT,    /* "quoted" */
    TOKEN_PATTERN, /* slashes around it, and flags behind it */
    TOKEN_RULE,    /* the end of a rule */
    TOKEN_FILE,    /* the end of the file */
    TOKEN_BAD,     /* a quote or a pattern that does not end in its line */
};

struct token {
    enum token_kind kind;
    struct smarthop_span text;
    struct smarthop_span flags; /* of a pattern */
    unsigned line;              /* in which it begins */
};

struct tokens {
    char *at;
    char *end;
    unsigned line;
    bool is_in_rule;
};

void tokens_init(struct tokens *tokens, char *text, size_t len);
struct token token_next(struct tokens *tokens);

static inline bool token_is(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD &&
           smarthop_equal(token->text, smarthop_span_of(word, strlen(word)));
}

#endif
