/* The lines of a table file. */
#include "reader.h"

#include <stdlib.h>

static bool append(struct reader *r, char **bytes, size_t *len, size_t *room,
                   struct smarthop_span more)
{
    if (more.len > READER_LINE_MAX - *len) {
        r->too_long = true;
        return false;
    }
    if (*len + more.len > *room) {
        size_t wanted = 2 * (*len + more.len) + 256;
        char *grown = realloc(*bytes, wanted);
        if (grown == NULL) {
            r->out_of_memory = true;
            return false;
        }
        *bytes = grown;
        *room = wanted;
    }
    if (more.len > 0)
        memcpy(*bytes + *len, more.ptr, more.len);
    *len += more.len;
    return true;
}

static bool has_control(struct smarthop_span line)
{
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

/* A # may be part of an address: one begins a comment only at the start of the line or behind a
 * blank, outside quotes. */
static struct smarthop_span without_comment(struct smarthop_span line)
{
    bool quoted = false;

    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        if (c == '#' && !quoted && (i == 0 || text_is_blank(line.ptr[i - 1])))
            return smarthop_span_of(line.ptr, i);
        if (c == '\\' && quoted)
            i++;
        else if (c == '"')
            quoted = !quoted;
    }
    return line;
}

static void give_logical(struct reader *r)
{
    if (r->logical_len > 0)
        r->take(r->context, r->first, smarthop_span_of(r->logical, r->logical_len));
    r->logical_len = 0;
}

static void take_postfix(struct reader *r, struct smarthop_span line)
{
    struct smarthop_span text = text_trim(line);

    if (text.len == 0 || text.ptr[0] == '#')
        return;
    if (!text_is_blank(line.ptr[0])) {
        give_logical(r);
        r->first = r->line;
    } else if (r->logical_len == 0) {
        problem_add(r->problems, r->file, r->line,
                    "it begins with a blank, and so goes on with a line before it that there is "
                    "not; begin it with its key");
        return;
    } else if (!append(r, &r->logical, &r->logical_len, &r->logical_room, SMARTHOP_TEXT(" "))) {
        return;
    }
    append(r, &r->logical, &r->logical_len, &r->logical_room, text);
}

static void take_own(struct reader *r, struct smarthop_span line)
{
    struct smarthop_span text = text_trim(without_comment(line));

    if (text.len > 0)
        r->take(r->context, r->line, text);
}

static void take_line(struct reader *r, struct smarthop_span line)
{
    if (has_control(line))
        problem_add(r->problems, r->file, r->line,
                    "there is a control character in it; write plain text whose lines end with a "
                    "line feed alone");
    else if (r->is_postfix)
        take_postfix(r, line);
    else
        take_own(r, line);
}

static void end_line(struct reader *r, struct smarthop_span rest)
{
    r->line++;
    if (r->begun_len > 0 && !r->too_long &&
        append(r, &r->begun, &r->begun_len, &r->begun_room, rest))
        rest = smarthop_span_of(r->begun, r->begun_len);
    if (!r->too_long && rest.len > READER_LINE_MAX)
        r->too_long = true;
    if (!r->too_long && !r->out_of_memory)
        take_line(r, rest);
    if (r->too_long)
        problem_add(r->problems, r->file, r->line, "the line is longer than %d bytes; split it",
                    READER_LINE_MAX);
    r->too_long = false;
    r->begun_len = 0;
}

void reader_feed(struct reader *r, const char *bytes, size_t len)
{
    struct smarthop_span piece = smarthop_span_of(bytes, len);

    for (const char *end; piece.len > 0 && (end = memchr(piece.ptr, '\n', piece.len)) != NULL;) {
        size_t line = (size_t)(end - piece.ptr);
        end_line(r, smarthop_span_of(piece.ptr, line));
        piece = text_from(piece, line + 1);
    }
    if (piece.len > 0 && !r->too_long)
        append(r, &r->begun, &r->begun_len, &r->begun_room, piece);
}

void reader_end(struct reader *r)
{
    if (r->begun_len > 0 || r->too_long)
        end_line(r, smarthop_span_of("", 0));
    give_logical(r);
    if (r->out_of_memory)
        problem_add(r->problems, r->file, 0, "there is no memory to read it");
    free(r->begun);
    free(r->logical);
}
