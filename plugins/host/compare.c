/* What a shadow would have said, beside what was said. */
#include "plugins/host/private.h"

/* Of what several have said, that of others is none of a shadow's: only where one plugin alone was
 * asked is it missed. */
struct comparing {
    const struct smarthop_verdict *would;
    bool is_whole;
};

static struct smarthop_span dup_text(struct arena *arena, struct smarthop_span text)
{
    return plugin_text(arena_dup(arena, plugin_span(text)));
}

static const struct smarthop_span *dup_texts(struct arena *arena, const struct smarthop_span *in,
                                             uint32_t count)
{
    struct smarthop_span *out = arena_alloc(arena, count * sizeof *out);

    for (uint32_t i = 0; i < count; i++)
        out[i] = dup_text(arena, in[i]);
    return out;
}

static const struct smarthop_next_hop *dup_hops(struct arena *arena,
                                                const struct smarthop_next_hop *in, uint32_t count)
{
    struct smarthop_next_hop *out = arena_alloc(arena, count * sizeof *out);

    for (uint32_t i = 0; i < count; i++) {
        out[i] = in[i];
        out[i].host = dup_text(arena, in[i].host);
    }
    return out;
}

static const struct smarthop_edit *dup_edits(struct arena *arena, const struct smarthop_edit *in,
                                             uint32_t count)
{
    struct smarthop_edit *out = arena_alloc(arena, count * sizeof *out);

    for (uint32_t i = 0; i < count; i++) {
        out[i] = in[i];
        out[i].name = dup_text(arena, in[i].name);
        out[i].value = dup_text(arena, in[i].value);
    }
    return out;
}

void verdict_dup(struct arena *arena, const struct smarthop_verdict *in,
                 struct smarthop_verdict *out)
{
    *out = *in;
    out->mx = dup_text(arena, in->mx);
    out->sender = dup_text(arena, in->sender);
    out->limits = dup_text(arena, in->limits);
    out->tenant = dup_text(arena, in->tenant);
    out->source = dup_text(arena, in->source);
    out->credentials = dup_text(arena, in->credentials);
    out->next_hops = dup_hops(arena, in->next_hops, in->next_hop_count);
    out->recipients = dup_texts(arena, in->recipients, in->recipient_count);
    out->tags = dup_texts(arena, in->tags, in->tag_count);
    out->edits = dup_edits(arena, in->edits, in->edit_count);
}

static void add_word(struct buf *text, struct smarthop_span word)
{
    buf_addf(text, " %.*s", (int)word.len, word.ptr);
}

/* "send mail.example.net:25", "reject 550", "pass" */
static void add_action(struct buf *text, const struct smarthop_verdict *v)
{
    buf_addf(text, "%s", plugin_action_name(v->action));
    if (v->code != 0)
        buf_addf(text, " %u", v->code);
    if (v->action == SMARTHOP_SEND && v->mx.len > 0)
        add_word(text, v->mx);
    for (uint32_t i = 0; v->action == SMARTHOP_SEND && i < v->next_hop_count; i++) {
        add_word(text, v->next_hops[i].host);
        buf_addf(text, ":%u", v->next_hops[i].port);
    }
    for (uint32_t i = 0; v->action == SMARTHOP_REWRITE && i < v->recipient_count; i++)
        add_word(text, v->recipients[i]);
}

static void add_name(struct buf *text, const struct comparing *c, const char *key,
                     struct smarthop_span would, struct smarthop_span value)
{
    if ((c->is_whole || would.len > 0) && value.len > 0)
        buf_addf(text, " %s=%.*s", key, (int)value.len, value.ptr);
}

static bool has_tag(const struct smarthop_verdict *v, struct smarthop_span tag)
{
    for (uint32_t i = 0; i < v->tag_count; i++)
        if (smarthop_equal(v->tags[i], tag))
            return true;
    return false;
}

static bool has_edit(const struct smarthop_verdict *v, const struct smarthop_edit *edit)
{
    for (uint32_t i = 0; i < v->edit_count; i++)
        if (v->edits[i].kind == edit->kind && v->edits[i].nth == edit->nth &&
            smarthop_equal(v->edits[i].name, edit->name) &&
            smarthop_equal(v->edits[i].value, edit->value))
            return true;
    return false;
}

static void add_lists(struct buf *text, const struct comparing *c, const struct smarthop_verdict *v)
{
    static const char *const kinds[] = {"prepend", "append", "replace", "remove"};

    for (uint32_t i = 0; i < v->tag_count; i++)
        if (c->is_whole || has_tag(c->would, v->tags[i]))
            buf_addf(text, " tag=%.*s", (int)v->tags[i].len, v->tags[i].ptr);
    for (uint32_t i = 0; i < v->edit_count; i++) {
        const struct smarthop_edit *edit = &v->edits[i];
        if (c->is_whole || has_edit(c->would, edit))
            buf_addf(text, " %s=%u:%.*s:%.*s", kinds[edit->kind], edit->nth, (int)edit->name.len,
                     edit->name.ptr, (int)edit->value.len, edit->value.ptr);
    }
}

static struct span text_of(const struct comparing *c, const struct smarthop_verdict *v,
                           struct arena *arena)
{
    static const char *const uses[] = {"", "none", "opportunistic", "required"};
    const struct smarthop_verdict *would = c->would;
    struct buf text;

    buf_init(&text, 0);
    add_action(&text, v);
    add_name(&text, c, "sender", would->sender, v->sender);
    add_name(&text, c, "tenant", would->tenant, v->tenant);
    add_name(&text, c, "limits", would->limits, v->limits);
    add_name(&text, c, "source", would->source, v->source);
    add_name(&text, c, "credentials", would->credentials, v->credentials);
    if ((c->is_whole || would->tls != SMARTHOP_TLS_UNSET) && v->tls != SMARTHOP_TLS_UNSET)
        buf_addf(&text, " tls=%s", uses[v->tls]);
    add_lists(&text, c, v);
    struct span copy = arena_dup(arena, buf_span(&text));
    buf_fini(&text);
    return copy;
}

bool verdict_differs(struct arena *arena, const struct smarthop_verdict *would,
                     const struct smarthop_verdict *did, bool is_whole, struct span *would_out,
                     struct span *did_out)
{
    struct comparing c = {.would = would, .is_whole = is_whole};

    *would_out = text_of(&c, would, arena);
    *did_out = text_of(&c, did, arena);
    return !span_equal(*would_out, *did_out);
}
