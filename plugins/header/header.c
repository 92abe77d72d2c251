/*
 * header: routes, refuses and tags by what is known of a message: the fields of its header, its
 * size, who sends it, to whom, and when. The rules are a text file, which is read again when it has
 * changed; one that is wrong is told, and what was read before goes on.
 */
#include "rules.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* When it was written, and which file it is. */
struct stamp {
    struct timespec changed;
    ino_t inode;
    off_t size;
};

struct header {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    const char *path;
    struct pattern_limits limits;
    bool is_utc;
    uint64_t interval;
    uint32_t gave_up;
    uint32_t refused;
    pthread_mutex_t reading; /* of the file, one at a time; guards stamp */
    struct stamp stamp;      /* of the file as last read, also where it was wrong */
    pthread_mutex_t lock;    /* of `rules`, only ever for as long as it takes to count a user */
    struct rules *rules;
};

static struct stamp stamp_of(const struct stat *file)
{
    return (struct stamp){file->st_mtim, file->st_ino, file->st_size};
}

static bool is_same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->inode == b->inode && a->size == b->size;
}

/* ---- the file ------------------------------------------------------------------------------- */

static bool fill(int file, char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t more = read(file, text + at, len - at);
        if (more < 0 && errno == EINTR)
            continue;
        if (more <= 0)
            return false;
        at += (size_t)more;
    }
    return true;
}

/* NULL: `problem` says why. */
static struct rules *read_open(struct header *header, int file, char problem[RULES_PROBLEM_MAX])
{
    struct stat found;
    struct rules *rules = NULL;

    if (fstat(file, &found) != 0 || !S_ISREG(found.st_mode) || found.st_size > RULES_BYTES_MAX) {
        snprintf(problem, RULES_PROBLEM_MAX, "%s: is no file of at most 16 MiB", header->path);
        return NULL;
    }
    header->stamp = stamp_of(&found);
    size_t len = (size_t)found.st_size;
    char *text = malloc(len + 1);
    if (text == NULL || !fill(file, text, len))
        snprintf(problem, RULES_PROBLEM_MAX, "%s: cannot be read", header->path);
    else
        rules = rules_parse(text, len, header->path, &header->limits, problem);
    free(text);
    return rules;
}

static struct rules *read_file(struct header *header, char problem[RULES_PROBLEM_MAX])
{
    int file = open(header->path, O_RDONLY | O_CLOEXEC);

    if (file < 0) {
        snprintf(problem, RULES_PROBLEM_MAX, "%s: %s", header->path, strerror(errno));
        return NULL;
    }
    struct rules *rules = read_open(header, file, problem);
    close(file);
    return rules;
}

/* Takes the reference. */
static void set_rules(struct header *header, struct rules *rules)
{
    pthread_mutex_lock(&header->lock);
    struct rules *old = header->rules;
    header->rules = rules;
    pthread_mutex_unlock(&header->lock);
    rules_unref(old);
}

/* Non-zero where it is wrong, which is told. */
static int read_again(struct header *header)
{
    char problem[RULES_PROBLEM_MAX];
    struct rules *rules = read_file(header, problem);

    if (rules == NULL) {
        header->host->metric_add(header->self, header->refused, 1);
        header->host->log(header->self, 0, SMARTHOP_ERROR, "rules-refused", problem);
        return -1;
    }
    set_rules(header, rules);
    header->host->log(header->self, 0, SMARTHOP_INFO, "rules-read", header->path);
    return 0;
}

static int reload(void *state)
{
    struct header *header = state;

    pthread_mutex_lock(&header->reading);
    int result = read_again(header);
    pthread_mutex_unlock(&header->reading);
    return result;
}

/* ---- whether it has changed ----------------------------------------------------------------- */

static void look(void *context)
{
    struct header *header = context;
    struct stat found;

    if (stat(header->path, &found) != 0)
        return;
    struct stamp stamp = stamp_of(&found);
    pthread_mutex_lock(&header->reading);
    if (!is_same_stamp(&stamp, &header->stamp))
        read_again(header);
    pthread_mutex_unlock(&header->reading);
}

static void on_time(void *context);

static void look_later(void *context)
{
    struct header *header = context;

    header->host->timer_start(header->self, 0, header->interval, on_time, header);
}

static void on_time(void *context)
{
    struct header *header = context;

    header->host->work(header->self, 0, look, look_later, header);
}

/* ---- the plugin ----------------------------------------------------------------------------- */

static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    char problem[RULES_PROBLEM_MAX];

    if (host->option_count(self, "rules") == 0) {
        host->option_problem(self, "rules", 0, "is needed");
        return -1;
    }
    struct header *header = calloc(1, sizeof *header);
    if (header == NULL)
        return -1;
    *header = (struct header){.host = host, .self = self};
    header->path = host->option_text(self, "rules", 0);
    header->limits.steps = (uint32_t)host->option_number(self, "pattern_steps", 0);
    header->limits.depth = (uint32_t)host->option_number(self, "pattern_depth", 0);
    header->is_utc = host->option_number(self, "utc", 0) != 0;
    header->interval = host->option_number(self, "interval", 0);
    header->gave_up =
        host->metric(self, SMARTHOP_COUNTER, "patterns_given_up", "Patterns that met a limit.");
    header->refused =
        host->metric(self, SMARTHOP_COUNTER, "files_refused", "Changed rules that were wrong.");
    header->rules = read_file(header, problem);
    if (header->rules == NULL) {
        host->option_problem(self, "rules", 0, problem);
        free(header);
        return -1;
    }
    pthread_mutex_init(&header->reading, NULL);
    pthread_mutex_init(&header->lock, NULL);
    *state_out = header;
    look_later(header);
    return 0;
}

static void stop(void *state)
{
    struct header *header = state;

    rules_unref(header->rules);
    pthread_mutex_destroy(&header->lock);
    pthread_mutex_destroy(&header->reading);
    free(header);
}

static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    struct header *header = state;
    struct rules_asking asking = {header->host, header->self, event, header->is_utc, 0};

    pthread_mutex_lock(&header->lock);
    struct rules *rules = rules_ref(header->rules);
    pthread_mutex_unlock(&header->lock);
    rules_match(rules, &asking, verdict);
    rules_unref(rules);
    if (asking.gave_up > 0) {
        header->host->metric_add(header->self, header->gave_up, asking.gave_up);
        header->host->log(header->self, event->token, SMARTHOP_WARN, "pattern-given-up",
                          "a pattern met a limit: its rule did not hold");
    }
    return SMARTHOP_DONE;
}

static const struct smarthop_option options[] = {
    {"rules", SMARTHOP_OPTION_PATH, 0, NULL, 1, 4095, "The file of rules."},
    {"utc", SMARTHOP_OPTION_FLAG, 0, "no", 0, 0, "Times are those of UTC, not local ones."},
    {"interval", SMARTHOP_OPTION_DURATION, 0, "2s", 10, 86400000,
     "How often it is looked whether the file has changed."},
    {"pattern_steps", SMARTHOP_OPTION_NUMBER, 0, "100000", 100, 1000000000,
     "The steps after which a pattern is given up."},
    {"pattern_depth", SMARTHOP_OPTION_NUMBER, 0, "1000", 10, 1000000,
     "The depth at which a pattern that is not machine code is given up."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .flags = SMARTHOP_READS_HEADER,
    .name = "header",
    .version = "1.0",
    .summary = "routes, refuses and tags by rules over header, size, client, user and time",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .reload = reload,
    .hooks = {[SMARTHOP_ON_ROUTE] = route},
};
