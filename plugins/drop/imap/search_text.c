/*
 * search_text: whether a text is in a message's header or body, as what they mean: transfer
 * encodings, charsets and encoded words decoded, all folded. Bodies pass by in pieces; what is kept
 * of a piece is what a match may begin in. Plain ASCII takes the short way: it is folded, and that
 * is all.
 */
#include "plugins/drop/imap/search_private.h"

/* ---- text that passes by ------------------------------------------------------------------ */

struct text_finder {
    struct search_message *m;
    struct span needle;
    bool found;
};

enum { FINDER_HELD_MAX = 65536 }; /* bytes of one letter's marks */

static void finder_start(struct text_finder *f, struct search_message *m, struct span needle)
{
    *f = (struct text_finder){.m = m, .needle = needle};
    buf_clear(&m->held);
    buf_clear(&m->window);
}

static void finder_look(struct text_finder *f)
{
    struct buf *window = &f->m->window;

    text_fold(buf_span(&f->m->held), window);
    buf_clear(&f->m->held);
    f->found = f->found || text_contains(buf_span(window), f->needle);
    size_t len = buf_len(window);
    size_t kept = f->needle.len > 0 ? f->needle.len - 1 : 0;
    if (kept == 0)
        buf_clear(window);
    else if (len > kept)
        buf_consume(window, len - kept);
}

/* U+0300 to U+036F: what follows a letter, and is folded with it. */
static bool is_mark(const char *at, size_t len)
{
    unsigned char lead = (unsigned char)at[0];
    unsigned char next = len > 1 ? (unsigned char)at[1] : 0;

    return lead == 0xcc || (lead == 0xcd && next < 0xb0);
}

/* Where the last letter begins whose marks may go on in the next piece. */
static size_t last_letter(struct span utf8)
{
    size_t at = utf8.len;

    while (at > 0) {
        at--;
        bool is_begin = ((unsigned char)utf8.ptr[at] & 0xc0) != 0x80;
        if (is_begin && !is_mark(utf8.ptr + at, utf8.len - at))
            break;
    }
    return at;
}

/* Whole characters. */
static void finder_take(struct text_finder *f, struct span utf8)
{
    struct buf *held = &f->m->held;
    size_t letter = last_letter(utf8);

    if (f->found || utf8.len == 0)
        return;
    if (letter > 0 || buf_len(held) > FINDER_HELD_MAX || !is_mark(utf8.ptr, utf8.len)) {
        buf_add(held, span_head(utf8, letter));
        finder_look(f);
        utf8 = span_from(utf8, letter);
    }
    buf_add(held, utf8);
}

/* No more comes. */
static bool finder_end(struct text_finder *f)
{
    finder_look(f);
    return f->found;
}

