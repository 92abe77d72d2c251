/*
 * The scanner: goes from line to line, and looks at those alone that may be a boundary or end a
 * header; all else passes by in runs. Such a line is held until it is whole, so that any split
 * gives the same.
 */
#include "plugins/drop/mime/mime.h"

#include "base/buf.h"
#include "base/memory.h"
#include "plugins/drop/mime/mime_private.h"

#include <stdlib.h>

enum {
    BOUNDARY_MAX = 200, /* bytes; RFC 2046 5.1.1 has 70, which not all keep to */
    LINE_MAX = 256,     /* a longer line is no boundary */
};

struct open_boundary {
    struct mime_part *part;
    struct mime_part *last; /* child */
    struct span text;
};

struct mime_scanner {
    struct arena *arena;
    struct mime_part *root;
    struct mime_part *open; /* the innermost one that the bytes belong to */
    bool in_header;         /* of `open` */
    bool at_line;           /* what comes next begins a line */
    bool cr_last;
    uint64_t offset; /* behind what was passed; a held line was not */
    uint64_t line_ends;
    uint64_t nul_end; /* behind the last NUL */
    unsigned parts;   /* with those that multiparts and messages are to have at least */
    unsigned depth;   /* of `open` */
    struct mime_budget budget;
    unsigned boundary_count;
    struct open_boundary boundaries[MIME_DEPTH_MAX]; /* of the multiparts around, innermost last */
    struct buf header;                               /* as much of it as is looked at */
    size_t headers_left;                             /* to be looked at */
    size_t held_len;
    char held[LINE_MAX];
};

/* A part whose header begins here. */
static struct mime_part *open_part(struct mime_scanner *s, struct mime_part *parent)
{
    struct mime_part *part = arena_alloc(s->arena, sizeof *part);

    part->parent = parent;
    part->header_at = s->offset;
    s->open = part;
    s->in_header = true;
    s->at_line = true;
    s->depth += parent != NULL;
    buf_clear(&s->header);
    return part;
}

struct mime_scanner *mime_scanner_create(struct arena *arena)
{
    struct mime_scanner *s = mem_zalloc(sizeof *s);

    s->arena = arena;
    s->budget = (struct mime_budget){MIME_ADDRESSES_MAX, MIME_CHARSETS_MAX};
    s->parts = 1;
    buf_init(&s->header, 0);
    s->headers_left = MIME_HEADERS_MAX;
    s->root = open_part(s, NULL);
    return s;
}

void mime_scanner_free(struct mime_scanner *scanner)
{
    if (scanner == NULL)
        return;
    buf_fini(&scanner->header);
    free(scanner);
}

static void push_boundary(struct mime_scanner *s, struct mime_part *part)
{
    struct span text = mime_parameter_find(part->parameters, SPAN("boundary"));

    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--; /* as those of a line are not looked at */
    if (text.len > 0 && text.len <= BOUNDARY_MAX)
        s->boundaries[s->boundary_count++] = (struct open_boundary){.part = part, .text = text};
}

/* The body of `open` begins here. */
static void header_done(struct mime_scanner *s)
{
    struct mime_part *part = s->open;
    const struct mime_part *parent = part->parent;
    bool in_digest = parent != NULL && parent->kind == MIME_MULTIPART &&
                     span_equal_nocase(parent->subtype, SPAN("digest"));

    s->in_header = false;
    part->header_len = s->offset - part->header_at;
    part->body_at = s->offset;
    part->lines = s->line_ends;
    mime_part_read(part, buf_span(&s->header), in_digest, &s->budget, s->arena);
    if (part->kind == MIME_LEAF)
        return;
    if (s->depth == MIME_DEPTH_MAX || s->parts == MIME_PARTS_MAX) {
        mime_part_seal(part);
        return;
    }
    s->parts++;
    if (part->kind == MIME_MULTIPART)
        push_boundary(s, part);
    else
        part->child = open_part(s, part);
}

/* What multipart there is must have a part (RFC 9051 7.5.2 knows no other). */
static void add_empty_part(struct mime_scanner *s, struct mime_part *parent, uint64_t at)
{
    struct mime_part *part = arena_alloc(s->arena, sizeof *part);

    part->parent = parent;
    part->header_at = at;
    part->body_at = at;
    mime_part_read(part, SPAN_NONE, false, &s->budget, s->arena);
    parent->child = part;
}

/*
 * Ends the parts within `outer` (NULL: all). The line end before a boundary is the boundary's,
 * unless it ends the header of what is ended: so much a header needs to be one.
 */
static void close_within(struct mime_scanner *s, const struct mime_part *outer, bool by_boundary)
{
    uint64_t end = s->offset - (by_boundary ? 2 : 0);

    while (s->open != outer) {
        if (s->in_header) {
            header_done(s);
            continue;
        }
        struct mime_part *part = s->open;
        if (end < part->body_at)
            end = part->body_at;
        part->body_len = end - part->body_at;
        part->lines = s->line_ends - (end < s->offset) - part->lines;
        part->has_nul = s->nul_end > part->body_at;
        if (part->kind == MIME_MULTIPART && part->child == NULL)
            add_empty_part(s, part, end);
        if (s->boundary_count > 0 && s->boundaries[s->boundary_count - 1].part == part)
            s->boundary_count--;
        s->open = part->parent;
        s->depth -= part->parent != NULL;
    }
}

