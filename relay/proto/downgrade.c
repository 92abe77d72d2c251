#include "proto/downgrade.h"

#include "proto/utf8.h"

/* ---- output -------------------------------------------------------------------------------- */

static void pass(struct downgrade *d, struct span bytes, struct buf *out)
{
    if (!utf8_is_ascii(bytes))
        d->blocked = true;
    buf_add(out, bytes);
}

static void pass_body(struct downgrade *d, struct span bytes, struct buf *out)
{
    if (d->encodes)
        qp_encode(&d->encoder, bytes, out);
    else
        pass(d, bytes, out);
}

/* ---- fields -------------------------------------------------------------------------------- */

static void begin_header(struct downgrade *d, bool is_message)
{
    d->in_header = true;
    d->is_message = is_message;
    d->field = DOWNGRADE_FIELD_OTHER;
    d->field_len = 0;
    d->has_version = d->has_type = d->is_8bit = d->is_encoded = d->is_opaque = false;
}

static struct span field_text(const struct downgrade *d)
{
    return span_of(d->field_text, d->field_len);
}

/* What was kept back leaves as it came. */
static void let_field_go(struct downgrade *d, struct buf *out)
{
    if (d->field == DOWNGRADE_FIELD_ENCODING)
        pass(d, field_text(d), out);
    d->field = DOWNGRADE_FIELD_OTHER;
    d->field_len = 0;
}

/* The value's first word: "8bit". */
static struct span encoding_word(const struct downgrade *d)
{
    struct span value = field_text(d);
    size_t from, len;

    value = span_from(value, span_index(value, ':') + 1);
    for (from = 0; from < value.len && strchr(" \t\r\n", value.ptr[from]) != NULL; from++)
        ;
    value = span_from(value, from);
    for (len = 0; len < value.len && strchr(" \t\r\n;(", value.ptr[len]) == NULL; len++)
        ;
    return span_head(value, len);
}

static void end_field(struct downgrade *d, struct buf *out)
{
    if (d->field == DOWNGRADE_FIELD_TYPE && !d->has_type) {
        struct span text = field_text(d);
        content_type_parse(span_from(text, span_index(text, ':') + 1), &d->type);
        d->has_type = true;
    } else if (d->field == DOWNGRADE_FIELD_ENCODING) {
        struct span word = encoding_word(d);
        d->is_encoded = d->is_encoded || span_equal_nocase(word, SPAN("base64")) ||
                        span_equal_nocase(word, SPAN("quoted-printable"));
        if (span_equal_nocase(word, SPAN("8bit"))) {
            d->is_8bit = true;
            d->field = DOWNGRADE_FIELD_OTHER;
        }
    }
    let_field_go(d, out);
}

static bool is_field(struct span line, struct span name)
{
    struct span rest = span_from(line, name.len);

    return span_starts_nocase(line, name) &&
           span_trim(span_head(rest, span_index(rest, ':'))).len == 0 &&
           span_index(rest, ':') < rest.len;
}

static void add_to_field(struct downgrade *d, struct span line, struct buf *out)
{
    if (d->field_len + line.len > sizeof d->field_text) {
        let_field_go(d, out);
        d->is_opaque = true;
        pass(d, line, out);
        return;
    }
    memcpy(d->field_text + d->field_len, line.ptr, line.len);
    d->field_len += line.len;
    if (d->field == DOWNGRADE_FIELD_TYPE)
        pass(d, line, out);
}

static void begin_field(struct downgrade *d, struct span line)
{
    if (is_field(line, SPAN("Content-Type")))
        d->field = DOWNGRADE_FIELD_TYPE;
    else if (is_field(line, SPAN("Content-Transfer-Encoding")))
        d->field = DOWNGRADE_FIELD_ENCODING;
    else if (is_field(line, SPAN("MIME-Version")))
        d->has_version = true;
}

/* ---- headers ------------------------------------------------------------------------------- */

static enum content_kind kind_of(const struct downgrade *d)
{
    bool in_digest = !d->is_message && d->depth > 0 && d->levels[d->depth - 1].is_digest;
    enum content_kind kind = in_digest ? CONTENT_MESSAGE : CONTENT_LEAF;

    if (d->is_opaque || (d->is_8bit && d->is_encoded))
        return CONTENT_OPAQUE;
    if (d->has_type)
        kind = d->type.kind;
    return kind == CONTENT_MESSAGE && d->is_encoded ? CONTENT_LEAF : kind;
}

/* In the place of the label that was taken away. */
static void write_label(struct downgrade *d, enum content_kind kind, struct buf *out)
{
    static const char *const labels[] = {
        [CONTENT_LEAF] = "quoted-printable", [CONTENT_MULTIPART] = "7bit",
        [CONTENT_SEALED] = "8bit",           [CONTENT_MESSAGE] = "7bit",
        [CONTENT_OPAQUE] = "8bit",
    };

    if (!d->is_8bit)
        return;
    buf_addf(out, "Content-Transfer-Encoding: %s\r\n", labels[kind]);
    if (d->is_message && !d->has_version)
        buf_add(out, SPAN("MIME-Version: 1.0\r\n"));
}

static void push_level(struct downgrade *d, bool seals)
{
    if (d->depth == DOWNGRADE_DEPTH_MAX)
        return; /* its parts are not told apart: all of it is one body that is not labelled */
    struct downgrade_level *level = &d->levels[d->depth++];
    level->boundary_len = d->type.boundary_len;
    memcpy(level->boundary, d->type.boundary, d->type.boundary_len);
    level->is_digest = d->type.is_digest;
    if (seals)
        d->sealed = d->depth;
}

