#include "sendmail/turns.h"

#include "proto/bdat.h"
#include "proto/smtp_command.h"

void turns_init(struct turns *t)
{
    *t = (struct turns){.replies_due = 1};
}

static void keep(struct turns *t, char c)
{
    if (t->line_len < TURNS_LINE_MAX)
        t->line[t->line_len] = c;
    if (t->line_len <= TURNS_LINE_MAX)
        t->line_len++;
}

static void end_command(struct turns *t)
{
    struct smtp_command_parser parser;
    struct smtp_command command = {0};
    struct bdat_args bdat;
    size_t consumed;

    t->replies_due++;
    if (t->line_len > TURNS_LINE_MAX)
        return;
    smtp_command_parser_init(&parser, TURNS_LINE_MAX);
    smtp_command_parse(&parser, span_of(t->line, t->line_len), &consumed, &command);
    if (command.verb == SMTP_VERB_DATA) {
        t->state = TURNS_WAIT;
    } else if (command.verb == SMTP_VERB_BDAT && bdat_parse(command.args, &bdat) && bdat.size > 0) {
        t->state = TURNS_CHUNK;
        t->chunk_left = bdat.size;
    }
}

static void end_line(struct turns *t)
{
    if (t->state == TURNS_COMMANDS) {
        end_command(t);
    } else if (t->line_len == 3 && memcmp(t->line, ".\r\n", 3) == 0) {
        t->state = TURNS_COMMANDS;
        t->replies_due++;
    }
    t->line_len = 0;
}

/* The bytes up to and with the first LF, or all there are. */
static void take_line(struct turns *t, struct span line, struct buf *out)
{
    bool ends = line.ptr[line.len - 1] == '\n';
    bool is_crlf = ends && (line.len > 1 ? line.ptr[line.len - 2] == '\r' : t->cr_last);

    if (ends && !t->knows_ends) {
        t->knows_ends = true;
        t->ends_by_lf = !is_crlf;
    }
    bool mends = ends && !is_crlf && t->ends_by_lf;
    struct span kept = span_head(line, line.len - (mends ? 1 : 0));
    for (size_t i = 0; i < kept.len; i++)
        keep(t, kept.ptr[i]);
    buf_add(out, kept);
    if (mends) {
        keep(t, '\r');
        keep(t, '\n');
        buf_add(out, SPAN("\r\n"));
    }
    t->cr_last = line.ptr[line.len - 1] == '\r';
    if (ends)
        end_line(t);
}

static size_t take_chunk(struct turns *t, struct span input, struct buf *out)
{
    size_t len = input.len < t->chunk_left ? input.len : (size_t)t->chunk_left;

    buf_add(out, span_head(input, len));
    t->chunk_left -= len;
    if (t->chunk_left == 0)
        t->state = TURNS_COMMANDS;
    return len;
}

void turns_client(struct turns *t, struct span *input, struct buf *out)
{
    while (input->len > 0 && t->state != TURNS_WAIT) {
        size_t len, lf = span_index(*input, '\n');
        if (t->state == TURNS_CHUNK) {
            len = take_chunk(t, *input, out);
        } else {
            len = lf < input->len ? lf + 1 : lf;
            take_line(t, span_head(*input, len), out);
        }
        *input = span_from(*input, len);
    }
}

/* The last line of a reply has a space behind its code, or nothing. */
static void end_reply(struct turns *t)
{
    if (t->reply_len == sizeof t->reply && t->reply[3] == '-')
        return;
    if (t->replies_due > 0)
        t->replies_due--;
    bool goes_on = t->reply_len >= 3 && memcmp(t->reply, "354", 3) == 0;
    if (t->state == TURNS_WAIT && t->replies_due == 0)
        t->state = goes_on ? TURNS_TEXT : TURNS_COMMANDS;
}

void turns_server(struct turns *t, struct span replies)
{
    for (size_t i = 0; i < replies.len; i++) {
        if (replies.ptr[i] == '\n') {
            end_reply(t);
            t->reply_len = 0;
        } else if (t->reply_len < sizeof t->reply) {
            t->reply[t->reply_len++] = replies.ptr[i];
        }
    }
}
