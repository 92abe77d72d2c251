/* Rules as bytes: fixed head, texts, hosts, addresses. Read back even where they are damaged. */
#include "rule.h"

struct head {
    uint8_t action;
    uint8_t transport;
    uint8_t tls;
    uint8_t own_mx;
    uint16_t code;
    uint16_t target_count;
    uint8_t enhanced[3];
    uint8_t hop_count;
};

struct hop_head {
    uint32_t weight;
    uint16_t port;
    uint16_t priority;
};

static char *put(char *to, const void *bytes, size_t len)
{
    memcpy(to, bytes, len);
    return to + len;
}

static char *put_text(char *to, struct smarthop_span text)
{
    uint16_t len = (uint16_t)text.len;

    to = put(to, &len, sizeof len);
    return len > 0 ? put(to, text.ptr, len) : to;
}

size_t record_write(const struct rule *rule, char *bytes)
{
    struct head head = {
        .action = rule->action,
        .transport = rule->transport,
        .tls = rule->tls,
        .own_mx = rule->own_mx,
        .code = rule->code,
        .target_count = rule->target_count,
        .hop_count = rule->hop_count,
    };
    char *to = bytes;

    memcpy(head.enhanced, rule->enhanced, sizeof head.enhanced);
    to = put(to, &head, sizeof head);
    to = put_text(to, rule->text);
    to = put_text(to, rule->mx);
    to = put_text(to, rule->limits);
    to = put_text(to, rule->source);
    to = put_text(to, rule->credentials);
    to = put_text(to, rule->tenant);
    for (unsigned i = 0; i < rule->hop_count; i++) {
        const struct smarthop_next_hop *hop = &rule->hops[i];
        struct hop_head hop_head = {hop->weight, hop->port, hop->priority};
        to = put(to, &hop_head, sizeof hop_head);
        to = put_text(to, hop->host);
    }
    for (unsigned i = 0; i < rule->target_count; i++)
        to = put_text(to, rule->targets[i]);
    return (size_t)(to - bytes);
}

static bool get(struct smarthop_span *from, void *out, size_t len)
{
    if (from->len < len)
        return false;
    memcpy(out, from->ptr, len);
    *from = text_from(*from, len);
    return true;
}

static bool get_text(struct smarthop_span *from, struct smarthop_span *out)
{
    uint16_t len;

    if (!get(from, &len, sizeof len) || from->len < len)
        return false;
    *out = smarthop_span_of(from->ptr, len);
    *from = text_from(*from, len);
    return true;
}

static bool get_hop(struct smarthop_span *from, struct smarthop_next_hop *out)
{
    struct hop_head head;

    if (!get(from, &head, sizeof head) || !get_text(from, &out->host))
        return false;
    out->port = head.port;
    out->priority = head.priority;
    out->weight = head.weight;
    return true;
}

static bool get_head(struct smarthop_span *from, struct rule *rule)
{
    struct head head;

    if (!get(from, &head, sizeof head) || head.hop_count > SMARTHOP_NEXT_HOPS_MAX ||
        head.target_count > SMARTHOP_REWRITES_MAX)
        return false;
    rule->action = head.action;
    rule->transport = head.transport;
    rule->tls = head.tls;
    rule->own_mx = head.own_mx;
    rule->code = head.code;
    rule->target_count = head.target_count;
    rule->hop_count = head.hop_count;
    memcpy(rule->enhanced, head.enhanced, sizeof head.enhanced);
    return true;
}

bool record_read(struct smarthop_span bytes, struct rule *rule)
{
    if (!get_head(&bytes, rule) || !get_text(&bytes, &rule->text) || !get_text(&bytes, &rule->mx) ||
        !get_text(&bytes, &rule->limits) || !get_text(&bytes, &rule->source) ||
        !get_text(&bytes, &rule->credentials) || !get_text(&bytes, &rule->tenant))
        return false;
    for (unsigned i = 0; i < rule->hop_count; i++)
        if (!get_hop(&bytes, &rule->hops[i]))
            return false;
    for (unsigned i = 0; i < rule->target_count; i++)
        if (!get_text(&bytes, &rule->targets[i]))
            return false;
    return bytes.len == 0;
}
