#include "receive/edits.h"

/* Behind the line that begins at `at`. */
static size_t line_end(struct span head, size_t at)
{
    while (at < head.len && head.ptr[at] != '\n')
        at++;
    return at < head.len ? at + 1 : at;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Behind the field that begins at `at`, with the lines that continue it. */
static size_t field_end(struct span head, size_t at)
{
    do
        at = line_end(head, at);
    while (at < head.len && is_blank(head.ptr[at]));
    return at;
}

/* Whether the empty line begins there. */
static bool is_end(struct span head, size_t at)
{
    return at >= head.len || head.ptr[at] == '\r' || head.ptr[at] == '\n';
}

static bool has_name(struct span field, struct span name)
{
    size_t at = name.len;

    if (field.len <= name.len || !span_equal_nocase(span_head(field, name.len), name))
        return false;
    while (at < field.len && is_blank(field.ptr[at]))
        at++;
    return at < field.len && field.ptr[at] == ':';
}

static void add_field(struct buf *out, const struct smarthop_edit *edit)
{
    buf_addf(out, "%.*s: %.*s\r\n", (int)edit->name.len, edit->name.ptr, (int)edit->value.len,
             edit->value.len > 0 ? edit->value.ptr : "");
}

/* As `head`, with the edit made of the fields that it names. */
static void rewrite_fields(struct span head, const struct smarthop_edit *edit, struct buf *out)
{
    struct span name = span_of(edit->name.ptr, edit->name.len);
    uint32_t nth = edit->kind == SMARTHOP_REPLACE && edit->nth == 0 ? 1 : edit->nth, seen = 0;
    size_t at = 0, end;

    for (; !is_end(head, at); at = end) {
        end = field_end(head, at);
        struct span field = span_head(span_from(head, at), end - at);
        bool is_meant = has_name(field, name) && (nth == 0 || ++seen == nth);
        if (!is_meant)
            buf_add(out, field);
        else if (edit->kind == SMARTHOP_REPLACE)
            add_field(out, edit);
    }
    buf_add(out, span_from(head, at));
}

static void append(struct span head, const struct smarthop_edit *edit, struct buf *out)
{
    size_t at = 0;

    while (!is_end(head, at))
        at = field_end(head, at);
    buf_add(out, span_head(head, at));
    if (at > 0 && head.ptr[at - 1] != '\n')
        buf_add(out, SPAN("\r\n")); /* a message that ends within its header */
    add_field(out, edit);
    buf_add(out, span_from(head, at));
}

void edits_apply(struct buf *head, const struct smarthop_edit *edits, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct buf next;
        buf_init(&next, 0);
        buf_reserve(&next, buf_len(head) + edits[i].name.len + edits[i].value.len + 8);
        if (edits[i].kind == SMARTHOP_PREPEND) {
            add_field(&next, &edits[i]);
            buf_add(&next, buf_span(head));
        } else if (edits[i].kind == SMARTHOP_APPEND) {
            append(buf_span(head), &edits[i], &next);
        } else {
            rewrite_fields(buf_span(head), &edits[i], &next);
        }
        buf_fini(head);
        *head = next;
    }
}
