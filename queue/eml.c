#include "queue/eml.h"

#include "proto/base32.h"
#include "proto/rfc3339.h"
#include "proto/smtp_path.h"
#include "proto/xtext.h"

#define PREFIX "X-Smarthop-"

enum { TIME_MAX = RFC3339_MAX + 4, SECOND_MS = 1000 };

/* What one field may be. Both a writer's and a reader's order: the first and the last have theirs,
 * the others are told apart by their names. */
enum field {
    FIELD_ENVELOPE,
    FIELD_ID,
    FIELD_ARRIVAL,
    FIELD_MAIL,
    FIELD_RELEASE,
    FIELD_DELIVER_BY,
    FIELD_TENANT,
    FIELD_TAGS,
    FIELD_CLIENT,
    FIELD_CLIENT_NAME,
    FIELD_CLIENT_PORT,
    FIELD_PROTOCOL,
    FIELD_HELLO,
    FIELD_FLAGS,
    FIELD_GROUP,
    FIELD_RCPT,
    FIELD_END,
    FIELD_COUNT
};

static const char *const names[FIELD_COUNT] = {
    [FIELD_ENVELOPE] = "Envelope",
    [FIELD_ID] = "Id",
    [FIELD_ARRIVAL] = "Arrival",
    [FIELD_MAIL] = "Mail",
    [FIELD_RELEASE] = "Release",
    [FIELD_DELIVER_BY] = "Deliver-By",
    [FIELD_TENANT] = "Tenant",
    [FIELD_TAGS] = "Tags",
    [FIELD_CLIENT] = "Client",
    [FIELD_CLIENT_NAME] = "Client-Name",
    [FIELD_CLIENT_PORT] = "Client-Port",
    [FIELD_PROTOCOL] = "Protocol",
    [FIELD_HELLO] = "Hello",
    [FIELD_FLAGS] = "Flags",
    [FIELD_GROUP] = "Group",
    [FIELD_RCPT] = "Rcpt",
    [FIELD_END] = "Envelope-End",
};

static const struct {
    struct span name;
    enum queue_group_state state;
} states[] = {
    {{"waiting", 7}, QUEUE_GROUP_WAITING},
    {{"held", 4}, QUEUE_GROUP_HELD},
    {{"future", 6}, QUEUE_GROUP_FUTURE},
};
enum { STATE_COUNT = sizeof states / sizeof states[0] };

/* ---- writing -------------------------------------------------------------------------------- */

static void begin(struct buf *out, enum field field)
{
    buf_addf(out, PREFIX "%s: ", names[field]);
}

static void end(struct buf *out)
{
    buf_add(out, SPAN("\r\n"));
}

static void add_xtext(struct buf *out, struct span plain)
{
    struct arena arena;

    arena_init(&arena);
    buf_add(out, xtext_encode(plain, &arena));
    arena_fini(&arena);
}

static void write_text(struct buf *out, enum field field, struct span plain)
{
    if (plain.len == 0)
        return;
    begin(out, field);
    add_xtext(out, plain);
    end(out);
}

static void add_time(struct buf *out, uint64_t wall_ms)
{
    char text[RFC3339_MAX];
    size_t len = rfc3339_format(wall_ms / SECOND_MS, text);

    buf_addf(out, "%.*s.%03uZ", (int)len - 1, text, (unsigned)(wall_ms % SECOND_MS));
}

static void write_time(struct buf *out, enum field field, uint64_t wall_ms)
{
    begin(out, field);
    add_time(out, wall_ms);
    end(out);
}

