#include "proto/smtp_reply.h"

enum {
    CODE_LEN = 3,
    PREFIX_LEN = CODE_LEN + 1, /* with the space or hyphen */
};

void smtp_reply_parser_init(struct smtp_reply_parser *p, struct buf *text, unsigned flags)
{
    *p = (struct smtp_reply_parser){.text = text, .flags = flags};
}

static enum parse_result refuse(struct smtp_reply_parser *p, enum smtp_reply_error error)
{
    p->error = error;
    return PARSE_BAD;
}

/* The code of a line, or 0. RFC 5321 4.2 gives the second digit 0 to 5; any is taken. */
static uint16_t line_code(struct span line)
{
    if (line.len < CODE_LEN || line.ptr[0] < '2' || line.ptr[0] > '5')
        return 0;
    if (!ascii_is_digit(line.ptr[1]) || !ascii_is_digit(line.ptr[2]))
        return 0;
    if (line.len > CODE_LEN && line.ptr[CODE_LEN] != ' ' && line.ptr[CODE_LEN] != '-')
        return 0;
    return (uint16_t)((line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 + (line.ptr[2] - '0'));
}

/* The enhanced code that belongs to the reply's code, taken off the front of *text. */
static void take_enhanced(struct smtp_reply *reply, struct span *text)
{
    struct enhanced_code enhanced;
    size_t len = enhanced_code_parse(*text, &enhanced);

    if (len == 0 || enhanced.klass != reply->code / 100)
        return;
    *text = span_from(*text, len);
    if (reply->enhanced.klass == 0)
        reply->enhanced = enhanced;
}

/* Whole lines, and none behind one that did not fit, so that the bounds cut the same text however
 * it arrived. */
static void keep_text(struct smtp_reply_parser *p, struct span text)
{
    size_t need = text.len + (p->lines > 0 ? 1 : 0);
    bool fits = !p->text_full && need <= SMTP_REPLY_TEXT_MAX - buf_len(p->text);
    char *room = fits ? buf_reserve(p->text, need) : NULL;

    if (room == NULL) {
        p->text_full = true;
        p->reply.truncated = true;
        return;
    }
    if (p->lines > 0)
        *room++ = '\n';
    for (size_t i = 0; i < text.len; i++) {
        bool control = (unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f;
        room[i] = control ? ' ' : text.ptr[i];
    }
    buf_commit(p->text, need);
}

/* A whole line, without its end. */
static enum parse_result take_line(struct smtp_reply_parser *p, struct span line)
{
    uint16_t code = line_code(line);

    if (code == 0)
        return refuse(p, SMTP_REPLY_CODE);
    if (p->lines > 0 && code != p->reply.code)
        return refuse(p, SMTP_REPLY_MISMATCH);
    if (p->lines == SMTP_REPLY_LINES_MAX)
        return refuse(p, SMTP_REPLY_TOO_MANY_LINES);
    p->reply.code = code;
    struct span text = span_from(line, PREFIX_LEN);
    take_enhanced(&p->reply, &text);
    keep_text(p, text);
    p->lines++;
    return line.len > CODE_LEN && line.ptr[CODE_LEN] == '-' ? PARSE_MORE : PARSE_DONE;
}

static void gather(struct smtp_reply_parser *p, struct span piece)
{
    if (p->line_len < sizeof p->line) {
        size_t room = sizeof p->line - p->line_len;
        size_t len = piece.len < room ? piece.len : room;
        if (len > 0)
            memcpy(p->line + p->line_len, piece.ptr, len);
    }
    p->line_len += piece.len;
    if (piece.len > 0)
        p->cr_last = piece.ptr[piece.len - 1] == '\r';
}

/* Called with everything up to the LF gathered. */
static enum parse_result end_line(struct smtp_reply_parser *p)
{
    bool crlf = p->cr_last;
    size_t len = p->line_len - (crlf ? 1 : 0);

    p->line_len = 0;
    p->cr_last = false;
    if (!crlf && (p->flags & SMTP_REPLY_ALLOW_BARE_LF) == 0)
        return refuse(p, SMTP_REPLY_BARE_LF);
    if (len > SMTP_REPLY_LINE_MAX - 2) {
        len = SMTP_REPLY_LINE_MAX - 2;
        p->reply.truncated = true;
    }
    return take_line(p, span_of(p->line, len));
}

static void begin_reply(struct smtp_reply_parser *p)
{
    buf_clear(p->text);
    p->reply = (struct smtp_reply){0};
    p->text_full = false;
}

enum parse_result smtp_reply_parse(struct smtp_reply_parser *p, struct span input,
                                   size_t *consumed_out, struct smtp_reply *out)
{
    size_t at = 0;
    enum parse_result result = PARSE_MORE;

    *consumed_out = 0;
    if (p->error != SMTP_REPLY_OK)
        return PARSE_BAD;
    if (p->lines == 0 && p->line_len == 0)
        begin_reply(p);
    while (result == PARSE_MORE && at < input.len) {
        struct span rest = span_from(input, at);
        size_t lf = span_index(rest, '\n');
        gather(p, span_head(rest, lf));
        at += lf;
        if (p->line_len >= SMTP_REPLY_LINE_REFUSE)
            return refuse(p, SMTP_REPLY_LINE_TOO_LONG);
        if (lf == rest.len)
            break;
        at++;
        result = end_line(p);
    }
    *consumed_out = at;
    if (result == PARSE_DONE) {
        p->lines = 0;
        *out = p->reply;
        out->text = buf_span(p->text);
    }
    return result;
}

const char *smtp_reply_error_text(enum smtp_reply_error error)
{
    static const char *const texts[] = {
        [SMTP_REPLY_OK] = "ok",
        [SMTP_REPLY_CODE] = "no reply code",
        [SMTP_REPLY_MISMATCH] = "reply lines with different codes",
        [SMTP_REPLY_LINE_TOO_LONG] = "reply line too long",
        [SMTP_REPLY_TOO_MANY_LINES] = "too many reply lines",
        [SMTP_REPLY_BARE_LF] = "bare LF in reply",
    };

    return (size_t)error < sizeof texts / sizeof texts[0] ? texts[error] : "unknown";
}

struct smtp_reply_lines smtp_reply_lines(const struct smtp_reply *reply)
{
    return (struct smtp_reply_lines){.rest = reply->text};
}

bool smtp_reply_lines_next(struct smtp_reply_lines *lines, struct span *line_out)
{
    if (lines->end)
        return false;
    size_t len = span_index(lines->rest, '\n');
    *line_out = span_head(lines->rest, len);
    lines->end = len == lines->rest.len;
    lines->rest = span_from(lines->rest, len + 1);
    return true;
}

struct status smtp_reply_status(const struct smtp_reply *reply, struct arena *arena)
{
    struct status status = {.code = reply->code, .enhanced = reply->enhanced};
    char *text = arena_alloc(arena, reply->text.len + 1);

    for (size_t i = 0; i < reply->text.len; i++)
        text[i] = reply->text.ptr[i] == '\n' ? ' ' : reply->text.ptr[i];
    status.text = span_of(text, reply->text.len);
    if (status.enhanced.klass == 0)
        status.enhanced = enhanced_code_for_reply(reply->code);
    return status;
}
