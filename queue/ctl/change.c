/* queue retry, remove, hold, release, bounce of messages by their ids: by the daemon, or in the
 * store when it is down. */
#include "queue/ctl/change.h"
#include "proto/base32.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"

#include <inttypes.h>
#include <stdio.h>

static const struct change_verb verbs[] = {
    {"retry", "to be tried now", false, true, OFFLINE_RETRY, NULL},
    {"remove", "removed", true, true, OFFLINE_REMOVE, NULL},
    {"hold", "held", false, true, OFFLINE_HOLD, NULL},
    {"release", "released", false, true, OFFLINE_RELEASE, NULL},
    {"bounce", "returned to its sender", true, false, 0,
     "; `queue remove` removes without telling the sender"},
};

struct change_run {
    struct ctl *ctl;
    const struct change_verb *verb;
    struct queue *queue; /* open once it is known that no daemon runs */
};

static const struct change_verb *find_verb(const char *name)
{
    size_t i = 0;

    while (strcmp(verbs[i].name, name) != 0) /* main.c's table has no others */
        i++;
    return &verbs[i];
}

static void print_done(const struct change_run *run, const char *about, uint64_t affected)
{
    if (run->ctl->json) {
        json_open(NULL, '{');
        json_bool("ok", true);
        json_text("id", span_cstr(about));
        json_number("affected", affected);
        json_close('}');
        json_end_line();
    } else if (affected == 0) {
        printf("%s: nothing to change\n", about);
    } else {
        printf("%s: %s (%llu group%s)\n", about, run->verb->done, (unsigned long long)affected,
               affected == 1 ? "" : "s");
    }
}

enum ctl_exit change_needs_daemon(const struct change_verb *verb)
{
    ctl_complain("smarthopd is not running, and only it can do this%s",
                 verb->instead ? verb->instead : "");
    return CTL_NO_DAEMON;
}

enum ctl_exit change_left_busy(uint64_t groups)
{
    ctl_complain("%" PRIu64 " group%s left as they were: they are still being delivered, or have"
                 " changed meanwhile",
                 groups, groups == 1 ? " was" : "s were");
    return CTL_PARTLY;
}

static enum ctl_exit change_in_store(struct change_run *run, uint64_t id, const char *about)
{
    uint64_t affected;

    if (!run->verb->offline)
        return change_needs_daemon(run->verb);
    if (run->queue == NULL) {
        enum ctl_exit opened = ctl_open_store(run->ctl, false, &run->queue);
        if (opened != CTL_OK)
            return opened;
    }
    struct err e = offline_change_message(run->queue, run->verb->offline_verb, id, &affected);
    if (err_is(e))
        return ctl_store_failed(id, e);
    print_done(run, about, affected);
    return CTL_OK;
}

static enum ctl_exit change(struct change_run *run, uint64_t id)
{
    char name[ID_TEXT_SIZE];
    const char *about = id_format(id, name);
    json_t *answer;

    if (run->queue != NULL)
        return change_in_store(run, id, about);
    json_t *command = json_pack("{s:s,s:s}", "command", run->verb->name, "id", name);
    enum ctl_exit asked = client_ask(run->ctl, command, &answer);
    if (asked == CTL_NO_DAEMON)
        return change_in_store(run, id, about);
    if (asked != CTL_OK)
        return asked;
    uint64_t busy = (uint64_t)json_integer_value(json_object_get(answer, "busy"));
    if (json_is_true(json_object_get(answer, "ok")))
        print_done(run, about, (uint64_t)json_integer_value(json_object_get(answer, "affected")));
    else
        asked = client_refused(answer, about);
    json_decref(answer);
    if (asked == CTL_OK && busy > 0)
        return change_left_busy(busy);
    return asked;
}

enum ctl_exit ctl_change(struct ctl *ctl)
{
    struct change_run run = {.ctl = ctl, .verb = find_verb(ctl->verb)};
    enum ctl_exit result = CTL_OK;
    bool all = ctl->options & CTL_ALL, filtered = ctl->options & CTL_FILTER;
    uint64_t id;

    if (all + filtered + (ctl->operand_count > 0) != 1) {
        ctl_complain("`queue %s` takes either message ids, or filters, or --all", ctl->verb);
        return CTL_USAGE;
    }
    if (all || filtered)
        return bulk_change(ctl, &(struct change_order){.verb = run.verb}, NULL);
    if (ctl->options & (CTL_YES | CTL_DRY_RUN)) {
        ctl_complain("--yes and --dry-run go with filters and --all");
        return CTL_USAGE;
    }
    for (unsigned i = 0; i < ctl->operand_count; i++)
        if (!ctl_parse_id(ctl->operands[i], &id))
            return CTL_USAGE;
    for (unsigned i = 0; i < ctl->operand_count; i++) {
        id_parse(span_cstr(ctl->operands[i]), &id);
        enum ctl_exit one = change(&run, id);
        if (one != CTL_OK)
            result = one;
        if (one == CTL_NO_DAEMON)
            break;
    }
    queue_close(run.queue);
    return result;
}
