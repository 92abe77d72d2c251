/*
 * sort: SORT (RFC 5256, RFC 5957). What a message is sorted by is taken down when it is found, so
 * that ordering needs no message any more. Texts are compared as i;ascii-casemap does, and beyond
 * ASCII as they are folded.
 */
#include "plugins/drop/imap/search_private.h"

#include "base/memory.h"

#include <stdlib.h>

enum { SORT_TEXT_MAX = 512 }; /* bytes of a text that count */

struct sort_value {
    int64_t number;
    struct span text;
};

struct sort_row {
    uint32_t index;
    struct sort_value *values; /* one for each key of the program */
};

static bool sort_needs_header(const struct imap_search *program)
{
    for (unsigned i = 0; i < program->sort_count; i++)
        if (program->sort[i].key != IMAP_SORT_ARRIVAL && program->sort[i].key != IMAP_SORT_SIZE)
            return true;
    return false;
}

static struct span sort_field_of(enum imap_sort_key key)
{
    switch (key) {
    case IMAP_SORT_CC:
        return SPAN("Cc");
    case IMAP_SORT_TO:
    case IMAP_SORT_DISPLAYTO:
        return SPAN("To");
    default:
        return SPAN("From");
    }
}

/* The display name, or else the address (RFC 5957 3); of a group its name. */
static void sort_write_display(const struct mime_address *address, struct buf *out)
{
    if (address->domain.ptr == NULL) {
        text_words(address->local, out);
    } else if (address->name.len > 0) {
        text_words(address->name, out);
    } else {
        buf_add(out, address->local);
        buf_add(out, SPAN("@"));
        buf_add(out, address->domain);
    }
}

/* Of the first address, into m->utf8. */
static void sort_take_address(enum imap_sort_key key, struct search_message *m)
{
    struct span value = search_message_field(m, sort_field_of(key));
    bool is_display = key == IMAP_SORT_DISPLAYFROM || key == IMAP_SORT_DISPLAYTO;
    struct arena arena;

    if (value.ptr == NULL)
        return;
    arena_init(&arena);
    const struct mime_address *first = mime_addresses(value, &arena);
    if (first != NULL && is_display)
        sort_write_display(first, &m->utf8);
    else if (first != NULL)
        buf_add(&m->utf8, first->local);
    arena_fini(&arena);
}

/* Folded; but letters before what stands between capitals and small ones. */
static struct span sort_keep_text(struct arena *arena, struct span folded)
{
    struct span kept = arena_dup(arena, span_head(folded, SORT_TEXT_MAX));
    char *text = (char *)(uintptr_t)kept.ptr;

    for (size_t i = 0; i < kept.len; i++)
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] = (char)(text[i] - ('a' - 'A'));
    return kept;
}

static struct span sort_text(struct search_sort *sort, enum imap_sort_key key,
                             struct search_message *m)
{
    buf_clear(&m->utf8);
    buf_clear(&m->window);
    if (key == IMAP_SORT_SUBJECT) {
        text_base_subject(search_message_field(m, SPAN("Subject")), &m->window);
    } else {
        sort_take_address(key, m);
        text_fold(buf_span(&m->utf8), &m->window);
    }
    return sort_keep_text(sort->arena, buf_span(&m->window));
}

static struct sort_value sort_value_of(struct search_sort *sort, enum imap_sort_key key,
                                       struct search_message *m)
{
    switch (key) {
    case IMAP_SORT_ARRIVAL:
        return (struct sort_value){.number = m->entry->internal_date};
    case IMAP_SORT_DATE:
        return (struct sort_value){.number = search_message_sent_or_received(m)};
    case IMAP_SORT_SIZE:
        return (struct sort_value){.number = (int64_t)m->entry->size};
    default:
        return (struct sort_value){.text = sort_text(sort, key, m)};
    }
}

enum search_answer search_sort_take(struct search_sort *sort, struct search_message *m,
                                    uint32_t index)
{
    const struct imap_search *program = sort->program;

    if (sort_needs_header(program)) {
        enum search_answer answer = search_message_header_or_none(m);
        if (answer != SEARCH_YES)
            return answer;
    }
    if (sort->count == sort->cap) {
        sort->cap = sort->cap > 0 ? sort->cap * 2 : 256;
        sort->rows = mem_realloc(sort->rows, sort->cap * sizeof(*sort->rows));
    }
    struct sort_row *row = &sort->rows[sort->count++];
    row->index = index;
    row->values = arena_alloc(sort->arena, (program->sort_count + 1) * sizeof(*row->values));
    for (unsigned i = 0; i < program->sort_count; i++)
        row->values[i] = sort_value_of(sort, program->sort[i].key, m);
    return SEARCH_YES;
}

static int sort_compare_texts(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static int sort_compare(const void *a, const void *b, void *program_of)
{
    const struct imap_search *program = program_of;
    const struct sort_row *x = a;
    const struct sort_row *y = b;

    for (unsigned i = 0; i < program->sort_count; i++) {
        int64_t p = x->values[i].number, q = y->values[i].number;
        int order = sort_compare_texts(x->values[i].text, y->values[i].text);

        if (p != q)
            order = p < q ? -1 : 1;
        if (order != 0)
            return program->sort[i].is_reverse ? -order : order;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

void search_sort_order(struct search_sort *sort, uint32_t *indexes_out)
{
    if (sort->count > 0)
        qsort_r(sort->rows, sort->count, sizeof(*sort->rows), sort_compare,
                (void *)(uintptr_t)sort->program);
    for (uint32_t i = 0; i < sort->count; i++)
        indexes_out[i] = sort->rows[i].index;
}

void search_sort_fini(struct search_sort *sort)
{
    free(sort->rows);
    *sort = (struct search_sort){0};
}
