/*
 * A plugin for tests of the hooks of a session: at each it does as a word in what it is told says.
 * At connect that is its option `connect`, then the client's name, the user, the sender, the
 * recipient; for the message it is the value of its fields X-Headers and X-Message. "later-" before
 * a word means that the answer comes later.
 */
#include <smarthop_plugin.h>

#include <stdio.h>
#include <stdlib.h>

struct warden {
    const struct smarthop_host *host;
    struct smarthop_self *self;
};

struct promise {
    struct warden *warden;
    uint64_t token;
    struct smarthop_verdict verdict;
};

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    struct warden *warden = calloc(1, sizeof *warden);

    if (warden == NULL)
        return -1;
    warden->host = host;
    warden->self = self;
    *state_out = warden;
    return 0;
}

static void stop(void *state)
{
    free(state);
}

static bool says(struct smarthop_span text, const char *word)
{
    return text.len > 0 && memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

static void decide(struct smarthop_span text, struct smarthop_verdict *verdict)
{
    static const struct smarthop_span tags[] = {
        SMARTHOP_TEXT_INIT("one"), SMARTHOP_TEXT_INIT("two"), SMARTHOP_TEXT_INIT("a,comma")};
    static const struct {
        const char *word;
        uint32_t action;
    } actions[] = {
        {"reject", SMARTHOP_REJECT}, {"defer", SMARTHOP_DEFER},     {"hold", SMARTHOP_HOLD},
        {"accept", SMARTHOP_ACCEPT}, {"discard", SMARTHOP_DISCARD},
    };

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (says(text, actions[i].word))
            verdict->action = actions[i].action;
    if (verdict->action == SMARTHOP_REJECT || verdict->action == SMARTHOP_DEFER ||
        verdict->action == SMARTHOP_HOLD)
        verdict->text = SMARTHOP_TEXT("so says the warden");
    if (says(text, "greek"))
        verdict->text = SMARTHOP_TEXT("\xce\xbf\xcf\x87\xce\xb9");
    if (says(text, "garbled"))
        verdict->text = SMARTHOP_TEXT("no\xff");
    if (says(text, "closing"))
        verdict->code = 421;
    if (says(text, "tenant"))
        verdict->tenant = SMARTHOP_TEXT("ward");
    if (says(text, "away"))
        verdict->source = SMARTHOP_TEXT("away");
    if (says(text, "near"))
        verdict->source = SMARTHOP_TEXT("near");
    if (says(text, "nowhere"))
        verdict->source = SMARTHOP_TEXT("nowhere");
    if (says(text, "slow"))
        verdict->limits = SMARTHOP_TEXT("slow");
    if (says(text, "known"))
        verdict->credentials = SMARTHOP_TEXT("known");
    if (says(text, "secret"))
        verdict->tls = SMARTHOP_TLS_REQUIRED;
    if (says(text, "tagged")) {
        verdict->tags = tags;
        verdict->tag_count = sizeof tags / sizeof tags[0];
    }
}

static void keep_promise(void *context)
{
    struct promise *promise = context;
    struct warden *warden = promise->warden;

    warden->host->complete(warden->self, promise->token, &promise->verdict);
}

static int answer(struct warden *warden, const struct smarthop_event *event,
                  struct smarthop_span text, struct smarthop_verdict *verdict)
{
    if (says(text, "never")) {
        warden->host->log(warden->self, event->token, SMARTHOP_INFO, "waiting", "for ever");
        return SMARTHOP_PENDING;
    }
    decide(text, verdict);
    if (!says(text, "later"))
        return SMARTHOP_DONE;
    struct promise *promise = warden->host->alloc(warden->self, event->token, sizeof *promise);
    promise->warden = warden;
    promise->token = event->token;
    promise->verdict = *verdict;
    warden->host->timer_start(warden->self, event->token, 30, keep_promise, promise);
    return SMARTHOP_PENDING;
}

static int on_connect(void *state, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    struct warden *warden = state;
    const char *text = warden->host->option_text(warden->self, "connect", 0);

    return answer(warden, event, smarthop_span_of(text, strlen(text)), verdict);
}

static int on_helo(void *state, const struct smarthop_event *event,
                   struct smarthop_verdict *verdict)
{
    return answer(state, event, event->session->helo, verdict);
}

static int on_auth(void *state, const struct smarthop_event *event,
                   struct smarthop_verdict *verdict)
{
    if (!(event->session->flags & SMARTHOP_SESSION_LOGGED_IN))
        return SMARTHOP_BROKEN;
    return answer(state, event, event->session->user, verdict);
}

static int on_mail(void *state, const struct smarthop_event *event,
                   struct smarthop_verdict *verdict)
{
    return answer(state, event, event->message->sender, verdict);
}

static int on_rcpt(void *state, const struct smarthop_event *event,
                   struct smarthop_verdict *verdict)
{
    return answer(state, event, event->recipient->local, verdict);
}

/* The value of the first such field. */
static struct smarthop_span field(const struct smarthop_event *event, const char *name)
{
    struct smarthop_span header = event->message->header;
    const char *at = header.len > 0 ? memmem(header.ptr, header.len, name, strlen(name)) : NULL;

    if (at == NULL)
        return smarthop_span_of(NULL, 0);
    at += strlen(name);
    const char *end = memchr(at, '\r', header.len - (size_t)(at - header.ptr));
    return end != NULL ? smarthop_span_of(at, (size_t)(end - at)) : smarthop_span_of(NULL, 0);
}

static int on_headers(void *state, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    return answer(state, event, field(event, "X-Headers: "), verdict);
}

static int on_message(void *state, const struct smarthop_event *event,
                      struct smarthop_verdict *verdict)
{
    return answer(state, event, field(event, "X-Message: "), verdict);
}

static void cancel(void *state, uint64_t token)
{
    struct warden *warden = state;

    warden->host->log(warden->self, token, SMARTHOP_INFO, "cancelled", "nobody waits any more");
}

static const struct smarthop_option options[] = {
    {"connect", SMARTHOP_OPTION_TEXT, 0, "pass", 0, 0, "What it does of a connection."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    .magic = SMARTHOP_MAGIC,
    .abi_major = SMARTHOP_ABI_MAJOR,
    .abi_minor = SMARTHOP_ABI_MINOR,
    .size = sizeof smarthop_plugin,
    .name = "warden",
    .version = "1",
    .summary = "does as clients say",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .cancel = cancel,
    .hooks =
        {
            [SMARTHOP_ON_CONNECT] = on_connect,
            [SMARTHOP_ON_HELO] = on_helo,
            [SMARTHOP_ON_AUTH] = on_auth,
            [SMARTHOP_ON_MAIL] = on_mail,
            [SMARTHOP_ON_RCPT] = on_rcpt,
            [SMARTHOP_ON_HEADERS] = on_headers,
            [SMARTHOP_ON_MESSAGE] = on_message,
        },
};
