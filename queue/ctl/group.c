/* queue count, group-by and ages: what is queued, counted while it is read once. */
#include "base/clock.h"
#include "proto/domain.h"
#include "queue/ctl/backoffs.h"
#include "queue/ctl/census.h"
#include "queue/ctl/ctl.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"
#include "queue/ctl/select.h"
#include "route/route.h"
#include "rules/rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH_COUNT = 10, WIDTH_AGE = 6 };

struct grouping {
    const struct filter *filter;
    struct census *census;
    struct rules *rules; /* for classes; NULL = there are none */
    void (*add)(struct grouping *grouping, const struct selected *selected);
};

/* ---- keys --------------------------------------------------------------------------------- */

static uint64_t age_of(const struct selected *s)
{
    return s->now > s->message->arrival ? s->now - s->message->arrival : 0;
}

static void add_recipients(struct grouping *grouping, const struct selected *s, struct span key,
                           unsigned recipients)
{
    census_add(grouping->census, key.len > 0 ? key : SPAN("-"), s->message->id, age_of(s),
               s->message->size, recipients);
}

static void add_group(struct grouping *grouping, const struct selected *s, struct span key)
{
    unsigned recipients = 0;

    for (unsigned i = 0; i < s->group->recipient_count; i++)
        recipients += filter_recipient(grouping->filter, &s->group->recipients[i]);
    add_recipients(grouping, s, key, recipients);
}

static void add_domains(struct grouping *grouping, const struct selected *s)
{
    char lower[DOMAIN_MAX];

    for (unsigned i = 0; i < s->group->recipient_count; i++) {
        if (!filter_recipient(grouping->filter, &s->group->recipients[i]))
            continue;
        struct span domain = span_head(view_domain(s->group->recipients[i].address), sizeof lower);
        for (size_t at = 0; at < domain.len; at++)
            lower[at] = ascii_lower(domain.ptr[at]);
        add_recipients(grouping, s, span_of(lower, domain.len), 1);
    }
}

static void add_destination(struct grouping *grouping, const struct selected *s)
{
    add_group(grouping, s, route_destination_place(s->group->destination));
}

static void add_sender(struct grouping *grouping, const struct selected *s)
{
    struct span sender = s->message->reverse_path;

    add_group(grouping, s, sender.len > 0 ? sender : SPAN("<>"));
}

static void add_tenant(struct grouping *grouping, const struct selected *s)
{
    add_group(grouping, s, s->message->tenant);
}

static void add_state(struct grouping *grouping, const struct selected *s)
{
    add_group(grouping, s, span_cstr(view_state_detail(s->state, s->group, s->now)));
}

static void add_age(struct grouping *grouping, const struct selected *s)
{
    add_group(grouping, s, span_cstr(census_age_name(census_age(age_of(s)))));
}

/* "450 4.2.0" */
static void add_codes(struct grouping *grouping, const struct selected *s)
{
    char text[ENHANCED_CODE_TEXT_MAX + 8], enhanced[ENHANCED_CODE_TEXT_MAX];

    for (unsigned i = 0; i < s->group->recipient_count; i++) {
        const struct queue_recipient *recipient = &s->group->recipients[i];
        if (!filter_recipient(grouping->filter, recipient))
            continue;
        enhanced_code_format(recipient->last.enhanced, enhanced);
        int len = snprintf(text, sizeof text, "%u%s%s", recipient->last.code,
                           enhanced[0] ? " " : "", enhanced);
        add_recipients(grouping, s,
                       recipient->last.code != 0 ? span_of(text, (size_t)len) : SPAN_NONE, 1);
    }
}

/* As the response rules in effect have it, whatever they were when it was said. */
static void add_classes(struct grouping *grouping, const struct selected *s)
{
    struct route_next_hop hop = {0};

    route_next_hop_parse(s->group->next_hop, &hop);
    for (unsigned i = 0; i < s->group->recipient_count; i++) {
        const struct queue_recipient *recipient = &s->group->recipients[i];
        const struct rule *rule = NULL;
        if (!filter_recipient(grouping->filter, recipient))
            continue;
        if (grouping->rules != NULL && recipient->last.said)
            rule = rules_match(grouping->rules, rules_host(recipient->last.by), hop.hosts[0].name,
                               &recipient->last);
        add_recipients(grouping, s, rule != NULL ? span_cstr(rule->klass) : SPAN_NONE, 1);
    }
}

