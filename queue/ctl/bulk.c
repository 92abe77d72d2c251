/* queue retry, remove, hold, release, bounce for all that a filter lets pass: this program reads
 * the store and has the daemon change one batch of groups after the other. */
#include "proto/base32.h"
#include "queue/ctl/change.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"
#include "queue/ctl/select.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { BATCH = 1000, NAME_MAX_LEN = ID_TEXT_LEN + 12 };

struct bulk {
    struct ctl *ctl;
    const struct change_order *order;
    const struct change_verb *verb;
    unsigned batch_size;
    struct offline *offline; /* NULL where a daemon runs */
    json_t *batch;           /* names of groups, for the daemon */
    bool shows_progress;
    uint64_t total; /* groups, counted before, where somebody is told */
    uint64_t messages, groups;
    uint64_t affected, busy;
    uint64_t moot; /* had gone when it was their turn, or were so already */
    enum ctl_exit result;
};

/* ---- what is meant -------------------------------------------------------------------------- */

/* Mail that its sender wants to go later is sent early only where it is asked for itself. */
static bool names_early(const struct filter *filter)
{
    return filter_has(filter, FILTER_ID) ||
           (filter_has(filter, FILTER_STATE) &&
            span_equal(filter->texts[FILTER_STATE], SPAN("future")));
}

static bool applies(const struct bulk *bulk, const struct selected *s)
{
    bool held = s->group->state == QUEUE_GROUP_HELD;

    if (strcmp(bulk->verb->name, "release") == 0)
        return held;
    if (strcmp(bulk->verb->name, "hold") == 0)
        return !held;
    if (strcmp(bulk->verb->name, "retry") == 0)
        return !held &&
               (!queue_group_is_early(s->group, s->now) || names_early(&bulk->ctl->filter));
    return true;
}

struct count {
    const struct bulk *bulk;
    uint64_t messages, groups, last_id;
};

static void count_one(struct count *count, const struct selected *s)
{
    count->groups++;
    count->messages += s->message->id != count->last_id;
    count->last_id = s->message->id;
}

static bool visit_count(void *context, const struct selected *s)
{
    struct count *count = context;

    if (applies(count->bulk, s))
        count_one(count, s);
    return true;
}

static enum ctl_exit count_all(const struct bulk *bulk, struct count *out)
{
    struct queue *queue;
    enum ctl_exit opened = ctl_open_store(bulk->ctl, true, &queue);

    *out = (struct count){.bulk = bulk};
    if (opened != CTL_OK)
        return opened;
    struct err e = select_groups(queue, &bulk->ctl->filter, visit_count, out);
    queue_close(queue);
    return err_is(e) ? ctl_store_failed(0, e) : CTL_OK;
}

/* ---- batches -------------------------------------------------------------------------------- */

static void show_progress(const struct bulk *bulk)
{
    if (bulk->shows_progress)
        fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " groups ", bulk->groups, bulk->total);
}

static bool send_batch(struct bulk *bulk)
{
    json_t *answer;

    if (json_array_size(bulk->batch) == 0)
        return true;
    json_t *command = json_pack("{s:s,s:o}", "command", bulk->verb->name, "groups", bulk->batch);
    if (bulk->order->fields != NULL)
        json_object_update(command, (json_t *)(uintptr_t)bulk->order->fields);
    bulk->batch = json_array();
    bulk->result = client_order(bulk->ctl, command, &answer);
    if (bulk->result != CTL_OK)
        return false;
    bulk->affected += (uint64_t)json_integer_value(json_object_get(answer, "affected"));
    bulk->busy += (uint64_t)json_integer_value(json_object_get(answer, "busy"));
    bulk->moot += (uint64_t)json_integer_value(json_object_get(answer, "moot"));
    if (bulk->order->take != NULL)
        bulk->order->take(bulk->order->context, answer);
    json_decref(answer);
    show_progress(bulk);
    return true;
}

static bool add_to_batch(struct bulk *bulk, const struct selected *s)
{
    char id[ID_TEXT_SIZE], name[NAME_MAX_LEN];

    snprintf(name, sizeof name, "%s/%" PRIu32, id_format(s->message->id, id), s->group->number);
    json_array_append_new(bulk->batch, json_string(name));
    return json_array_size(bulk->batch) < bulk->batch_size || send_batch(bulk);
}

struct changing {
    struct bulk *bulk;
    struct count count;
};

static bool visit_change(void *context, const struct selected *s)
{
    struct changing *changing = context;
    struct bulk *bulk = changing->bulk;

    if (!applies(bulk, s))
        return true;
    count_one(&changing->count, s);
    bulk->groups = changing->count.groups;
    bulk->messages = changing->count.messages;
    if (bulk->offline == NULL)
        return add_to_batch(bulk, s);
    offline_change(bulk->offline, s->message, s->group);
    if (bulk->groups % BATCH == 0)
        show_progress(bulk);
    return true;
}

