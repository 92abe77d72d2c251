#include "conf/source.h"

static bool is_sign(char c)
{
    return c == '{' || c == '}' || c == '(' || c == ')' || c == '=' || c == ',';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool starts(struct span text, const char *with)
{
    struct span prefix = span_cstr(with);

    return text.len >= prefix.len && memcmp(text.ptr, prefix.ptr, prefix.len) == 0;
}

static bool starts_comment(struct span text)
{
    return starts(text, "#") || starts(text, "//") || starts(text, "/*");
}

/* The length of a comment that begins here, or 0 where it has no end. */
static size_t comment_length(struct span text)
{
    if (!starts(text, "/*"))
        return span_index(text, '\n');
    const char *end = memmem(text.ptr + 2, text.len - 2, "*/", 2);
    return end != NULL ? (size_t)(end - text.ptr) + 2 : 0;
}

static void pass(struct conf_scanner *scanner, size_t len)
{
    for (size_t i = 0; i < len; i++)
        scanner->line += scanner->rest.ptr[i] == '\n';
    scanner->rest = span_from(scanner->rest, len);
}

/* The length of "${NAME}" or "${NAME:-text}" at the start, or 0 where it has no proper end: what
 * libConfuse would take for its end is then not what a reader takes for it. */
static size_t variable_length(struct span text)
{
    for (size_t i = 2; i < text.len; i++) {
        if (text.ptr[i] == '}')
            return i + 1;
        if (text.ptr[i] == '"' || text.ptr[i] == '\'' || text.ptr[i] == '\\' ||
            text.ptr[i] == '\n' || text.ptr[i] == '$')
            return 0;
    }
    return 0;
}

static struct conf_token bad(struct conf_token token, const char *wrong)
{
    token.kind = CONF_TOKEN_BAD;
    token.wrong = wrong;
    return token;
}

static struct conf_token scan_quoted(struct conf_token token)
{
    struct span text = token.text;
    char quote = text.ptr[0];

    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == quote) {
            token.kind = CONF_TOKEN_QUOTED;
            token.text.len = i + 1;
            return token;
        }
        if (text.ptr[i] == '\0')
            return bad(token, "a NUL byte");
        if (text.ptr[i] == '\\') {
            i++;
            if (quote == '"' && i < text.len && ascii_is_digit(text.ptr[i]))
                return bad(token, "octal escapes are not allowed; write \\xHH");
        } else if (quote == '"' && starts(span_from(text, i), "${")) {
            size_t len = variable_length(span_from(text, i));
            if (len == 0)
                return bad(token, "\"${\" without its \"}\"");
            i += len - 1;
        }
    }
    return bad(token, "a quoted text has no end");
}

/* libConfuse takes these for nothing at all, so that *.domain would become .domain. */
static bool is_dropped(struct span text)
{
    char c = text.ptr[0];

    if (c == '/')
        return text.len == 1 || is_space(text.ptr[1]) || is_sign(text.ptr[1]) ||
               strchr("#\"'+*", text.ptr[1]) != NULL;
    return c == '*' || c == '+' || (conf_is_control(c) && !is_space(c));
}

static struct conf_token scan_word(struct conf_token token)
{
    struct span text = token.text;
    size_t i = 0;

    while (i < text.len) {
        struct span rest = span_from(text, i);
        char c = rest.ptr[0];
        if (is_space(c) || is_sign(c) || starts_comment(rest) || c == '"' || c == '\'')
            break;
        if (is_dropped(rest) || (c == '$' && starts(rest, "${")))
            return bad(token, "a character that needs quotes around its text");
        i++;
    }
    token.kind = CONF_TOKEN_WORD;
    token.text.len = i;
    return token;
}

struct conf_token conf_scan(struct conf_scanner *scanner)
{
    for (;;) {
        size_t blank = 0;
        while (blank < scanner->rest.len && is_space(scanner->rest.ptr[blank]))
            blank++;
        pass(scanner, blank);
        if (scanner->rest.len == 0 || !starts_comment(scanner->rest))
            break;
        size_t len = comment_length(scanner->rest);
        if (len == 0)
            return (struct conf_token){CONF_TOKEN_BAD, scanner->rest, scanner->line,
                                       "a comment has no end"};
        pass(scanner, len);
    }

    struct conf_token token = {CONF_TOKEN_END, scanner->rest, scanner->line, NULL};
    if (token.text.len == 0)
        return token;
    char c = token.text.ptr[0];
    if (is_sign(c) || starts(token.text, "+=")) {
        token.kind = CONF_TOKEN_SIGN;
        token.text.len = is_sign(c) ? 1 : 2;
    } else if (c == '"' || c == '\'') {
        token = scan_quoted(token);
    } else {
        token = scan_word(token);
    }
    if (token.kind != CONF_TOKEN_BAD)
        pass(scanner, token.text.len);
    return token;
}
