/*
 * Address lists (RFC 5322 3.4, 4.4) in one pass, whatever they are: each text is written down as it
 * comes, and what it was is told by the delimiter behind it.
 */
#include "plugins/drop/mime/mime_private.h"

/* What is written of one address. */
struct element {
    struct span phrase;  /* before an angle bracket, or all there is */
    struct span route;   /* "@a,@b" */
    struct span address; /* in angle brackets */
    struct span comment; /* as it lies in the field */
    size_t at;           /* of the last '@' outside of quotes in the text, or SIZE_MAX */
    bool has_angle;
    bool has_quotes; /* in the text whose `at` that is */
    bool is_behind;  /* the angle brackets are closed */
    bool is_routed;  /* "<@": a list of domains, up to a colon */
};

struct list_reader {
    struct span rest;
    char *out;     /* what is written; no more than what is read */
    size_t begin;  /* of the text that is being written */
    size_t len;    /* of all that is written */
    bool is_apart; /* there were blanks before what comes next */
    bool in_group;
    struct element element;
    struct mime_address **tail;
    struct mime_budget *budget;
    struct arena *arena;
};

static const struct span missing_mailbox = {"MISSING_MAILBOX", 15};
static const struct span missing_domain = {"MISSING_DOMAIN", 14};

static struct mime_address *add(struct list_reader *r)
{
    if (r->budget->addresses == 0)
        return NULL;
    r->budget->addresses--;
    struct mime_address *address = arena_alloc(r->arena, sizeof *address);
    *r->tail = address;
    r->tail = &address->next;
    return address;
}

static struct span end_text(struct list_reader *r)
{
    struct span text = span_of(r->out + r->begin, r->len - r->begin);

    r->begin = r->len;
    r->is_apart = false;
    return text;
}

static void begin_element(struct list_reader *r)
{
    r->element = (struct element){.at = SIZE_MAX};
    r->begin = r->len;
    r->is_apart = false;
}

/* Blanks around dots and the '@' are allowed (RFC 5322 4.4), and mean nothing. */
static struct span close_up(struct element *e, struct span text)
{
    char *out = (char *)text.ptr;
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        bool is_loose = text.ptr[i] == ' ' &&
                        ((len > 0 && (out[len - 1] == '.' || out[len - 1] == '@')) ||
                         (i + 1 < text.len && (text.ptr[i + 1] == '.' || text.ptr[i + 1] == '@')));
        if (is_loose)
            continue;
        if (i == e->at)
            e->at = len;
        out[len++] = text.ptr[i];
    }
    return span_of(out, len);
}

static struct span or_missing(struct span text, struct span missing)
{
    return text.len > 0 ? text : missing;
}

static struct span comment_text(struct list_reader *r, struct span comment)
{
    return span_trim(mime_unquote(comment, arena_alloc(r->arena, comment.len + 1)));
}

static void add_mailbox(struct list_reader *r, struct span text)
{
    struct element *e = &r->element;
    struct mime_address *address = add(r);

    if (address == NULL)
        return;
    if (!e->has_quotes)
        text = close_up(e, text);
    bool has_at = e->at != SIZE_MAX;
    struct span local = has_at ? span_head(text, e->at) : text;
    struct span domain = has_at ? span_from(text, e->at + 1) : SPAN_NONE;
    if (e->has_angle)
        address->name = e->phrase;
    else if (!has_at && span_index(text, ' ') < text.len) { /* only a name */
        address->name = text;
        local = SPAN_NONE;
    }
    if (address->name.len == 0)
        address->name = comment_text(r, e->comment);
    if (address->name.len == 0)
        address->name = SPAN_NONE;
    address->route = e->route.len > 0 ? e->route : SPAN_NONE;
    address->local = or_missing(local, missing_mailbox);
    address->domain = or_missing(domain, missing_domain);
}

static void end_element(struct list_reader *r)
{
    struct element *e = &r->element;
    struct span text = e->is_behind ? e->address : end_text(r);

    if (e->has_angle || text.len > 0)
        add_mailbox(r, text);
    begin_element(r);
}

static void end_group(struct list_reader *r)
{
    if (r->in_group)
        add(r);
    r->in_group = false;
}

