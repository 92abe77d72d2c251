#include "plugins/drop/imap/parse.h"
#include "proto/utf8.h"

#include <string.h>

struct imap_parser parse_make(struct imap_command *command, struct span text, bool utf8)
{
    char *copy = (char *)arena_dup(&command->arena, text).ptr;

    return (struct imap_parser){copy, copy + text.len, command, utf8};
}

bool parse_bad(struct imap_parser *p, const char *problem)
{
    p->command->verb = IMAP_INVALID;
    p->command->problem = problem;
    return false;
}

bool parse_no(struct imap_parser *p, const char *code, const char *problem)
{
    p->command->code = code;
    p->command->is_no = true;
    return parse_bad(p, problem);
}

bool parse_unexpected(struct imap_parser *p, const char *problem)
{
    if (p->at == p->end)
        return parse_bad(p, "Something is missing at the end");
    return parse_bad(p, *p->at == ' ' ? "One space too many" : problem);
}

bool parse_unknown(struct imap_parser *p, struct span word, const char *problem)
{
    return word.len > 0 ? parse_bad(p, problem) : parse_unexpected(p, problem);
}

bool parse_space(struct imap_parser *p)
{
    if (parse_take(p, ' '))
        return true;
    return parse_unexpected(p, "A space was expected");
}

bool parse_expect(struct imap_parser *p, char c, const char *problem)
{
    return parse_take(p, c) || parse_unexpected(p, problem);
}

bool parse_end(struct imap_parser *p)
{
    return p->at == p->end || parse_bad(p, "More than was expected");
}

static bool is_atom(char c)
{
    switch (c) {
    case '(':
    case ')':
    case '{':
    case '%':
    case '*':
    case '"':
    case '\\':
    case ']':
        return false;
    default:
        return c > ' ' && c < 0x7f;
    }
}

static bool is_word(char c)
{
    return ascii_is_alnum(c) || c == '.' || c == '-' || c == '=';
}

static bool is_astring(char c)
{
    return is_atom(c) || c == ']';
}

static bool is_list(char c)
{
    return is_astring(c) || c == '%' || c == '*';
}

static bool is_tag(char c)
{
    return is_astring(c) && c != '+';
}

static inline struct span run(struct imap_parser *p, bool (*is_part)(char))
{
    char *start = p->at;

    while (p->at < p->end && is_part(*p->at))
        p->at++;
    return span_of(start, (size_t)(p->at - start));
}

struct span parse_word(struct imap_parser *p)
{
    return run(p, is_word);
}

bool parse_atom(struct imap_parser *p, struct span *out)
{
    *out = run(p, is_atom);
    return out->len > 0 || parse_unexpected(p, "An atom was expected");
}

bool parse_tag(struct imap_parser *p, struct span *out)
{
    *out = run(p, is_tag);
    if (out->len > 0 && out->len <= IMAP_TAG_MAX && (parse_is_at(p, ' ') || p->at == p->end))
        return true;
    *out = SPAN_NONE;
    return parse_bad(p, "A command begins with a tag and a verb");
}

/* Behind the opening quote. */
static bool quoted(struct imap_parser *p, struct span *out)
{
    char *start = p->at;
    char *to = p->at;
    bool is_ascii = true;

    for (; p->at < p->end && *p->at != '"'; p->at++) {
        if (*p->at == '\\') {
            p->at++;
            if (p->at == p->end || (*p->at != '"' && *p->at != '\\'))
                return parse_bad(p, "Only \\ and \" are escaped in a quoted string");
        } else if (*p->at == '\r' || *p->at == '\n') {
            break;
        }
        is_ascii = is_ascii && (*p->at & 0x80) == 0;
        *to++ = *p->at;
    }
    if (!parse_take(p, '"'))
        return parse_bad(p, "A quoted string has no end");
    *out = span_of(start, (size_t)(to - start));
    return is_ascii || utf8_is_valid(*out) ||
           parse_bad(p, "A quoted string is neither ASCII nor UTF-8");
}

/* Behind the opening brace. The reader has seen to it that the bytes are there. */
static bool literal(struct imap_parser *p, struct span *out)
{
    struct span digits = run(p, ascii_is_digit);
    uint64_t size;

    parse_take(p, '+');
    if (!span_parse_u64(digits, &size) || !parse_take(p, '}') || !parse_take(p, '\r') ||
        !parse_take(p, '\n') || size > (size_t)(p->end - p->at))
        return parse_bad(p, "A literal is announced by its size in braces, at the line's end");
    *out = span_of(p->at, size);
    p->at += size;
    return true;
}

bool parse_string(struct imap_parser *p, struct span *out)
{
    if (parse_take(p, '"'))
        return quoted(p, out);
    if (parse_take(p, '{'))
        return literal(p, out);
    return parse_unexpected(p, "A string was expected");
}

static inline bool string_or(struct imap_parser *p, bool (*is_part)(char), struct span *out)
{
    *out = run(p, is_part);
    if (out->len > 0)
        return true;
    return parse_string(p, out);
}

bool parse_astring(struct imap_parser *p, struct span *out)
{
    return string_or(p, is_astring, out);
}

/* Into UTF-8; false, with nothing changed, where it is no name. */
static bool decode_name(struct imap_parser *p, struct span *name)
{
    if (p->utf8)
        return utf8_is_valid(*name);
    if (span_index(*name, '&') == name->len && utf8_is_ascii(*name))
        return true;
    struct buf decoded;
    buf_init(&decoded, 0);
    bool is_name = imap_utf7_decode(*name, &decoded);
    if (is_name)
        *name = arena_dup(&p->command->arena, buf_span(&decoded));
    buf_fini(&decoded);
    return is_name;
}

