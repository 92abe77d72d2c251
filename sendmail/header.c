#include "sendmail/header.h"

#include "proto/utf8.h"
#include "sendmail/say.h"

void header_filter_init(struct header_filter *h, const struct message_source *source)
{
    *h = (struct header_filter){.source = source, .first_line = true};
    address_list_init(&h->original);
    address_list_init(&h->resent);
    buf_init(&h->line, HEADER_FIELD_MAX);
    buf_init(&h->field, HEADER_FIELD_MAX);
}

void header_filter_fini(struct header_filter *h)
{
    address_list_fini(&h->original);
    address_list_fini(&h->resent);
    buf_fini(&h->line);
    buf_fini(&h->field);
}

/* RFC 5322 3.6.8, 4.5.8: printable bytes, then a colon that white space may precede. Empty where
 * the line begins no field. */
static struct span field_name(struct span line)
{
    struct span rest;
    struct span name = span_trim(span_split(line, ':', &rest));

    if (name.ptr != line.ptr || rest.len == 0)
        return SPAN_NONE;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~')
            return SPAN_NONE;
    return name;
}

enum field_use { USE_OTHER, USE_RECIPIENTS, USE_RESENT_RECIPIENTS, USE_FROM };

static const struct field {
    struct span name;
    enum field_use use;
    bool secret; /* not passed on where it has been read for its recipients */
} fields[] = {
    {{"To", 2}, USE_RECIPIENTS, false},
    {{"Cc", 2}, USE_RECIPIENTS, false},
    {{"Bcc", 3}, USE_RECIPIENTS, true},
    {{"Resent-To", 9}, USE_RESENT_RECIPIENTS, false},
    {{"Resent-Cc", 9}, USE_RESENT_RECIPIENTS, false},
    {{"Resent-Bcc", 10}, USE_RESENT_RECIPIENTS, true},
    {{"From", 4}, USE_FROM, false},
};

static const struct field *find_field(struct span name)
{
    static const struct field other = {.use = USE_OTHER};

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (span_equal_nocase(fields[i].name, name))
            return &fields[i];
    return &other;
}

static int collect(struct header_filter *h, const struct field *field, struct span value)
{
    struct address_list *list = field->use == USE_RESENT_RECIPIENTS ? &h->resent : &h->original;

    if (address_list_add(list, value, h->source->hostname))
        return EX_OK;
    return say(EX_DATAERR, "the %s field holds something that is no address: %.*s", field->name.ptr,
               SPAN_ARG(span_trim(span_head(value, 200))));
}

static int finish_field(struct header_filter *h, struct buf *out)
{
    struct span text = buf_span(&h->field);
    struct span value;
    int result = EX_OK;

    if (text.len == 0)
        return EX_OK;
    struct span name = field_name(text);
    const struct field *field = find_field(name);
    bool wanted = h->source->recipients != NULL &&
                  (field->use == USE_RECIPIENTS || field->use == USE_RESENT_RECIPIENTS);
    span_split(text, ':', &value);
    h->has_from |= field->use == USE_FROM;
    h->has_resent |= span_starts_nocase(name, SPAN("Resent-"));
    if (wanted)
        result = collect(h, field, value);
    if (!wanted || !field->secret)
        buf_add(out, text);
    buf_clear(&h->field);
    return result;
}

/* RFC 2047 5 (3), one encoded word for each character: no limit of it is ever near. */
static void add_encoded(struct buf *out, struct span name)
{
    while (name.len > 0) {
        size_t len = 1;
        while (len < name.len && ((unsigned char)name.ptr[len] & 0xc0) == 0x80)
            len++;
        buf_add(out, SPAN("=?utf-8?Q?"));
        for (size_t i = 0; i < len; i++)
            buf_addf(out, "=%02X", (unsigned char)name.ptr[i]);
        name = span_from(name, len);
        buf_addf(out, "?=%s", name.len > 0 ? "\r\n " : "");
    }
}

static void add_quoted(struct buf *out, struct span name)
{
    buf_add(out, SPAN("\""));
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        buf_addf(out, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
    }
    buf_add(out, SPAN("\""));
}

/* The server adds what else is missing, but it cannot know the name that -F has given. */
static void add_from(const struct header_filter *h, struct buf *out)
{
    struct span name = span_cstr(h->source->full_name);

    if (h->has_from || name.len == 0 || h->source->sender.len == 0 || !utf8_is_valid(name))
        return;
    buf_add(out, SPAN("From: "));
    (utf8_is_ascii(name) ? add_quoted : add_encoded)(out, name);
    buf_addf(out, "%s<%.*s>\r\n", utf8_is_ascii(name) ? " " : "\r\n ", SPAN_ARG(h->source->sender));
}

static int finish_section(struct header_filter *h, struct buf *out)
{
    int result = finish_field(h, out);

    add_from(h, out);
    h->in_body = true;
    return result;
}

/* "From user Sat Nov 21 ...", which mailbox files put before each message. */
static bool is_mailbox_line(struct span line)
{
    struct span from = SPAN("From ");

    return line.len > from.len && span_equal(span_head(line, from.len), from) &&
           line.ptr[from.len] != ':';
}

static int hold(struct buf *held, struct span bytes)
{
    if (buf_append(held, bytes))
        return EX_OK;
    return say(EX_DATAERR, "a header field is longer than %d bytes", HEADER_FIELD_MAX);
}

static int take_line(struct header_filter *h, struct span line, struct buf *out)
{
    bool first = h->first_line;

    h->first_line = false;
    if (first && is_mailbox_line(line))
        return EX_OK;
    if ((line.ptr[0] == ' ' || line.ptr[0] == '\t') && buf_len(&h->field) > 0)
        return hold(&h->field, line);
    if (field_name(line).len > 0) {
        int result = finish_field(h, out);
        return result == EX_OK ? hold(&h->field, line) : result;
    }
    int result = finish_section(h, out);
    if (!span_equal(line, SPAN("\r\n")))
        buf_add(out, SPAN("\r\n"));
    buf_add(out, line);
    return result;
}

int header_filter_feed(struct header_filter *h, struct span input, struct buf *out)
{
    int result = EX_OK;

    while (!h->in_body && input.len > 0 && result == EX_OK) {
        size_t lf = span_index(input, '\n');
        struct span piece = span_head(input, lf + 1);
        result = hold(&h->line, piece);
        input = span_from(input, piece.len);
        if (result != EX_OK || lf == piece.len)
            continue;
        result = take_line(h, buf_span(&h->line), out);
        buf_clear(&h->line);
    }
    buf_add(out, input);
    return result;
}

int header_filter_end(struct header_filter *h, struct buf *out)
{
    int result = h->in_body ? EX_OK : finish_section(h, out);

    /* RFC 5322 3.6.6: what is resent goes to whom it is resent, not to whom it once went. */
    if (h->source->recipients != NULL)
        address_list_join(h->source->recipients, h->has_resent ? &h->resent : &h->original);
    return result;
}
