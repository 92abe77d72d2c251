/*
 * Writes a digest:
 *
 *     version 8 | lengths of envelope, body, body_structure, and of the charsets 4 x 32 |
 *     header_len 64 | part_count 32 | envelope | body | body_structure | parts | charsets
 */
#include "plugins/drop/mime/digest.h"

#include "base/wire.h"
#include "plugins/drop/mime/digest_private.h"
#include "plugins/drop/mime/mime_private.h"
#include "proto/utf8.h"

/* ---- strings (RFC 9051 4.3) --------------------------------------------------------------- */

enum { QUOTED_MAX = 1000 }; /* bytes; a longer one is a literal, which no reader has a bound for */

/* All that is written begins with the byte that sets it apart from what is before it: ' ' or '('.
 */

static bool put_quoted(char lead, struct span text, struct buf *out)
{
    if (text.len > QUOTED_MAX)
        return false;
    char *begin = buf_reserve(out, 2 * text.len + 3);
    char *to = begin;
    *to++ = lead;
    *to++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if ((unsigned char)c >= 0x80 || c == '\r' || c == '\n' || c == '\0')
            return false;
        if (c == '"' || c == '\\')
            *to++ = '\\';
        *to++ = c;
    }
    *to++ = '"';
    buf_commit(out, (size_t)(to - begin));
    return true;
}

/* A literal may hold all but NUL. */
static void put_literal(char lead, struct span text, struct buf *out)
{
    size_t len = text.len;

    for (size_t i = 0; i < text.len; i++)
        len -= text.ptr[i] == '\0';
    buf_addf(out, "%c{%zu}\r\n", lead, len);
    while (text.len > 0) {
        size_t run = span_index(text, '\0');
        buf_add(out, span_head(text, run));
        text = span_from(text, run + 1);
    }
}

static void put_string(char lead, struct span text, struct buf *out)
{
    if (!put_quoted(lead, text, out))
        put_literal(lead, text, out);
}

static void put_nil(char lead, struct buf *out)
{
    buf_add(out, lead == ' ' ? SPAN(" NIL") : SPAN("(NIL"));
}

static void put_nstring(char lead, struct span text, struct buf *out)
{
    if (text.ptr == NULL)
        put_nil(lead, out);
    else
        put_string(lead, text, out);
}

static void put_number(uint64_t number, struct buf *out)
{
    buf_add(out, SPAN(" "));
    buf_add_u64(out, number);
}

/* ---- envelope ----------------------------------------------------------------------------- */

static void put_addresses(const struct mime_address *list, struct buf *out)
{
    if (list == NULL) {
        put_nil(' ', out);
        return;
    }
    buf_add(out, SPAN(" ("));
    for (; list != NULL; list = list->next) {
        put_nstring('(', list->name, out);
        put_nstring(' ', list->route, out);
        put_nstring(' ', list->local, out);
        put_nstring(' ', list->domain, out);
        buf_add(out, SPAN(")"));
    }
    buf_add(out, SPAN(")"));
}

static void put_envelope(const struct mime_envelope *e, struct buf *out)
{
    put_nstring('(', e->date, out);
    put_nstring(' ', e->subject, out);
    put_addresses(e->from, out);
    put_addresses(e->sender, out);
    put_addresses(e->reply_to, out);
    put_addresses(e->to, out);
    put_addresses(e->cc, out);
    put_addresses(e->bcc, out);
    put_nstring(' ', e->in_reply_to, out);
    put_nstring(' ', e->message_id, out);
    buf_add(out, SPAN(")"));
}

/* ---- body structure ----------------------------------------------------------------------- */

/* RFC 2231 in one piece: ASCII for everybody, and whole for who can read it. */
static void put_extended(char lead, const struct mime_parameter *parameter, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    struct buf text;

    buf_init(&text, 0);
    buf_add(&text, parameter->name);
    buf_add(&text, SPAN("*"));
    put_string(lead, buf_span(&text), out);
    buf_clear(&text);
    buf_add(&text, SPAN("utf-8''"));
    for (size_t i = 0; i < parameter->value.len; i++) {
        unsigned char c = (unsigned char)parameter->value.ptr[i];
        char code[3] = {'%', hex[c >> 4], hex[c & 15]};
        if (ascii_is_alnum((char)c) || c == '.' || c == '-' || c == '_')
            buf_add(&text, span_of(&parameter->value.ptr[i], 1));
        else if (c != '\0')
            buf_add(&text, span_of(code, sizeof code));
    }
    put_string(' ', buf_span(&text), out);
    buf_fini(&text);
}

static void put_parameter(char lead, const struct mime_parameter *parameter, struct buf *out)
{
    if (parameter->is_extended && !utf8_is_ascii(parameter->value)) {
        put_extended(lead, parameter, out);
        return;
    }
    put_string(lead, parameter->name, out);
    put_string(' ', parameter->value, out);
}

static void put_parameters(const struct mime_parameter *list, bool needs_charset, struct buf *out)
{
    char lead = '(';

    if (list == NULL && !needs_charset) {
        put_nil(' ', out);
        return;
    }
    buf_add(out, SPAN(" "));
    for (; list != NULL; list = list->next) {
        put_parameter(lead, list, out);
        lead = ' ';
    }
    if (needs_charset) {
        put_string(lead, SPAN("CHARSET"), out);
        put_string(' ', SPAN("us-ascii"), out);
    }
    buf_add(out, SPAN(")"));
}

static void put_disposition(const struct mime_part *part, struct buf *out)
{
    if (part->disposition.ptr == NULL) {
        put_nil(' ', out);
        return;
    }
    buf_add(out, SPAN(" "));
    put_string('(', part->disposition, out);
    put_parameters(part->disposition_parameters, false, out);
    buf_add(out, SPAN(")"));
}

