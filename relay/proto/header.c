#include "proto/header.h"

#include "proto/utf8.h"

#include <stdio.h>

void header_scanner_init(struct header_scanner *h, struct arena *arena, const struct span *wanted,
                         size_t wanted_count, uint64_t bytes_max, uint64_t fields_max)
{
    *h = (struct header_scanner){
        .arena = arena,
        .wanted = wanted,
        .wanted_count = wanted_count < HEADER_WANTED_MAX ? wanted_count : HEADER_WANTED_MAX,
        .bytes_max = bytes_max ? bytes_max : HEADER_BYTES_MAX,
        .fields_max = fields_max ? fields_max : HEADER_FIELDS_MAX,
    };
}

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

static void capture(struct header_scanner *h, struct span text)
{
    struct header_value *value = h->capture;

    if (value == NULL)
        return;
    while (value->len == 0 && text.len > 0 && is_wsp(text.ptr[0]))
        text = span_from(text, 1);
    struct span kept = span_head(text, HEADER_VALUE_MAX - value->len);
    if (kept.len > 0)
        memcpy(value->bytes + value->len, kept.ptr, kept.len);
    value->len += kept.len;
    value->truncated = value->truncated || kept.len < text.len;
}

/* What follows, up to the next line that begins without a space, is passed over. */
static void begin_ignored(struct header_scanner *h)
{
    h->capture = NULL;
    h->cr_last = false;
    h->state = HEADER_STATE_VALUE;
}

static void begin_malformed(struct header_scanner *h)
{
    h->flags |= HEADER_MALFORMED;
    begin_ignored(h);
}

/* At the colon. */
static void begin_field(struct header_scanner *h)
{
    if (h->name_bad || h->name_len == 0) {
        begin_malformed(h);
        return;
    }
    begin_ignored(h);
    h->fields++;
    if (h->fields > h->fields_max)
        h->flags |= HEADER_TOO_MANY;
    if (h->name_len > HEADER_NAME_MAX)
        return;
    struct span name = span_of(h->name, h->name_len);
    if (span_equal_nocase(name, SPAN("Received")))
        h->received++;
    if ((h->flags & (HEADER_TOO_LARGE | HEADER_TOO_MANY)) != 0)
        return;
    for (size_t i = 0; i < h->wanted_count && h->capture == NULL; i++) {
        struct header_value *value = &h->values[i];
        if (value->bytes != NULL || !span_equal_nocase(name, h->wanted[i]))
            continue;
        value->bytes = arena_alloc(h->arena, HEADER_VALUE_MAX);
        h->capture = value;
    }
}

/* A line that begins with a space where there is no field to continue is one of its own. */
static size_t step_line(struct header_scanner *h, char c)
{
    if (c == '\r') {
        h->state = HEADER_STATE_LINE_CR;
        return 1;
    }
    if (is_wsp(c)) {
        if (h->bytes == 0)
            h->flags |= HEADER_CONTINUES;
        if (h->fields == 0 && (h->flags & HEADER_MALFORMED) == 0)
            begin_malformed(h);
        h->state = HEADER_STATE_VALUE;
        return 0;
    }
    h->name_len = 0;
    h->name_bad = false;
    h->name_space = false;
    h->cr_last = false;
    h->state = HEADER_STATE_NAME;
    return 0;
}

static size_t step_line_cr(struct header_scanner *h, char c)
{
    if (c == '\n') {
        h->state = HEADER_STATE_BODY;
        return 1;
    }
    begin_malformed(h);
    return 0;
}

/* RFC 5322 2.2: printable ASCII but the colon; 4.5.8 lets spaces stand before the colon. */
static size_t step_name(struct header_scanner *h, char c)
{
    if (c == ':') {
        begin_field(h);
        return 1;
    }
    if (c == '\n' && h->cr_last) {
        begin_malformed(h);
        h->state = HEADER_STATE_LINE;
        return 1;
    }
    h->cr_last = c == '\r';
    if ((unsigned char)c >= 0x80)
        h->flags |= HEADER_8BIT;
    if (is_wsp(c)) {
        h->name_space = true;
        return 1;
    }
    if (c < '!' || c > '~' || h->name_space)
        h->name_bad = true;
    if (h->name_len < HEADER_NAME_MAX)
        h->name[h->name_len] = c;
    if (h->name_len <= HEADER_NAME_MAX)
        h->name_len++;
    return 1;
}

/* Up to the line end, or all there is. A last CR waits for the byte behind it. */
static size_t step_value(struct header_scanner *h, struct span input)
{
    size_t lf = span_index(input, '\n');
    bool ends = lf < input.len;
    struct span text = span_head(input, lf);

    if (!utf8_is_ascii(text))
        h->flags |= HEADER_8BIT;
    if (h->cr_last && lf > 0)
        capture(h, SPAN("\r"));
    bool cr = lf > 0 ? text.ptr[lf - 1] == '\r' : h->cr_last;
    if (lf > 0 && cr)
        text.len--;
    capture(h, text);
    h->cr_last = cr && !ends;
    if (!ends)
        return input.len;
    if (cr)
        h->state = HEADER_STATE_LINE;
    else
        capture(h, SPAN("\n"));
    return lf + 1;
}

static size_t step(struct header_scanner *h, struct span input)
{
    switch (h->state) {
    case HEADER_STATE_LINE:
        return step_line(h, input.ptr[0]);
    case HEADER_STATE_LINE_CR:
        return step_line_cr(h, input.ptr[0]);
    case HEADER_STATE_NAME:
        return step_name(h, input.ptr[0]);
    case HEADER_STATE_VALUE:
        return step_value(h, input);
    case HEADER_STATE_BODY:
        break;
    }
    return input.len;
}

enum parse_result header_scan(struct header_scanner *h, struct span input)
{
    while (input.len > 0 && h->state != HEADER_STATE_BODY) {
        size_t taken = step(h, input);
        h->bytes += taken;
        if (h->bytes > h->bytes_max)
            h->flags |= HEADER_TOO_LARGE;
        input = span_from(input, taken);
    }
    return h->state == HEADER_STATE_BODY ? PARSE_DONE : PARSE_MORE;
}

void header_scan_end(struct header_scanner *h)
{
    if (h->state == HEADER_STATE_NAME || h->state == HEADER_STATE_LINE_CR)
        h->flags |= HEADER_MALFORMED;
    h->state = HEADER_STATE_BODY;
}

bool header_value(const struct header_scanner *h, size_t index, struct span *value_out)
{
    *value_out = SPAN_NONE;
    if (index >= h->wanted_count || h->values[index].bytes == NULL)
        return false;
    *value_out = span_trim(span_of(h->values[index].bytes, h->values[index].len));
    return true;
}

size_t rfc5322_date(time_t utc, int offset_minutes, char out[RFC5322_DATE_MAX])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t local = utc + (time_t)offset_minutes * 60;
    unsigned zone = (unsigned)(offset_minutes < 0 ? -offset_minutes : offset_minutes);
    struct tm tm = {.tm_mday = 1};

    gmtime_r(&local, &tm);
    int len =
        snprintf(out, RFC5322_DATE_MAX, "%s, %02d %s %04d %02d:%02d:%02d %c%02u%02u",
                 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
                 tm.tm_min, tm.tm_sec, offset_minutes < 0 ? '-' : '+', zone / 60, zone % 60);
    return len < RFC5322_DATE_MAX ? (size_t)len : RFC5322_DATE_MAX - 1;
}