static const struct key {
    const char *name;
    void (*add)(struct grouping *grouping, const struct selected *selected);
} keys[] = {
    {"domain", add_domains}, {"destination", add_destination},
    {"sender", add_sender},  {"tenant", add_tenant},
    {"state", add_state},    {"age", add_age},
    {"code", add_codes},     {"class", add_classes},
};

static bool visit(void *context, const struct selected *selected)
{
    struct grouping *grouping = context;

    grouping->add(grouping, selected);
    return true;
}

static enum ctl_exit collect(const struct ctl *ctl, struct grouping *grouping)
{
    struct queue *queue;
    enum ctl_exit opened = ctl_open_store(ctl, true, &queue);

    if (opened != CTL_OK)
        return opened;
    grouping->filter = &ctl->filter;
    grouping->census = census_create();
    struct err e = select_groups(queue, &ctl->filter, visit, grouping);
    queue_close(queue);
    return err_is(e) ? ctl_store_failed(0, e) : CTL_OK;
}

/* ---- tables ------------------------------------------------------------------------------- */

static struct span key_of_row(const struct census_row *row)
{
    return row->key.len > 0 ? row->key : SPAN("(all others)");
}

static void write_row(const struct census_row *row)
{
    char size[OUTPUT_SIZE_MAX];

    output_number(row->messages, WIDTH_COUNT);
    output_number(row->recipients, WIDTH_COUNT);
    output_cell(span_of(size, output_size(row->bytes, size)), WIDTH_COUNT, OUTPUT_PLAIN);
    output_text(key_of_row(row));
    putchar('\n');
}

