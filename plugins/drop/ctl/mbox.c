#include "plugins/drop/ctl/mbox.h"

#include "plugins/drop/mime/mime.h"

#include <stdio.h>
#include <time.h>

enum { YEAR_MAX = 9999 }; /* that a From line has room for */

/* ---- From lines --------------------------------------------------------------------------- */

static struct span take_word(struct span *rest)
{
    size_t from = 0, to;

    while (from < rest->len && (rest->ptr[from] == ' ' || rest->ptr[from] == '\t'))
        from++;
    for (to = from; to < rest->len && rest->ptr[to] != ' ' && rest->ptr[to] != '\t';)
        to++;
    struct span word = span_head(span_from(*rest, from), to - from);
    *rest = span_from(*rest, to);
    return word;
}

static bool is_day(struct span word)
{
    static const char days[] = "MonTueWedThuFriSatSun";

    for (size_t i = 0; word.len == 3 && i + 3 < sizeof days; i += 3)
        if (span_equal_nocase(word, span_of(days + i, 3)))
            return true;
    return false;
}

/* The zone may stand before the year or behind it. */
bool mbox_date(struct span text, int64_t *seconds_out, int *zone_out)
{
    struct span day = take_word(&text);
    struct span month = take_word(&text);
    struct span number = take_word(&text);
    struct span time = take_word(&text);
    struct span year = take_word(&text);
    struct span zone = take_word(&text);
    char date[100];
    uint64_t value;

    if (!is_day(day))
        return false;
    if (!span_parse_u64(year, &value)) {
        struct span other = year;
        year = zone;
        zone = other;
    }
    if (year.len != 4 || !span_parse_u64(year, &value) || time.len > 8 || month.len > 9 ||
        number.len > 2 || zone.len > 5)
        return false;
    int len = snprintf(date, sizeof date, "%.*s %.*s %.*s %.*s %.*s", SPAN_ARG(number),
                       SPAN_ARG(month), SPAN_ARG(year), SPAN_ARG(time),
                       zone.len > 0 ? (int)zone.len : 5, zone.len > 0 ? zone.ptr : "+0000");
    return mime_date(span_of(date, (size_t)len), seconds_out, zone_out);
}

/* "From somebody@example.org Thu Jan  1 00:00:00 1970": the address may have blanks in it, so the
 * date is looked for behind each. */
static bool is_from_line(struct span line, int64_t *seconds_out, int *zone_out)
{
    if (line.len < 5 || memcmp(line.ptr, "From ", 5) != 0)
        return false;
    for (struct span rest = span_from(line, 5); rest.len > 0; take_word(&rest))
        if (mbox_date(rest, seconds_out, zone_out))
            return true;
    return false;
}

static bool is_quoted_from(struct span line)
{
    size_t marks = 0;

    while (marks < line.len && line.ptr[marks] == '>')
        marks++;
    return marks > 0 && line.len >= marks + 5 && memcmp(line.ptr + marks, "From ", 5) == 0;
}

/* ---- fields of flags ---------------------------------------------------------------------- */

static void take_letters(uint32_t *flags, struct span letters)
{
    for (size_t i = 0; i < letters.len; i++)
        switch (letters.ptr[i]) {
        case 'R':
            *flags |= MAILSTORE_SEEN;
            break;
        case 'A':
            *flags |= MAILSTORE_ANSWERED;
            break;
        case 'F':
            *flags |= MAILSTORE_FLAGGED;
            break;
        case 'D':
            *flags |= MAILSTORE_DELETED;
            break;
        case 'T':
            *flags |= MAILSTORE_DRAFT;
            break;
        }
}

/* Whether the line is such a field, or goes on with one. */
static bool take_status(struct mbox_reader *reader, struct span line)
{
    struct span value;
    struct span name = span_split(line, ':', &value);
    bool goes_on = line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');

    if (goes_on)
        return reader->is_status;
    bool is_letters =
        span_equal_nocase(name, SPAN("Status")) || span_equal_nocase(name, SPAN("X-Status"));
    reader->is_status = is_letters || span_equal_nocase(name, SPAN("X-Keywords"));
    if (is_letters) {
        take_letters(&reader->flags, value);
    } else if (reader->is_status && buf_len(&reader->keywords) < MBOX_KEYWORDS_MAX) {
        buf_add(&reader->keywords, value);
        buf_add(&reader->keywords, SPAN(" "));
    }
    return reader->is_status;
}

