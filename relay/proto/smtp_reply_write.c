/* The writing half of smtp_reply.h. */
#include "proto/smtp_reply.h"

enum { PREFIX_MAX = 4 + ENHANCED_CODE_TEXT_MAX + 1 };

struct reply_writer {
    struct buf *out;
    bool full; /* something did not fit */
    char prefix[PREFIX_MAX];
    size_t prefix_len;
};

static void put(struct reply_writer *w, struct span s)
{
    w->full = w->full || !buf_append(w->out, s);
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

static void put_text(struct reply_writer *w, struct span text)
{
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && !is_control(text.ptr[len]))
            len++;
        put(w, span_head(text, len));
        text = span_from(text, len + 1);
    }
}

static void put_line(struct reply_writer *w, struct span text, bool last)
{
    w->prefix[3] = last ? ' ' : '-';
    put(w, span_of(w->prefix, w->prefix_len));
    put_text(w, text);
    put(w, SPAN("\r\n"));
}

/* How much of `text` goes into one line of `room` bytes: all, or up to a space in the second half
 * of the room, or up to the start of a UTF-8 character. */
static size_t piece_length(struct span text, size_t room)
{
    if (text.len <= room)
        return text.len;
    size_t space = span_rindex(span_head(text, room + 1), ' ');
    if (space > room / 2 && space <= room)
        return space;
    size_t len = room;
    while (len > room - 4 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80)
        len--;
    return len;
}

static void put_reply(struct reply_writer *w, struct span text)
{
    size_t room = SMTP_REPLY_LINE_MAX - 2 - w->prefix_len;
    bool last = false;

    while (!last) {
        size_t line_len = span_index(text, '\n');
        struct span line = span_head(text, line_len);
        size_t len = piece_length(line, room);
        size_t next = len;
        if (next < text.len && (text.ptr[next] == '\n' || text.ptr[next] == ' '))
            next++;
        last = next == text.len;
        put_line(w, span_head(line, len), last);
        text = span_from(text, next);
    }
}

static void set_prefix(struct reply_writer *w, uint16_t code, struct enhanced_code enhanced)
{
    w->prefix[0] = (char)('0' + code / 100 % 10);
    w->prefix[1] = (char)('0' + code / 10 % 10);
    w->prefix[2] = (char)('0' + code % 10);
    w->prefix[3] = ' ';
    w->prefix_len = 4 + enhanced_code_format(enhanced, w->prefix + 4);
    if (w->prefix_len > 4)
        w->prefix[w->prefix_len++] = ' ';
}

bool smtp_reply_write(struct buf *out, uint16_t code, struct enhanced_code enhanced,
                      struct span text)
{
    struct reply_writer w = {.out = out};
    size_t before = buf_len(out);

    set_prefix(&w, code, enhanced);
    put_reply(&w, text);
    if (w.full)
        buf_truncate(out, before);
    return !w.full;
}
