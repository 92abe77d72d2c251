/* What was found becomes a verdict. All that it points to is copied into the event's memory: the
 * table may be another before the host has read it. */
#include "table.h"

#include <stdio.h>

static void *alloc(const struct look *look, size_t size)
{
    return look->table->host->alloc(look->table->self, look->event->token, size);
}

static bool copy(const struct look *look, struct smarthop_span from, struct smarthop_span *to)
{
    char *bytes = alloc(look, from.len + 1);

    if (bytes == NULL)
        return false;
    memcpy(bytes, from.ptr, from.len);
    *to = smarthop_span_of(bytes, from.len);
    return true;
}

/* "FILE:LINE" */
static bool say_why(const struct look *look, const struct hit *hit)
{
    size_t room = hit->file->name.len + 16;
    char *text = alloc(look, room);

    if (text == NULL)
        return false;
    int len = snprintf(text, room, "%s:%u", hit->file->name.ptr, hit->line);
    look->verdict->why = smarthop_span_of(text, (size_t)len);
    return true;
}

/* The rule, whose spans stay with the event. */
static bool read_rule(const struct look *look, const struct hit *hit, struct rule *rule)
{
    struct smarthop_span record;

    return copy(look, hit->record, &record) && record_read(record, rule) && say_why(look, hit);
}

/* ---- routes ------------------------------------------------------------------------------- */

static bool take_hops(const struct look *look, const struct rule *rule)
{
    size_t size = rule->hop_count * sizeof *rule->hops;
    struct smarthop_next_hop *hops = alloc(look, size);

    if (hops == NULL)
        return false;
    memcpy(hops, rule->hops, size);
    look->verdict->next_hops = hops;
    look->verdict->next_hop_count = rule->hop_count;
    return true;
}

static void take_words(struct smarthop_verdict *verdict, const struct rule *rule)
{
    verdict->action = rule->action;
    verdict->transport = rule->transport;
    verdict->tls = rule->tls;
    verdict->code = rule->code;
    memcpy(verdict->enhanced, rule->enhanced, sizeof verdict->enhanced);
    verdict->text = rule->text;
    verdict->limits = rule->limits;
    verdict->source = rule->source;
    verdict->credentials = rule->credentials;
    verdict->tenant = rule->tenant;
}

enum applied apply_route(struct look *look, const struct hit *hit)
{
    struct rule rule;

    if (!read_rule(look, hit, &rule))
        return APPLY_FAILED;
    if (rule.hop_count > 0 && !take_hops(look, &rule))
        return APPLY_FAILED;
    take_words(look->verdict, &rule);
    look->verdict->mx = rule.own_mx ? look->event->recipient->domain : rule.mx;
    return APPLIED;
}

/* ---- addresses ---------------------------------------------------------------------------- */

static bool join(const struct look *look, const struct smarthop_span *parts, unsigned count,
                 struct smarthop_span *out)
{
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len += parts[i].len;
    char *bytes = alloc(look, len + 1);
    if (bytes == NULL)
        return false;
    *out = smarthop_span_of(bytes, len);
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(bytes, parts[i].ptr, parts[i].len);
        bytes += parts[i].len;
    }
    return true;
}

/* "@domain" gets the local part; any other address the extension that was not looked up. */
static bool complete(const struct look *look, struct smarthop_span local,
                     const struct subject *subject, const struct hit *hit,
                     struct smarthop_span *target)
{
    size_t at = text_rindex(*target, '@');
    struct smarthop_span user = smarthop_span_of(target->ptr, at);
    struct smarthop_span domain = text_from(*target, at);

    if (at == 0)
        return join(look, (struct smarthop_span[]){local, domain}, 2, target);
    if (!hit->is_base || !look->table->keeps_extension || user.ptr[0] == '"')
        return true;
    return join(look, (struct smarthop_span[]){user, subject->extension, domain}, 3, target);
}

static bool is_same(struct smarthop_span a, struct smarthop_span b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* The others that it stands for have been told. */
static bool is_told_to_stay(const struct smarthop_recipient *recipient)
{
    return SMARTHOP_HAS(recipient, flags) && (recipient->flags & SMARTHOP_RECIPIENT_STAYS) != 0;
}

enum applied apply_recipients(struct look *look, const struct subject *subject,
                              const struct hit *hit)
{
    const struct smarthop_recipient *recipient = look->event->recipient;
    struct rule rule;

    if (hit->kind == KEY_DOMAIN)
        return apply_route(look, hit); /* of Postfix: nobody else is there */
    if (!read_rule(look, hit, &rule) || rule.target_count == 0)
        return APPLY_FAILED;
    struct smarthop_span *targets = alloc(look, rule.target_count * sizeof *targets);
    if (targets == NULL)
        return APPLY_FAILED;
    bool stays = false;
    for (unsigned i = 0; i < rule.target_count; i++) {
        targets[i] = rule.targets[i];
        if (!complete(look, recipient->local, subject, hit, &targets[i]))
            return APPLY_FAILED;
        stays = stays || is_same(targets[i], recipient->address);
    }
    if (stays && (rule.target_count == 1 || is_told_to_stay(recipient))) {
        look->verdict->why = smarthop_span_of(NULL, 0);
        return APPLIED_NOT;
    }
    look->verdict->action = SMARTHOP_REWRITE;
    look->verdict->recipients = targets;
    look->verdict->recipient_count = rule.target_count;
    return APPLIED;
}

enum applied apply_sender(struct look *look, const struct subject *subject, const struct hit *hit)
{
    struct smarthop_span sender = look->event->message->sender;
    struct smarthop_span record;
    struct rule rule;

    if (!copy(look, hit->record, &record) || !record_read(record, &rule) || rule.target_count == 0)
        return APPLY_FAILED;
    struct smarthop_span local = smarthop_span_of(sender.ptr, text_rindex(sender, '@'));
    if (!complete(look, local, subject, hit, &rule.targets[0]))
        return APPLY_FAILED;
    if (is_same(rule.targets[0], sender))
        return APPLIED_NOT;
    look->verdict->sender = rule.targets[0];
    return APPLIED;
}
