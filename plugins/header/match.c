/* Which rule holds, and its answer. */
#include "private.h"

#include <strings.h>
#include <time.h>

/* What conditions look at is found out when the first of them does. */
struct view {
    const struct rules *rules;
    struct rules_asking *asking;
    struct field *fields;
    struct network client;
    struct tm time;
    bool has_fields;
    bool has_client;
    bool has_time;
};

enum truth { TRUTH_NO, TRUTH_YES, TRUTH_UNKNOWN };

static enum truth truth_of(bool holds)
{
    return holds ? TRUTH_YES : TRUTH_NO;
}

static bool is_same(struct smarthop_span a, struct smarthop_span b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static struct smarthop_span domain_of(struct smarthop_span address)
{
    const char *at = address.len > 0 ? memrchr(address.ptr, '@', address.len) : NULL;

    if (at == NULL)
        return smarthop_span_of(NULL, 0);
    return smarthop_span_of(at + 1, (size_t)(address.ptr + address.len - at - 1));
}

static bool is_below(struct smarthop_span domain, struct smarthop_span parent)
{
    if (domain.len <= parent.len)
        return is_same(domain, parent);
    const char *tail = domain.ptr + domain.len - parent.len;
    return tail[-1] == '.' && is_same(smarthop_span_of(tail, parent.len), parent);
}

static enum truth test_pattern(struct view *view, const struct condition *condition,
                               struct smarthop_span text)
{
    enum pattern_result result = pattern_match(condition->pattern, text);

    if (result != PATTERN_GIVES_UP)
        return truth_of(result == PATTERN_MATCHES);
    view->asking->gave_up++;
    return TRUTH_UNKNOWN;
}

static enum truth test_text(struct view *view, const struct condition *condition,
                            struct smarthop_span text)
{
    switch (condition->test) {
    case TEST_PRESENT:
        return TRUTH_YES;
    case TEST_EQUAL:
        return truth_of(is_same(text, condition->text));
    case TEST_DOMAIN:
        return truth_of(is_same(domain_of(text), condition->text));
    case TEST_BELOW:
        return truth_of(is_below(domain_of(text), condition->text));
    default:
        return test_pattern(view, condition, text);
    }
}

/* Any field of that name will do. */
static enum truth test_fields(struct view *view, const struct condition *condition)
{
    enum truth truth = TRUTH_NO;

    if (!view->has_fields)
        view->fields = fields_find(view->rules, view->asking, view->asking->event->message->header);
    view->has_fields = true;
    for (struct field *field = view->fields; field != NULL; field = field->next) {
        if (field->name != condition->field)
            continue;
        enum truth one = test_text(view, condition, field->value);
        if (one == TRUTH_YES)
            return TRUTH_YES;
        truth = one == TRUTH_UNKNOWN ? one : truth;
    }
    return truth;
}

/* Of what is known of the session alone; nothing of it holds where that is over and forgotten. */
static enum truth test_session(struct view *view, const struct condition *condition)
{
    const struct smarthop_session *session = view->asking->event->session;

    if (session == NULL)
        return TRUTH_NO;
    switch (condition->subject) {
    case SUBJECT_USER:
        return test_text(view, condition, session->user);
    case SUBJECT_HELO:
        return test_text(view, condition, session->helo);
    case SUBJECT_CLIENT_NAME:
        return test_text(view, condition, session->name);
    case SUBJECT_LISTENER:
        return test_text(view, condition, session->listener);
    default:
        if (!view->has_client && !network_parse(session->address, &view->client))
            view->client.family = 0;
        view->has_client = true;
        return truth_of(network_holds(&condition->network, &view->client));
    }
}

static const struct tm *time_of(struct view *view)
{
    time_t now;

    if (!view->has_time) {
        now = (time_t)(view->asking->host->wall_time(view->asking->self) / 1000);
        if (view->asking->is_utc)
            gmtime_r(&now, &view->time);
        else
            localtime_r(&now, &view->time);
        view->has_time = true;
    }
    return &view->time;
}

/* From 22:00 to 06:00 is the night. */
static bool is_within(struct view *view, const struct condition *condition)
{
    const struct tm *time = time_of(view);
    uint64_t minute = (uint64_t)(time->tm_hour * 60 + time->tm_min);

    if (condition->from <= condition->to)
        return minute >= condition->from && minute < condition->to;
    return minute >= condition->from || minute < condition->to;
}

static enum truth test(struct view *view, const struct condition *condition)
{
    const struct smarthop_message *message = view->asking->event->message;

    switch (condition->subject) {
    case SUBJECT_ANY:
        return TRUTH_YES;
    case SUBJECT_FIELD:
        return test_fields(view, condition);
    case SUBJECT_SENDER:
        return test_text(view, condition, message->sender);
    case SUBJECT_RECIPIENT:
        return test_text(view, condition, view->asking->event->recipient->address);
    case SUBJECT_TENANT:
        return test_text(view, condition, message->tenant);
    case SUBJECT_SIZE:
        return truth_of(message->bytes >= condition->from && message->bytes <= condition->to);
    case SUBJECT_TIME:
        return truth_of(is_within(view, condition));
    case SUBJECT_DAYS:
        return truth_of(condition->days >> time_of(view)->tm_wday & 1);
    default:
        return test_session(view, condition);
    }
}

static bool holds(struct view *view, const struct rule *rule)
{
    for (uint32_t i = 0; i < rule->condition_count; i++) {
        enum truth wanted = rule->conditions[i].is_negated ? TRUTH_NO : TRUTH_YES;
        if (test(view, &rule->conditions[i]) != wanted)
            return false;
    }
    return true;
}

/* ---- the answer, copied: rules may be replaced before the host has read it ------------------- */

/* Before `room` there is: how much is needed. */
struct copy {
    char *room;
    size_t len;
};

static void copy_text(struct copy *copy, struct smarthop_span *text)
{
    if (copy->room != NULL && text->len > 0)
        text->ptr = memcpy(copy->room + copy->len, text->ptr, text->len);
    copy->len += text->len;
}

static void copy_texts(struct copy *copy, struct smarthop_verdict *verdict,
                       struct smarthop_next_hop *next_hops, struct smarthop_span *tags)
{
    copy_text(copy, &verdict->why);
    copy_text(copy, &verdict->text);
    copy_text(copy, &verdict->mx);
    copy_text(copy, &verdict->limits);
    copy_text(copy, &verdict->tenant);
    copy_text(copy, &verdict->source);
    copy_text(copy, &verdict->credentials);
    for (uint32_t i = 0; i < verdict->next_hop_count; i++)
        copy_text(copy, &next_hops[i].host);
    for (uint32_t i = 0; i < verdict->tag_count; i++)
        copy_text(copy, &tags[i]);
}

static bool answer(const struct rule *rule, struct rules_asking *asking,
                   struct smarthop_verdict *verdict)
{
    struct smarthop_verdict given = rule->verdict;
    size_t hops = given.next_hop_count * sizeof *given.next_hops;
    size_t tags = given.tag_count * sizeof *given.tags;
    struct copy copy = {0};

    copy_texts(&copy, &given, rule->next_hops, rule->tags);
    char *room = asking->host->alloc(asking->self, asking->event->token, hops + tags + copy.len);
    if (room == NULL)
        return false;
    struct smarthop_next_hop *hop_room = (struct smarthop_next_hop *)(void *)room;
    struct smarthop_span *tag_room = (struct smarthop_span *)(void *)(room + hops);
    if (hops > 0)
        memcpy(hop_room, rule->next_hops, hops);
    if (tags > 0)
        memcpy(tag_room, rule->tags, tags);
    given.next_hops = hops > 0 ? hop_room : NULL;
    given.tags = tags > 0 ? tag_room : NULL;
    copy = (struct copy){.room = room + hops + tags};
    copy_texts(&copy, &given, hop_room, tag_room);
    given.size = verdict->size;
    *verdict = given;
    return true;
}

bool rules_match(const struct rules *rules, struct rules_asking *asking,
                 struct smarthop_verdict *verdict)
{
    struct view view = {.rules = rules, .asking = asking};

    for (uint32_t i = 0; i < rules->rule_count; i++)
        if (holds(&view, &rules->rules[i]))
            return answer(&rules->rules[i], asking, verdict);
    return false;
}