static void put(struct list_reader *r, struct span text)
{
    if (r->element.is_behind)
        return;
    bool has_space = r->is_apart && r->len > r->begin;
    if (has_space)
        r->out[r->len++] = ' ';
    r->is_apart = false;
    if (text.len == 1 && text.ptr[0] == '@')
        r->element.at = r->len - r->begin;
    memcpy(r->out + r->len, text.ptr, text.len);
    r->len += text.len;
}

static size_t read_quoted(struct list_reader *r)
{
    struct span inner;
    size_t len = mime_quoted_len(r->rest, &inner);

    put(r, SPAN(""));
    if (!r->element.is_behind) {
        r->len += mime_unquote(inner, r->out + r->len).len;
        r->element.has_quotes = true;
    }
    return len;
}

/* Behind it there is one text alone that counts, with its own '@' and quotes. */
static void read_angle(struct list_reader *r)
{
    struct element *e = &r->element;

    if (e->has_angle)
        return;
    e->phrase = end_text(r);
    e->has_angle = true;
    e->at = SIZE_MAX;
    e->has_quotes = false;
}

static void read_colon(struct list_reader *r)
{
    struct element *e = &r->element;

    if (e->is_routed) {
        e->route = end_text(r);
        e->is_routed = false;
        e->at = SIZE_MAX;
    } else if (e->has_angle || r->in_group) {
        put(r, SPAN(":"));
    } else {
        struct span name = end_text(r);
        struct mime_address *group = add(r);
        if (group != NULL)
            group->local = name.ptr != NULL ? name : SPAN("");
        r->in_group = true;
        begin_element(r);
    }
}

static void read_special(struct list_reader *r, char c)
{
    struct element *e = &r->element;

    switch (c) {
    case '<':
        read_angle(r);
        break;
    case '>':
        if (e->has_angle && !e->is_behind) {
            e->address = end_text(r);
            e->is_behind = true;
        }
        break;
    case ':':
        read_colon(r);
        break;
    case ',':
        if (e->is_routed)
            put(r, SPAN(","));
        else
            end_element(r);
        break;
    case ';':
        end_element(r);
        end_group(r);
        break;
    default: /* '@' */
        e->is_routed |= e->has_angle && !e->is_behind && r->len == r->begin && e->route.len == 0;
        put(r, SPAN("@"));
    }
}

/* Whether it is none of those that read_next has a case for. */
static bool is_word(char c)
{
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case '(':
    case ')': /* which closes nothing */
    case '<':
    case '>':
    case '@':
    case ',':
    case ':':
    case ';':
    case '"':
    case '\0':
        return false;
    default:
        return true;
    }
}

static size_t read_word(struct list_reader *r)
{
    size_t len = 0;

    while (len < r->rest.len && is_word(r->rest.ptr[len]))
        len++;
    if (len == 0)
        return 1;
    put(r, span_head(r->rest, len));
    return len;
}

static size_t read_next(struct list_reader *r)
{
    struct span inner;
    size_t len;
    char c = r->rest.ptr[0];

    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        r->is_apart = true;
        return 1;
    case '(':
        len = mime_comment_len(r->rest, &inner);
        r->element.comment = inner;
        r->is_apart = true;
        return len;
    case '"':
        return read_quoted(r);
    case '<':
    case '>':
    case ':':
    case ',':
    case ';':
    case '@':
        read_special(r, c);
        return 1;
    default:
        return read_word(r);
    }
}

void mime_address_append(struct span value, struct mime_address ***tail_inout,
                         struct mime_budget *budget, struct arena *arena)
{
    struct list_reader r = {.rest = value, .tail = *tail_inout, .budget = budget, .arena = arena};

    r.out = arena_alloc(arena, value.len + 1);
    begin_element(&r);
    while (r.rest.len > 0)
        r.rest = span_from(r.rest, read_next(&r));
    end_element(&r);
    end_group(&r);
    *tail_inout = r.tail;
}

struct mime_address *mime_addresses(struct span value, struct arena *arena)
{
    struct mime_address *list = NULL;
    struct mime_address **tail = &list;
    struct mime_budget budget = {.addresses = MIME_ADDRESSES_MAX};

    mime_address_append(value, &tail, &budget, arena);
    return list;
}
