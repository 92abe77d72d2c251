/* What a part's header tells of it: its content (RFC 2045, RFC 2183), and a message's envelope. */
#include "plugins/drop/mime/mime_private.h"

enum field {
    FIELD_TYPE,
    FIELD_ENCODING,
    FIELD_ID,
    FIELD_DESCRIPTION,
    FIELD_MD5,
    FIELD_DISPOSITION,
    FIELD_LANGUAGE,
    FIELD_LOCATION,
    FIELD_DATE,
    FIELD_SUBJECT,
    FIELD_IN_REPLY_TO,
    FIELD_MESSAGE_ID,
    FIELD_FROM,
    FIELD_SENDER,
    FIELD_REPLY_TO,
    FIELD_TO,
    FIELD_CC,
    FIELD_BCC,
    FIELDS
};

#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct span names[FIELDS] = {
    [FIELD_TYPE] = NAME("Content-Type"),
    [FIELD_ENCODING] = NAME("Content-Transfer-Encoding"),
    [FIELD_ID] = NAME("Content-ID"),
    [FIELD_DESCRIPTION] = NAME("Content-Description"),
    [FIELD_MD5] = NAME("Content-MD5"),
    [FIELD_DISPOSITION] = NAME("Content-Disposition"),
    [FIELD_LANGUAGE] = NAME("Content-Language"),
    [FIELD_LOCATION] = NAME("Content-Location"),
    [FIELD_DATE] = NAME("Date"),
    [FIELD_SUBJECT] = NAME("Subject"),
    [FIELD_IN_REPLY_TO] = NAME("In-Reply-To"),
    [FIELD_MESSAGE_ID] = NAME("Message-ID"),
    [FIELD_FROM] = NAME("From"),
    [FIELD_SENDER] = NAME("Sender"),
    [FIELD_REPLY_TO] = NAME("Reply-To"),
    [FIELD_TO] = NAME("To"),
    [FIELD_CC] = NAME("Cc"),
    [FIELD_BCC] = NAME("Bcc"),
};
#undef NAME

struct reader {
    struct mime_part *part;
    struct arena *arena;
    struct mime_budget *budget;
    bool seen[FIELDS];
    struct mime_address **tails[FIELDS]; /* of the address fields */
};

static enum field field_of(struct span name)
{
    enum field field = 0;

    while (field < FIELDS && !span_equal_nocase(names[field], name))
        field++;
    return field;
}

static void read_type(struct reader *r, struct span value)
{
    struct mime_part *part = r->part;
    struct span text = mime_skip_blanks(value);
    struct span type = mime_take_token(&text);

    text = mime_skip_blanks(text);
    if (type.len == 0 || text.len == 0 || text.ptr[0] != '/')
        return;
    text = mime_skip_blanks(span_from(text, 1));
    struct span subtype = mime_take_token(&text);
    if (subtype.len == 0)
        return;
    part->type = arena_dup(r->arena, type);
    part->subtype = arena_dup(r->arena, subtype);
    part->parameters = mime_parameters(text, r->budget, r->arena);
}

static void read_encoding(struct mime_part *part, struct span value, struct arena *arena)
{
    static const struct {
        struct span name;
        enum mime_encoding encoding;
    } encodings[] = {{{"7bit", 4}, MIME_7BIT},
                     {{"8bit", 4}, MIME_8BIT},
                     {{"binary", 6}, MIME_BINARY},
                     {{"quoted-printable", 16}, MIME_QUOTED_PRINTABLE},
                     {{"base64", 6}, MIME_BASE64}};
    struct span text = mime_skip_blanks(value);
    struct span name = mime_take_token(&text);

    if (name.len == 0)
        return;
    part->encoding_name = arena_dup(arena, name);
    part->encoding = MIME_OTHER;
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++)
        if (span_equal_nocase(name, encodings[i].name))
            part->encoding = encodings[i].encoding;
}

static void read_disposition(struct reader *r, struct span value)
{
    struct span text = mime_skip_blanks(value);
    struct span name = mime_take_token(&text);

    if (name.len == 0)
        return;
    r->part->disposition = arena_dup(r->arena, name);
    r->part->disposition_parameters = mime_parameters(text, r->budget, r->arena);
}