bool parse_pattern(struct imap_parser *p, struct span *out)
{
    if (!string_or(p, is_list, out))
        return false;
    decode_name(p, out);
    return true;
}

bool parse_mailbox(struct imap_parser *p, struct span *out)
{
    const struct span inbox = SPAN("INBOX");

    if (!parse_astring(p, out))
        return false;
    if (!decode_name(p, out))
        return parse_no(p, "CANNOT",
                        p->utf8 ? "The mailbox name is not UTF-8"
                                : "The mailbox name is not modified UTF-7");
    if (span_starts_nocase(*out, inbox) && (out->len == inbox.len || out->ptr[inbox.len] == '/')) {
        struct span name = arena_dup(&p->command->arena, *out);
        memcpy((char *)name.ptr, inbox.ptr, inbox.len);
        *out = name;
    }
    return true;
}

bool parse_number64(struct imap_parser *p, uint64_t *out)
{
    struct span digits = run(p, ascii_is_digit);

    if (digits.len == 0)
        return parse_unexpected(p, "A number was expected");
    return (span_parse_u64(digits, out) && *out <= INT64_MAX) ||
           parse_bad(p, "A number is too large");
}

bool parse_number(struct imap_parser *p, uint32_t *out)
{
    uint64_t number;

    if (!parse_number64(p, &number))
        return false;
    *out = (uint32_t)number;
    return number <= UINT32_MAX || parse_bad(p, "A number is too large");
}

static bool set_number(struct imap_parser *p, uint32_t *out)
{
    if (parse_take(p, '*')) {
        *out = UINT32_MAX;
        return true;
    }
    if (p->at < p->end && *p->at != ' ' && !ascii_is_digit(*p->at))
        return parse_bad(p, "A set consists of numbers, ':', ',' and '*'");
    if (!parse_number(p, out))
        return false;
    if (*out == UINT32_MAX) /* no message has so high a number, and this is how "*" is told */
        --*out;
    return *out != 0 || parse_bad(p, "There is no message 0");
}

/* How many ranges the set that begins here may have. */
static size_t count_ranges(const struct imap_parser *p)
{
    size_t count = 1;

    for (const char *at = p->at; at < p->end && *at != ' ' && *at != ')'; at++)
        count += *at == ',';
    return count;
}

bool parse_set(struct imap_parser *p, struct imap_set *out)
{
    *out = (struct imap_set){.is_saved = parse_take(p, '$')};
    if (out->is_saved)
        return true;
    size_t room = count_ranges(p);
    if (room > IMAP_RANGES_MAX)
        return parse_no(p, "LIMIT", "A set has too many ranges");
    out->ranges = arena_alloc(&p->command->arena, room * sizeof *out->ranges);
    do {
        struct mailstore_range *range = &out->ranges[out->count++];
        if (!set_number(p, &range->first))
            return false;
        range->last = range->first;
        if (parse_take(p, ':') && !set_number(p, &range->last))
            return false;
    } while (parse_take(p, ','));
    return true;
}

void *parse_push(struct imap_parser *p, void **array, unsigned *count, size_t size)
{
    const unsigned first = 4;

    if (*count == 0 || (*count >= first && (*count & (*count - 1)) == 0)) {
        size_t room = *count == 0 ? first : 2 * (size_t)*count;
        void *grown = arena_alloc(&p->command->arena, room * size);
        if (*count > 0)
            memcpy(grown, *array, *count * size);
        *array = grown;
    }
    return (char *)*array + (*count)++ * size;
}

static bool system_flag(struct imap_parser *p, struct imap_flags *out)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } known[] = {
        {"Seen", MAILSTORE_SEEN},       {"Answered", MAILSTORE_ANSWERED},
        {"Flagged", MAILSTORE_FLAGGED}, {"Deleted", MAILSTORE_DELETED},
        {"Draft", MAILSTORE_DRAFT},
    };
    struct span name = run(p, is_atom);

    for (size_t i = 0; i < COUNT(known); i++)
        if (parse_is_word(name, known[i].name)) {
            out->flags |= known[i].flag;
            return true;
        }
    if (parse_is_word(name, "Recent"))
        return parse_bad(p, "\\Recent is not the client's to change");
    return parse_bad(p, "There is no such system flag");
}

bool parse_flag(struct imap_parser *p, struct imap_flags *out)
{
    struct span name;

    if (parse_take(p, '\\'))
        return system_flag(p, out);
    if (p->at < p->end && *p->at != ' ' && !is_atom(*p->at))
        return parse_bad(p, "A flag is an atom");
    if (!parse_atom(p, &name))
        return false;
    if (name.len > MAILSTORE_KEYWORD_MAX)
        return parse_no(p, "LIMIT", "A keyword is too long");
    for (unsigned i = 0; i < out->keyword_count; i++)
        if (span_equal_nocase(out->keywords[i], name))
            return true;
    if (out->keyword_count == MAILSTORE_KEYWORDS_MAX)
        return parse_no(p, "LIMIT", "Too many keywords");
    void *keywords = out->keywords;
    *(struct span *)parse_push(p, &keywords, &out->keyword_count, sizeof name) = name;
    out->keywords = keywords;
    return true;
}

bool parse_flag_list(struct imap_parser *p, struct imap_flags *out)
{
    if (!parse_expect(p, '(', "Flags in parentheses were expected"))
        return false;
    if (parse_take(p, ')'))
        return true;
    do {
        if (!parse_flag(p, out))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', "A flag is an atom");
}
