#include "plugins/drop/imap/parse.h"

#include "base/memory.h"

#include <stdlib.h>

enum reader_state {
    READER_LINE,    /* a line of a command, or the first byte of one */
    READER_LITERAL, /* `left` bytes that go into the text */
    READER_MESSAGE, /* the session takes a message's bytes */
    READER_SKIP,    /* `left` bytes of a literal of a command that is refused */
    READER_END,     /* the command has ended where its client was told no more to send */
};

struct imap_reader {
    enum reader_state state;
    bool utf8;
    bool is_told;    /* the command has been handed out, and goes with the next call */
    bool is_refused; /* what comes of the command is thrown away up to its end */
    bool is_append;  /* `literal` is of a message of it */
    bool is_named;   /* its mailbox's name is a literal */
    bool is_open;    /* the message stands in UTF8 (...) */
    struct buf text; /* of the command, literals in it; of a refused one, the end of its line */
    size_t line;     /* where the last line begins in the text */
    size_t lines;    /* bytes of the command's lines so far */
    size_t literals; /* and of its literals */
    size_t line_max;
    size_t literals_max;
    uint64_t left;
    uint64_t append_max;
    uint64_t skipped; /* bytes of the command that are thrown away, with those announced */
    uint64_t skip_max;
    struct imap_command command;
    struct imap_append_literal literal;
};

struct announcement {
    size_t len; /* bytes of it, at the line's end */
    uint64_t size;
    bool is_synchronizing;
    bool is_binary; /* a literal8 */
};

struct imap_reader *imap_reader_create(void)
{
    struct imap_reader *reader = mem_zalloc(sizeof *reader);

    buf_init(&reader->text, 0); /* take_piece and begin_literal see to its bounds */
    reader->append_max = UINT64_MAX;
    reader->skip_max = UINT64_MAX;
    imap_reader_set_bounds(reader, IMAP_LINE_MAX, IMAP_LITERALS_MAX);
    return reader;
}

void imap_reader_free(struct imap_reader *reader)
{
    if (reader == NULL)
        return;
    arena_fini(&reader->command.arena);
    buf_fini(&reader->text);
    free(reader);
}

void imap_reader_set_utf8(struct imap_reader *reader, bool utf8)
{
    reader->utf8 = utf8;
}

void imap_reader_set_append_max(struct imap_reader *reader, uint64_t bytes)
{
    reader->append_max = bytes;
}

void imap_reader_set_bounds(struct imap_reader *reader, size_t line_max, size_t literals_max)
{
    reader->line_max = line_max;
    reader->literals_max = literals_max;
}

void imap_reader_set_skip_max(struct imap_reader *reader, uint64_t bytes)
{
    reader->skip_max = bytes;
}

bool imap_reader_is_within(const struct imap_reader *reader)
{
    return !reader->is_told && (reader->state != READER_LINE || buf_len(&reader->text) > 0 ||
                                reader->is_refused || reader->is_append);
}

static void forget_text(struct imap_reader *reader)
{
    buf_fini(&reader->text);
    reader->line = 0;
}

static void begin_command(struct imap_reader *reader)
{
    arena_fini(&reader->command.arena);
    reader->command = (struct imap_command){0};
    reader->state = READER_LINE;
    reader->is_told = false;
    reader->is_refused = false;
    reader->is_append = false;
    reader->is_named = false;
    reader->is_open = false;
    reader->literal.index = 0;
    reader->lines = 0;
    reader->literals = 0;
    reader->skipped = 0;
    forget_text(reader);
}

/* The command's tag is what its text begins with, or is known since its first message. */
static void refuse(struct imap_reader *reader, struct span text, const char *problem)
{
    struct imap_command *command = &reader->command;

    if (reader->is_refused)
        return;
    reader->is_refused = true;
    if (!reader->is_append)
        command->tag = imap_tag_of(command, text);
    command->verb = IMAP_INVALID;
    command->problem = problem;
}

static void refuse_with_no(struct imap_reader *reader, struct span text, const char *code,
                           const char *problem)
{
    if (reader->is_refused)
        return;
    refuse(reader, text, problem);
    reader->command.code = code;
    reader->command.is_no = true;
}