/* ---- reading ------------------------------------------------------------------------------ */

void mbox_reader_init(struct mbox_reader *reader, const struct mbox_handler *handler, void *context)
{
    *reader = (struct mbox_reader){.handler = handler, .context = context, .may_begin = true};
    buf_init(&reader->line, 0);
    buf_init(&reader->keywords, 0);
}

void mbox_reader_fini(struct mbox_reader *reader)
{
    buf_fini(&reader->line);
    buf_fini(&reader->keywords);
}

static void end_message(struct mbox_reader *reader)
{
    reader->is_held = false;
    reader->handler->end(reader->context, reader->flags, span_trim(buf_span(&reader->keywords)));
    reader->flags = 0;
    buf_clear(&reader->keywords);
}

/* Whether the line begins a message. */
static bool take_from_line(struct mbox_reader *reader, struct span line)
{
    int64_t date;
    int zone;

    if (!reader->may_begin || !is_from_line(line, &date, &zone))
        return false;
    if (reader->place != MBOX_START)
        end_message(reader);
    reader->place = MBOX_HEADER;
    reader->may_begin = reader->is_status = false;
    reader->handler->begin(reader->context, date, zone);
    return true;
}

/* A line without its end, or the first piece of one that is too long. */
static void take_line(struct mbox_reader *reader, struct span line, bool is_whole)
{
    if (reader->place == MBOX_BAD || (is_whole && take_from_line(reader, line)))
        return;
    if (reader->place == MBOX_START) {
        if (!is_whole || line.len > 0) /* empty lines may come first */
            reader->place = MBOX_BAD;
        return;
    }
    if (reader->is_held)
        reader->handler->bytes(reader->context, SPAN("\r\n"));
    reader->is_held = is_whole && line.len == 0 && reader->place == MBOX_BODY;
    reader->may_begin = is_whole && line.len == 0;
    if (reader->is_held)
        return;
    if (reader->place == MBOX_HEADER && is_whole && line.len == 0)
        reader->place = MBOX_BODY;
    else if (reader->place == MBOX_HEADER && is_whole && take_status(reader, line))
        return;
    if (is_quoted_from(line))
        line = span_from(line, 1);
    reader->handler->bytes(reader->context, line);
    if (is_whole)
        reader->handler->bytes(reader->context, SPAN("\r\n"));
}

/* The rest of a line that was too long; without its CR where that ends it. */
static void take_rest(struct mbox_reader *reader, struct span piece, bool is_end)
{
    if (reader->place == MBOX_BAD)
        return;
    reader->handler->bytes(reader->context, piece);
    if (is_end)
        reader->handler->bytes(reader->context, SPAN("\r\n"));
}

/* What is held is a line, or its piece. A CR at the end of a piece may belong to the line's end. */
static void take_held(struct mbox_reader *reader, bool is_end)
{
    struct span held = buf_span(&reader->line);
    bool has_cr = held.len > 0 && held.ptr[held.len - 1] == '\r';
    struct span text = has_cr ? span_head(held, held.len - 1) : held;

    if (reader->is_within)
        take_rest(reader, text, is_end);
    else
        take_line(reader, text, is_end);
    reader->is_within = !is_end;
    buf_clear(&reader->line);
    if (has_cr && !is_end)
        buf_add(&reader->line, SPAN("\r"));
}

bool mbox_reader_feed(struct mbox_reader *reader, struct span bytes)
{
    while (bytes.len > 0 && reader->place != MBOX_BAD) {
        size_t end = span_index(bytes, '\n');
        size_t room = MBOX_LINE_MAX - buf_len(&reader->line);
        size_t len = end < room ? end : room;

        buf_add(&reader->line, span_head(bytes, len));
        bytes = span_from(bytes, len);
        if (bytes.len > 0 && bytes.ptr[0] == '\n') {
            take_held(reader, true);
            bytes = span_from(bytes, 1);
        } else if (bytes.len > 0) {
            take_held(reader, false);
        }
    }
    return reader->place != MBOX_BAD;
}

