#include "proto/dot.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

void line_checker_init(struct line_checker *c, size_t max_line, bool normalize)
{
    *c = (struct line_checker){.max_line = max_line, .normalize = normalize, .line_start = true};
}

static size_t fault_index(enum body_fault fault)
{
    return (size_t)__builtin_ctz((unsigned)fault);
}

static void note_fault(struct line_checker *c, enum body_fault fault, uint64_t at)
{
    if ((c->faults & fault) != 0)
        return;
    c->faults |= fault;
    c->fault_at[fault_index(fault)] = at;
}

/* `s` without its LF: a CR in it is bare, but for a last one, which the next byte decides on. */
static void check_bare_cr(struct line_checker *c, struct span s)
{
    bool cr_end = s.len > 0 && s.ptr[s.len - 1] == '\r';
    struct span inner = span_head(s, s.len - (cr_end ? 1 : 0));
    size_t cr = span_index(inner, '\r');

    if (cr < inner.len)
        note_fault(c, BODY_BARE_CR, c->offset + cr);
}

/* Takes the bytes up to and with the first LF, or all there are, of a span that is not empty. */
static size_t scan_line(struct line_checker *c, struct span s)
{
    size_t lf = span_index(s, '\n');
    bool ends = lf < s.len;
    bool cr_before = lf > 0 ? s.ptr[lf - 1] == '\r' : c->cr_last;
    size_t taken = ends ? lf + 1 : s.len;

    if (c->cr_last && lf > 0)
        note_fault(c, BODY_BARE_CR, c->offset - 1);
    check_bare_cr(c, span_head(s, lf));
    if (ends && !cr_before)
        note_fault(c, BODY_BARE_LF, c->offset + lf);
    c->offset += taken;
    c->line_len += taken;
    if (c->max_line != 0 && c->line_len > c->max_line)
        note_fault(c, BODY_LONG_LINE, c->offset - (c->line_len - c->max_line));
    c->line_start = ends && cr_before;
    c->cr_last = !ends && cr_before;
    if (c->line_start)
        c->line_len = 0;
    return taken;
}

/* `run` ends at c->offset. */
static void check_nul(struct line_checker *c, struct span run)
{
    if ((c->faults & BODY_NUL) != 0)
        return;
    size_t nul = span_index(run, '\0');
    if (nul < run.len)
        note_fault(c, BODY_NUL, c->offset - run.len + nul);
}

enum { BLOCK = 64 };

#ifdef __SSE2__
static inline __m128i load(const char *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* All ones for each byte that is `byte`. */
static inline __m128i which(__m128i bytes, char byte)
{
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte));
}

/* For an LF that is behind no CR, what is behind a CR and is no LF, a dot behind an LF. */
static inline __m128i odd(const char *bytes)
{
    __m128i here = load(bytes), before = load(bytes - 1);
    __m128i stray = _mm_xor_si128(which(here, '\n'), which(before, '\r'));

    return _mm_or_si128(stray, _mm_and_si128(which(here, '.'), which(before, '\n')));
}

enum { PLAIN = 1, ENDS_LINE = 2 };

/* PLAIN where every CR and LF in a block is part of a CRLF, no line in it begins with a dot, and no
 * byte is a NUL; then ENDS_LINE, too, where an LF is in it. Looks at the byte before it as well. */
static inline unsigned judge(const char *block)
{
    const char *a = block, *b = block + 16, *c = block + 32, *d = block + 48;
    __m128i strange = _mm_or_si128(_mm_or_si128(odd(a), odd(b)), _mm_or_si128(odd(c), odd(d)));
    __m128i ends = _mm_or_si128(_mm_or_si128(which(load(a), '\n'), which(load(b), '\n')),
                                _mm_or_si128(which(load(c), '\n'), which(load(d), '\n')));
    __m128i least = _mm_min_epu8(_mm_min_epu8(load(a), load(b)), _mm_min_epu8(load(c), load(d)));

    if (_mm_movemask_epi8(_mm_or_si128(strange, which(least, '\0'))) != 0)
        return 0;
    return _mm_movemask_epi8(ends) != 0 ? PLAIN | ENDS_LINE : PLAIN;
}

/* The first block, whose byte before is not in the input. */
static unsigned judge_first(const struct line_checker *c, const char *block)
{
    char bytes[1 + BLOCK] = {c->cr_last ? '\r' : c->line_start ? '\n' : 'x'};

    memcpy(bytes + 1, block, BLOCK);
    return judge(bytes + 1);
}

static void note_plain(struct line_checker *c, struct span s)
{
    const char *lf = s.len > 0 ? memrchr(s.ptr, '\n', s.len) : NULL;

    if (s.len == 0)
        return;
    c->offset += s.len;
    c->line_len = lf != NULL ? (size_t)(s.ptr + s.len - lf) - 1 : c->line_len + s.len;
    c->line_start = s.ptr[s.len - 1] == '\n';
    c->cr_last = s.ptr[s.len - 1] == '\r';
}