static void put_languages(const struct mime_parameter *list, struct buf *out)
{
    if (list == NULL) {
        put_nil(' ', out);
        return;
    }
    buf_add(out, SPAN(" "));
    for (char lead = '('; list != NULL; list = list->next, lead = ' ')
        put_string(lead, list->name, out);
    buf_add(out, SPAN(")"));
}

/* What both kinds of body have at their end. */
static void put_extension(const struct mime_part *part, struct buf *out)
{
    put_disposition(part, out);
    put_languages(part->languages, out);
    put_nstring(' ', part->location, out);
}

static bool is_type(const struct mime_part *part, struct span type)
{
    return span_equal_nocase(part->type, type);
}

static bool needs_charset(const struct mime_part *part)
{
    return is_type(part, SPAN("text")) && span_equal_nocase(part->subtype, SPAN("plain")) &&
           mime_parameter_find(part->parameters, SPAN("charset")).ptr == NULL;
}

static void put_body(const struct mime_part *part, bool is_extended, struct buf *out);

static void put_multipart(const struct mime_part *part, bool is_extended, struct buf *out)
{
    buf_add(out, SPAN("("));
    for (const struct mime_part *child = part->child; child != NULL; child = child->next)
        put_body(child, is_extended, out);
    put_string(' ', part->subtype, out);
    if (!is_extended)
        return;
    put_parameters(part->parameters, false, out);
    put_extension(part, out);
}

static void put_single(const struct mime_part *part, bool is_extended, struct buf *out)
{
    put_string('(', part->type, out);
    put_string(' ', part->subtype, out);
    put_parameters(part->parameters, needs_charset(part), out);
    put_nstring(' ', part->id, out);
    put_nstring(' ', part->description, out);
    put_string(' ', part->encoding_name.ptr != NULL ? part->encoding_name : SPAN("7BIT"), out);
    put_number(part->body_len, out);
    if (part->kind == MIME_MESSAGE) {
        buf_add(out, SPAN(" "));
        put_envelope(part->child->envelope, out);
        buf_add(out, SPAN(" "));
        put_body(part->child, is_extended, out);
    }
    if (part->kind == MIME_MESSAGE || is_type(part, SPAN("text")))
        put_number(part->lines, out);
    if (!is_extended)
        return;
    put_nstring(' ', part->md5, out);
    put_extension(part, out);
}

static void put_body(const struct mime_part *part, bool is_extended, struct buf *out)
{
    if (part->kind == MIME_MULTIPART)
        put_multipart(part, is_extended, out);
    else
        put_single(part, is_extended, out);
    buf_add(out, SPAN(")"));
}

/* ---- parts -------------------------------------------------------------------------------- */

/* The next one by depth first; *depth_inout follows. NULL behind the last. */
static const struct mime_part *next_part(const struct mime_part *part, unsigned *depth_inout)
{
    if (part->child != NULL) {
        ++*depth_inout;
        return part->child;
    }
    while (part != NULL && part->next == NULL) {
        part = part->parent;
        if (part != NULL)
            --*depth_inout;
    }
    return part != NULL ? part->next : NULL;
}

static unsigned part_flags(const struct mime_part *part)
{
    bool is_text = is_type(part, SPAN("text"));
    bool is_html = is_text && span_equal_nocase(part->subtype, SPAN("html"));

    return (is_text ? DIGEST_TEXT : 0u) | (is_html ? DIGEST_HTML : 0u) |
           (part->has_nul ? DIGEST_NUL : 0u);
}

static void put_part(const struct mime_part *part, unsigned depth, struct buf *charsets,
                     struct buf *out)
{
    char record[DIGEST_PART];
    struct span charset = mime_parameter_find(part->parameters, SPAN("charset"));

    charset = span_head(span_trim(charset), DIGEST_CHARSET_MAX);
    record[0] = (char)part->kind;
    record[1] = (char)part->encoding;
    record[2] = (char)part_flags(part);
    record[3] = (char)depth;
    wire_put64(record + 4, part->header_at);
    wire_put64(record + 12, part->body_at);
    wire_put64(record + 20, part->body_len);
    wire_put32(record + 28, (uint32_t)(buf_len(charsets) << 8 | charset.len));
    buf_add(charsets, charset);
    buf_add(out, span_of(record, sizeof record));
}

void digest_write(const struct mime_part *root, struct buf *out)
{
    size_t begin = buf_len(out);
    size_t marks[4];
    struct buf charsets;
    unsigned count = 0, depth = 0;

    buf_init(&charsets, 0);
    (void)buf_reserve(out, DIGEST_HEAD);
    buf_commit(out, DIGEST_HEAD);
    marks[0] = buf_len(out);
    put_envelope(root->envelope, out);
    marks[1] = buf_len(out);
    put_body(root, false, out);
    marks[2] = buf_len(out);
    put_body(root, true, out);
    marks[3] = buf_len(out);
    for (const struct mime_part *part = root; part != NULL; part = next_part(part, &depth)) {
        put_part(part, depth, &charsets, out);
        count++;
    }
    buf_add(out, buf_span(&charsets));
    char *head = out->data + out->start + begin;
    head[0] = DIGEST_VERSION;
    for (int i = 0; i < 3; i++)
        wire_put32(head + 1 + 4 * i, (uint32_t)(marks[i + 1] - marks[i]));
    wire_put32(head + 13, (uint32_t)buf_len(&charsets));
    wire_put64(head + 17, root->header_len);
    wire_put32(head + 25, count);
    buf_fini(&charsets);
}
