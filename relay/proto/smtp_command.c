#include "proto/smtp_command.h"

struct verb_name {
    struct span name;
    enum smtp_verb verb;
};

/* The verbs of an ordinary session come first. */
static const struct verb_name verbs[] = {
    {{"MAIL", 4}, SMTP_VERB_MAIL},       {{"RCPT", 4}, SMTP_VERB_RCPT},
    {{"DATA", 4}, SMTP_VERB_DATA},       {{"BDAT", 4}, SMTP_VERB_BDAT},
    {{"EHLO", 4}, SMTP_VERB_EHLO},       {{"QUIT", 4}, SMTP_VERB_QUIT},
    {{"RSET", 4}, SMTP_VERB_RSET},       {{"HELO", 4}, SMTP_VERB_HELO},
    {{"LHLO", 4}, SMTP_VERB_LHLO},       {{"AUTH", 4}, SMTP_VERB_AUTH},
    {{"NOOP", 4}, SMTP_VERB_NOOP},       {{"VRFY", 4}, SMTP_VERB_VRFY},
    {{"EXPN", 4}, SMTP_VERB_EXPN},       {{"HELP", 4}, SMTP_VERB_HELP},
    {{"ETRN", 4}, SMTP_VERB_ETRN},       {{"STARTTLS", 8}, SMTP_VERB_STARTTLS},
    {{"XCLIENT", 7}, SMTP_VERB_XCLIENT}, {{"XFORWARD", 8}, SMTP_VERB_XFORWARD},
};

void smtp_command_parser_init(struct smtp_command_parser *p, size_t max_line)
{
    *p = (struct smtp_command_parser){.max_line = max_line};
}

void smtp_command_parser_set_max(struct smtp_command_parser *p, size_t max_line)
{
    p->max_line = max_line;
}

static enum smtp_verb verb_of(struct span text)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (span_equal_nocase(text, verbs[i].name))
            return verbs[i].verb;
    return SMTP_VERB_UNKNOWN;
}

static size_t verb_length(struct span line)
{
    size_t len = 0;

    while (len < line.len && line.ptr[len] != ' ' && line.ptr[len] != '\t')
        len++;
    return len;
}

static void split_line(struct smtp_command *out)
{
    size_t len = verb_length(out->line);

    out->verb_text = span_head(out->line, len);
    out->verb = verb_of(out->verb_text);
    out->args = span_trim(span_from(out->line, len));
}

static enum smtp_command_error line_error(struct span line, bool crlf)
{
    if (span_index(line, '\0') < line.len)
        return SMTP_COMMAND_NUL;
    if (span_index(line, '\r') < line.len)
        return SMTP_COMMAND_BARE_CR;
    return crlf ? SMTP_COMMAND_OK : SMTP_COMMAND_BARE_LF;
}

/* Looks for the first LF behind what was scanned before; input.len where there is none. */
static size_t find_lf(const struct smtp_command_parser *p, struct span input)
{
    size_t from = p->scanned < input.len ? p->scanned : input.len;

    return from + span_index(span_from(input, from), '\n');
}

static bool ends_crlf(struct span input, size_t lf)
{
    return lf > 0 && input.ptr[lf - 1] == '\r';
}

/* Throws away up to the CRLF, or up to a bare LF if nothing has been told yet. A last CR stays in
 * the input, since its LF may come with the next bytes. */
static enum parse_result drop_line(struct smtp_command_parser *p, struct span input,
                                   size_t *consumed_out, struct smtp_command *out)
{
    while (p->dropping) {
        size_t lf = span_index(input, '\n');
        if (lf == input.len) {
            bool keep_cr = input.len > 0 && input.ptr[input.len - 1] == '\r';
            *consumed_out += input.len - (keep_cr ? 1 : 0);
            return PARSE_MORE;
        }
        p->dropping = !ends_crlf(input, lf);
        *consumed_out += lf + 1;
        input = span_from(input, lf + 1);
        if (!p->reported) {
            p->reported = true;
            out->error = SMTP_COMMAND_TOO_LONG;
            return PARSE_DONE;
        }
    }
    return PARSE_MORE;
}

static enum parse_result take_line(struct smtp_command_parser *p, struct span input, size_t lf,
                                   struct smtp_command *out)
{
    bool crlf = ends_crlf(input, lf);

    p->scanned = 0;
    p->dropping = !crlf;
    p->reported = true;
    if (lf + 1 > p->max_line) {
        out->error = SMTP_COMMAND_TOO_LONG;
        return PARSE_DONE;
    }
    out->line = span_head(input, crlf ? lf - 1 : lf);
    out->error = line_error(out->line, crlf);
    if (out->error == SMTP_COMMAND_OK)
        split_line(out);
    return PARSE_DONE;
}

enum parse_result smtp_command_parse(struct smtp_command_parser *p, struct span input,
                                     size_t *consumed_out, struct smtp_command *out)
{
    *out = (struct smtp_command){0};
    *consumed_out = 0;
    if (p->dropping) {
        enum parse_result result = drop_line(p, input, consumed_out, out);
        if (result == PARSE_DONE || p->dropping)
            return result;
        input = span_from(input, *consumed_out);
    }
    size_t lf = find_lf(p, input);
    if (lf < input.len) {
        *consumed_out += lf + 1;
        return take_line(p, input, lf, out);
    }
    p->scanned = input.len;
    if (input.len < p->max_line)
        return PARSE_MORE;
    p->scanned = 0;
    p->dropping = true;
    p->reported = false;
    return drop_line(p, input, consumed_out, out);
}

const char *smtp_verb_name(enum smtp_verb verb)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (verbs[i].verb == verb)
            return verbs[i].name.ptr;
    return "UNKNOWN";
}

const char *smtp_command_error_text(enum smtp_command_error error)
{
    switch (error) {
    case SMTP_COMMAND_OK:
        return "ok";
    case SMTP_COMMAND_TOO_LONG:
        return "line too long";
    case SMTP_COMMAND_NUL:
        return "NUL in line";
    case SMTP_COMMAND_BARE_CR:
        return "bare CR";
    case SMTP_COMMAND_BARE_LF:
        return "bare LF";
    }
    return "unknown";
}