static void write_mail(struct buf *out, const struct queue_message *m)
{
    begin(out, FIELD_MAIL);
    buf_addf(out, "FROM:<%.*s>", SPAN_ARG(m->reverse_path));
    if (m->flags & (QUEUE_BODY_BINARY | QUEUE_BODY_8BIT))
        buf_addf(out, " BODY=%s", m->flags & QUEUE_BODY_BINARY ? "BINARYMIME" : "8BITMIME");
    if (m->flags & QUEUE_SMTPUTF8)
        buf_add(out, SPAN(" SMTPUTF8"));
    if (m->flags & QUEUE_REQUIRE_TLS)
        buf_add(out, SPAN(" REQUIRETLS"));
    if (m->ret != ESMTP_RET_NONE)
        buf_addf(out, " RET=%.*s", SPAN_ARG(esmtp_ret_format(m->ret)));
    if (m->envelope_id.len > 0) {
        buf_add(out, SPAN(" ENVID="));
        add_xtext(out, m->envelope_id);
    }
    if (m->priority != 0)
        buf_addf(out, " MT-PRIORITY=%d", m->priority);
    if (m->flags & QUEUE_HAS_AUTH) {
        buf_add(out, SPAN(" AUTH="));
        add_xtext(out, m->auth.len > 0 ? m->auth : SPAN("<>"));
    }
    end(out);
}

static void write_deliver_by(struct buf *out, const struct queue_message *m)
{
    begin(out, FIELD_DELIVER_BY);
    add_time(out, m->deliver_by);
    buf_addf(out, ";%s%s", m->by == ESMTP_BY_RETURN ? "R" : "N",
             m->flags & QUEUE_BY_TRACE ? "T" : "");
    end(out);
}

static void write_flags(struct buf *out, unsigned flags)
{
    if ((flags & (QUEUE_DSN | QUEUE_VERP)) == 0)
        return;
    begin(out, FIELD_FLAGS);
    buf_addf(out, "%s%s%s", flags & QUEUE_DSN ? "notification" : "",
             (flags & QUEUE_DSN) && (flags & QUEUE_VERP) ? " " : "",
             flags & QUEUE_VERP ? "verp" : "");
    end(out);
}

static void write_group(struct buf *out, const struct queue_group *group)
{
    begin(out, FIELD_GROUP);
    for (size_t i = 0; i < STATE_COUNT; i++)
        if (states[i].state == group->state)
            buf_add(out, states[i].name);
    if (group->tries > 0)
        buf_addf(out, " tries=%u", group->tries);
    if (group->delay_warned)
        buf_add(out, SPAN(" warned"));
    if (group->late_told)
        buf_add(out, SPAN(" late"));
    if (group->reverse_path.len > 0) {
        buf_add(out, SPAN(" from="));
        add_xtext(out, group->reverse_path);
    }
    if (group->has_sender)
        buf_add(out, SPAN(" sender"));
    if (group->wishes.len > 0) {
        buf_add(out, SPAN(" wishes="));
        add_xtext(out, group->wishes);
    }
    end(out);
}

static void write_recipient(struct buf *out, const struct queue_recipient *recipient)
{
    char notify[ESMTP_NOTIFY_TEXT_MAX];
    size_t len = esmtp_notify_format(recipient->notify, notify);

    begin(out, FIELD_RCPT);
    buf_addf(out, "TO:<%.*s>", SPAN_ARG(recipient->address));
    if (len > 0)
        buf_addf(out, " NOTIFY=%.*s", (int)len, notify);
    if (recipient->original.len > 0)
        buf_addf(out, " ORCPT=%.*s", SPAN_ARG(recipient->original));
    end(out);
}

