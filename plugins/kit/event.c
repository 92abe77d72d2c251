#include "plugins/kit/private.h"

#include <string.h>
#include <sys/mman.h>

enum { STAGE_BASE = 65536, TARGET_ROOM = 1024 };

static void *put(struct stage *stage, const void *bytes, size_t len)
{
    char *at = stage->pages + stage->used;

    stage->used += (len + 15) & ~(size_t)15;
    if (stage->used > stage->size)
        abort();
    if (len > 0)
        memcpy(at, bytes, len);
    return at;
}

static void take(struct stage *stage, struct smarthop_span *text)
{
    text->ptr = text->len > 0 ? put(stage, text->ptr, text->len) : NULL;
}

static const struct smarthop_session *put_session(struct stage *stage,
                                                  const struct smarthop_session *in)
{
    struct smarthop_session session = *in;

    take(stage, &session.address);
    take(stage, &session.name);
    take(stage, &session.helo);
    take(stage, &session.user);
    take(stage, &session.mechanism);
    take(stage, &session.listener);
    return put(stage, &session, sizeof session);
}

static const struct smarthop_message *put_message(struct stage *stage,
                                                  const struct smarthop_message *in)
{
    struct smarthop_message message = *in;

    take(stage, &message.sender);
    take(stage, &message.envid);
    take(stage, &message.tenant);
    take(stage, &message.header);
    return put(stage, &message, sizeof message);
}

static const struct smarthop_recipient *put_recipient(struct stage *stage,
                                                      const struct smarthop_recipient *in)
{
    struct smarthop_recipient recipient = *in;

    take(stage, &recipient.address);
    take(stage, &recipient.local);
    take(stage, &recipient.domain);
    take(stage, &recipient.orcpt);
    return put(stage, &recipient, sizeof recipient);
}

static const struct smarthop_attempt *put_attempt(struct stage *stage,
                                                  const struct smarthop_attempt *in)
{
    struct smarthop_attempt attempt = *in;

    take(stage, &attempt.next_hop);
    take(stage, &attempt.host);
    take(stage, &attempt.address);
    take(stage, &attempt.tls);
    take(stage, &attempt.reply);
    return put(stage, &attempt, sizeof attempt);
}

static const struct smarthop_target *put_targets(struct stage *stage, const struct scene *scene)
{
    struct smarthop_target *targets =
        put(stage, scene->targets, scene->target_count * sizeof *targets);

    for (uint32_t i = 0; i < scene->target_count; i++) {
        take(stage, &targets[i].host);
        take(stage, &targets[i].address);
    }
    return targets;
}

void stage_set(struct stage *stage, enum smarthop_hook hook, uint64_t token,
               const struct scene *scene)
{
    struct smarthop_event event = {.size = sizeof event, .hook = hook, .token = token};

    *stage = (struct stage){.size = STAGE_BASE + TARGET_ROOM * scene->target_count};
    stage->size += scene->message != NULL ? scene->message->header.len : 0;
    stage->pages =
        mmap(NULL, stage->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stage->pages == MAP_FAILED)
        abort();
    event.session = scene->session != NULL ? put_session(stage, scene->session) : NULL;
    event.message = scene->message != NULL ? put_message(stage, scene->message) : NULL;
    event.recipient = scene->recipient != NULL ? put_recipient(stage, scene->recipient) : NULL;
    event.attempt = scene->attempt != NULL ? put_attempt(stage, scene->attempt) : NULL;
    event.targets = scene->targets != NULL ? put_targets(stage, scene) : NULL;
    event.target_count = scene->target_count;
    event.target_stride = sizeof(struct smarthop_target);
    stage->event = put(stage, &event, sizeof event);
    mprotect(stage->pages, stage->size, PROT_READ);
}

/* The pages stay taken, so that nothing else comes to lie where the event was. */
void stage_clear(struct stage *stage)
{
    mprotect(stage->pages, stage->size, PROT_NONE);
    madvise(stage->pages, stage->size, MADV_DONTNEED);
}