bool mbox_reader_end(struct mbox_reader *reader)
{
    if (buf_len(&reader->line) > 0 || reader->is_within)
        take_held(reader, true);
    if (reader->place == MBOX_HEADER || reader->place == MBOX_BODY)
        end_message(reader);
    return reader->place != MBOX_BAD;
}

/* ---- writing ------------------------------------------------------------------------------ */

void mbox_write_head(int64_t date, uint32_t flags, const struct span *keywords,
                     unsigned keyword_count, struct buf *out)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)date;
    struct tm tm = {0};

    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < 0 || tm.tm_year > YEAR_MAX - 1900)
        tm = (struct tm){.tm_year = 70, .tm_mday = 1, .tm_wday = 4};
    buf_addf(out, "From MAILER-DAEMON %s %s %2d %02d:%02d:%02d %04d\n", days[tm.tm_wday],
             months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
    buf_addf(out, "Status: %sO\n", (flags & MAILSTORE_SEEN) != 0 ? "R" : "");
    if ((flags & ~(uint32_t)MAILSTORE_SEEN) != 0)
        buf_addf(out, "X-Status: %s%s%s%s\n", (flags & MAILSTORE_ANSWERED) != 0 ? "A" : "",
                 (flags & MAILSTORE_FLAGGED) != 0 ? "F" : "",
                 (flags & MAILSTORE_DRAFT) != 0 ? "T" : "",
                 (flags & MAILSTORE_DELETED) != 0 ? "D" : "");
    if (keyword_count > 0)
        buf_add(out, SPAN("X-Keywords:"));
    for (unsigned i = 0; i < keyword_count; i++)
        buf_addf(out, " %.*s", SPAN_ARG(keywords[i]));
    if (keyword_count > 0)
        buf_add(out, SPAN("\n"));
}

/* Whether it may still become ">>From ". */
static bool may_be_from(struct span line)
{
    size_t marks = 0;

    while (marks < line.len && line.ptr[marks] == '>')
        marks++;
    struct span rest = span_head(span_from(line, marks), 5);
    return memcmp(rest.ptr != NULL ? rest.ptr : "", "From ", rest.len) == 0;
}

static void writer_put(struct mbox_writer *writer, char c, struct buf *out)
{
    if (writer->is_within) {
        buf_add(out, span_of(&c, 1));
        return;
    }
    buf_add(&writer->line, span_of(&c, 1));
    struct span line = buf_span(&writer->line);
    bool is_from = may_be_from(line) && c == ' ';
    if (!is_from && may_be_from(line) && line.len < MBOX_LINE_MAX)
        return;
    if (is_from)
        buf_add(out, SPAN(">"));
    buf_add(out, line);
    buf_clear(&writer->line);
    writer->is_within = true;
}

static void writer_end_line(struct mbox_writer *writer, struct buf *out)
{
    buf_add(out, buf_span(&writer->line));
    buf_add(out, SPAN("\n"));
    buf_clear(&writer->line);
    writer->is_within = false;
}

void mbox_writer_feed(struct mbox_writer *writer, struct span bytes, struct buf *out)
{
    while (bytes.len > 0) {
        char c = bytes.ptr[0];
        size_t len = 1;

        if (c == '\n') {
            writer_end_line(writer, out);
        } else if (writer->had_cr) {
            writer_put(writer, '\r', out); /* it ended no line */
            len = 0;
        } else if (c != '\r' && writer->is_within) {
            for (len = 1; len < bytes.len && bytes.ptr[len] != '\r' && bytes.ptr[len] != '\n';)
                len++;
            buf_add(out, span_head(bytes, len));
        } else if (c != '\r') {
            writer_put(writer, c, out);
        }
        writer->had_cr = len > 0 && c == '\r';
        bytes = span_from(bytes, len);
    }
}

void mbox_writer_end(struct mbox_writer *writer, struct buf *out)
{
    if (writer->had_cr)
        writer_put(writer, '\r', out);
    if (writer->is_within || buf_len(&writer->line) > 0)
        writer_end_line(writer, out);
    buf_add(out, SPAN("\n"));
    buf_fini(&writer->line);
    *writer = (struct mbox_writer){.had_cr = false};
}
