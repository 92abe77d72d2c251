/* Groups of next hops, and whose turn it is. */
#include "groups.h"

#include <math.h>
#include <strings.h>

enum { NONE = UINT32_MAX, WEIGHT_MAX = 65535, SMTPS_LEN = 6 };

/* ---- reading -------------------------------------------------------------------------------- */

static struct smarthop_span trim(struct smarthop_span text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = smarthop_span_of(text.ptr + 1, text.len - 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* What is before `c`; `text` becomes what is behind it. False: there is none. */
static bool cut(struct smarthop_span *text, char c, struct smarthop_span *before)
{
    const char *at = text->len > 0 ? memchr(text->ptr, c, text->len) : NULL;

    if (at == NULL)
        return false;
    size_t len = (size_t)(at - text->ptr);
    *before = trim(smarthop_span_of(text->ptr, len));
    *text = trim(smarthop_span_of(at + 1, text->len - len - 1));
    return true;
}

/* Takes "cNUMBER" from the end of `text`, where it is there. */
static bool take_number(struct smarthop_span *text, char c, uint32_t lowest, uint32_t *number)
{
    const char *at = text->len > 0 ? memrchr(text->ptr, c, text->len) : NULL;
    uint32_t value = 0;

    if (at == NULL)
        return true;
    const char *digit = at + 1, *end = text->ptr + text->len;
    if (digit == end)
        return false;
    for (; digit < end; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        value = value * 10 + (uint32_t)(*digit - '0');
        if (value > WEIGHT_MAX)
            return false;
    }
    *number = value;
    *text = trim(smarthop_span_of(text->ptr, (size_t)(at - text->ptr)));
    return value >= lowest;
}

/* An IPv6 address has brackets, so that its colons are not that of a port. */
static bool take_port(struct smarthop_span *text, uint32_t *port)
{
    const char *colon = text->len > 0 ? memrchr(text->ptr, ':', text->len) : NULL;

    if (colon != NULL && memchr(colon, ']', (size_t)(text->ptr + text->len - colon)) != NULL)
        return true;
    return take_number(text, ':', 1, port);
}

static bool unbracket(struct smarthop_span *text)
{
    bool opens = text->len > 0 && text->ptr[0] == '[';
    bool closes = text->len > 1 && text->ptr[text->len - 1] == ']';

    if (opens && closes)
        *text = smarthop_span_of(text->ptr + 1, text->len - 2);
    return opens == closes && text->len > 0;
}

/* "smtps:HOST": TLS from the first byte. "smtps:25" is a host of that name. */
static bool take_smtps(struct smarthop_span *text)
{
    struct smarthop_span rest = *text;
    uint32_t port = 0;

    if (text->len <= SMTPS_LEN || strncasecmp(text->ptr, "smtps:", SMTPS_LEN) != 0)
        return false;
    if (take_number(&rest, ':', 0, &port) && rest.len == SMTPS_LEN - 1)
        return false;
    *text = smarthop_span_of(text->ptr + SMTPS_LEN, text->len - SMTPS_LEN);
    return true;
}

static const char *member_parse(struct smarthop_span text, struct health *health,
                                struct group_member *member)
{
    uint32_t port = 0, priority = 0, weight = 1;
    struct smarthop_span name;

    if (!take_number(&text, '@', 0, &priority))
        return "behind @ there is a priority from 0 to 65535";
    if (!take_number(&text, '*', 1, &weight))
        return "behind * there is a weight from 1 to 65535";
    name = text;
    bool is_smtps = take_smtps(&text);
    if (!take_port(&text, &port))
        return "behind : there is a port";
    name.len = (size_t)(text.ptr + text.len - name.ptr);
    if (!unbracket(&text))
        return "a host is missing, or a bracket";
    if (!is_smtps)
        name = text;
    if (memchr(name.ptr, ' ', name.len) != NULL)
        return "hosts have commas between them";
    *member = (struct group_member){.name = name,
                                    .host = health_add(health, text),
                                    .port = (uint16_t)port,
                                    .priority = (uint16_t)priority,
                                    .weight = weight,
                                    .hash = group_hash(port, text)};
    return NULL;
}

/* Those of one priority stay as they came. */
static void insert(struct group *group, struct group_member member)
{
    uint32_t at = group->count++;

    for (; at > 0 && group->members[at - 1].priority > member.priority; at--)
        group->members[at] = group->members[at - 1];
    group->members[at] = member;
}

const char *group_parse(struct smarthop_span text, struct health *health, struct group *group)
{
    struct smarthop_span one;
    struct group_member member;

    *group = (struct group){0};
    if (!cut(&text, ':', &group->name) || group->name.len == 0)
        return "a name and a colon come first";
    for (bool has_more = true; has_more;) {
        has_more = cut(&text, ',', &one);
        if (!has_more)
            one = text;
        if (group->count == SMARTHOP_NEXT_HOPS_MAX)
            return "a group has at most 16 hosts";
        const char *problem = member_parse(one, health, &member);
        if (problem != NULL)
            return problem;
        insert(group, member);
    }
    return NULL;
}

const char *group_route_parse(struct smarthop_span text, struct group_route *route)
{
    if (!cut(&text, ':', &route->domain) || route->domain.len == 0 || text.len == 0)
        return "is DOMAIN: GROUP";
    route->group = text;
    return NULL;
}

static bool is_same(struct smarthop_span a, struct smarthop_span b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

bool group_route_suits(const struct group_route *route, struct smarthop_span domain)
{
    struct smarthop_span ours = route->domain;

    if (smarthop_equal(ours, SMARTHOP_TEXT("*")))
        return true;
    if (ours.ptr[0] != '.')
        return is_same(domain, ours);
    if (domain.len < ours.len)
        return is_same(domain, smarthop_span_of(ours.ptr + 1, ours.len - 1));
    return is_same(smarthop_span_of(domain.ptr + domain.len - ours.len, ours.len), ours);
}

/* ---- choosing ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t group_hash(uint64_t seed, struct smarthop_span text)
{
    uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        hash ^= (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        hash *= UINT64_C(0x100000001b3);
    }
    return mix(hash);
}

/* Weighted rendezvous hashing: the lowest draw wins. A host that goes takes only its own keys with
 * it, and each has its share of them. */
static double draw(const struct group_member *member, uint64_t key)
{
    double share = ((double)(mix(key ^ member->hash) >> 11) + 1) / 9007199254740993.0;

    return -log(share) / member->weight;
}

/* Among those from `first` that have its priority; NONE where none of them is in `state`. */
static uint32_t lowest(const struct group *group, uint32_t first, const enum health_state *states,
                       enum health_state state, uint64_t key)
{
    uint32_t best = NONE;
    double least = 0;

    for (uint32_t i = first; i < group->count; i++) {
        const struct group_member *member = &group->members[i];
        if (member->priority != group->members[first].priority)
            break;
        if (states[i] != state)
            continue;
        double drawn = draw(member, key);
        if (best == NONE || drawn < least) {
            best = i;
            least = drawn;
        }
    }
    return best;
}

/* Who is due is tried by one message, before those that are known to be good. */
static uint32_t choose_due(const struct group *group, struct health *health, uint32_t first,
                           const enum health_state *states, uint64_t now)
{
    for (uint32_t i = first; i < group->count; i++) {
        const struct group_member *member = &group->members[i];
        if (member->priority != group->members[first].priority)
            break;
        if (states[i] == HEALTH_DUE && health_claim(health, member->host, now))
            return i;
    }
    return NONE;
}

static uint32_t choose(const struct group *group, struct health *health,
                       const enum health_state *states, uint64_t key, uint64_t now)
{
    uint32_t chosen = NONE;

    for (uint32_t i = 0; i < group->count && chosen == NONE; i++) {
        if (i > 0 && group->members[i].priority == group->members[i - 1].priority)
            continue;
        chosen = choose_due(group, health, i, states, now);
        if (chosen == NONE)
            chosen = lowest(group, i, states, HEALTH_GOOD, key);
    }
    if (chosen == NONE)
        chosen = lowest(group, 0, states, HEALTH_DOWN, key);
    return chosen != NONE ? chosen : 0;
}

static void append(const struct group_member *member, struct smarthop_next_hop *next_hops,
                   uint32_t *count)
{
    next_hops[*count] = (struct smarthop_next_hop){
        .host = member->name, .port = member->port, .priority = (uint16_t)*count, .weight = 1};
    (*count)++;
}

void group_order(const struct group *group, struct health *health, uint64_t key, uint64_t now,
                 struct smarthop_next_hop *next_hops)
{
    enum health_state states[SMARTHOP_NEXT_HOPS_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < group->count; i++)
        states[i] = health_look(health, group->members[i].host, now);
    uint32_t chosen = choose(group, health, states, mix(key), now);
    append(&group->members[chosen], next_hops, &count);
    for (uint32_t i = 0; i < group->count; i++)
        if (i != chosen && states[i] == HEALTH_GOOD)
            append(&group->members[i], next_hops, &count);
    for (uint32_t i = 0; i < group->count; i++)
        if (i != chosen && states[i] != HEALTH_GOOD)
            append(&group->members[i], next_hops, &count);
}
