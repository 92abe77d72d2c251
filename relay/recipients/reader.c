/* The text of a recipients file becomes a snapshot. */
#include "recipients/recipients_private.h"

#include "base/memory.h"
#include "base/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_SHOWN_MAX = 80 };

struct recipients_reader {
    struct recipients *recipients;
    struct problems problems;
    struct buf begun; /* a line whose end has not come yet */
    bool too_long;    /* the line that has begun is, and is passed over */

    /* Lines of one domain mostly come one after the other. */
    struct arena arena; /* of all below */
    struct span domain; /* as it was written last */
    struct span ascii;
};

struct recipients_reader *recipients_reader_create(const char *file, struct buf *messages)
{
    struct recipients_reader *reader = mem_zalloc(sizeof *reader);

    reader->recipients = mem_zalloc(sizeof *reader->recipients);
    atomic_init(&reader->recipients->references, 1);
    reader->problems.file = file;
    reader->problems.messages = messages;
    reader->problems.line = 1;
    buf_init(&reader->begun, RECIPIENTS_LINE_MAX);
    arena_init(&reader->arena);
    return reader;
}

/* ---- a line ------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the comment: a # may be part of an address, so one begins a comment only at the start of
 * the line or behind a blank, outside quotes. */
static struct span strip(struct span line)
{
    bool quoted = false;

    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        if (c == '#' && !quoted && (i == 0 || is_blank(line.ptr[i - 1])))
            return span_trim(span_head(line, i));
        if (c == '\\' && quoted)
            i++;
        else if (c == '"')
            quoted = !quoted;
    }
    return span_trim(line);
}

/* Into reader->ascii; false where `domain` is not valid. */
static bool take_domain(struct recipients_reader *reader, struct span domain)
{
    if (reader->ascii.len > 0 && span_equal(domain, reader->domain))
        return true;
    arena_fini(&reader->arena);
    reader->domain = arena_dup(&reader->arena, domain);
    return domain_to_ascii(domain, &reader->arena, &reader->ascii);
}

static void add(struct recipients_reader *reader, struct span local)
{
    struct recipients *recipients = reader->recipients;
    char room[RECIPIENTS_KEY_MAX];
    struct span key = recipients_key(local, reader->ascii, room);

    enum table_result result = table_add(&recipients->table, reader->ascii);
    if (result != TABLE_FULL)
        result = table_add(&recipients->table, key);
    if (result == TABLE_FULL)
        problems_add(&reader->problems,
                     "the table of recipients is full; write @domain instead of its addresses");
    recipients->count += result == TABLE_ADDED;
}

static void refuse(struct recipients_reader *reader, struct span text, const char *why)
{
    problems_add(&reader->problems,
                 "\"%.*s\": %s; write one address, user@domain, or @domain for all of a domain",
                 SPAN_ARG(span_head(text, TEXT_SHOWN_MAX)), why);
}

static void take_address(struct recipients_reader *reader, struct span text)
{
    struct address address;
    struct arena scratch;
    unsigned flags = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE | ADDRESS_ALLOW_LONG_LOCAL;
    enum address_error error = address_parse(text, flags, &address);

    arena_init(&scratch);
    if (error != ADDRESS_OK)
        refuse(reader, text, address_error_text(error));
    else if (address.kind != ADDRESS_MAILBOX || address.literal)
        refuse(reader, text, address_error_text(ADDRESS_NO_DOMAIN));
    else if (!take_domain(reader, address.domain))
        refuse(reader, text, address_error_text(ADDRESS_DOMAIN_SYNTAX));
    else
        add(reader, address_canonical_local(&address, &scratch));
    arena_fini(&scratch);
}

static void take_line(struct recipients_reader *reader, struct span line)
{
    struct span text = strip(line);

    if (span_has_control(line)) {
        problems_add(&reader->problems,
                     "there is a control character in the line; write plain text whose lines "
                     "end with a line feed alone");
    } else if (text.len > 0 && text.ptr[0] == '@') {
        if (take_domain(reader, span_from(text, 1)))
            add(reader, SPAN_NONE);
        else
            refuse(reader, text, address_error_text(ADDRESS_DOMAIN_SYNTAX));
    } else if (text.len > 0) {
        take_address(reader, text);
    }
}

/* ---- pieces ------------------------------------------------------------------------------- */

/* More of a line whose end has not come yet. */
static void keep(struct recipients_reader *reader, struct span piece)
{
    if (!reader->too_long && !buf_append(&reader->begun, piece))
        reader->too_long = true;
}

static void end_line(struct recipients_reader *reader, struct span rest)
{
    if (reader->too_long || rest.len > RECIPIENTS_LINE_MAX - buf_len(&reader->begun)) {
        problems_add(&reader->problems, "the line is too long; at most %d bytes are allowed",
                     RECIPIENTS_LINE_MAX);
    } else if (buf_len(&reader->begun) == 0) {
        take_line(reader, rest);
    } else {
        keep(reader, rest);
        take_line(reader, buf_span(&reader->begun));
    }
    reader->too_long = false;
    buf_clear(&reader->begun);
    reader->problems.line++;
}

void recipients_reader_feed(struct recipients_reader *reader, struct span piece)
{
    for (size_t end; (end = span_index(piece, '\n')) < piece.len;) {
        end_line(reader, span_head(piece, end));
        piece = span_from(piece, end + 1);
    }
    keep(reader, piece);
}

static struct err judge(struct recipients_reader *reader)
{
    problems_end(&reader->problems);
    if (reader->problems.count == 0 && reader->recipients->count == 0) {
        reader->problems.count++;
        buf_addf(reader->problems.messages,
                 "%s: there is no address in it, so all mail would be refused; write @domain to "
                 "take all of a domain, or set no recipients_file\n",
                 reader->problems.file);
    }
    return reader->problems.count > 0 ? err_make(ERR_INVALID, "recipients file") : ERR_OK;
}

struct err recipients_reader_end(struct recipients_reader *reader, struct recipients **out)
{
    if (reader->too_long || buf_len(&reader->begun) > 0)
        end_line(reader, SPAN_NONE); /* the last line may lack its end */
    struct err e = judge(reader);
    table_trim(&reader->recipients->table);
    *out = reader->recipients;
    if (err_is(e)) {
        recipients_unref(reader->recipients);
        *out = NULL;
    }
    buf_fini(&reader->begun);
    arena_fini(&reader->arena);
    free(reader);
    return e;
}
