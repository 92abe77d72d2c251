/*
 * A content plugin for tests: it does with a message as the field X-Do in it says, in the hook
 * `message`; and with "early" in it, in the hook `headers`, where it can edit only. What reads or
 * writes whole messages is done as work, and piece by piece.
 */
#include <smarthop_plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 50000, GROWN = 50 << 20 };

struct scribe {
    const struct smarthop_host *host;
    struct smarthop_self *self;
};

/* One message that is being worked on. */
struct job {
    struct scribe *scribe;
    uint64_t token;
    char task[64];
    uint64_t sum; /* of all that was read */
    bool is_broken;
};

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct scribe *scribe = calloc(1, sizeof *scribe);

    if (scribe == NULL)
        return -1;
    scribe->host = host;
    scribe->self = self;
    *state_out = scribe;
    return 0;
}

static void stop(void *state)
{
    free(state);
}

static bool says(const char *task, const char *word)
{
    return strstr(task, word) != NULL;
}

static const struct smarthop_edit edits[] = {
    {SMARTHOP_PREPEND, 0, SMARTHOP_TEXT_INIT("X-First"), SMARTHOP_TEXT_INIT("one")},
    {SMARTHOP_APPEND, 0, SMARTHOP_TEXT_INIT("X-Last"), SMARTHOP_TEXT_INIT("folded\r\n\tvalue")},
    {SMARTHOP_REPLACE, 1, SMARTHOP_TEXT_INIT("subject"), SMARTHOP_TEXT_INIT("gr\xc3\xbc\xc3\x9f")},
    {SMARTHOP_REPLACE, 2, SMARTHOP_TEXT_INIT("X-Many"), SMARTHOP_TEXT_INIT("second")},
    {SMARTHOP_REMOVE, 0, SMARTHOP_TEXT_INIT("X-Gone"), {NULL, 0}},
};

static void edit(struct smarthop_verdict *verdict)
{
    verdict->edits = edits;
    verdict->edit_count = sizeof edits / sizeof edits[0];
}

static void put(struct job *job, const char *bytes, size_t len)
{
    const struct smarthop_host *host = job->scribe->host;

    if (!job->is_broken)
        job->is_broken = host->body_write(job->scribe->self, job->token, bytes, len) != 0;
}

#define PUT(job, literal) put((job), (literal), sizeof(literal) - 1)

/* Reads it all, and writes it again with every x as a y where it is to be copied. */
static void read_through(struct job *job, bool copies)
{
    const struct smarthop_host *host = job->scribe->host;
    char room[PIECE];
    uint64_t offset = 0;
    int64_t got;

    job->sum = 14695981039346656037u;
    while ((got = host->body_read(job->scribe->self, job->token, offset, room, sizeof room)) > 0) {
        for (int64_t i = 0; i < got; i++) {
            job->sum = (job->sum ^ (unsigned char)room[i]) * 1099511628211u;
            if (room[i] == 'x')
                room[i] = 'y';
        }
        if (copies)
            put(job, room, (size_t)got);
        offset += (uint64_t)got;
    }
    job->is_broken |= got < 0;
}

/* A large message of its own; halfway it says so. */
static void grow(struct job *job)
{
    static const char line[] = "This line has been written by a plugin, and there are many.\r\n";
    const struct smarthop_host *host = job->scribe->host;
    size_t written = 0;

    PUT(job, "Subject: grown\r\n\r\n");
    for (; written < GROWN && !job->is_broken; written += sizeof line - 1) {
        put(job, line, sizeof line - 1);
        if (written / (GROWN / 2) != (written + sizeof line - 1) / (GROWN / 2))
            host->log(job->scribe->self, 0, SMARTHOP_INFO, "halfway", "of a large message");
        while (says(job->task, "stuck") && written > GROWN / 2 && !job->is_broken) {
            usleep(10000);
            put(job, "", 0);
        }
    }
    if (job->is_broken)
        host->log(job->scribe->self, 0, SMARTHOP_INFO, "given-up", "nobody wants it");
}

