#include "sendmail/address_list.h"

#include "base/buf.h"
#include "base/memory.h"
#include "proto/address.h"

#include <stdlib.h>

void address_list_init(struct address_list *list)
{
    *list = (struct address_list){0};
    arena_init(&list->arena);
}

void address_list_fini(struct address_list *list)
{
    free(list->items);
    arena_fini(&list->arena);
}

static void append(struct address_list *list, const struct address *address)
{
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 16;
        list->items = mem_realloc(list->items, list->room * sizeof list->items[0]);
    }
    list->items[list->count++] = arena_dup(&list->arena, address->text);
    list->utf8 |= address->utf8;
}

/* One address under way. */
struct entry {
    struct buf text; /* without names, comments and white space */
    bool at;         /* an "@" among the tokens */
    bool gap;        /* something that does not count has come behind the last token */
    bool words;      /* two words side by side: a name, or nothing that makes sense */
    bool open;       /* behind "<" */
    bool closed;     /* behind ">" */
};

static void clear(struct entry *e)
{
    buf_clear(&e->text);
    e->at = e->gap = e->words = e->open = e->closed = false;
}

static bool joins_words(char c)
{
    return c == '.' || c == '@' || c == ',' || c == ':';
}

static bool add_token(struct entry *e, struct span token)
{
    struct span held = buf_span(&e->text);

    if (e->closed)
        return false;
    if (e->gap && held.len > 0 && !joins_words(held.ptr[held.len - 1]) &&
        !joins_words(token.ptr[0]))
        e->words = true;
    e->gap = false;
    e->at |= token.ptr[0] == '@';
    /* RFC 5322 3.2.4: a fold inside quotes is no part of what they quote. */
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] != '\r' && token.ptr[i] != '\n')
            buf_add(&e->text, span_of(&token.ptr[i], 1));
    return true;
}

/* Length of what begins with an opening byte and ends with `close`; 0 where it does not end.
 * Comments nest (RFC 5322 3.2.2). */
static size_t enclosed_length(struct span text, char open, char close)
{
    size_t depth = 1;

    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '\\')
            i++;
        else if (text.ptr[i] == close && --depth == 0)
            return i + 1;
        else if (text.ptr[i] == open && open == '(')
            depth++;
    }
    return 0;
}

static const struct span specials = {" \t\r\n\"([<>,;:@.", 14};

static size_t atom_length(struct span text)
{
    size_t len = 1;

    while (len < text.len && span_index(specials, text.ptr[len]) == specials.len)
        len++;
    return len;
}

static bool finish(struct entry *e, struct address_list *list, const char *hostname)
{
    struct buf path;
    struct address address;
    size_t len;

    if (e->open || (e->words && !e->closed))
        return false;
    if (buf_len(&e->text) == 0 && !e->closed)
        return true; /* RFC 5322 4.4: lists may have empty elements */
    buf_init(&path, 0);
    buf_addf(&path, "<%.*s%s%s>", SPAN_ARG(buf_span(&e->text)), e->at ? "" : "@",
             e->at ? "" : hostname);
    unsigned flags = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE | ADDRESS_ALLOW_LONG_LOCAL;
    bool good = address_parse_path(buf_span(&path), flags, &address, &len) == ADDRESS_OK &&
                len == buf_len(&path);
    if (good)
        append(list, &address);
    buf_fini(&path);
    clear(e);
    return good;
}

static bool take_bracket(struct entry *e, char bracket)
{
    if (bracket == '>') {
        e->closed = e->open;
        e->open = false;
        return e->closed;
    }
    if (e->open || e->closed)
        return false;
    clear(e); /* that was a name */
    e->open = true;
    return true;
}

static bool take_enclosed(struct entry *e, struct span *rest)
{
    char open = rest->ptr[0];
    size_t len = enclosed_length(*rest, open, open == '(' ? ')' : open == '[' ? ']' : '"');
    struct span token = span_head(*rest, len);

    *rest = span_from(*rest, len);
    if (open != '(')
        return len > 0 && add_token(e, token);
    e->gap = true;
    return len > 0;
}

/* Takes the next token off the front of *rest. */
static bool take_token(struct entry *e, struct span *rest, struct address_list *list,
                       const char *hostname)
{
    char c = rest->ptr[0];

    if (c == '"' || c == '(' || c == '[')
        return take_enclosed(e, rest);
    size_t len = span_index(specials, c) < specials.len ? 1 : atom_length(*rest);
    struct span token = span_head(*rest, len);
    *rest = span_from(*rest, len);
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        e->gap = true;
        return true;
    case '<':
    case '>':
        return take_bracket(e, c);
    case ';':
        return finish(e, list, hostname);
    case ',':
        return e->open ? add_token(e, token) : finish(e, list, hostname);
    case ':':
        if (e->open)
            return add_token(e, token);
        bool named = !e->closed && !e->at;
        clear(e); /* that was the name of a group */
        return named;
    default:
        return add_token(e, token);
    }
}

bool address_list_add(struct address_list *list, struct span text, const char *hostname)
{
    struct entry entry = {0};
    bool good = true;

    buf_init(&entry.text, 0);
    while (good && text.len > 0)
        good = take_token(&entry, &text, list, hostname);
    good = good && finish(&entry, list, hostname);
    buf_fini(&entry.text);
    return good;
}

void address_list_join(struct address_list *list, const struct address_list *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct address address = {.text = from->items[i], .utf8 = from->utf8};
        append(list, &address);
    }
}

static int compare(const void *left, const void *right)
{
    const struct span *a = left, *b = right;
    size_t len = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->ptr, b->ptr, len);

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

void address_list_unique(struct address_list *list)
{
    size_t kept = 0;

    if (list->count == 0)
        return;
    qsort(list->items, list->count, sizeof list->items[0], compare);
    for (size_t i = 1; i < list->count; i++)
        if (!span_equal(list->items[kept], list->items[i]))
            list->items[++kept] = list->items[i];
    list->count = kept + 1;
}