static void skip(struct imap_reader *reader, uint64_t bytes)
{
    if (bytes > reader->skip_max - reader->skipped)
        reader->command.is_endless = true;
    else
        reader->skipped += bytes;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Bytes of the input up to and with the CRLF that ends the line; 0 = it is not there. */
static size_t line_length(const struct imap_reader *reader, struct span input)
{
    struct span text = buf_span(&reader->text);
    char before = '\0';

    if (text.len > reader->line)
        before = text.ptr[text.len - 1];
    for (size_t at = 0; at < input.len; at++) {
        at += span_index(span_from(input, at), '\n');
        if (at < input.len && (at > 0 ? input.ptr[at - 1] : before) == '\r')
            return at + 1;
    }
    return 0;
}

/* Bytes that the command's lines may still have; the last CRLF is not counted. */
static size_t line_room(const struct imap_reader *reader)
{
    size_t most = reader->line_max + 2;

    return reader->lines < most ? most - reader->lines : 0;
}

/* Adds a piece of a line to the text; of a line that is refused only the end is looked at. */
static void take_piece(struct imap_reader *reader, struct span piece)
{
    const size_t tail = 64; /* room for the longest announcement, and the CRLF */
    struct buf *text = &reader->text;

    if (!reader->is_refused) {
        size_t room = line_room(reader);
        if (piece.len <= room) {
            buf_add(text, piece);
            reader->lines += piece.len;
            return;
        }
        buf_add(text, span_head(piece, room));
        refuse(reader, buf_span(text), "The command is too long");
        piece = span_from(piece, room);
    }
    skip(reader, piece.len);
    reader->line = 0;
    buf_add(text, span_from(piece, piece.len > tail ? piece.len - tail : 0));
    if (buf_len(text) > tail)
        buf_consume(text, buf_len(text) - tail);
}

/* "{12}", "{12+}", "~{12}" at the end of a line, where a string may stand. */
static bool find_announcement(struct span line, struct announcement *out)
{
    size_t end = line.len;
    *out = (struct announcement){.is_synchronizing = true};

    if (end == 0 || line.ptr[--end] != '}')
        return false;
    if (end > 0 && line.ptr[end - 1] == '+') {
        out->is_synchronizing = false;
        end--;
    }
    size_t start = end;
    while (start > 0 && ascii_is_digit(line.ptr[start - 1]))
        start--;
    if (start == 0 || line.ptr[start - 1] != '{' ||
        !span_parse_u64(span_of(line.ptr + start, end - start), &out->size))
        return false;
    start--;
    out->is_binary = start > 0 && line.ptr[start - 1] == '~';
    start -= out->is_binary;
    out->len = line.len - start;
    return start > 0 && (line.ptr[start - 1] == ' ' || line.ptr[start - 1] == '(') &&
           out->size <= INT64_MAX;
}

/* ---- literals ------------------------------------------------------------------------------ */

/* Whether the announced literal is an APPEND's message. Only a command's first literal, or what an
 * APPEND goes on with, can be one; a look at all of them would not be linear. */
static bool is_message(struct imap_reader *reader, struct span before)
{
    if (reader->is_refused || (reader->line > 0 && !reader->is_named && !reader->is_append))
        return false;
    enum imap_append_part part =
        imap_append_part(&reader->command, before, reader->utf8, reader->is_append,
                         &reader->literal, &reader->is_open);
    reader->is_named = part == IMAP_APPEND_NAME;
    reader->is_refused = reader->command.problem != NULL;
    return part == IMAP_APPEND_MESSAGE;
}

static bool literal_is_beyond(const struct imap_reader *reader, uint64_t size)
{
    return reader->literals > reader->literals_max ||
           size > reader->literals_max - reader->literals;
}

static void check_literal(struct imap_reader *reader, struct span text, bool has_message,
                          const struct announcement *a)
{
    if (has_message && a->size > reader->append_max)
        refuse_with_no(reader, text, "TOOBIG", "The message is too large");
    else if (has_message && reader->literal.index == IMAP_MESSAGES_MAX)
        refuse_with_no(reader, text, "LIMIT", "Too many messages at once");
    else if (has_message && a->size == 0)
        refuse_with_no(reader, text, NULL, "A message has at least one byte");
    else if (!has_message && a->is_binary)
        refuse(reader, text, "A literal8 is for messages alone");
    else if (!has_message && literal_is_beyond(reader, a->size))
        refuse_with_no(reader, text, "LIMIT", "A literal is too large");
}

static enum imap_read begin_message(struct imap_reader *reader, const struct announcement *a)
{
    reader->literal.size = a->size;
    reader->literal.is_utf8 = reader->is_open || a->is_binary;
    reader->literal.is_synchronizing = a->is_synchronizing;
    reader->command.append.name = reader->literal.name;
    reader->is_append = true;
    reader->state = READER_MESSAGE;
    forget_text(reader);
    return IMAP_READ_APPEND;
}

static enum imap_read end_command(struct imap_reader *reader, struct span text)
{
    if (!reader->is_refused && reader->is_append)
        imap_append_end(&reader->command, text, reader->is_open);
    else if (!reader->is_refused)
        imap_command_parse(&reader->command, text, reader->utf8);
    reader->is_told = true;
    return IMAP_READ_COMMAND;
}

/* Behind a line with an announcement; the text ends with it and its CRLF. */
static enum imap_read begin_literal(struct imap_reader *reader, const struct announcement *a)
{
    struct span text = span_head(buf_span(&reader->text), buf_len(&reader->text) - 2);
    bool has_message = is_message(reader, span_head(text, text.len - a->len));

    check_literal(reader, text, has_message, a);
    if (reader->is_refused) {
        if (a->is_synchronizing) /* the client is told instead, and sends no more of it */
            return end_command(reader, text);
        skip(reader, a->size);
        if (reader->command.is_endless)
            return end_command(reader, text);
        forget_text(reader);
        reader->state = READER_SKIP;
        reader->left = a->size;
        return IMAP_READ_MORE;
    }
    if (has_message)
        return begin_message(reader, a);
    reader->state = READER_LITERAL;
    reader->left = a->size;
    reader->literals += a->size;
    return a->is_synchronizing ? IMAP_READ_CONTINUE : IMAP_READ_MORE;
}

/* ---- reading ------------------------------------------------------------------------------- */

static void check_line(struct imap_reader *reader, struct span text)
{
    struct span line = span_from(text, reader->line);

    if (span_index(line, '\0') < line.len)
        refuse(reader, text, "There is a NUL in the command");
    else if (span_index(line, '\r') < line.len || span_index(line, '\n') < line.len)
        refuse(reader, text, "Lines end with CR and LF, which stand nowhere else");
}

/* A step's result of IMAP_READ_MORE means that another may follow, while there is input. */

static enum imap_read read_line(struct imap_reader *reader, struct span *input)
{
    size_t len = line_length(reader, *input);
    struct span piece = len > 0 ? span_head(*input, len) : *input;
    struct announcement a;

    *input = span_from(*input, piece.len);
    /* Most commands are one line, which need not be gathered. */
    if (len > 0 && len <= line_room(reader) && buf_len(&reader->text) == 0 && !reader->is_refused &&
        (len < 3 || piece.ptr[len - 3] != '}')) {
        check_line(reader, span_head(piece, len - 2));
        return end_command(reader, span_head(piece, len - 2));
    }
    take_piece(reader, piece);
    if (reader->command.is_endless)
        return end_command(reader, SPAN_NONE);
    if (len == 0)
        return IMAP_READ_MORE;
    struct span text = span_head(buf_span(&reader->text), buf_len(&reader->text) - 2);
    check_line(reader, text);
    if (find_announcement(span_from(text, reader->line), &a))
        return begin_literal(reader, &a);
    return end_command(reader, text);
}

static enum imap_read read_literal(struct imap_reader *reader, struct span *input)
{
    struct span piece = span_head(*input, reader->left);

    *input = span_from(*input, piece.len);
    reader->left -= piece.len;
    if (span_index(piece, '\0') < piece.len) {
        refuse(reader, buf_span(&reader->text), "There is a NUL in a literal");
        reader->state = READER_SKIP;
        forget_text(reader);
    } else {
        buf_add(&reader->text, piece);
    }
    return IMAP_READ_MORE;
}

static void skip_literal(struct imap_reader *reader, struct span *input)
{
    struct span piece = span_head(*input, reader->left);

    *input = span_from(*input, piece.len);
    reader->left -= piece.len;
}

static enum imap_read step(struct imap_reader *reader, struct span *input)
{
    switch (reader->state) {
    case READER_LINE:
        return read_line(reader, input);
    case READER_LITERAL:
        if (reader->left > 0)
            return read_literal(reader, input);
        reader->line = buf_len(&reader->text);
        reader->state = READER_LINE;
        return IMAP_READ_MORE;
    case READER_SKIP:
        skip_literal(reader, input);
        if (reader->left == 0)
            reader->state = READER_LINE;
        return IMAP_READ_MORE;
    case READER_END:
        return end_command(reader, SPAN_NONE);
    case READER_MESSAGE:
        break;
    }
    abort(); /* the session has to say first what became of the message */
}

enum imap_read imap_read(struct imap_reader *reader, struct span *input,
                         struct imap_command **command_out,
                         struct imap_append_literal **literal_out)
{
    enum imap_read result = IMAP_READ_MORE;

    if (reader->is_told)
        begin_command(reader);
    while (result == IMAP_READ_MORE && (input->len > 0 || reader->state == READER_END))
        result = step(reader, input);
    *command_out = result == IMAP_READ_COMMAND ? &reader->command : NULL;
    *literal_out = result == IMAP_READ_APPEND ? &reader->literal : NULL;
    return result;
}

void imap_reader_taken(struct imap_reader *reader)
{
    reader->state = READER_LINE;
    reader->command.append.messages++;
    reader->literal.index++;
}

void imap_reader_refuse(struct imap_reader *reader)
{
    imap_reader_dropped(reader);
    if (reader->literal.is_synchronizing)
        reader->state = READER_END;
}

void imap_reader_dropped(struct imap_reader *reader)
{
    reader->is_refused = true;
    reader->state = READER_LINE;
}
