/* APPEND (RFC 9051 6.3.12, RFC 3502, RFC 6855 4): what stands before each of its messages. */
#include "plugins/drop/imap/parse.h"

/* As the table's function it is called only where no literal was announced. */
bool imap_parse_append(struct imap_parser *p)
{
    struct span name;

    if (!parse_space(p) || !parse_mailbox(p, &name))
        return false;
    return parse_bad(p, "APPEND ends with a message, as a literal");
}

/* Behind the space before a message's flags. */
static bool message_head(struct imap_parser *p, struct imap_append_literal *out, bool *is_open)
{
    if (parse_is_at(p, '(') && (!parse_flag_list(p, &out->flags) || !parse_space(p)))
        return false;
    if (parse_is_at(p, '"')) {
        if (!parse_date_time(p, &out->date, &out->zone) || !parse_space(p))
            return false;
        out->has_date = true;
    }
    if (p->at == p->end)
        return true;
    *is_open = parse_is_word(parse_word(p), "UTF8") && parse_take(p, ' ') && parse_take(p, '(');
    return (*is_open && p->at == p->end) ||
           parse_bad(p, "APPEND takes flags in parentheses, a date and time, and a literal");
}

static bool message_tail(struct imap_parser *p, bool is_open)
{
    return !is_open || parse_expect(p, ')', "A message in UTF8 (...) has no end");
}

enum imap_append_part imap_append_part(struct imap_command *command, struct span text, bool utf8,
                                       bool is_next, struct imap_append_literal *out, bool *is_open)
{
    struct imap_parser p = parse_make(command, text, utf8);
    struct span name = out->name;

    if (is_next) {
        if (!message_tail(&p, *is_open))
            return IMAP_APPEND_NOT;
    } else {
        if (!imap_parse_verb(&p) || command->verb != IMAP_APPEND || !parse_space(&p))
            return IMAP_APPEND_NOT;
        if (p.at == p.end)
            return IMAP_APPEND_NAME;
        if (!parse_mailbox(&p, &name))
            return IMAP_APPEND_NOT;
    }
    *out = (struct imap_append_literal){.name = name, .index = out->index};
    *is_open = false;
    if (!parse_space(&p) || !message_head(&p, out, is_open))
        return IMAP_APPEND_NOT;
    return IMAP_APPEND_MESSAGE;
}

bool imap_append_end(struct imap_command *command, struct span text, bool is_open)
{
    struct imap_parser p = parse_make(command, text, false);

    return message_tail(&p, is_open) && parse_end(&p);
}