static bool is_ascii(struct span bytes)
{
    uint64_t seen = 0, word;
    size_t at = 0;

    for (; at + sizeof(word) <= bytes.len; at += sizeof(word)) {
        memcpy(&word, bytes.ptr + at, sizeof(word));
        seen |= word;
    }
    for (; at < bytes.len; at++)
        seen |= (unsigned char)bytes.ptr[at];
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

/* ---- header ------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void search_unfold(struct span value, struct buf *out)
{
    while (value.len > 0 && is_blank(value.ptr[value.len - 1]))
        value.len--;
    while (value.len > 0 && is_blank(value.ptr[0]))
        value = span_from(value, 1);
    while (value.len > 0) {
        struct span line = span_split(value, '\n', &value);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        buf_add(out, line);
    }
}

/* The value decoded, behind `name` where there is one. */
static bool header_value_has(struct search_message *m, struct span name, struct span value,
                             struct span needle)
{
    struct text_finder finder;

    finder_start(&finder, m, needle);
    buf_clear(&m->content);
    buf_clear(&m->utf8);
    if (name.len > 0) {
        buf_add(&m->utf8, name);
        buf_add(&m->utf8, SPAN(": "));
    }
    search_unfold(value, &m->content);
    if (is_ascii(value) && memmem(value.ptr, value.len, "=?", 2) == NULL)
        buf_add(&m->utf8, buf_span(&m->content));
    else
        text_words(buf_span(&m->content), &m->utf8);
    finder_take(&finder, buf_span(&m->utf8));
    return finder_end(&finder);
}

static void address_write(const struct mime_address *address, struct buf *out)
{
    if (address->local.ptr == NULL) {
        buf_add(out, SPAN(";"));
    } else if (address->domain.ptr == NULL) {
        text_words(address->local, out);
        buf_add(out, SPAN(":"));
    } else {
        text_words(address->name, out);
        buf_add(out, SPAN(" <"));
        buf_add(out, address->local);
        buf_add(out, SPAN("@"));
        buf_add(out, address->domain);
        buf_add(out, SPAN(">, "));
    }
}

/* As addresses are written when nobody has broken them up by comments and blanks. */
static bool header_addresses_have(struct search_message *m, struct span value, struct span needle)
{
    struct text_finder finder;
    struct arena arena;

    arena_init(&arena);
    finder_start(&finder, m, needle);
    buf_clear(&m->content);
    buf_clear(&m->utf8);
    search_unfold(value, &m->content);
    for (const struct mime_address *at = mime_addresses(buf_span(&m->content), &arena); at != NULL;
         at = at->next)
        address_write(at, &m->utf8);
    finder_take(&finder, buf_span(&m->utf8));
    arena_fini(&arena);
    return finder_end(&finder);
}

enum search_answer search_text_header(struct search_message *m, const struct search_node *node)
{
    enum search_answer answer = search_message_header(m);
    struct span field, name, value;

    if (answer != SEARCH_YES)
        return answer;
    struct span rest = buf_span(&m->header);
    while (mime_next_field(&rest, &field, &name, &value)) {
        if (!span_equal_nocase(name, node->name))
            continue;
        if (node->text.len == 0 || header_value_has(m, SPAN_NONE, value, node->text) ||
            (node->is_address && header_addresses_have(m, value, node->text)))
            return SEARCH_YES;
    }
    return SEARCH_NO;
}

static bool section_has(struct search_message *m, struct span section, struct span needle)
{
    struct span field, name, value;

    while (mime_next_field(&section, &field, &name, &value))
        if (header_value_has(m, name, value, needle))
            return true;
    return false;
}

/* ---- body --------------------------------------------------------------------------------- */

enum {
    SEARCH_HTML_MAX = 2 << 20
}; /* bytes of HTML of which the text is looked at; more: as it is */

struct body_finder {
    struct text_finder finder;
    bool is_html;
    struct buf html; /* all of it so far, in UTF-8 */
    struct text_transfer transfer;
    bool is_encoded;
    struct span charset_name;
    bool is_plain;                /* whatever is ASCII in it means that */
    struct text_charset *charset; /* NULL = it is not needed yet */
};

static bool is_plain_charset(struct span name)
{
    return name.len == 0 || span_equal_nocase(name, SPAN("us-ascii")) ||
           span_equal_nocase(name, SPAN("utf-8")) || span_starts_nocase(name, SPAN("iso-8859-")) ||
           span_starts_nocase(name, SPAN("windows-125"));
}

/* People look for what they have read: no tags, and no entities. */
static void body_show(struct body_finder *b, struct span utf8)
{
    if (!b->is_html) {
        finder_take(&b->finder, utf8);
        return;
    }
    buf_add(&b->html, utf8);
    if (buf_len(&b->html) > SEARCH_HTML_MAX) {
        b->is_html = false;
        finder_take(&b->finder, buf_span(&b->html));
        buf_fini(&b->html);
    }
}

static void body_take(struct body_finder *b, struct span content)
{
    struct search_message *m = b->finder.m;

    if (b->charset == NULL && (!b->is_plain || !is_ascii(content)))
        b->charset = text_charset_create(b->charset_name);
    if (b->charset == NULL) {
        body_show(b, content);
        return;
    }
    buf_clear(&m->utf8);
    text_charset_feed(b->charset, content, &m->utf8);
    body_show(b, buf_span(&m->utf8));
}

static bool body_on_bytes(void *context, struct span bytes)
{
    struct body_finder *b = context;

    if (!b->is_encoded) {
        body_take(b, bytes);
        return !b->finder.found;
    }
    struct buf *content = &b->finder.m->content;
    buf_clear(content);
    text_transfer_feed(&b->transfer, bytes, content);
    body_take(b, buf_span(content));
    return !b->finder.found;
}

/* What the decoders have held back. */
static void body_end(struct body_finder *b)
{
    struct search_message *m = b->finder.m;

    if (b->is_encoded) {
        buf_clear(&m->content);
        text_transfer_end(&b->transfer, &m->content);
        body_take(b, buf_span(&m->content));
    }
    if (b->charset != NULL) {
        buf_clear(&m->utf8);
        text_charset_end(b->charset, &m->utf8);
        body_show(b, buf_span(&m->utf8));
    }
    if (b->is_html) {
        buf_clear(&m->utf8);
        text_of_html(buf_span(&b->html), &m->utf8);
        finder_take(&b->finder, buf_span(&m->utf8));
    }
    finder_end(&b->finder);
}

static enum search_answer part_body_has(struct search_message *m, const struct digest_part *part,
                                        struct span needle)
{
    bool is_encoded = part->encoding == MIME_QUOTED_PRINTABLE || part->encoding == MIME_BASE64;
    struct body_finder body = {.is_html = part->is_html,
                               .is_encoded = is_encoded,
                               .charset_name = part->charset,
                               .is_plain = is_plain_charset(part->charset)};

    if (part->kind != MIME_LEAF || !part->is_text)
        return SEARCH_NO;
    buf_init(&body.html, 0);
    finder_start(&body.finder, m, needle);
    text_transfer_init(&body.transfer, part->encoding);
    enum search_answer answer =
        search_message_walk(m, part->body_at, part->body_len, body_on_bytes, &body);
    if (answer == SEARCH_YES)
        body_end(&body);
    text_charset_free(body.charset);
    buf_fini(&body.html);
    return answer == SEARCH_YES && !body.finder.found ? SEARCH_NO : answer;
}

static enum search_answer part_header_has(struct search_message *m, const struct digest_part *part,
                                          struct span needle)
{
    struct buf header;

    buf_init(&header, 0);
    enum search_answer answer =
        search_message_gather(m, part->header_at, part->header_len, &header);
    if (answer == SEARCH_YES && !section_has(m, buf_span(&header), needle))
        answer = SEARCH_NO;
    buf_fini(&header);
    return answer;
}

enum search_answer search_text_body(struct search_message *m, const struct search_node *node)
{
    enum search_answer answer = search_message_digest(m);
    struct digest_part part;

    if (answer != SEARCH_YES || node->text.len == 0)
        return node->text.len == 0 ? SEARCH_YES : answer;
    answer = SEARCH_NO;
    for (unsigned i = 0; answer == SEARCH_NO && digest_part_at(&m->digest, i, &part); i++)
        answer = part_body_has(m, &part, node->text);
    return answer;
}

/* The message's own header, those of its parts, and the bodies. */
enum search_answer search_text_all(struct search_message *m, const struct search_node *node)
{
    enum search_answer answer = search_message_header(m);
    struct digest_part part;

    if (answer != SEARCH_YES || node->text.len == 0)
        return node->text.len == 0 ? SEARCH_YES : answer;
    if (section_has(m, buf_span(&m->header), node->text))
        return SEARCH_YES;
    answer = SEARCH_NO;
    for (unsigned i = 0; answer == SEARCH_NO && digest_part_at(&m->digest, i, &part); i++) {
        if (i > 0)
            answer = part_header_has(m, &part, node->text);
        if (answer == SEARCH_NO)
            answer = part_body_has(m, &part, node->text);
    }
    return answer;
}
