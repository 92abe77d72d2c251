/*
 * A plugin for tests that does as the recipient's local part says: words with "+" between them.
 * Built twice: `puppet` answers at RCPT, `reader` (PUPPET_READS) once it has seen the header.
 */
#include <smarthop_plugin.h>

#include <stdio.h>
#include <stdlib.h>

struct puppet {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    struct smarthop_next_hop next_hop;
};

/* A promise that is kept later. */
struct promise {
    struct puppet *puppet;
    uint64_t token;
};

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct puppet *puppet = calloc(1, sizeof *puppet);

    if (puppet == NULL)
        return -1;
    puppet->host = host;
    puppet->self = self;
    if (host->option_count(self, "next_hop") > 0) {
        const char *text = host->option_text(self, "next_hop", 0);
        puppet->next_hop.host = smarthop_span_of(text, strlen(text));
        puppet->next_hop.port = (uint16_t)host->option_number(self, "port", 0);
    }
    *state_out = puppet;
    return 0;
}

static void stop(void *state)
{
    free(state);
}

/* One that is preferred in a quarter of all cases, one in the others, and one behind both. */
static void prefer(struct puppet *puppet, struct smarthop_verdict *verdict)
{
    static const struct smarthop_next_hop hops[] = {
        {SMARTHOP_TEXT_INIT("last.test"), 25, 20, 9},
        {SMARTHOP_TEXT_INIT("often.test"), 25, 10, 3},
        {SMARTHOP_TEXT_INIT("rarely.test"), 25, 10, 1},
    };

    (void)puppet;
    verdict->action = SMARTHOP_SEND;
    verdict->next_hops = hops;
    verdict->next_hop_count = 3;
}

static bool says(struct smarthop_span local, const char *word)
{
    return memmem(local.ptr, local.len, word, strlen(word)) != NULL;
}

static void send_to(struct puppet *puppet, struct smarthop_verdict *verdict)
{
    verdict->action = SMARTHOP_SEND;
    verdict->next_hops = &puppet->next_hop;
    verdict->next_hop_count = 1;
    verdict->why = SMARTHOP_TEXT("the puppet was told to");
}

static void keep_promise(void *context)
{
    struct promise *promise = context;
    struct puppet *puppet = promise->puppet;
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    send_to(puppet, &verdict);
    puppet->host->complete(puppet->self, promise->token, &verdict);
    puppet->host->complete(puppet->self, promise->token, &verdict); /* once too often */
    free(promise);
}

static int promise(struct puppet *puppet, uint64_t token)
{
    struct promise *promise = calloc(1, sizeof *promise);

    if (promise == NULL)
        return SMARTHOP_BROKEN;
    promise->puppet = puppet;
    promise->token = token;
    puppet->host->timer_start(puppet->self, 0, 20, keep_promise, promise);
    return SMARTHOP_PENDING;
}

static bool has_field(const struct smarthop_message *message, const char *field)
{
    return message != NULL && message->header.len > 0 &&
           memmem(message->header.ptr, message->header.len, field, strlen(field)) != NULL;
}

static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    static const struct smarthop_span others[] = {SMARTHOP_TEXT_INIT("send+one@split.test"),
                                                  SMARTHOP_TEXT_INIT("send+two@split.test"),
                                                  SMARTHOP_TEXT_INIT("split@split.test")};
    static const struct smarthop_span round = SMARTHOP_TEXT_INIT("round+x@other.test");
    static const struct smarthop_span back = SMARTHOP_TEXT_INIT("round@other.test");
    struct puppet *puppet = state;
    struct smarthop_span local = event->recipient->local;

    verdict->text = SMARTHOP_TEXT("so says the puppet");
    if (says(local, "header") && !has_field(event->message, "X-Send: yes\r\n"))
        verdict->action = SMARTHOP_REJECT;
    else if (says(local, "send") || says(local, "header"))
        send_to(puppet, verdict);
    else if (says(local, "prefer"))
        prefer(puppet, verdict);
    else if (says(local, "reject"))
        verdict->action = SMARTHOP_REJECT;
    else if (says(local, "defer"))
        verdict->action = SMARTHOP_DEFER;
    else if (says(local, "hold"))
        verdict->action = SMARTHOP_HOLD;
    else if (says(local, "discard"))
        verdict->action = SMARTHOP_DISCARD;
    else if (says(local, "split")) {
        verdict->action = SMARTHOP_REWRITE;
        verdict->recipients = others;
        verdict->recipient_count = 3;
    } else if (says(local, "round")) {
        verdict->action = SMARTHOP_REWRITE;
        verdict->recipients = says(local, "+x") ? &back : &round;
        verdict->recipient_count = 1;
    } else if (says(local, "promise"))
        return promise(puppet, event->token);
    else if (says(local, "never")) {
        puppet->host->log(puppet->self, event->token, SMARTHOP_INFO, "waiting", "for ever");
        return SMARTHOP_PENDING;
    } else if (says(local, "broken"))
        return SMARTHOP_BROKEN;
    if (says(local, "near"))
        verdict->source = SMARTHOP_TEXT("near");
    if (says(local, "sender"))
        verdict->sender = SMARTHOP_TEXT("other@sender.test");
    if (says(local, "forged"))
        verdict->sender = SMARTHOP_TEXT("other@sender.test> SIZE=1 X=<a");
    return SMARTHOP_DONE;
}

/* Says its words again, and fails without any. */
static int command(void *state, const struct smarthop_span *words, uint32_t count,
                   smarthop_write write, void *context)
{
    (void)state;
    for (uint32_t i = 0; i < count; i++) {
        if (smarthop_equal(words[i], SMARTHOP_TEXT("bytes")))
            write(context, "\0\xff\x01\\", 4);
        for (int k = 0; k < 1 << 16 && smarthop_equal(words[i], SMARTHOP_TEXT("flood")); k++)
            write(context, "\x02 of 32 bytes, all of them known", 33);
        write(context, words[i].ptr, words[i].len);
        write(context, "\n", 1);
    }
    return count > 0 ? 0 : 1;
}

static void cancel(void *state, uint64_t token)
{
    struct puppet *puppet = state;

    puppet->host->log(puppet->self, token, SMARTHOP_INFO, "cancelled", "nobody waits any more");
}

static const struct smarthop_option options[] = {
    {"next_hop", SMARTHOP_OPTION_TEXT, 0, NULL, 0, 0, "Where `send` goes."},
    {"port", SMARTHOP_OPTION_NUMBER, 0, "25", 1, 65535, "Its port."},
};

#ifdef PUPPET_READS
#define FLAGS SMARTHOP_READS_HEADER
#else
#define FLAGS 0
#endif

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    .magic = SMARTHOP_MAGIC,
    .abi_major = SMARTHOP_ABI_MAJOR,
    .abi_minor = SMARTHOP_ABI_MINOR,
    .size = sizeof smarthop_plugin,
    .flags = FLAGS,
    .name = "puppet",
    .version = "1",
    .summary = "does as recipients say",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .cancel = cancel,
    .command = command,
    .hooks = {[SMARTHOP_ON_ROUTE] = route},
};