/* Opens for changes where no daemon runs. */
static enum ctl_exit change_all(struct bulk *bulk, bool has_daemon)
{
    struct changing changing = {.bulk = bulk, .count.bulk = bulk};
    struct queue *queue;
    enum ctl_exit opened = ctl_open_store(bulk->ctl, has_daemon, &queue);

    if (opened != CTL_OK)
        return opened;
    struct err e = ERR_OK;
    if (!has_daemon)
        e = offline_begin(queue, bulk->verb->offline_verb, &bulk->offline);
    if (!err_is(e))
        e = select_groups(queue, &bulk->ctl->filter, visit_change, &changing);
    if (bulk->offline != NULL) {
        struct err problem = offline_end(bulk->offline, &bulk->affected);
        e = err_is(e) ? e : problem;
    } else if (bulk->result == CTL_OK) {
        send_batch(bulk);
    }
    queue_close(queue);
    if (bulk->shows_progress)
        fputs("\r\033[K", stderr);
    return err_is(e) ? ctl_store_failed(0, e) : bulk->result;
}

/* ---- telling -------------------------------------------------------------------------------- */

static void print_result(const struct bulk *bulk, bool dry_run)
{
    const char *about = bulk->ctl->options & CTL_ALL ? "all" : "matching";

    if (!bulk->ctl->json && bulk->order->tell != NULL)
        bulk->order->tell(bulk->order->context);
    if (bulk->ctl->json) {
        json_open(NULL, '{');
        json_bool("ok", true);
        json_text("id", span_cstr(about));
        json_number("affected", bulk->affected);
        json_number("groups", bulk->groups);
        json_number("messages", bulk->messages);
        json_number("busy", bulk->busy);
        json_number("moot", bulk->moot);
        json_bool("dry_run", dry_run);
        if (bulk->order->tell != NULL)
            bulk->order->tell(bulk->order->context);
        json_close('}');
        json_end_line();
    } else if (bulk->groups == 0) {
        printf("%s: nothing to change\n", about);
    } else {
        uint64_t count = dry_run && bulk->order->fields == NULL ? bulk->groups : bulk->affected;
        printf("%s: %s%s (%" PRIu64 " group%s of %" PRIu64 " message%s)\n", about,
               dry_run ? "would be " : "", bulk->verb->done, count, count == 1 ? "" : "s",
               bulk->messages, bulk->messages == 1 ? "" : "s");
    }
}

/* True without asking where nobody could answer. */
static bool is_agreed(const struct bulk *bulk, const struct count *count)
{
    char answer[16];

    if (!bulk->verb->is_final || bulk->ctl->options & CTL_YES || count->groups == 0 ||
        !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "queue %s: %" PRIu64 " groups of %" PRIu64 " messages. Go on? [y/N] ",
            bulk->verb->name, count->groups, count->messages);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

/* By the daemon where there is one, or in the store. */
static enum ctl_exit carry_out(struct bulk *bulk, bool dry_run)
{
    json_t *answer;

    enum ctl_exit daemon = client_ask(bulk->ctl, json_pack("{s:s}", "command", "ping"), &answer);
    json_decref(answer);
    if (daemon == CTL_NO_DAEMON && !bulk->verb->offline)
        return change_needs_daemon(bulk->verb);
    if (daemon != CTL_OK && daemon != CTL_NO_DAEMON)
        return daemon;
    bulk->groups = bulk->messages = 0;
    enum ctl_exit result = change_all(bulk, daemon == CTL_OK);
    if (result == CTL_OK)
        print_result(bulk, dry_run);
    else if (bulk->affected > 0)
        ctl_complain("by then %" PRIu64 " groups had been changed", bulk->affected);
    return result == CTL_OK && bulk->busy > 0 ? change_left_busy(bulk->busy) : result;
}

static enum ctl_exit run(struct bulk *bulk)
{
    bool dry_run = bulk->ctl->options & CTL_DRY_RUN, only_counts = bulk->order->fields == NULL;
    struct count count;

    bulk->shows_progress = isatty(STDERR_FILENO) && !(dry_run && only_counts);
    if (dry_run || bulk->shows_progress) {
        enum ctl_exit counted = count_all(bulk, &count);
        if (counted != CTL_OK)
            return counted;
        bulk->total = bulk->groups = count.groups;
        bulk->messages = count.messages;
        if (dry_run && only_counts) {
            print_result(bulk, true);
            return CTL_OK;
        }
        if (!dry_run && !is_agreed(bulk, &count)) {
            ctl_complain("nothing was changed");
            return CTL_FAILED;
        }
    }
    return carry_out(bulk, dry_run);
}

enum ctl_exit bulk_change(struct ctl *ctl, const struct change_order *order, uint64_t *groups_out)
{
    struct bulk bulk = {
        .ctl = ctl,
        .order = order,
        .verb = order->verb,
        .batch_size = order->batch ? order->batch : BATCH,
        .batch = json_array(),
    };
    enum ctl_exit result = run(&bulk);

    json_decref(bulk.batch);
    if (groups_out != NULL)
        *groups_out = bulk.groups;
    return result;
}