/* RFC 3282: a list of tags. */
static void read_languages(struct mime_part *part, struct span value, struct arena *arena)
{
    struct mime_parameter **tail = &part->languages;
    struct span text = mime_skip_blanks(value);

    for (unsigned i = 0; i < MIME_PARAMETERS_MAX && text.len > 0; i++) {
        struct span tag = mime_take_token(&text);
        if (tag.len > 0) {
            struct mime_parameter *language = arena_alloc(arena, sizeof *language);
            language->name = arena_dup(arena, tag);
            *tail = language;
            tail = &language->next;
        }
        text = mime_skip_blanks(span_from(text, span_index(text, ',') + 1));
    }
}

static void read_content(struct reader *r, enum field field, struct span value)
{
    struct mime_part *part = r->part;

    switch (field) {
    case FIELD_TYPE:
        read_type(r, value);
        break;
    case FIELD_ENCODING:
        read_encoding(part, value, r->arena);
        break;
    case FIELD_ID:
        part->id = mime_unfold(value, r->arena);
        break;
    case FIELD_DESCRIPTION:
        part->description = mime_unfold(value, r->arena);
        break;
    case FIELD_MD5:
        part->md5 = mime_unfold(value, r->arena);
        break;
    case FIELD_DISPOSITION:
        read_disposition(r, value);
        break;
    case FIELD_LANGUAGE:
        read_languages(part, value, r->arena);
        break;
    default:
        part->location = mime_unfold(value, r->arena);
    }
}

static struct span *envelope_text(struct mime_envelope *envelope, enum field field)
{
    switch (field) {
    case FIELD_DATE:
        return &envelope->date;
    case FIELD_SUBJECT:
        return &envelope->subject;
    case FIELD_IN_REPLY_TO:
        return &envelope->in_reply_to;
    default:
        return &envelope->message_id;
    }
}

static void init_tails(struct reader *r, struct mime_envelope *envelope)
{
    r->tails[FIELD_FROM] = &envelope->from;
    r->tails[FIELD_SENDER] = &envelope->sender;
    r->tails[FIELD_REPLY_TO] = &envelope->reply_to;
    r->tails[FIELD_TO] = &envelope->to;
    r->tails[FIELD_CC] = &envelope->cc;
    r->tails[FIELD_BCC] = &envelope->bcc;
}

/* The first of its name holds; but all who are addressed are told. */
static void read_field(struct reader *r, enum field field, struct span value)
{
    bool is_first = !r->seen[field];

    r->seen[field] = true;
    if (field < FIELD_DATE) {
        if (is_first)
            read_content(r, field, value);
    } else if (r->part->envelope == NULL) {
        return;
    } else if (field < FIELD_FROM) {
        if (is_first)
            *envelope_text(r->part->envelope, field) = mime_unfold(value, r->arena);
    } else {
        mime_address_append(value, &r->tails[field], r->budget, r->arena);
    }
}

/* Where the header told nothing that can be read. */
static void complete(struct mime_part *part, bool is_message)
{
    if (part->type.ptr == NULL) {
        part->type = is_message ? SPAN("MESSAGE") : SPAN("TEXT");
        part->subtype = is_message ? SPAN("RFC822") : SPAN("PLAIN");
    }
    if (span_equal_nocase(part->type, SPAN("multipart")))
        part->kind = MIME_MULTIPART;
    else if (span_equal_nocase(part->type, SPAN("message")) &&
             (span_equal_nocase(part->subtype, SPAN("rfc822")) ||
              span_equal_nocase(part->subtype, SPAN("global"))))
        part->kind = MIME_MESSAGE;
    struct mime_envelope *envelope = part->envelope;
    if (envelope == NULL)
        return;
    if (envelope->sender == NULL)
        envelope->sender = envelope->from;
    if (envelope->reply_to == NULL)
        envelope->reply_to = envelope->from;
}

void mime_part_read(struct mime_part *part, struct span header, bool in_digest,
                    struct mime_budget *budget, struct arena *arena)
{
    struct reader r = {.part = part, .arena = arena, .budget = budget};
    struct span field, name, value;

    if (part->parent == NULL || part->parent->kind == MIME_MESSAGE) {
        part->envelope = arena_alloc(arena, sizeof *part->envelope);
        init_tails(&r, part->envelope);
    }
    while (mime_next_field(&header, &field, &name, &value)) {
        enum field which = field_of(name);
        if (which != FIELDS)
            read_field(&r, which, value);
    }
    complete(part, in_digest && !r.seen[FIELD_TYPE]);
}

void mime_part_seal(struct mime_part *part)
{
    part->kind = MIME_LEAF;
    part->type = SPAN("APPLICATION");
    part->subtype = SPAN("OCTET-STREAM");
    part->parameters = NULL;
}
