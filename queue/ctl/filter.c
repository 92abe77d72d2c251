#include "queue/ctl/filter.h"

#include "conf/value.h"
#include "proto/base32.h"
#include "proto/domain.h"
#include "route/route.h"

#include <stdlib.h>

enum { STATUS_TEXT_MAX = 1024 };

/* What one term is asked of; `group` and `recipient` only where its scope has them. */
struct subject {
    const struct queue_message *message;
    const struct queue_group *group;
    const struct queue_recipient *recipient;
    enum view_state state;
    uint64_t now;
};

enum scope { SCOPE_MESSAGE, SCOPE_GROUP, SCOPE_RECIPIENT };

/* ---- texts -------------------------------------------------------------------------------- */

static bool contains(struct span text, struct span part)
{
    for (size_t at = 0; at + part.len <= text.len; at++)
        if (span_starts_nocase(span_from(text, at), part))
            return true;
    return false;
}

static bool is_pattern(struct span text)
{
    return span_index(text, '*') < text.len || span_index(text, '?') < text.len;
}

/* The whole text; only the last star is ever tried anew, so that the cost is bounded by the
 * product of the lengths. */
static bool fits(struct span text, struct span pattern)
{
    size_t at = 0, in = 0, star = SIZE_MAX, behind = 0;

    while (at < text.len) {
        if (in < pattern.len && pattern.ptr[in] == '*') {
            star = in++;
            behind = at;
        } else if (in < pattern.len && (pattern.ptr[in] == '?' || ascii_lower(pattern.ptr[in]) ==
                                                                      ascii_lower(text.ptr[at]))) {
            in++;
            at++;
        } else if (star != SIZE_MAX) {
            in = star + 1;
            at = ++behind;
        } else {
            return false;
        }
    }
    while (in < pattern.len && pattern.ptr[in] == '*')
        in++;
    return in == pattern.len;
}

static bool has(struct span text, struct span wanted)
{
    return is_pattern(wanted) ? fits(text, wanted) : contains(text, wanted);
}

static bool is(struct span text, struct span wanted)
{
    return is_pattern(wanted) ? fits(text, wanted) : span_equal_nocase(text, wanted);
}

/* ---- terms -------------------------------------------------------------------------------- */

static bool match_sender(const struct subject *s, const struct filter *filter)
{
    struct span wanted = filter->texts[FILTER_SENDER];

    if (span_equal(wanted, SPAN("<>")))
        return s->message->reverse_path.len == 0;
    return has(s->message->reverse_path, wanted);
}

static bool match_recipient(const struct subject *s, const struct filter *filter)
{
    return has(s->recipient->address, filter->texts[FILTER_RECIPIENT]);
}

static bool match_domain(const struct subject *s, const struct filter *filter)
{
    struct span wanted = filter->texts[FILTER_DOMAIN];
    struct span domain = view_domain(s->recipient->address);

    return is_pattern(wanted) ? fits(domain, wanted) : domain_equal(domain, wanted);
}

static bool match_destination(const struct subject *s, const struct filter *filter)
{
    return has(route_destination_place(s->group->destination), filter->texts[FILTER_DESTINATION]);
}

static bool match_tenant(const struct subject *s, const struct filter *filter)
{
    return is(s->message->tenant, filter->texts[FILTER_TENANT]);
}

static bool match_state(const struct subject *s, const struct filter *filter)
{
    struct span wanted = filter->texts[FILTER_STATE];
    struct span detail = span_cstr(view_state_detail(s->state, s->group, s->now));

    return span_equal(wanted, span_cstr(view_state_name(s->state))) || span_equal(wanted, detail);
}

static uint64_t age_of(const struct subject *s)
{
    return s->now > s->message->arrival ? s->now - s->message->arrival : 0;
}

static bool match_older(const struct subject *s, const struct filter *filter)
{
    return age_of(s) > filter->numbers[FILTER_OLDER];
}

static bool match_newer(const struct subject *s, const struct filter *filter)
{
    return age_of(s) < filter->numbers[FILTER_NEWER];
}

static bool match_larger(const struct subject *s, const struct filter *filter)
{
    return s->message->size > filter->numbers[FILTER_LARGER];
}

static bool match_smaller(const struct subject *s, const struct filter *filter)
{
    return s->message->size < filter->numbers[FILTER_SMALLER];
}

static bool match_tries(const struct subject *s, const struct filter *filter)
{
    return s->group->tries >= filter->numbers[FILTER_TRIES];
}

static bool match_status(const struct subject *s, const struct filter *filter)
{
    char text[STATUS_TEXT_MAX];

    if (s->recipient->last.code == 0)
        return false;
    size_t len = view_format_status(&s->recipient->last, text, sizeof text);
    return has(span_of(text, len), filter->texts[FILTER_STATUS]);
}

static bool match_id(const struct subject *s, const struct filter *filter)
{
    for (unsigned i = 0; i < filter->id_count; i++)
        if (filter->ids[i] == s->message->id)
            return true;
    return false;
}

static bool take_text(struct filter *filter, enum filter_term term, struct span value,
                      struct buf *why)
{
    filter->texts[term] = value;
    if (value.len == 0)
        buf_addf(why, "it takes a text");
    return value.len > 0;
}

static bool take_state(struct filter *filter, enum filter_term term, struct span value,
                       struct buf *why)
{
    static const char words[][10] = {"ready",   "waiting",   "deferred", "future",
                                     "backoff", "suspended", "held",     "damaged"};