/* Takes plain blocks, in which no line can be too long either: most of most messages. Normalizing,
 * a last CR is left for whoever sees what follows it. */
static size_t take_plain(struct line_checker *c, struct span s)
{
    size_t len = 0, line_most = c->line_len, max_line = c->max_line ? c->max_line : SIZE_MAX;
    unsigned found = s.len >= BLOCK ? judge_first(c, s.ptr) : 0;

    while (found != 0 && line_most + BLOCK <= max_line) {
        len += BLOCK;
        line_most = ((found & ENDS_LINE) != 0 ? 0 : line_most) + BLOCK;
        found = s.len - len >= BLOCK ? judge(s.ptr + len) : 0;
    }
    if (c->normalize && len > 0 && s.ptr[len - 1] == '\r')
        len--;
    note_plain(c, span_head(s, len));
    return len;
}
#else
static size_t take_plain(struct line_checker *c, struct span s)
{
    (void)c, (void)s;
    return 0; /* line by line it is */
}
#endif

static bool is_at_dot(const struct line_checker *c, struct span s, size_t at)
{
    return at > 0 && c->line_start && s.ptr[at] == '.';
}

/* Takes whole lines up to one that begins with a dot; the first may begin with anything. */
static size_t scan_run(struct line_checker *c, struct span s)
{
    size_t len = take_plain(c, s);

    while (len < s.len && !is_at_dot(c, s, len)) {
        size_t line = scan_line(c, span_from(s, len));
        check_nul(c, span_head(span_from(s, len), line));
        len += line;
        len += take_plain(c, span_from(s, len));
    }
    return len;
}

void line_checker_feed(struct line_checker *c, struct span input)
{
    while (input.len > 0)
        input = span_from(input, scan_run(c, input));
}

unsigned line_checker_end(struct line_checker *c)
{
    if (c->cr_last)
        note_fault(c, BODY_BARE_CR, c->offset - 1);
    c->cr_last = false;
    return c->faults;
}

/* ---- normalizing -------------------------------------------------------------------------- */

/* `len` bytes more of the line were handed out for the last `taken` ones of the wire. */
static void lengthen_line(struct line_checker *c, size_t len, size_t taken)
{
    c->line_len += len;
    if (c->max_line == 0 || c->line_len <= c->max_line)
        return;
    size_t excess = c->line_len - c->max_line;
    note_fault(c, BODY_LONG_LINE, c->offset - (excess < taken ? excess : taken));
}

/* Takes the bytes up to and with the first CRLF, or up to the first CR or LF that is none. */
static size_t keep_line(struct line_checker *c, struct span s)
{
    size_t lf = span_index(s, '\n');
    size_t cr = span_index(span_head(s, lf), '\r');
    bool ends = lf < s.len && cr + 1 == lf;
    size_t taken = ends ? lf + 1 : cr;

    c->offset += taken;
    lengthen_line(c, taken, taken);
    c->line_start = ends;
    if (ends)
        c->line_len = 0;
    return taken;
}

/* As scan_run, but up to what has to be mended. */
static size_t keep_run(struct line_checker *c, struct span s)
{
    size_t len = take_plain(c, s), line;

    while (len < s.len && !is_at_dot(c, s, len)) {
        line = keep_line(c, span_from(s, len));
        check_nul(c, span_head(span_from(s, len), line));
        len += line;
        if (!c->line_start)
            break;
        len += take_plain(c, span_from(s, len));
    }
    return len;
}

static void take_byte(struct span *input)
{
    *input = span_from(*input, 1);
}

static void withhold_cr(struct line_checker *c)
{
    c->offset++;
    c->line_start = false;
    c->cr_last = true;
}

static struct span mend_cr(struct line_checker *c)
{
    c->cr_last = false;
    note_fault(c, BODY_BARE_CR, c->offset - 1);
    lengthen_line(c, 1, 1);
    return SPAN(" ");
}

/* The LF, behind the CR that was withheld or bare. */
static struct span end_line(struct line_checker *c)
{
    bool crlf = c->cr_last;

    if (!crlf)
        note_fault(c, BODY_BARE_LF, c->offset);
    c->offset++;
    lengthen_line(c, 2, crlf ? 2 : 1);
    c->line_len = 0;
    c->line_start = crlf;
    c->cr_last = false;
    return SPAN("\r\n");
}

/* Empty only where a CR is withheld, since its LF may come with the next bytes. */
static struct span normalize(struct line_checker *c, struct span *input)
{
    size_t len = c->cr_last ? 0 : keep_run(c, *input);
    struct span run = span_head(*input, len);
    char next = input->ptr[0];