static void write_heading(const char *what)
{
    output_cell(SPAN("MESSAGES"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("RECIPIENTS"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("SIZE"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(span_cstr(what), 0, OUTPUT_BOLD);
    putchar('\n');
}

static void write_json_row(const struct census_row *row, const char *name, bool with_ages)
{
    json_next_line();
    json_open(NULL, '{');
    if (row->key.len > 0)
        json_text(name, row->key);
    else
        json_none(name);
    json_number("messages", row->messages);
    json_number("recipients", row->recipients);
    json_number("bytes", row->bytes);
    if (with_ages) {
        json_open("ages", '{');
        for (unsigned i = 0; i < CENSUS_AGES; i++)
            json_number(census_age_name(i), row->ages[i]);
        json_close('}');
    }
    json_close('}');
}

static void write_ages(const struct census_row *row)
{
    output_number(row->messages, WIDTH_COUNT);
    for (unsigned i = 0; i < CENSUS_AGES; i++)
        output_number(row->ages[i], WIDTH_AGE);
    output_text(key_of_row(row));
    putchar('\n');
}

static void write_ages_heading(const char *what)
{
    output_cell(SPAN("MESSAGES"), WIDTH_COUNT, OUTPUT_BOLD);
    for (unsigned i = 0; i < CENSUS_AGES; i++)
        output_cell(span_cstr(census_age_name(i)), WIDTH_AGE, OUTPUT_BOLD);
    output_cell(span_cstr(what), 0, OUTPUT_BOLD);
    putchar('\n');
}

static void write_table(const struct ctl *ctl, struct census *census, const char *what,
                        bool with_ages)
{
    unsigned count;
    const struct census_row *rows = census_rows(census, &count);

    if (ctl->options & CTL_LIMIT && ctl->limit < count)
        count = (unsigned)ctl->limit;
    if (ctl->json)
        json_open(NULL, '[');
    else if (with_ages)
        write_ages_heading(what);
    else
        write_heading(what);
    for (unsigned i = 0; i < count; i++) {
        if (ctl->json)
            write_json_row(&rows[i], with_ages ? "destination" : "key", with_ages);
        else if (with_ages)
            write_ages(&rows[i]);
        else
            write_row(&rows[i]);
    }
    if (ctl->json) {
        json_end_line();
        json_close(']');
        json_end_line();
    }
}

static void in_capitals(const char *word, char out[16])
{
    size_t len = 0;

    for (; word[len] != '\0' && len < 15; len++)
        out[len] = (char)(word[len] - 'a' + 'A');
    out[len] = '\0';
}

static enum ctl_exit open_rules(const struct ctl *ctl, struct grouping *grouping)
{
    struct buf messages;

    buf_init(&messages, 0);
    struct err e = rules_open(ctl->conf->response_rules, &messages, &grouping->rules);
    if (err_is(e))
        ctl_complain("%.*s", SPAN_ARG(span_trim(buf_span(&messages))));
    buf_fini(&messages);
    return err_is(e) ? CTL_FAILED : CTL_OK;
}

enum ctl_exit ctl_group_by(struct ctl *ctl)
{
    struct grouping grouping = {.add = NULL};
    char heading[16];

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(ctl->operands[0], keys[i].name) == 0)
            grouping.add = keys[i].add;
    if (grouping.add == NULL) {
        ctl_complain("`queue group-by` takes domain, destination, sender, tenant, state, age,"
                     " class or code, not \"%s\"",
                     ctl->operands[0]);
        return CTL_USAGE;
    }
    enum ctl_exit result = CTL_OK;
    if (grouping.add == add_classes)
        result = open_rules(ctl, &grouping);
    if (result == CTL_OK)
        result = collect(ctl, &grouping);
    rules_unref(grouping.rules);
    in_capitals(ctl->operands[0], heading);
    if (result == CTL_OK)
        write_table(ctl, grouping.census, heading, false);
    census_free(grouping.census);
    return result;
}

enum ctl_exit ctl_ages(struct ctl *ctl)
{
    struct grouping grouping = {.add = add_destination};
    enum ctl_exit result = collect(ctl, &grouping);

    if (result == CTL_OK)
        write_table(ctl, grouping.census, "DESTINATION", true);
    census_free(grouping.census);
    return result;
}

/* ---- count -------------------------------------------------------------------------------- */

static bool count_destination(void *context, const struct queue_destination *destination)
{
    if (destination->has_due)
        ++*(uint64_t *)context;
    return true;
}

static enum ctl_exit count_all(const struct ctl *ctl)
{
    struct queue *queue;
    struct queue_counts counts;
    struct backoffs *backoffs = NULL;
    uint64_t destinations = 0;
    enum ctl_exit opened = ctl_open_store(ctl, true, &queue);

    if (opened != CTL_OK)
        return opened;
    struct err e = queue_count(queue, &counts);
    if (!err_is(e))
        e = queue_destinations(queue, count_destination, &destinations);
    if (!err_is(e))
        e = backoffs_load(queue, clock_wall_ms(), &backoffs);
    queue_close(queue);
    if (err_is(e))
        return ctl_store_failed(0, e);
    if (ctl->json) {
        json_open(NULL, '{');
        json_number("messages", counts.messages);
        json_number("groups", counts.groups);
        json_number("destinations", destinations);
        json_number("backing_off", backoffs_count(backoffs));
        json_close('}');
        json_end_line();
    } else {
        printf("%llu message%s in %llu group%s for %llu destination%s, %u of them backing off\n",
               (unsigned long long)counts.messages, counts.messages == 1 ? "" : "s",
               (unsigned long long)counts.groups, counts.groups == 1 ? "" : "s",
               (unsigned long long)destinations, destinations == 1 ? "" : "s",
               backoffs_count(backoffs));
    }
    backoffs_free(backoffs);
    return CTL_OK;
}

static void add_to_all(struct grouping *grouping, const struct selected *s)
{
    add_group(grouping, s, SPAN("all"));
}

static enum ctl_exit count_filtered(const struct ctl *ctl)
{
    struct grouping grouping = {.add = add_to_all};
    struct census_row all = {0};
    char size[OUTPUT_SIZE_MAX];
    unsigned count;
    enum ctl_exit result = collect(ctl, &grouping);

    if (result == CTL_OK) {
        const struct census_row *rows = census_rows(grouping.census, &count);
        all = count > 0 ? rows[0] : all;
    }
    census_free(grouping.census);
    if (result != CTL_OK)
        return result;
    if (ctl->json) {
        json_open(NULL, '{');
        json_number("messages", all.messages);
        json_number("recipients", all.recipients);
        json_number("bytes", all.bytes);
        json_close('}');
        json_end_line();
    } else {
        size_t len = output_size(all.bytes, size);
        printf("%" PRIu64 " message%s for %" PRIu64 " recipient%s, %.*s\n", all.messages,
               all.messages == 1 ? "" : "s", all.recipients, all.recipients == 1 ? "" : "s",
               (int)len, size);
    }
    return CTL_OK;
}

enum ctl_exit ctl_count(struct ctl *ctl)
{
    return ctl->options & CTL_FILTER ? count_filtered(ctl) : count_all(ctl);
}
