#include "plugins/drop/pop3/command.h"

static bool take_nothing(struct span args, struct pop3_command *out)
{
    (void)out;
    return args.len == 0;
}

/* A password may hold spaces, also at its ends (RFC 1939 7). */
static bool take_text(struct span args, struct pop3_command *out)
{
    out->text = args;
    return args.len > 0;
}

static bool take_tag(struct span args, struct pop3_command *out)
{
    out->text = span_trim(args);
    return span_index(out->text, ' ') == out->text.len;
}

/* RFC 5034 4: AUTH mechanism [initial-response]. */
static bool take_auth(struct span args, struct pop3_command *out)
{
    struct span all = span_trim(args), rest;

    out->method = span_split(all, ' ', &rest);
    out->has_initial = out->method.len < all.len;
    out->initial = span_trim(rest);
    return !out->has_initial || out->initial.len > 0;
}

/* RFC 6856 2.1: UTF8 [USER]. */
static bool take_utf8(struct span args, struct pop3_command *out)
{
    out->text = span_trim(args);
    return out->text.len == 0 || span_equal_nocase(out->text, SPAN("USER"));
}

static bool take_number(struct span text, struct pop3_command *out)
{
    uint64_t number;

    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_digit(text.ptr[i]))
            return false;
    if (text.len == 0)
        return false;
    if (!span_parse_u64(text, &number) || number > UINT32_MAX)
        number = UINT32_MAX;
    out->has_number = true;
    out->number = (uint32_t)number;
    return true;
}

static bool take_message(struct span args, struct pop3_command *out)
{
    return take_number(span_trim(args), out);
}

static bool take_any(struct span args, struct pop3_command *out)
{
    return span_trim(args).len == 0 || take_message(args, out);
}

static bool take_top(struct span args, struct pop3_command *out)
{
    struct span rest;
    struct span number = span_split(span_trim(args), ' ', &rest);

    return take_number(number, out) && span_parse_u64(span_trim(rest), &out->lines);
}

static const struct {
    struct span name;
    bool (*take)(struct span args, struct pop3_command *out);
} table[POP3_VERBS] = {
    [POP3_CAPA] = {{"CAPA", 4}, take_nothing}, [POP3_STLS] = {{"STLS", 4}, take_nothing},
    [POP3_USER] = {{"USER", 4}, take_text},    [POP3_PASS] = {{"PASS", 4}, take_text},
    [POP3_AUTH] = {{"AUTH", 4}, take_auth},    [POP3_UTF8] = {{"UTF8", 4}, take_utf8},
    [POP3_LANG] = {{"LANG", 4}, take_tag},     [POP3_STAT] = {{"STAT", 4}, take_nothing},
    [POP3_LIST] = {{"LIST", 4}, take_any},     [POP3_UIDL] = {{"UIDL", 4}, take_any},
    [POP3_RETR] = {{"RETR", 4}, take_message}, [POP3_TOP] = {{"TOP", 3}, take_top},
    [POP3_DELE] = {{"DELE", 4}, take_message}, [POP3_RSET] = {{"RSET", 4}, take_nothing},
    [POP3_NOOP] = {{"NOOP", 4}, take_nothing}, [POP3_QUIT] = {{"QUIT", 4}, take_nothing},
};

void pop3_parse(struct span line, struct pop3_command *out)
{
    struct span args;
    struct span name = span_split(line, ' ', &args);

    *out = (struct pop3_command){0};
    for (unsigned verb = POP3_UNKNOWN + 1; verb < POP3_VERBS; verb++)
        if (span_equal_nocase(name, table[verb].name)) {
            out->verb = (enum pop3_verb)verb;
            out->is_wrong = !table[verb].take(args, out);
            return;
        }
}
