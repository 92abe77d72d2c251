#include "queue/ctl/view.h"

#include "queue/ctl/backoffs.h"

#include <stdio.h>

static const char *const state_names[VIEW_STATES] = {
    [VIEW_READY] = "ready",         [VIEW_WAITING] = "waiting", [VIEW_BACKOFF] = "backoff",
    [VIEW_SUSPENDED] = "suspended", [VIEW_HELD] = "held",       [VIEW_DAMAGED] = "damaged",
};

const char *view_state_name(enum view_state state)
{
    return state_names[state];
}

const char *view_state_detail(enum view_state state, const struct queue_group *group, uint64_t now)
{
    if (state == VIEW_WAITING && queue_group_is_early(group, now))
        return "future";
    if (state == VIEW_WAITING && (group->tries > 0 || view_status(group) != NULL))
        return "deferred";
    return state_names[state];
}

struct span view_domain(struct span address)
{
    return span_from(address, span_rindex(address, '@') + 1);
}

enum view_state view_state_of(const struct backoffs *backoffs, const struct queue_group *group,
                              uint64_t now, uint64_t *next_out)
{
    *next_out = group->due;
    if (group->state == QUEUE_GROUP_HELD)
        return VIEW_HELD;
    const struct queue_suspension *suspension = backoffs_suspension(backoffs, group);
    if (suspension != NULL && suspension->until > now && suspension->until > group->due) {
        *next_out = suspension->until;
        return VIEW_SUSPENDED;
    }
    const struct backoff *backoff = backoffs_find(backoffs, group->destination);
    if (backoff != NULL && backoff->until > now && backoff->until > group->due) {
        *next_out = backoff->until;
        return VIEW_BACKOFF;
    }
    return group->due > now ? VIEW_WAITING : VIEW_READY;
}

const struct status *view_status(const struct queue_group *group)
{
    for (unsigned i = 0; i < group->recipient_count; i++)
        if (group->recipients[i].last.code != 0)
            return &group->recipients[i].last;
    return NULL;
}

static size_t bounded(int len, size_t size)
{
    return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

size_t view_format_status(const struct status *status, char *text, size_t size)
{
    char code[ENHANCED_CODE_TEXT_MAX];
    bool said = status->by.len > 0;

    enhanced_code_format(status->enhanced, code);
    return bounded(snprintf(text, size, "%u %s%s%.*s%s%.*s%s", status->code, code,
                            code[0] ? " " : "", SPAN_ARG(status->text), said ? " (" : "",
                            SPAN_ARG(status->by), said ? ")" : ""),
                   size);
}

static void set_reason(struct view *out, struct span text)
{
    text = span_head(text, sizeof out->reason);
    memcpy(out->reason, text.ptr, text.len);
    out->reason_len = text.len;
}

static void set_suspended(struct view *out, const struct queue_suspension *suspension)
{
    out->reason_len = bounded(snprintf(out->reason, sizeof out->reason,
                                       "an operator has suspended \"%.*s\": %.*s",
                                       SPAN_ARG(suspension->pattern), SPAN_ARG(suspension->reason)),
                              sizeof out->reason);
}

void view_group(const struct backoffs *backoffs, const struct queue_group *group, uint64_t now,
                struct view *out)
{
    const struct status *status = view_status(group);

    out->state = view_state_of(backoffs, group, now, &out->next);
    if (out->state == VIEW_BACKOFF)
        set_reason(out, backoffs_find(backoffs, group->destination)->reason);
    else if (out->state == VIEW_SUSPENDED)
        set_suspended(out, backoffs_suspension(backoffs, group));
    else if (status != NULL)
        out->reason_len = view_format_status(status, out->reason, sizeof out->reason);
    else if (out->state == VIEW_HELD)
        set_reason(out, SPAN("held until it is released"));
    else if (queue_group_is_early(group, now))
        set_reason(out, SPAN("waits until its release time, as its sender asked"));
    else
        set_reason(out, SPAN("not tried yet"));
}