    filter->texts[term] = span_equal(value, SPAN("backing-off")) ? SPAN("backoff") : value;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (span_equal(span_of(words[i], strnlen(words[i], sizeof words[i])), filter->texts[term]))
            return true;
    buf_addf(why,
             "it takes ready, waiting, deferred, future, backing-off, suspended, held or damaged");
    return false;
}

static const struct conf_key duration_key = {
    .width = sizeof(uint64_t), .type = CONF_DURATION, .max = 3650ull * 86400000};
static const struct conf_key size_key = {
    .width = sizeof(uint64_t), .type = CONF_SIZE, .max = 1ull << 50};
static const struct conf_key number_key = {
    .width = sizeof(uint64_t), .type = CONF_NUMBER, .max = UINT32_MAX};

static bool take_duration(struct filter *filter, enum filter_term term, struct span value,
                          struct buf *why)
{
    return conf_value_add(&duration_key, &filter->numbers[term], value, NULL, why);
}

static bool take_size(struct filter *filter, enum filter_term term, struct span value,
                      struct buf *why)
{
    return conf_value_add(&size_key, &filter->numbers[term], value, NULL, why);
}

static bool take_number(struct filter *filter, enum filter_term term, struct span value,
                        struct buf *why)
{
    return conf_value_add(&number_key, &filter->numbers[term], value, NULL, why);
}

static bool take_id(struct filter *filter, enum filter_term term, struct span value,
                    struct buf *why)
{
    uint64_t id;

    (void)term;
    if (!id_parse(value, &id) || id == 0) {
        buf_addf(why, "it takes the id of a message");
        return false;
    }
    filter->ids = mem_realloc(filter->ids, (filter->id_count + 1) * sizeof *filter->ids);
    filter->ids[filter->id_count++] = id;
    return true;
}

static const struct row {
    const char *name;
    enum scope scope;
    bool (*take)(struct filter *filter, enum filter_term term, struct span value, struct buf *why);
    bool (*matches)(const struct subject *subject, const struct filter *filter);
} rows[FILTER_TERMS] = {
    [FILTER_SENDER] = {"sender", SCOPE_MESSAGE, take_text, match_sender},
    [FILTER_RECIPIENT] = {"recipient", SCOPE_RECIPIENT, take_text, match_recipient},
    [FILTER_DOMAIN] = {"domain", SCOPE_RECIPIENT, take_text, match_domain},
    [FILTER_DESTINATION] = {"destination", SCOPE_GROUP, take_text, match_destination},
    [FILTER_TENANT] = {"tenant", SCOPE_MESSAGE, take_text, match_tenant},
    [FILTER_STATE] = {"state", SCOPE_GROUP, take_state, match_state},
    [FILTER_OLDER] = {"older", SCOPE_MESSAGE, take_duration, match_older},
    [FILTER_NEWER] = {"newer", SCOPE_MESSAGE, take_duration, match_newer},
    [FILTER_LARGER] = {"larger", SCOPE_MESSAGE, take_size, match_larger},
    [FILTER_SMALLER] = {"smaller", SCOPE_MESSAGE, take_size, match_smaller},
    [FILTER_TRIES] = {"tries", SCOPE_GROUP, take_number, match_tries},
    [FILTER_STATUS] = {"status", SCOPE_RECIPIENT, take_text, match_status},
    [FILTER_ID] = {"id", SCOPE_MESSAGE, take_id, match_id},
};

const char *filter_name(enum filter_term term)
{
    return rows[term].name;
}

bool filter_take(struct filter *filter, enum filter_term term, const char *value, struct buf *why)
{
    if (!rows[term].take(filter, term, span_cstr(value), why))
        return false;
    filter->terms |= 1u << term;
    return true;
}

void filter_fini(struct filter *filter)
{
    free(filter->ids);
    *filter = (struct filter){0};
}

static bool all_hold(const struct filter *filter, enum scope scope, const struct subject *subject)
{
    for (unsigned i = 0; i < FILTER_TERMS; i++)
        if (filter_has(filter, i) && rows[i].scope == scope && !rows[i].matches(subject, filter))
            return false;
    return true;
}

bool filter_message(const struct filter *filter, const struct queue_message *message, uint64_t now)
{
    struct subject subject = {.message = message, .now = now};

    return all_hold(filter, SCOPE_MESSAGE, &subject);
}

bool filter_recipient(const struct filter *filter, const struct queue_recipient *recipient)
{
    struct subject subject = {.recipient = recipient};

    return all_hold(filter, SCOPE_RECIPIENT, &subject);
}

const struct queue_recipient *filter_group(const struct filter *filter,
                                           const struct queue_group *group, enum view_state state,
                                           uint64_t now)
{
    struct subject subject = {.group = group, .state = state, .now = now};

    if (!all_hold(filter, SCOPE_GROUP, &subject))
        return NULL;
    for (unsigned i = 0; i < group->recipient_count; i++)
        if (filter_recipient(filter, &group->recipients[i]))
            return &group->recipients[i];
    return NULL;
}

bool filter_damaged(const struct filter *filter)
{
    if (filter_has(filter, FILTER_STATE) &&
        !span_equal(filter->texts[FILTER_STATE], SPAN("damaged")))
        return false;
    for (unsigned i = 0; i < FILTER_TERMS; i++)
        if (i != FILTER_STATE && filter_has(filter, i) && rows[i].scope != SCOPE_MESSAGE)
            return false;
    return true;
}
