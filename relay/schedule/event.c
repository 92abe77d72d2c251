/* What is told of jobs to programs that read the event log. */
#include "schedule/private.h"

#include "report/events.h"

void event_outcome(const struct job *job, const struct connection *c,
                   const struct queue_recipient *recipient, const struct status *status,
                   const char *klass, const char *name)
{
    struct events *events = job->owner->set->events;
    struct event event = {.name = name,
                          .message = job->message,
                          .group = job->group,
                          .recipient = recipient,
                          .status = status,
                          .klass = klass};
    struct event_time times[DELIVER_PHASE_COUNT + 1];
    static const char *const names[DELIVER_PHASE_COUNT] = {
        [DELIVER_PHASE_CONNECT] = "connect_ms",   [DELIVER_PHASE_HELLO] = "hello_ms",
        [DELIVER_PHASE_TLS] = "tls_ms",           [DELIVER_PHASE_LOGIN] = "login_ms",
        [DELIVER_PHASE_ENVELOPE] = "envelope_ms", [DELIVER_PHASE_DATA] = "data_ms",
        [DELIVER_PHASE_FINAL] = "final_ms"};

    if (events == NULL)
        return;
    times[event.time_count++] =
        (struct event_time){"age_ms", clock_steady_ms() - job->message->arrival};
    if (c != NULL) {
        const uint64_t *phases = deliver_session_phases(c->session);
        times[event.time_count++] =
            (struct event_time){"attempt_ms", job->attempt.finished_ms - job->attempt.started_ms};
        for (unsigned i = DELIVER_PHASE_CONNECT; i < DELIVER_PHASE_COUNT; i++)
            times[event.time_count++] = (struct event_time){names[i], phases[i]};
        event.tls = deliver_session_tls(c->session);
    }
    event.times = times;
    events_add(events, &event);
}

void event_action(const struct job *job, const char *name)
{
    for (uint32_t i = 0; job->owner->set->events != NULL && i < job->group->recipient_count; i++) {
        const struct queue_recipient *recipient = &job->group->recipients[i];
        event_outcome(job, NULL, recipient, &recipient->last, "", name);
    }
}

void event_recipient(const struct job *job, const struct queue_recipient *recipient,
                     const char *name)
{
    events_add(job->owner->set->events, &(struct event){.name = name,
                                                        .message = job->message,
                                                        .group = job->group,
                                                        .recipient = recipient});
}

void event_moved(const struct job *job, const struct queue_group *moved, const char *name)
{
    for (uint32_t i = 0; i < moved->recipient_count; i++)
        events_add(job->owner->set->events, &(struct event){.name = name,
                                                            .message = job->message,
                                                            .group = moved,
                                                            .recipient = &moved->recipients[i]});
}

void event_notified(const struct job *job, const struct queue_message *notification)
{
    events_add(job->owner->set->events, &(struct event){.name = "notified",
                                                        .message = job->message,
                                                        .notification = notification->id});
}
