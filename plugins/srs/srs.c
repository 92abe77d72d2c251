/*
 * srs: the Sender Rewriting Scheme. Mail that is passed on from one foreign domain to another gets
 * a sender in a domain of ours, so that SPF does not refuse it; notifications that come back to
 * such a sender go to the original one.
 */
#include "codec.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct rewriter {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    const char *path;
    struct srs srs;
    pthread_rwlock_t lock; /* of srs.keys: written only where they are replaced */
    struct keys *keys;
    struct smarthop_span *domains; /* ours; with a dot before it also those below */
    uint32_t domain_count;
    uint32_t forwarded;
    uint32_t reversed;
    uint32_t refused;
};

static struct smarthop_span option(const struct rewriter *r, const char *name, uint32_t index)
{
    const char *text = r->host->option_text(r->self, name, index);

    return smarthop_span_of(text, strlen(text));
}

/* NULL: `problem` says why. */
static struct keys *read_keys(const char *path, char *problem, size_t size)
{
    FILE *file = fopen(path, "re");
    static const char none[] = "holds no secrets, or too many";

    if (file == NULL) {
        snprintf(problem, size, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(KEYS_TEXT_MAX);
    size_t len = text != NULL ? fread(text, 1, KEYS_TEXT_MAX, file) : 0;
    bool is_whole = text != NULL && !ferror(file) && len < KEYS_TEXT_MAX;
    fclose(file);
    struct keys *keys = is_whole ? keys_parse(smarthop_span_of(text, len)) : NULL;
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
    if (keys == NULL)
        snprintf(problem, size, "%s: %s", path, is_whole ? none : "cannot be read");
    return keys;
}

static int reload(void *state)
{
    struct rewriter *r = state;
    char problem[512];
    struct keys *keys = read_keys(r->path, problem, sizeof problem);

    if (keys == NULL) {
        r->host->log(r->self, 0, SMARTHOP_ERROR, "secrets-refused", problem);
        return -1;
    }
    pthread_rwlock_wrlock(&r->lock);
    struct keys *old = r->keys;
    r->keys = keys;
    r->srs.keys = keys;
    pthread_rwlock_unlock(&r->lock);
    keys_free(old);
    return 0;
}

/* ---- what is ours --------------------------------------------------------------------------- */

static bool is_same(struct smarthop_span a, struct smarthop_span b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static bool suits(struct smarthop_span domain, struct smarthop_span ours)
{
    if (ours.len == 0 || ours.ptr[0] != '.' || domain.len < ours.len)
        return is_same(domain, ours) ||
               (ours.len > 0 && ours.ptr[0] == '.' &&
                is_same(domain, smarthop_span_of(ours.ptr + 1, ours.len - 1)));
    return is_same(smarthop_span_of(domain.ptr + domain.len - ours.len, ours.len), ours);
}

static bool is_ours(const struct rewriter *r, struct smarthop_span domain)
{
    if (is_same(domain, r->srs.domain))
        return true;
    for (uint32_t i = 0; i < r->domain_count; i++)
        if (suits(domain, r->domains[i]))
            return true;
    return false;
}

static struct smarthop_span domain_of(struct smarthop_span address)
{
    const char *at = address.len > 0 ? memrchr(address.ptr, '@', address.len) : NULL;

    if (at == NULL)
        return smarthop_span_of(NULL, 0);
    return smarthop_span_of(at + 1, (size_t)(address.ptr + address.len - at - 1));
}

/* ---- both ways ------------------------------------------------------------------------------ */

static void *keep(const struct rewriter *r, const struct smarthop_event *event, const void *bytes,
                  size_t len)
{
    void *copy = r->host->alloc(r->self, event->token, len);

    return copy != NULL ? memcpy(copy, bytes, len) : NULL;
}

static void refuse(const struct rewriter *r, struct smarthop_verdict *verdict,
                   enum srs_result result)
{
    verdict->action = SMARTHOP_REJECT;
    verdict->code = 550;
    verdict->enhanced[0] = 5;
    verdict->enhanced[1] = result == SRS_FORGED ? 7 : 1;
    verdict->enhanced[2] = 1;
    if (result == SRS_FORGED)
        verdict->text = SMARTHOP_TEXT("This address has not been made here");
    else if (result == SRS_EXPIRED)
        verdict->text = SMARTHOP_TEXT("This address was good for a time that is over");
    else
        verdict->text = SMARTHOP_TEXT("There is no such address");
    verdict->why = SMARTHOP_TEXT("a rewritten sender that is not right");
    r->host->metric_add(r->self, r->refused, 1);
}

static void restore(struct rewriter *r, const struct smarthop_event *event,
                    struct smarthop_verdict *verdict)
{
    struct srs_address original;
    uint64_t now = r->host->wall_time(r->self) / 1000;

    pthread_rwlock_rdlock(&r->lock);
    enum srs_result result = srs_reverse(&r->srs, event->recipient->local, now, &original);
    pthread_rwlock_unlock(&r->lock);
    if (result == SRS_UNFIT)
        return;
    if (result != SRS_DONE) {
        refuse(r, verdict, result);
        return;
    }
    struct smarthop_span to = {keep(r, event, original.text, original.len), original.len};
    const struct smarthop_span *list = to.ptr != NULL ? keep(r, event, &to, sizeof to) : NULL;
    if (list == NULL)
        return;
    verdict->action = SMARTHOP_REWRITE;
    verdict->recipients = list;
    verdict->recipient_count = 1;
    verdict->why = SMARTHOP_TEXT("the sender that was rewritten here");
    r->host->metric_add(r->self, r->reversed, 1);
}

static void rewrite(struct rewriter *r, const struct smarthop_event *event,
                    struct smarthop_verdict *verdict)
{
    struct srs_address sender;
    uint64_t now = r->host->wall_time(r->self) / 1000;

    pthread_rwlock_rdlock(&r->lock);
    enum srs_result result = srs_forward(&r->srs, event->message->sender, now, &sender);
    pthread_rwlock_unlock(&r->lock);
    if (result != SRS_DONE) {
        r->host->log(r->self, event->token, SMARTHOP_WARN, "not-rewritten",
                     "the sender cannot be rewritten, or would become too long");
        return;
    }
    verdict->sender.ptr = keep(r, event, sender.text, sender.len);
    if (verdict->sender.ptr == NULL)
        return;
    verdict->sender.len = sender.len;
    verdict->why = SMARTHOP_TEXT("passed on for a foreign sender");
    r->host->metric_add(r->self, r->forwarded, 1);
}

static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    struct rewriter *r = state;
    struct smarthop_span sender = event->message->sender;

    if (is_same(event->recipient->domain, r->srs.domain))
        restore(r, event, verdict);
    else if (sender.len > 0 && !is_ours(r, event->recipient->domain) &&
             !is_ours(r, domain_of(sender)))
        rewrite(r, event, verdict);
    return SMARTHOP_DONE;
}

/* ---- the plugin ----------------------------------------------------------------------------- */

static void free_rewriter(struct rewriter *r)
{
    keys_free(r->keys);
    free(r->domains);
    free(r);
}

static void stop(void *state)
{
    struct rewriter *r = state;

    pthread_rwlock_destroy(&r->lock);
    free_rewriter(r);
}

static bool is_there(const struct smarthop_host *host, struct smarthop_self *self, const char *name)
{
    if (host->option_count(self, name) > 0)
        return true;
    host->option_problem(self, name, 0, "is needed");
    return false;
}

static bool read_options(struct rewriter *r)
{
    struct smarthop_span separator = option(r, "separator", 0);
    char problem[512];

    if (separator.len != 1 || memchr("=-+", separator.ptr[0], 3) == NULL) {
        r->host->option_problem(r->self, "separator", 0, "is one of = - +");
        return false;
    }
    r->srs.domain = option(r, "domain", 0);
    r->srs.separator = separator.ptr[0];
    r->srs.hash_len = (uint8_t)r->host->option_number(r->self, "hash_length", 0);
    r->srs.hash_min = (uint8_t)r->host->option_number(r->self, "hash_min", 0);
    r->srs.max_age_days =
        (unsigned)(r->host->option_number(r->self, "max_age", 0) / (24 * 60 * 60 * 1000));
    for (uint32_t i = 0; i < r->domain_count; i++)
        r->domains[i] = option(r, "local_domains", i);
    if (r->srs.hash_min > r->srs.hash_len) {
        r->host->option_problem(r->self, "hash_min", 0, "is above hash_length");
        return false;
    }
    r->keys = read_keys(r->path, problem, sizeof problem);
    r->srs.keys = r->keys;
    if (r->keys == NULL)
        r->host->option_problem(r->self, "secrets", 0, problem);
    return r->keys != NULL;
}

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    if (!is_there(host, self, "domain") || !is_there(host, self, "secrets"))
        return -1;
    struct rewriter *r = calloc(1, sizeof *r);
    if (r == NULL)
        return -1;
    *r = (struct rewriter){.host = host, .self = self};
    r->path = host->option_text(self, "secrets", 0);
    r->domain_count = host->option_count(self, "local_domains");
    r->domains = calloc(r->domain_count + 1, sizeof *r->domains);
    if (r->domains == NULL || !read_options(r)) {
        free_rewriter(r);
        return -1;
    }
    pthread_rwlock_init(&r->lock, NULL);
    r->forwarded = host->metric(self, SMARTHOP_COUNTER, "forwarded", "Senders rewritten.");
    r->reversed = host->metric(self, SMARTHOP_COUNTER, "reversed", "Senders restored.");
    r->refused = host->metric(self, SMARTHOP_COUNTER, "refused",
                              "Recipients that looked like rewritten senders, and were none.");
    *state_out = r;
    return 0;
}

static const struct smarthop_option options[] = {
    {"domain", SMARTHOP_OPTION_TEXT, 0, NULL, 1, 200, "The domain of rewritten senders."},
    {"secrets", SMARTHOP_OPTION_PATH, 0, NULL, 1, 4095, "The file of secrets, one a line."},
    {"local_domains", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 254,
     "Domains that are ours: .example.org with those below it."},
    {"separator", SMARTHOP_OPTION_TEXT, 0, "=", 1, 1, "What is behind SRS0 and SRS1."},
    {"hash_length", SMARTHOP_OPTION_NUMBER, 0, "4", 4, KEYS_HASH_MAX, "Characters of a signature."},
    {"hash_min", SMARTHOP_OPTION_NUMBER, 0, "4", 4, KEYS_HASH_MAX,
     "Characters that a signature needs when it comes back."},
    {"max_age", SMARTHOP_OPTION_DURATION, 0, "21d", UINT64_C(86400000), UINT64_C(77760000000),
     "How long a rewritten sender can be answered, in whole days."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .name = "srs",
    .version = "1.0",
    .summary = "rewrites the senders of mail that is passed on, and restores them",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .reload = reload,
    .hooks = {[SMARTHOP_ON_ROUTE] = route},
};
