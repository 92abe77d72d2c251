#include "sendmail/message.h"

#include "proto/utf8.h"
#include "sendmail/header.h"
#include "sendmail/say.h"
#include "sendmail/unix_text.h"

#include <errno.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024 };

static int add(struct message *m, struct buf *bytes)
{
    struct span text = buf_span(bytes);

    if (text.len > 0 && fwrite(text.ptr, 1, text.len, m->file) != text.len)
        return say(EX_TEMPFAIL, "the message cannot be kept in a temporary file: %s",
                   strerror(errno));
    m->size += text.len;
    m->eight_bit |= !utf8_is_ascii(text);
    buf_clear(bytes);
    return EX_OK;
}

/* Up to `room` bytes; 0 at the end, -1 on an error. */
static ssize_t read_block(int fd, char *bytes, size_t room)
{
    ssize_t len;

    do {
        len = read(fd, bytes, room);
    } while (len < 0 && errno == EINTR);
    return len;
}

static int copy(struct message *m, const struct message_source *source,
                struct header_filter *header, struct buf *lines, struct buf *out)
{
    struct unix_text text = {.dot_is_text = source->dot_is_text};
    char block[BLOCK];
    ssize_t len = 1;
    int result = EX_OK;

    while (result == EX_OK && len > 0 && text.state != UNIX_TEXT_END) {
        len = read_block(source->fd, block, sizeof block);
        if (len < 0)
            return say(EX_IOERR, "standard input: %s", strerror(errno));
        if (len > 0)
            unix_text_feed(&text, span_of(block, (size_t)len), lines);
        else
            unix_text_end(&text, lines);
        result = header_filter_feed(header, buf_span(lines), out);
        buf_clear(lines);
        if (result == EX_OK)
            result = add(m, out);
    }
    if (result == EX_OK)
        result = header_filter_end(header, out);
    return result == EX_OK ? add(m, out) : result;
}

int message_read(struct message *m, const struct message_source *source)
{
    struct header_filter header;
    struct buf lines, out;

    *m = (struct message){.file = tmpfile()};
    if (m->file == NULL)
        return say(EX_TEMPFAIL, "no temporary file: %s", strerror(errno));
    header_filter_init(&header, source);
    buf_init(&lines, 0);
    buf_init(&out, 0);
    int result = copy(m, source, &header, &lines, &out);
    if (result == EX_OK && fflush(m->file) != 0)
        result =
            say(EX_TEMPFAIL, "the message cannot be kept in a temporary file: %s", strerror(errno));
    buf_fini(&lines);
    buf_fini(&out);
    header_filter_fini(&header);
    return result;
}

void message_close(struct message *m)
{
    if (m->file != NULL)
        fclose(m->file);
}

void message_rewind(struct message *m)
{
    rewind(m->file);
}

bool message_next(struct message *m, char *bytes, size_t room, struct span *out)
{
    *out = span_of(bytes, fread(bytes, 1, room, m->file));
    return !ferror(m->file);
}
