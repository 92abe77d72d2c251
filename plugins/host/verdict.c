/* Answers: what they may hold, copies of them, and what becomes of several. */
#include "plugins/host/self.h"

#define BIT(action) (1u << SMARTHOP_##action)

enum {
    TEXT_MOST = 512,  /* what people read */
    VALUE_MOST = 998, /* names, addresses, hosts; and a line of a header */
    FIELD_MOST = 65536,
};

/* What version 1.0 had of it. */
enum {
    VERDICT_LEAST =
        offsetof(struct smarthop_verdict, targets) + sizeof((struct smarthop_verdict *)0)->targets
};

static const uint32_t suiting[SMARTHOP_HOOKS] = {
    [SMARTHOP_ON_CONNECT] = BIT(PASS) | BIT(DEFER) | BIT(REJECT) | BIT(ACCEPT),
    [SMARTHOP_ON_HELO] = BIT(PASS) | BIT(DEFER) | BIT(REJECT) | BIT(ACCEPT),
    [SMARTHOP_ON_AUTH] = BIT(PASS) | BIT(DEFER) | BIT(REJECT) | BIT(ACCEPT),
    [SMARTHOP_ON_MAIL] = BIT(PASS) | BIT(DEFER) | BIT(REJECT) | BIT(ACCEPT),
    [SMARTHOP_ON_RCPT] = BIT(PASS) | BIT(DEFER) | BIT(REJECT) | BIT(ACCEPT),
    [SMARTHOP_ON_HEADERS] = BIT(PASS) | BIT(DEFER) | BIT(REJECT) | BIT(ACCEPT),
    [SMARTHOP_ON_MESSAGE] =
        BIT(PASS) | BIT(DEFER) | BIT(REJECT) | BIT(HOLD) | BIT(DISCARD) | BIT(ACCEPT),
    [SMARTHOP_ON_ROUTE] =
        BIT(PASS) | BIT(SEND) | BIT(REWRITE) | BIT(DEFER) | BIT(REJECT) | BIT(HOLD) | BIT(DISCARD),
    [SMARTHOP_ON_TARGETS] = BIT(PASS) | BIT(DEFER),
    [SMARTHOP_ON_BEFORE_ATTEMPT] = BIT(PASS) | BIT(DEFER),
    [SMARTHOP_ON_AFTER_ATTEMPT] = BIT(PASS),
    [SMARTHOP_ON_BOUNCE] = BIT(PASS) | BIT(DISCARD),
};

bool verdict_suits(enum smarthop_hook hook, uint32_t action)
{
    return action < SMARTHOP_ACTIONS && (suiting[hook] & 1u << action) != 0;
}

/* The copy of one answer under way; `problem` stays at the first. */
struct copying {
    struct arena *arena;
    const char *problem;
};

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127)
            return true;
    return false;
}

static void refuse(struct copying *c, const char *problem)
{
    if (c->problem == NULL)
        c->problem = problem;
}

static struct smarthop_span copy_bytes(struct copying *c, struct smarthop_span in, size_t most)
{
    if (in.len == 0)
        return smarthop_span_of(NULL, 0);
    if (in.ptr == NULL || in.len > most) {
        refuse(c, in.ptr == NULL ? "a text without a place" : "a text is too long");
        return smarthop_span_of(NULL, 0);
    }
    return plugin_text(arena_dup(c->arena, plugin_span(in)));
}

static struct smarthop_span copy_text(struct copying *c, struct smarthop_span in, size_t most)
{
    struct smarthop_span copy = copy_bytes(c, in, most);

    if (has_control(plugin_span(copy)))
        refuse(c, "a control character in a text");
    return copy;
}

/* Room for a list of things of `size`; NULL = it is empty, or cannot be. */
static void *copy_room(struct copying *c, const void *in, uint32_t count, uint32_t most,
                       size_t size)
{
    if (count == 0 || c->problem != NULL)
        return NULL;
    if (in == NULL || count > most) {
        refuse(c, in == NULL ? "a list without a place" : "a list is too long");
        return NULL;
    }
    return arena_alloc(c->arena, count * size);
}

static const struct smarthop_span *copy_texts(struct copying *c, const struct smarthop_span *in,
                                              uint32_t count, uint32_t most)
{
    struct smarthop_span *out = copy_room(c, in, count, most, sizeof *out);

    for (uint32_t i = 0; out != NULL && i < count; i++)
        out[i] = copy_text(c, in[i], VALUE_MOST);
    return out;
}