static void run(void *context)
{
    struct job *job = context;

    if (says(job->task, "copy") || says(job->task, "sign"))
        read_through(job, says(job->task, "copy"));
    else if (says(job->task, "grow"))
        grow(job);
    else if (says(job->task, "small"))
        PUT(job, "Subject: small\r\n\r\n\xc3\xbc small\r\n");
    else if (says(job->task, "bare"))
        PUT(job, "Subject: bare\r\n\r\na\nb\r\n");
    else if (says(job->task, "nul"))
        PUT(job, "Subject: nul\r\n\r\na\0"
                 "b\r\n");
}

static void done(void *context)
{
    struct job *job = context;
    struct smarthop_verdict verdict = {.size = sizeof verdict};
    struct smarthop_edit signature = {.kind = SMARTHOP_PREPEND,
                                      .name = SMARTHOP_TEXT("X-Signature")};
    char text[32];

    if (job->is_broken)
        verdict.action = SMARTHOP_DEFER;
    verdict.replace_body = !job->is_broken && !says(job->task, "sign");
    if (says(job->task, "edit"))
        edit(&verdict);
    if (says(job->task, "sign")) {
        signature.value.ptr = text;
        signature.value.len =
            (size_t)snprintf(text, sizeof text, "%016llx", (unsigned long long)job->sum);
        verdict.edits = &signature;
        verdict.edit_count = 1;
    }
    job->scribe->host->complete(job->scribe->self, job->token, &verdict);
    free(job);
}

/* The text that is found says what becomes of the message. */
static void looked_up(void *context, const struct smarthop_dns_answer *answer)
{
    struct job *job = context;
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    if (answer->result == SMARTHOP_DNS_OK && answer->count > 0 &&
        smarthop_equal(answer->records[0], SMARTHOP_TEXT("hold")))
        verdict.action = SMARTHOP_HOLD;
    job->scribe->host->complete(job->scribe->self, job->token, &verdict);
}

static bool find_task(const struct smarthop_event *event, char task[64])
{
    struct smarthop_span header = event->message->header;
    const char *at = header.len > 0 ? memmem(header.ptr, header.len, "X-Do: ", 6) : NULL;

    if (at == NULL)
        return false;
    size_t len = 0;
    for (at += 6; at < header.ptr + header.len && *at != '\r' && len < 63; at++)
        task[len++] = *at;
    task[len] = '\0';
    return true;
}

static int on_headers(void *state, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    char task[64];

    (void)state;
    if (find_task(event, task) && says(task, "early"))
        edit(verdict);
    return SMARTHOP_DONE;
}

static int on_message(void *state, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    struct scribe *scribe = state;
    char task[64];

    if (!find_task(event, task) || says(task, "early"))
        return SMARTHOP_DONE;
    if (says(task, "claim")) {
        verdict->replace_body = 1; /* of which nothing has been written */
        return SMARTHOP_DONE;
    }
    if (says(task, "edit") && strcmp(task, "edit") == 0) {
        edit(verdict);
        return SMARTHOP_DONE;
    }
    if (says(task, "dns")) {
        struct job *job = scribe->host->alloc(scribe->self, event->token, sizeof *job);
        *job = (struct job){.scribe = scribe, .token = event->token};
        scribe->host->dns(scribe->self, event->token, SMARTHOP_DNS_TXT,
                          SMARTHOP_TEXT("policy.test"), looked_up, job);
        return SMARTHOP_PENDING;
    }
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return SMARTHOP_BROKEN;
    *job = (struct job){.scribe = scribe, .token = event->token};
    memcpy(job->task, task, sizeof job->task);
    scribe->host->work(scribe->self, event->token, run, done, job);
    return SMARTHOP_PENDING;
}

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    .magic = SMARTHOP_MAGIC,
    .abi_major = SMARTHOP_ABI_MAJOR,
    .abi_minor = SMARTHOP_ABI_MINOR,
    .size = sizeof smarthop_plugin,
    .name = "scribe",
    .version = "1",
    .summary = "rewrites messages as they ask for it",
    .start = start,
    .stop = stop,
    .hooks = {[SMARTHOP_ON_HEADERS] = on_headers, [SMARTHOP_ON_MESSAGE] = on_message},
};