static void end_header(struct downgrade *d, struct span blank, struct buf *out)
{
    enum content_kind kind = kind_of(d);

    write_label(d, kind, out);
    pass(d, blank, out);
    d->in_header = false;
    d->encodes = kind == CONTENT_LEAF && d->is_8bit;
    d->encoder = (struct qp_encoder){0};
    if (kind == CONTENT_MULTIPART || kind == CONTENT_SEALED)
        push_level(d, kind == CONTENT_SEALED);
    else if (kind == CONTENT_MESSAGE)
        begin_header(d, true);
}

static void take_header_line(struct downgrade *d, struct span line, struct buf *out)
{
    bool continues = line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');

    if (!continues) {
        end_field(d, out);
        if (span_equal(line, SPAN("\r\n"))) {
            end_header(d, line, out);
            return;
        }
        begin_field(d, line);
    }
    if (d->field != DOWNGRADE_FIELD_OTHER)
        add_to_field(d, line, out);
    else
        pass(d, line, out);
}

/* ---- parts --------------------------------------------------------------------------------- */

/* RFC 2046 5.1.1: "--", the boundary, maybe "--", blanks. */
static bool is_delimiter(const struct downgrade_level *level, struct span line, bool *closes_out)
{
    struct span rest = span_from(line, 2 + level->boundary_len);

    if (!span_starts_nocase(line, SPAN("--")) ||
        !span_equal(span_head(span_from(line, 2), level->boundary_len),
                    span_of(level->boundary, level->boundary_len)))
        return false;
    *closes_out = span_starts_nocase(rest, SPAN("--"));
    return *closes_out || rest.len == 0 || strchr(" \t\r\n", rest.ptr[0]) != NULL;
}

/* The level whose delimiter it is, from 1; 0 where it is none. */
static unsigned find_delimiter(const struct downgrade *d, struct span line, bool *closes_out)
{
    for (unsigned depth = d->depth; depth > 0; depth--)
        if (is_delimiter(&d->levels[depth - 1], line, closes_out))
            return depth;
    return 0;
}

static void switch_part(struct downgrade *d, unsigned depth, bool closes, struct span line,
                        struct buf *out)
{
    if (d->in_header)
        end_field(d, out); /* without an empty line: a part without a body */
    if (d->in_header && d->is_8bit)
        buf_add(out, SPAN("Content-Transfer-Encoding: 8bit\r\n"));
    d->in_header = d->encodes = false;
    d->depth = closes ? depth - 1 : depth;
    if (d->sealed > d->depth)
        d->sealed = 0;
    pass(d, line, out);
    if (!closes && d->sealed == 0)
        begin_header(d, false);
}

static void take_line(struct downgrade *d, struct span line, struct buf *out)
{
    bool closes;
    unsigned depth = find_delimiter(d, line, &closes);

    if (depth > 0)
        switch_part(d, depth, closes, line, out);
    else if (d->in_header)
        take_header_line(d, line, out);
    else
        pass_body(d, line, out);
}

/* ---- input --------------------------------------------------------------------------------- */

void downgrade_init(struct downgrade *d, bool may_change)
{
    memset(d, 0, sizeof *d);
    line_checker_init(&d->lines, 0, false);
    if (may_change)
        begin_header(d, true);
}

static struct span gathered(const struct downgrade *d)
{
    return span_of(d->line, d->line_len);
}

/* A line too long to be looked at. In a header it may be part of a field that counts. */
static void stop_gathering(struct downgrade *d, struct buf *out)
{
    if (d->in_header) {
        let_field_go(d, out);
        d->is_opaque = true;
        pass(d, gathered(d), out);
    } else {
        pass_body(d, gathered(d), out);
    }
    d->gathers = false;
    d->line_len = 0;
}

/* A piece of one line, with its end where `ends`. */
static void gather(struct downgrade *d, struct span piece, bool ends, struct buf *out)
{
    if (piece.len > sizeof d->line - d->line_len)
        stop_gathering(d, out);
    if (!d->gathers) {
        if (d->in_header)
            pass(d, piece, out);
        else
            pass_body(d, piece, out);
        return;
    }
    memcpy(d->line + d->line_len, piece.ptr, piece.len);
    d->line_len += piece.len;
    if (ends) {
        size_t len = d->line_len;
        d->line_len = 0;
        take_line(d, span_of(d->line, len), out);
    }
}

bool downgrade_feed(struct downgrade *d, struct span input, struct buf *out)
{
    line_checker_feed(&d->lines, input);
    while (input.len > 0) {
        size_t end = span_index(input, '\n');
        bool ends = end < input.len;
        struct span piece = span_head(input, ends ? end + 1 : end);
        input = span_from(input, piece.len);
        if (!d->in_line)
            d->gathers = d->in_header || (d->depth > 0 && piece.ptr[0] == '-');
        d->in_line = !ends;
        gather(d, piece, ends, out);
    }
    return !d->blocked;
}

bool downgrade_end(struct downgrade *d, struct buf *out)
{
    line_checker_end(&d->lines);
    if (d->gathers && d->line_len > 0)
        take_line(d, gathered(d), out);
    if (d->in_header)
        end_field(d, out);
    if (d->encodes)
        qp_encode_end(&d->encoder, out);
    return !d->blocked;
}