void eml_write(const struct queue_message *m, struct buf *out)
{
    char id[ID_TEXT_SIZE];

    buf_addf(out, PREFIX "%s: 1\r\n", names[FIELD_ENVELOPE]);
    write_text(out, FIELD_ID, span_cstr(id_format(m->id, id)));
    write_time(out, FIELD_ARRIVAL, m->arrival);
    write_mail(out, m);
    if (m->release != 0)
        write_time(out, FIELD_RELEASE, m->release);
    if (m->by != ESMTP_BY_NONE)
        write_deliver_by(out, m);
    write_text(out, FIELD_TENANT, m->tenant);
    write_text(out, FIELD_TAGS, m->tags);
    write_text(out, FIELD_CLIENT, m->client);
    write_text(out, FIELD_CLIENT_NAME, m->client_name);
    if (m->client_port != 0)
        buf_addf(out, PREFIX "%s: %u\r\n", names[FIELD_CLIENT_PORT], m->client_port);
    write_text(out, FIELD_PROTOCOL, m->protocol);
    write_text(out, FIELD_HELLO, m->hello);
    write_flags(out, m->flags);
    for (unsigned i = 0; i < m->group_count; i++) {
        write_group(out, &m->groups[i]);
        for (unsigned j = 0; j < m->groups[i].recipient_count; j++)
            write_recipient(out, &m->groups[i].recipients[j]);
    }
    buf_addf(out, PREFIX "%s: 1\r\n", names[FIELD_END]);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* With the milliseconds that rfc3339_parse leaves out. */
static bool read_time(struct span text, uint64_t *wall_ms_out)
{
    size_t at = span_index(text, '.') + 1;
    uint64_t seconds, ms = 0;

    if (!rfc3339_parse(text, &seconds))
        return false;
    for (uint64_t unit = SECOND_MS / 10; unit > 0 && at < text.len && ascii_is_digit(text.ptr[at]);
         unit /= 10)
        ms += (uint64_t)(text.ptr[at++] - '0') * unit;
    *wall_ms_out = seconds * SECOND_MS + ms;
    return true;
}

static bool read_text(struct eml_reader *r, struct span text, struct span *out)
{
    return text.len > 0 && xtext_decode(text, &r->message->arena, out) && out->len > 0;
}

enum {
    PATH_FLAGS = SMTP_PATH_ALLOW_UTF8 | SMTP_PATH_ALLOW_UNDERSCORE | SMTP_PATH_ALLOW_LONG_LOCAL
};

/* All that MAIL and RCPT can say. Times have fields of their own: those of MAIL count from now. */
static const struct esmtp_offer offer = {.extensions = ~0u};

static const char *read_mail(struct eml_reader *r, struct span text)
{
    struct queue_message *m = r->message;
    struct smtp_mail_args args;
    struct esmtp_mail mail;

    if (smtp_parse_mail(arena_dup(&m->arena, text), PATH_FLAGS, &args) != SMTP_PATH_OK)
        return "FROM:<address> and parameters of MAIL are expected";
    if (esmtp_parse_mail(&args.params, &offer, &m->arena, &mail, NULL) != ESMTP_OK)
        return "a parameter of MAIL that is none";
    if (mail.hold != ESMTP_HOLD_NONE || mail.by != ESMTP_BY_NONE)
        return "HOLDFOR, HOLDUNTIL and BY are the fields Release and Deliver-By here";
    m->reverse_path = args.path.text;
    m->flags |= (mail.body == ESMTP_BODY_8BITMIME ? QUEUE_BODY_8BIT : 0u) |
                (mail.body == ESMTP_BODY_BINARYMIME ? QUEUE_BODY_BINARY : 0u) |
                (mail.smtputf8 ? QUEUE_SMTPUTF8 : 0u) |
                (mail.require_tls ? QUEUE_REQUIRE_TLS : 0u) | (mail.has_auth ? QUEUE_HAS_AUTH : 0u);
    m->ret = mail.ret;
    m->envelope_id = mail.envid;
    m->priority = mail.priority;
    m->auth = mail.auth;
    return NULL;
}

static const char *read_deliver_by(struct eml_reader *r, struct span text)
{
    struct queue_message *m = r->message;
    struct span mode, time = span_split(text, ';', &mode);

    if (!read_time(time, &m->deliver_by) || mode.len == 0 || mode.len > 2 ||
        (mode.len == 2 && mode.ptr[1] != 'T') || (mode.ptr[0] != 'R' && mode.ptr[0] != 'N'))
        return "a time as in 2026-07-01T08:00:00.000Z with ;R, ;RT, ;N or ;NT is expected";
    m->by = mode.ptr[0] == 'R' ? ESMTP_BY_RETURN : ESMTP_BY_NOTIFY;
    m->flags |= mode.len == 2 ? QUEUE_BY_TRACE : 0u;
    return NULL;
}

static const char *read_port(struct eml_reader *r, struct span text)
{
    uint64_t port;

    if (!span_parse_u64(text, &port) || port == 0 || port > UINT16_MAX)
        return "a port is expected";
    r->message->client_port = (uint16_t)port;
    return NULL;
}

static const char *read_flags(struct eml_reader *r, struct span text)
{
    while (text.len > 0) {
        struct span word = span_split(text, ' ', &text);
        if (span_equal(word, SPAN("notification")))
            r->message->flags |= QUEUE_DSN;
        else if (span_equal(word, SPAN("verp")))
            r->message->flags |= QUEUE_VERP;
        else
            return "there are the flags notification and verp";
    }
    return NULL;
}

static bool read_mark(struct eml_reader *r, struct queue_group *group, struct span word)
{
    struct span value, name = span_split(word, '=', &value);
    struct address path;
    uint64_t tries;

    if (span_equal(word, SPAN("warned"))) {
        group->delay_warned = true;
    } else if (span_equal(word, SPAN("late"))) {
        group->late_told = true;
    } else if (span_equal(word, SPAN("sender"))) {
        group->has_sender = group->reverse_path.len > 0;
        return group->has_sender;
    } else if (span_equal(name, SPAN("tries"))) {
        if (!span_parse_u64(value, &tries) || tries > UINT32_MAX)
            return false;
        group->tries = (uint32_t)tries;
    } else if (span_equal(name, SPAN("wishes"))) {
        return read_text(r, value, &group->wishes);
    } else {
        return span_equal(name, SPAN("from")) && read_text(r, value, &group->reverse_path) &&
               address_parse(group->reverse_path, PATH_FLAGS, &path) == ADDRESS_OK;
    }
    return true;
}

static const char *read_group(struct eml_reader *r, struct span text)
{
    struct queue_group *group = arena_alloc(&r->message->arena, sizeof *group);
    struct span word = span_split(text, ' ', &text);

    *group = (struct queue_group){0};
    for (size_t i = 0; i < STATE_COUNT; i++)
        if (span_equal(word, states[i].name))
            group->state = states[i].state;
    if (group->state == 0)
        return "a group is waiting, held or future";
    while (text.len > 0)
        if (!read_mark(r, group, span_split(text, ' ', &text)))
            return "behind the state of a group there may be tries=N, warned, late, from=ADDRESS,"
                   " sender and wishes=TEXT";
    r->group = group;
    return NULL;
}

static const char *read_recipient(struct eml_reader *r, struct span text)
{
    struct arena *arena = &r->message->arena;
    struct smtp_rcpt_args args;
    struct esmtp_rcpt rcpt;

    if (smtp_parse_rcpt(arena_dup(arena, text), PATH_FLAGS, &args) != SMTP_PATH_OK)
        return "TO:<address> and parameters of RCPT are expected";
    if (esmtp_parse_rcpt(&args.params, &offer, arena, &rcpt, NULL) != ESMTP_OK)
        return "a parameter of RCPT that is none";
    if (r->group == NULL)
        return "the first recipient comes behind a Group";
    struct eml_recipient *recipient = arena_alloc(arena, sizeof *recipient);
    *recipient = (struct eml_recipient){
        .group = r->group,
        .recipient = {.address = args.path.text, .notify = rcpt.notify, .original = rcpt.orcpt},
    };
    *r->last = recipient;
    r->last = &recipient->next;
    r->recipient_count++;
    return NULL;
}

static bool has(const struct eml_reader *r, enum field field)
{
    return r->seen & 1u << field;
}

static const char *check_end(const struct eml_reader *r)
{
    if (!has(r, FIELD_MAIL))
        return "there is no " PREFIX "Mail";
    if (has(r, FIELD_ID) != has(r, FIELD_ARRIVAL))
        return PREFIX "Id and " PREFIX "Arrival come together";
    return r->recipients != NULL ? NULL : "there is no recipient";
}

static const char *wanted(bool is_good, const char *fault)
{
    return is_good ? NULL : fault;
}

static const char *read_field(struct eml_reader *r, enum field field, struct span value)
{
    static const char time[] = "a time as in 2026-07-01T08:00:00.000Z is expected";
    static const char text[] = "text as xtext (RFC 3461) is expected";
    struct queue_message *m = r->message;

    switch (field) {
    case FIELD_ID:
        return wanted(id_parse(value, &m->id) && m->id != 0, "that is no message id");
    case FIELD_ARRIVAL:
        return wanted(read_time(value, &m->arrival), time);
    case FIELD_RELEASE:
        return wanted(read_time(value, &m->release), time);
    case FIELD_MAIL:
        return read_mail(r, value);
    case FIELD_DELIVER_BY:
        return read_deliver_by(r, value);
    case FIELD_TENANT:
        return wanted(read_text(r, value, &m->tenant), text);
    case FIELD_TAGS:
        return wanted(read_text(r, value, &m->tags), text);
    case FIELD_CLIENT:
        return wanted(read_text(r, value, &m->client), text);
    case FIELD_CLIENT_NAME:
        return wanted(read_text(r, value, &m->client_name), text);
    case FIELD_CLIENT_PORT:
        return read_port(r, value);
    case FIELD_PROTOCOL:
        return wanted(read_text(r, value, &m->protocol), text);
    case FIELD_HELLO:
        return wanted(read_text(r, value, &m->hello), text);
    case FIELD_FLAGS:
        return read_flags(r, value);
    case FIELD_GROUP:
        return read_group(r, value);
    case FIELD_RCPT:
        return read_recipient(r, value);
    case FIELD_END:
        return check_end(r);
    case FIELD_ENVELOPE:
    case FIELD_COUNT:
        break;
    }
    return NULL;
}

static enum field find_field(struct span name)
{
    unsigned field = 0;

    if (!span_starts_nocase(name, SPAN(PREFIX)))
        return FIELD_COUNT;
    name = span_from(name, sizeof PREFIX - 1);
    while (field < FIELD_COUNT && !span_equal_nocase(name, span_cstr(names[field])))
        field++;
    return (enum field)field;
}

/* NULL, or what is wrong. */
static const char *read_line(struct eml_reader *r, struct span line, bool *is_end_out)
{
    struct span value, name = span_split(line, ':', &value);
    enum field field = find_field(name);

    value = span_trim(value);
    if (!has(r, FIELD_ENVELOPE) && (field != FIELD_ENVELOPE || !span_equal(value, SPAN("1"))))
        return "an exported message begins with \"" PREFIX "Envelope: 1\"";
    if (field == FIELD_COUNT)
        return "no field of an envelope, and \"" PREFIX "Envelope-End: 1\" has not come yet";
    if (has(r, field) && field != FIELD_GROUP && field != FIELD_RCPT)
        return "the field has come before";
    r->seen |= 1u << field;
    *is_end_out = field == FIELD_END;
    return read_field(r, field, value);
}

static enum parse_result end_line(struct eml_reader *r)
{
    struct span line = span_of(r->text, r->len);
    bool is_end = false;

    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    r->len = 0;
    r->line++;
    r->fault = read_line(r, line, &is_end);
    if (r->fault != NULL)
        return PARSE_BAD;
    return is_end ? PARSE_DONE : PARSE_MORE;
}

void eml_reader_init(struct eml_reader *r, struct queue_message *message)
{
    *r = (struct eml_reader){.message = message};
    r->last = &r->recipients;
}

enum parse_result eml_read(struct eml_reader *r, struct span *input)
{
    enum parse_result result = PARSE_MORE;

    while (result == PARSE_MORE && input->len > 0) {
        size_t len = span_index(*input, '\n');
        if (r->len + len > sizeof r->text) {
            r->line++;
            r->fault = "a line of an envelope is too long";
            return PARSE_BAD;
        }
        memcpy(r->text + r->len, input->ptr, len);
        r->len += len;
        bool is_whole = len < input->len;
        *input = span_from(*input, is_whole ? len + 1 : len);
        if (is_whole)
            result = end_line(r);
    }
    return result;
}
