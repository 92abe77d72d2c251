/* Tokens of a rules file. */
#include "token.h"

void tokens_init(struct tokens *tokens, char *text, size_t len)
{
    *tokens = (struct tokens){.at = text, .end = text + len, .line = 1};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_at_end_of_line(const struct tokens *tokens)
{
    return tokens->at == tokens->end || *tokens->at == '\n';
}

static void skip_blanks(struct tokens *tokens)
{
    while (tokens->at < tokens->end && is_blank(*tokens->at))
        tokens->at++;
    if (tokens->at < tokens->end && *tokens->at == '#')
        while (!is_at_end_of_line(tokens))
            tokens->at++;
}

/* To the next token. False: a rule ends here. A line that begins with a blank goes on with the rule
 * before it; lines that hold nothing are not there. */
static bool skip(struct tokens *tokens)
{
    skip_blanks(tokens);
    while (tokens->at < tokens->end && *tokens->at == '\n') {
        tokens->at++;
        tokens->line++;
        bool is_continued = tokens->at < tokens->end && is_blank(*tokens->at);
        skip_blanks(tokens);
        if (!is_at_end_of_line(tokens) && !is_continued)
            return false;
    }
    return tokens->at < tokens->end;
}

/* From behind its first quote. */
static struct token take_text(struct tokens *tokens)
{
    struct token token = {.kind = TOKEN_TEXT, .line = tokens->line};
    char *out = ++tokens->at;

    token.text.ptr = out;
    for (; !is_at_end_of_line(tokens); tokens->at++) {
        if (*tokens->at == '"') {
            token.text.len = (size_t)(out - token.text.ptr);
            tokens->at++;
            return token;
        }
        if (*tokens->at == '\\' && tokens->at + 1 < tokens->end && tokens->at[1] != '\n')
            tokens->at++;
        *out++ = *tokens->at;
    }
    token.kind = TOKEN_BAD;
    token.text = SMARTHOP_TEXT("a quote that does not end");
    return token;
}

static struct smarthop_span take_word(struct tokens *tokens)
{
    const char *begin = tokens->at;

    while (!is_at_end_of_line(tokens) && !is_blank(*tokens->at))
        tokens->at++;
    return smarthop_span_of(begin, (size_t)(tokens->at - begin));
}

/* Its backslashes are the pattern's, also that before a slash. */
static struct token take_pattern(struct tokens *tokens)
{
    struct token token = {.kind = TOKEN_PATTERN, .line = tokens->line};

    token.text.ptr = ++tokens->at;
    for (; !is_at_end_of_line(tokens); tokens->at++) {
        if (*tokens->at == '/') {
            token.text.len = (size_t)(tokens->at - token.text.ptr);
            tokens->at++;
            token.flags = take_word(tokens);
            return token;
        }
        if (*tokens->at == '\\' && tokens->at + 1 < tokens->end && tokens->at[1] != '\n')
            tokens->at++;
    }
    token.kind = TOKEN_BAD;
    token.text = SMARTHOP_TEXT("a pattern that does not end");
    return token;
}

static struct token take(struct tokens *tokens)
{
    struct token token = {.kind = TOKEN_WORD, .line = tokens->line};

    if (*tokens->at == '"')
        return take_text(tokens);
    if (*tokens->at == '/')
        return take_pattern(tokens);
    token.text = take_word(tokens);
    return token;
}

struct token token_next(struct tokens *tokens)
{
    unsigned line = tokens->line;

    if (!skip(tokens)) {
        bool was_in_rule = tokens->is_in_rule;
        tokens->is_in_rule = false;
        if (was_in_rule)
            return (struct token){.kind = TOKEN_RULE, .line = line};
        if (tokens->at == tokens->end)
            return (struct token){.kind = TOKEN_FILE, .line = line};
    }
    tokens->is_in_rule = true;
    return take(tokens);
}