static void begin_part(struct mime_scanner *s, struct open_boundary *boundary)
{
    if (boundary->last != NULL && s->parts == MIME_PARTS_MAX)
        return;
    s->parts += boundary->last != NULL; /* the first was counted with the multipart */
    struct mime_part *part = open_part(s, boundary->part);
    if (boundary->last != NULL)
        boundary->last->next = part;
    else
        boundary->part->child = part;
    boundary->last = part;
}

/* The line, without its end, against the boundaries around: the innermost one that fits. */
static bool find_boundary(const struct mime_scanner *s, struct span line, unsigned *index_out,
                          bool *is_last_out)
{
    if (line.len < 2 || line.ptr[0] != '-' || line.ptr[1] != '-')
        return false;
    line = span_from(line, 2);
    while (line.len > 0 && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'))
        line.len--;
    for (unsigned i = s->boundary_count; i-- > 0;) {
        struct span text = s->boundaries[i].text;
        bool is_last = line.len == text.len + 2;
        if (!is_last && line.len != text.len)
            continue;
        if (memcmp(line.ptr, text.ptr, text.len) != 0 ||
            (is_last && memcmp(line.ptr + text.len, "--", 2) != 0))
            continue;
        *index_out = i;
        *is_last_out = is_last;
        return true;
    }
    return false;
}

static void take(struct mime_scanner *s, struct span run)
{
    const char *nul = memrchr(run.ptr, '\0', run.len);

    if (nul != NULL)
        s->nul_end = s->offset + (uint64_t)(nul - run.ptr) + 1;
    s->offset += run.len;
    if (!s->in_header)
        return;
    size_t room = MIME_HEADER_MAX - buf_len(&s->header);
    struct span seen = span_head(run, room < s->headers_left ? room : s->headers_left);
    s->headers_left -= seen.len;
    buf_add(&s->header, seen);
}

/* Whether a line that begins so must be looked at. */
static bool is_candidate(const struct mime_scanner *s, char first)
{
    return (first == '-' && s->boundary_count > 0) || (first == '\r' && s->in_header);
}

/* Lets bytes go by as far as the next line that must be looked at; the first line is none. */
static size_t pass(struct mime_scanner *s, struct span bytes)
{
    const char *at = bytes.ptr;
    const char *end = at + bytes.len;

    s->cr_last = s->cr_last && !s->at_line;
    s->at_line = false;
    while (at < end && !s->at_line) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        if (lf == NULL) {
            at = end;
            break;
        }
        bool is_end = lf > bytes.ptr ? lf[-1] == '\r' : s->cr_last;
        at = lf + 1;
        s->line_ends += is_end;
        s->at_line = is_end && (at == end || is_candidate(s, *at));
    }
    s->cr_last = at[-1] == '\r';
    take(s, span_head(bytes, (size_t)(at - bytes.ptr)));
    return (size_t)(at - bytes.ptr);
}

/* `line` ends by CRLF, or with the message, or is too long to be of interest. */
static void judge(struct mime_scanner *s, struct span line, bool at_end)
{
    bool has_end = line.len >= 2 && memcmp(line.ptr + line.len - 2, "\r\n", 2) == 0;
    struct span text = span_head(line, line.len - (has_end ? 2 : 0));
    unsigned index;
    bool is_last;

    if (has_end && text.len == 0) {
        s->offset += line.len;
        s->line_ends++;
        header_done(s);
        return;
    }
    if ((!has_end && !at_end) || !find_boundary(s, text, &index, &is_last)) {
        pass(s, line);
        return;
    }
    struct open_boundary *boundary = &s->boundaries[index];
    close_within(s, boundary->part, true);
    s->offset += line.len;
    s->line_ends += has_end;
    s->at_line = has_end;
    if (is_last)
        s->boundary_count = index;
    else
        begin_part(s, boundary);
}

static size_t take_candidate(struct mime_scanner *s, struct span bytes)
{
    struct span head = span_head(bytes, LINE_MAX - s->held_len);
    size_t lf = span_index(head, '\n');
    struct span line = span_head(head, lf + 1);
    bool is_whole = lf < head.len || s->held_len + head.len == LINE_MAX;

    if (!is_whole || s->held_len > 0) {
        memcpy(s->held + s->held_len, line.ptr, line.len);
        s->held_len += line.len;
    }
    if (is_whole) {
        size_t held = s->held_len;
        s->held_len = 0;
        judge(s, held > 0 ? span_of(s->held, held) : line, false);
    }
    return line.len;
}

void mime_scanner_feed(struct mime_scanner *scanner, struct span bytes)
{
    while (bytes.len > 0) {
        bool is_looked_at =
            scanner->held_len > 0 || (scanner->at_line && is_candidate(scanner, bytes.ptr[0]));
        size_t len = is_looked_at ? take_candidate(scanner, bytes) : pass(scanner, bytes);
        bytes = span_from(bytes, len);
    }
}

struct mime_part *mime_scanner_end(struct mime_scanner *scanner)
{
    size_t held = scanner->held_len;

    scanner->held_len = 0;
    if (held > 0)
        judge(scanner, span_of(scanner->held, held), true);
    close_within(scanner, NULL, false);
    return scanner->root;
}