/* Whom a recipient is rewritten to. */
static const struct smarthop_span *copy_recipients(struct copying *c,
                                                   const struct smarthop_span *in, uint32_t count)
{
    const struct smarthop_span *out = copy_texts(c, in, count, SMARTHOP_REWRITES_MAX);

    for (uint32_t i = 0; out != NULL && i < count; i++)
        if (out[i].len == 0)
            refuse(c, "rewritten to nobody");
    return out;
}

static const struct smarthop_next_hop *copy_hops(struct copying *c,
                                                 const struct smarthop_next_hop *in, uint32_t count)
{
    struct smarthop_next_hop *out =
        copy_room(c, in, count, SMARTHOP_NEXT_HOPS_MAX, sizeof(struct smarthop_next_hop));

    for (uint32_t i = 0; out != NULL && i < count; i++) {
        out[i] = in[i];
        out[i].host = copy_text(c, in[i].host, VALUE_MOST);
        if (out[i].host.len == 0)
            refuse(c, "a next hop without a host");
    }
    return out;
}

static const struct smarthop_target *copy_targets(struct copying *c,
                                                  const struct smarthop_target *in, uint32_t count)
{
    struct smarthop_target *out = copy_room(c, in, count, UINT16_MAX, sizeof *out);

    for (uint32_t i = 0; out != NULL && i < count; i++) {
        out[i] = in[i];
        out[i].host = copy_text(c, in[i].host, VALUE_MOST);
        out[i].address = copy_text(c, in[i].address, VALUE_MOST);
    }
    return out;
}

/* RFC 5322 2.2: printable, no colon. */
static bool is_field_name(struct smarthop_span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
            return false;
    return name.len > 0 && name.len <= 76;
}

/* Every line end is CRLF and followed by a blank, so that it stays one field, and no line is empty
 * or too long (RFC 5322 2.1.1, 3.2.2). `at` is where the first one begins, behind the name. */
static bool is_field_value(struct smarthop_span value, size_t at)
{
    bool is_empty = false;

    for (size_t i = 0; i < value.len; i++, at++) {
        char byte = value.ptr[i];
        if (byte == '\0' || byte == '\n' || at > VALUE_MOST)
            return false;
        if (byte != '\r') {
            is_empty = is_empty && (byte == ' ' || byte == '\t');
            continue;
        }
        if (is_empty || i + 2 >= value.len || value.ptr[i + 1] != '\n' ||
            (value.ptr[i + 2] != ' ' && value.ptr[i + 2] != '\t'))
            return false;
        is_empty = true;
        i += 2;
        at = 0;
    }
    return !is_empty && at <= VALUE_MOST;
}

static const struct smarthop_edit *copy_edits(struct copying *c, const struct smarthop_edit *in,
                                              uint32_t count)
{
    struct smarthop_edit *out = copy_room(c, in, count, SMARTHOP_EDITS_MAX, sizeof *out);

    for (uint32_t i = 0; out != NULL && i < count; i++) {
        out[i] = in[i];
        out[i].name = copy_bytes(c, in[i].name, VALUE_MOST);
        out[i].value = copy_bytes(c, in[i].value, FIELD_MOST);
        if (in[i].kind > SMARTHOP_REMOVE || !is_field_name(out[i].name) ||
            !is_field_value(out[i].value, out[i].name.len + 2))
            refuse(c, "an edit that would not leave a header");
    }
    return out;
}

/* What there is of an answer that may be older, and so shorter, than ours. One that is shorter than
 * any ever was has never been given its size: what it says would be lost. */
static void read_short(const struct smarthop_verdict *in, struct smarthop_verdict *out)
{
    size_t len = in->size < sizeof *out ? in->size : sizeof *out;

    memset(out, 0, sizeof *out);
    memcpy(out, in, len);
    out->size = sizeof *out;
}

