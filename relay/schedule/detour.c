/*
 * A message that its host cannot take (it lacks an extension, or room) goes on to the next hop's
 * other hosts, one after the other, on connections of its own; only when none is left has it
 * failed. The connection on which it was declined is closed first, so that there are never more of
 * them than a destination may have.
 */
#include "schedule/private.h"

struct detour {
    struct sockaddr_storage declined[TARGETS_MAX]; /* hosts that cannot take it */
    unsigned declined_count;
    struct status why; /* of the first one; temporary where one of them may take it later */
};

static const struct status unreached = {
    .code = 451,
    .enhanced = {4, 4, 1},
    .text = {"The hosts that may be able to take it could not be reached", 58}};

static bool has_declined(const struct detour *detour, const struct target *target)
{
    for (unsigned i = 0; i < detour->declined_count; i++)
        if (target_is_at(target, &detour->declined[i]))
            return true;
    return false;
}

/* The next host to try; NULL where there is none, and then why that is so. */
static struct target *next_target(const struct job *job, struct status *why_out)
{
    const struct site *site = job->site;

    *why_out = job->detour->why;
    for (unsigned i = 0; i < site->target_count; i++) {
        struct target *target = &site->targets[i];
        if (has_declined(job->detour, target))
            continue;
        if (balance_may_use(site, target))
            return target;
        *why_out = unreached;
    }
    return NULL;
}

static void note_declined(struct job *job, const struct connection *c)
{
    const struct status *status = &job->statuses[0];

    if (job->detour == NULL)
        job->detour = arena_alloc(&job->arena, sizeof *job->detour);
    struct detour *detour = job->detour;
    if (detour->declined_count < TARGETS_MAX)
        detour->declined[detour->declined_count++] = c->address;
    if (detour->why.code == 0 || !status_is_permanent(status))
        detour->why = *status;
}

static void log_declined(const struct job *job)
{
    const struct status *why = &job->statuses[0];
    struct log_line line;
    char id[ID_TEXT_SIZE];

    if (!log_begin(&line, LOG_INFO, "declined"))
        return;
    log_text(&line, "id", id_format(job->message->id, id));
    log_span(&line, "by", why->by);
    log_span(&line, "text", why->text);
    log_end(&line);
}

bool detour_begin(struct job *job, struct connection *c)
{
    struct status why;

    note_declined(job, c);
    if (next_target(job, &why) == NULL) {
        for (unsigned i = 0; i < job->attempt.recipient_count; i++)
            job->statuses[i] = why;
        return false;
    }
    log_declined(job);
    c->detour = job;
    deliver_close(c->session);
    return true;
}

void detour_go_on(struct job *job)
{
    struct site *site = job->site;
    struct origin *origin;
    struct status why;
    uint64_t until;

    struct target *target = next_target(job, &why);
    if (site->owner->is_stopping) {
        job_requeue(job);
    } else if (target == NULL) {
        job_conclude(job, &why);
    } else if (origins_choose(site, target, &origin, &until) != BUDGET_YES ||
               budget_connect(site->budget, loop_now(site->owner->loop), &until) != BUDGET_YES) {
        job_requeue(job); /* others were faster: from the beginning */
    } else {
        connection_open(site, target, origin, job);
    }
}