    if (len > 0) {
        *input = span_from(*input, len);
        return run;
    }
    if (c->cr_last && next != '\n')
        return mend_cr(c);
    take_byte(input);
    if (next == '\n')
        return end_line(c);
    withhold_cr(c);
    return SPAN_NONE;
}

bool line_checker_take(struct line_checker *c, struct span *input, struct span *run_out)
{
    *run_out = SPAN_NONE;
    if (!c->normalize) {
        line_checker_feed(c, *input);
        *run_out = *input;
        *input = SPAN_NONE;
    }
    while (run_out->len == 0 && input->len > 0)
        *run_out = normalize(c, input);
    return run_out->len > 0;
}

struct span line_checker_take_end(struct line_checker *c)
{
    if (c->normalize && c->cr_last)
        return mend_cr(c);
    line_checker_end(c);
    return SPAN_NONE;
}

/* ---- faults ------------------------------------------------------------------------------- */

uint64_t line_checker_fault_at(const struct line_checker *c, enum body_fault fault)
{
    return c->fault_at[fault_index(fault)];
}

const char *body_fault_text(unsigned faults)
{
    if ((faults & BODY_BARE_CR) != 0)
        return "bare CR";
    if ((faults & BODY_BARE_LF) != 0)
        return "bare LF";
    if ((faults & BODY_NUL) != 0)
        return "NUL";
    if ((faults & BODY_LONG_LINE) != 0)
        return "line too long";
    return "none";
}

/* ---- decoder ------------------------------------------------------------------------------ */

void dot_decoder_init(struct dot_decoder *d, size_t max_line, bool normalize)
{
    *d = (struct dot_decoder){.state = DOT_STATE_TEXT};
    line_checker_init(&d->lines, max_line, normalize);
}

/* RFC 5321 4.5.2: the leading dot goes, whatever follows it but CRLF, which ends the data. */
static struct span step_text(struct dot_decoder *d, struct span *input)
{
    if (d->lines.line_start && input->ptr[0] == '.') {
        take_byte(input);
        d->lines.offset++;
        d->lines.line_start = false;
        d->state = DOT_STATE_DOT;
        return SPAN_NONE;
    }
    if (d->lines.normalize)
        return normalize(&d->lines, input);
    size_t len = scan_run(&d->lines, *input);
    struct span run = span_head(*input, len);
    *input = span_from(*input, len);
    return run;
}

static void step_dot(struct dot_decoder *d, struct span *input)
{
    if (input->ptr[0] != '\r') {
        d->state = DOT_STATE_TEXT;
        return;
    }
    take_byte(input);
    d->state = DOT_STATE_DOT_CR;
}

/* The CR was withheld; where no LF follows it is data, and may be gone from the input. */
static struct span step_dot_cr(struct dot_decoder *d, struct span *input)
{
    const struct span cr = SPAN("\r");

    if (input->ptr[0] == '\n') {
        take_byte(input);
        d->lines.offset += 2;
        d->state = DOT_STATE_END;
        return SPAN_NONE;
    }
    d->state = DOT_STATE_TEXT;
    if (d->lines.normalize) {
        withhold_cr(&d->lines);
        return SPAN_NONE;
    }
    scan_line(&d->lines, cr);
    return cr;
}

enum parse_result dot_decode(struct dot_decoder *d, struct span *input, struct span *output_out)
{
    struct span run = SPAN_NONE;

    while (run.len == 0 && input->len > 0 && d->state != DOT_STATE_END) {
        if (d->state == DOT_STATE_DOT)
            step_dot(d, input);
        else if (d->state == DOT_STATE_DOT_CR)
            run = step_dot_cr(d, input);
        else
            run = step_text(d, input);
    }
    *output_out = run;
    d->output += run.len;
    return d->state == DOT_STATE_END ? PARSE_DONE : PARSE_MORE;
}

/* ---- encoder ------------------------------------------------------------------------------ */

void dot_encoder_init(struct dot_encoder *e)
{
    line_checker_init(&e->lines, 0, false);
}

void dot_encode(struct dot_encoder *e, struct span *input, struct buf *out, size_t max)
{
    if (out->max != 0 && out->max < max)
        max = out->max;
    while (input->len > 0 && buf_len(out) < max) {
        size_t room = max - buf_len(out);
        size_t dot = e->lines.line_start && input->ptr[0] == '.' ? 1 : 0;
        if (room <= dot)
            return;
        struct span part = span_head(*input, room - dot);
        char *to = buf_reserve(out, part.len + dot);
        if (to == NULL)
            return;
        size_t len = scan_run(&e->lines, part);
        to[0] = '.';
        memcpy(to + dot, part.ptr, len);
        buf_commit(out, len + dot);
        *input = span_from(*input, len);
    }
}

bool dot_encode_end(struct dot_encoder *e, struct buf *out)
{
    return buf_append(out, e->lines.line_start ? SPAN(".\r\n") : SPAN("\r\n.\r\n"));
}