static void check_numbers(struct copying *c, const struct smarthop_verdict *v)
{
    unsigned klass = v->action == SMARTHOP_REJECT ? 5 : 4;
    bool has_code =
        v->action == SMARTHOP_DEFER || v->action == SMARTHOP_REJECT || v->action == SMARTHOP_HOLD;

    if (v->code != 0 && has_code && v->code / 100 != klass)
        refuse(c, "a reply code that does not fit its action");
    if (v->transport > SMARTHOP_DROP || v->tls > SMARTHOP_TLS_REQUIRED)
        refuse(c, "a transport or a use of TLS that there is not");
    if (v->enhanced[0] != 0 && v->enhanced[0] != klass)
        refuse(c, "an enhanced code that does not fit its action");
}

const char *verdict_copy(struct arena *arena, const struct smarthop_verdict *in,
                         struct smarthop_verdict *out)
{
    struct copying c = {.arena = arena};
    struct smarthop_verdict v;

    read_short(in, &v);
    if (in->size < VERDICT_LEAST)
        refuse(&c, "an answer whose size is not set");
    v.why = copy_text(&c, v.why, TEXT_MOST);
    v.text = copy_text(&c, v.text, TEXT_MOST);
    v.mx = copy_text(&c, v.mx, VALUE_MOST);
    v.sender = copy_text(&c, v.sender, VALUE_MOST);
    v.limits = copy_text(&c, v.limits, VALUE_MOST);
    v.tenant = copy_text(&c, v.tenant, VALUE_MOST);
    v.source = copy_text(&c, v.source, VALUE_MOST);
    v.credentials = copy_text(&c, v.credentials, VALUE_MOST);
    v.next_hops = copy_hops(&c, v.next_hops, v.next_hop_count);
    v.recipients = copy_recipients(&c, v.recipients, v.recipient_count);
    v.tags = copy_texts(&c, v.tags, v.tag_count, SMARTHOP_TAGS_MAX);
    v.edits = copy_edits(&c, v.edits, v.edit_count);
    v.targets = copy_targets(&c, v.targets, v.target_count);
    check_numbers(&c, &v);
    if (v.action == SMARTHOP_SEND && v.next_hop_count == 0 &&
        (v.mx.len == 0 || v.transport == SMARTHOP_DROP))
        refuse(&c, "sent to nowhere");
    if (v.action == SMARTHOP_REWRITE && v.recipient_count == 0)
        refuse(&c, "rewritten to nobody");
    *out = c.problem == NULL ? v : (struct smarthop_verdict){.size = sizeof *out};
    return c.problem;
}

static void *joined(struct arena *arena, const void *a, uint32_t a_count, const void *b,
                    uint32_t b_count, size_t size)
{
    char *both = arena_alloc(arena, (a_count + b_count) * size);

    if (a_count > 0)
        memcpy(both, a, a_count * size);
    if (b_count > 0)
        memcpy(both + a_count * size, b, b_count * size);
    return both;
}

static void take(struct smarthop_span *into, struct smarthop_span next)
{
    if (next.len > 0)
        *into = next;
}

/* What is said in addition is kept of all; what decides is the last one's. */
void verdict_merge(struct arena *arena, struct smarthop_verdict *into,
                   const struct smarthop_verdict *next)
{
    struct smarthop_verdict merged = *next;

    merged.tenant = into->tenant;
    merged.limits = into->limits;
    merged.source = into->source;
    merged.credentials = into->credentials;
    merged.sender = into->sender;
    take(&merged.tenant, next->tenant);
    take(&merged.limits, next->limits);
    take(&merged.source, next->source);
    take(&merged.credentials, next->credentials);
    take(&merged.sender, next->sender);
    if (merged.tls < into->tls)
        merged.tls = into->tls;
    if (into->tag_count > 0) {
        merged.tags = joined(arena, into->tags, into->tag_count, next->tags, next->tag_count,
                             sizeof *next->tags);
        merged.tag_count += into->tag_count;
    }
    if (into->edit_count > 0) {
        merged.edits = joined(arena, into->edits, into->edit_count, next->edits, next->edit_count,
                              sizeof *next->edits);
        merged.edit_count += into->edit_count;
    }
    merged.replace_body |= into->replace_body;
    if (next->target_count == 0) {
        merged.targets = into->targets;
        merged.target_count = into->target_count;
    }
    *into = merged;
}

void verdict_keep(struct smarthop_verdict *into, const struct smarthop_verdict *said)
{
    into->tls = said->tls;
    into->tenant = said->tenant;
    into->limits = said->limits;
    into->source = said->source;
    into->credentials = said->credentials;
    into->sender = said->sender;
}
