#include "plugins/drop/imap/write.h"

#include "plugins/drop/imap/command.h"

#include <stdlib.h>
#include <time.h>

enum { QUOTED_MAX = 4096 };

static bool fits_quotes(struct span text)
{
    if (text.len > QUOTED_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\0' || text.ptr[i] == '\r' || text.ptr[i] == '\n' ||
            (text.ptr[i] & 0x80) != 0)
            return false;
    return true;
}

static void write_quoted(struct buf *out, struct span text)
{
    buf_add(out, SPAN("\""));
    for (size_t from = 0, i = 0; i <= text.len; i++) {
        if (i < text.len && text.ptr[i] != '"' && text.ptr[i] != '\\')
            continue;
        buf_add(out, span_head(span_from(text, from), i - from));
        if (i < text.len)
            buf_add(out, SPAN("\\"));
        from = i;
    }
    buf_add(out, SPAN("\""));
}

void imap_write_string(struct buf *out, struct span text)
{
    if (fits_quotes(text)) {
        write_quoted(out, text);
        return;
    }
    buf_addf(out, "{%zu}\r\n", text.len);
    buf_add(out, text);
}

void imap_write_nstring(struct buf *out, struct span text)
{
    if (text.ptr == NULL)
        buf_add(out, SPAN("NIL"));
    else
        imap_write_string(out, text);
}

/* RFC 9051 9: astring; "]" is left out though it may be in one. */
static bool is_atom(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] == 0x7f || strchr("(){%*\"\\]", text.ptr[i]) != NULL)
            return false;
    return text.len > 0 && !span_equal_nocase(text, SPAN("NIL"));
}

void imap_write_astring(struct buf *out, struct span text)
{
    if (is_atom(text))
        buf_add(out, text);
    else
        imap_write_string(out, text);
}

/* Names have no controls (mailstore_name_is_valid), so quotes always do. */
void imap_write_mailbox(struct buf *out, struct span name, bool utf8)
{
    struct buf encoded;

    buf_init(&encoded, 0);
    if (utf8)
        buf_add(&encoded, name);
    else
        imap_utf7_encode(name, &encoded);
    if (is_atom(buf_span(&encoded)))
        buf_add(out, buf_span(&encoded));
    else
        write_quoted(out, buf_span(&encoded));
    buf_fini(&encoded);
}

static void add_word(struct buf *out, bool *has_begun, struct span word)
{
    if (*has_begun)
        buf_add(out, SPAN(" "));
    buf_add(out, word);
    *has_begun = true;
}

void imap_write_flags(struct buf *out, uint32_t flags, uint64_t keywords,
                      const struct mailstore_box *box, bool is_recent)
{
    static const struct {
        uint32_t flag;
        const char *text;
    } names[] = {
        {MAILSTORE_SEEN, "\\Seen"},       {MAILSTORE_ANSWERED, "\\Answered"},
        {MAILSTORE_FLAGGED, "\\Flagged"}, {MAILSTORE_DELETED, "\\Deleted"},
        {MAILSTORE_DRAFT, "\\Draft"},
    };
    bool has_begun = false;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (flags & names[i].flag)
            add_word(out, &has_begun, span_cstr(names[i].text));
    for (unsigned i = 0; i < box->keyword_count; i++)
        if (keywords >> i & 1)
            add_word(out, &has_begun, box->keywords[i]);
    if (is_recent)
        add_word(out, &has_begun, SPAN("\\Recent"));
}

void imap_write_date(struct buf *out, int64_t seconds, int zone)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t local = (time_t)(seconds + (int64_t)zone * 60);
    struct tm tm;

    if (gmtime_r(&local, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
        gmtime_r(&(time_t){0}, &tm);
    buf_addf(out, "\"%02d-%s-%04d %02d:%02d:%02d %c%02d%02d\"", tm.tm_mday, months[tm.tm_mon],
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, zone < 0 ? '-' : '+',
             abs(zone) / 60, abs(zone) % 60);
}

const char *imap_use_text(enum mailstore_use use)
{
    static const char *const texts[] = {
        [MAILSTORE_USE_NONE] = NULL,         [MAILSTORE_USE_ARCHIVE] = "\\Archive",
        [MAILSTORE_USE_DRAFTS] = "\\Drafts", [MAILSTORE_USE_FLAGGED] = "\\Flagged",
        [MAILSTORE_USE_JUNK] = "\\Junk",     [MAILSTORE_USE_SENT] = "\\Sent",
        [MAILSTORE_USE_TRASH] = "\\Trash",
    };

    return texts[use];
}

static void write_range(struct imap_set_writer *writer, struct buf *out)
{
    if (writer->first == 0)
        return;
    if (writer->has_begun)
        buf_add(out, SPAN(","));
    buf_add_u64(out, writer->first);
    if (writer->last > writer->first) {
        buf_add(out, SPAN(":"));
        buf_add_u64(out, writer->last);
    }
    writer->has_begun = true;
}

void imap_set_add(struct imap_set_writer *writer, struct buf *out, uint32_t first, uint32_t last)
{
    if (writer->first != 0 && first == writer->last + 1) {
        writer->last = last;
        return;
    }
    write_range(writer, out);
    writer->first = first;
    writer->last = last;
}

void imap_set_end(struct imap_set_writer *writer, struct buf *out)
{
    write_range(writer, out);
    *writer = (struct imap_set_writer){0};
}
