/* Parameters of MIME fields (RFC 2045 5.1), with what RFC 2231 adds to them. */
#include "plugins/drop/mime/mime_private.h"
#include "plugins/drop/mime/text.h"

enum { PIECE_NONE = -1, PIECE_MAX = MIME_PARAMETERS_MAX - 1 };

/* One as it is written: "name*2*=value". */
struct piece {
    struct span name; /* without asterisks */
    struct span value;
    int number; /* PIECE_NONE: it is no piece */
    bool is_encoded;
    bool is_taken; /* by the whole it belongs to */
};

/* "name", "name*", "name*0", "name*0*". */
static void read_name(struct span text, struct piece *out)
{
    struct span suffix;
    uint64_t number;

    out->name = span_split(text, '*', &suffix);
    out->number = PIECE_NONE;
    out->is_encoded = out->name.len + 1 == text.len;
    if (suffix.len == 0)
        return;
    bool is_encoded = suffix.ptr[suffix.len - 1] == '*';
    if (span_parse_u64(span_head(suffix, suffix.len - is_encoded), &number) &&
        number <= PIECE_MAX) {
        out->number = (int)number;
        out->is_encoded = is_encoded;
    } else {
        out->name = text;
    }
}

/* What is not in quotes goes as far as the next semicolon: blanks are not allowed in it, but
 * written all the same. */
static struct span take_bare(struct span *text_inout)
{
    struct span text = *text_inout;
    size_t len = 0;

    while (len < text.len && text.ptr[len] != ';' &&
           !(text.ptr[len] == '(' && len > 0 && text.ptr[len - 1] == ' '))
        len++;
    struct span value = span_head(text, len);
    *text_inout = span_from(text, len);
    while (value.len > 0 && strchr(" \t\r\n", value.ptr[value.len - 1]) != NULL &&
           value.ptr[value.len - 1] != '\0')
        value.len--;
    return value;
}

static struct span take_value(struct span *text_inout, struct arena *arena)
{
    struct span text = mime_skip_blanks(*text_inout);
    struct span inner;

    if (text.len == 0 || text.ptr[0] != '"') {
        struct span value = take_bare(&text);
        *text_inout = text;
        return arena_dup(arena, value);
    }
    *text_inout = span_from(text, mime_quoted_len(text, &inner));
    return mime_unquote(inner, arena_alloc(arena, inner.len + 1));
}

/* Behind the next semicolon that is in no quotes and no comment. */
static struct span behind_semicolon(struct span text)
{
    struct span inner;

    while ((text = mime_skip_blanks(text)).len > 0) {
        if (text.ptr[0] == ';')
            return span_from(text, 1);
        text = span_from(text, text.ptr[0] == '"' ? mime_quoted_len(text, &inner) : 1);
    }
    return text;
}

static unsigned read_pieces(struct span text, struct piece *pieces, struct arena *arena)
{
    unsigned count = 0;

    for (text = behind_semicolon(text); text.len > 0 && count < MIME_PARAMETERS_MAX;) {
        text = mime_skip_blanks(text);
        struct span name = mime_take_token(&text);
        text = mime_skip_blanks(text);
        if (name.len > 0 && text.len > 0 && text.ptr[0] == '=') {
            struct piece *piece = &pieces[count++];
            *piece = (struct piece){0};
            read_name(arena_dup(arena, name), piece);
            text = span_from(text, 1);
            piece->value = take_value(&text, arena);
        }
        text = behind_semicolon(text);
    }
    return count;
}

static struct piece *find_piece(struct piece *pieces, unsigned count, struct span name, int number)
{
    for (unsigned i = 0; i < count; i++)
        if (!pieces[i].is_taken && pieces[i].number == number &&
            span_equal_nocase(pieces[i].name, name))
            return &pieces[i];
    return NULL;
}

static void add_decoded(struct span value, struct buf *out)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '%' && i + 2 < value.len && ascii_hex_value(value.ptr[i + 1]) >= 0 &&
            ascii_hex_value(value.ptr[i + 2]) >= 0) {
            c = (char)(ascii_hex_value(value.ptr[i + 1]) << 4 | ascii_hex_value(value.ptr[i + 2]));
            i += 2;
        }
        buf_add(out, span_of(&c, 1));
    }
}

/* The pieces of one parameter, the first of which is `first` (RFC 2231 3, 4). */
static struct span join(struct piece *pieces, unsigned count, struct piece *first,
                        struct mime_budget *budget, struct arena *arena)
{
    struct buf bytes, text;
    struct span charset = SPAN_NONE;
    struct span name = first->name;

    buf_init(&bytes, 0);
    buf_init(&text, 0);
    for (struct piece *piece = first; piece != NULL;
         piece = first->number == PIECE_NONE ? NULL
                                             : find_piece(pieces, count, name, piece->number + 1)) {
        struct span value = piece->value, rest;
        piece->is_taken = true;
        if (piece == first && piece->is_encoded && span_index(value, '\'') < value.len) {
            charset = span_split(value, '\'', &rest);
            span_split(rest, '\'', &value); /* over the language */
        }
        if (piece->is_encoded)
            add_decoded(value, &bytes);
        else
            buf_add(&bytes, value);
    }
    bool is_affordable = charset.len > 0 && budget->charsets > 0;
    budget->charsets -= is_affordable;
    struct text_charset *converter = text_charset_create(is_affordable ? charset : SPAN_NONE);
    text_charset_feed(converter, buf_span(&bytes), &text);
    text_charset_end(converter, &text);
    text_charset_free(converter);
    struct span joined = arena_dup(arena, buf_span(&text));
    buf_fini(&bytes);
    buf_fini(&text);
    return joined;
}

static bool is_extended(const struct piece *piece)
{
    return piece->number == 0 || (piece->number == PIECE_NONE && piece->is_encoded);
}

/* An extended one is meant for those who can read it, a plain one beside it for the others. */
static void drop_plain_twins(struct piece *pieces, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!is_extended(&pieces[i]))
            continue;
        for (unsigned j = 0; j < count; j++)
            if (pieces[j].number == PIECE_NONE && !pieces[j].is_encoded &&
                span_equal_nocase(pieces[j].name, pieces[i].name))
                pieces[j].is_taken = true;
    }
}

struct mime_parameter *mime_parameters(struct span text, struct mime_budget *budget,
                                       struct arena *arena)
{
    struct piece pieces[MIME_PARAMETERS_MAX];
    unsigned count = read_pieces(text, pieces, arena);
    struct mime_parameter *list = NULL;
    struct mime_parameter **tail = &list;

    drop_plain_twins(pieces, count);
    for (unsigned i = 0; i < count; i++) {
        struct piece *piece = &pieces[i];
        if (piece->is_taken || (piece->number != PIECE_NONE && piece->number != 0))
            continue;
        struct mime_parameter *parameter = arena_alloc(arena, sizeof *parameter);
        parameter->name = piece->name;
        parameter->is_extended = is_extended(piece);
        parameter->value =
            parameter->is_extended ? join(pieces, count, piece, budget, arena) : piece->value;
        *tail = parameter;
        tail = &parameter->next;
    }
    return list;
}

struct span mime_parameter_find(const struct mime_parameter *list, struct span name)
{
    for (; list != NULL; list = list->next)
        if (span_equal_nocase(list->name, name))
            return list->value;
    return SPAN_NONE;
}
