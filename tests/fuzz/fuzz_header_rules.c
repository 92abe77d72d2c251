#include "../support/fuzz.h"

#include "header/rules.h"

enum { ALLOCATIONS_MAX = 4096 };

static void *allocations[ALLOCATIONS_MAX];
static unsigned allocation_count;

static void *host_alloc(struct smarthop_self *self, uint64_t token, size_t size)
{
    (void)self, (void)token;
    if (allocation_count == ALLOCATIONS_MAX)
        return NULL;
    return allocations[allocation_count++] = malloc(size);
}

static uint64_t host_wall_time(struct smarthop_self *self)
{
    (void)self;
    return 0;
}

static void ask(const struct rules *rules, struct smarthop_span header)
{
    static const struct smarthop_host host = {.alloc = host_alloc, .wall_time = host_wall_time};
    struct smarthop_session session = {.address = SMARTHOP_TEXT("192.0.2.1")};
    struct smarthop_message message = {.sender = SMARTHOP_TEXT("a@b.test"), .header = header};
    struct smarthop_recipient recipient = {.address = SMARTHOP_TEXT("c@d.test")};
    struct smarthop_event event = {
        .session = &session, .message = &message, .recipient = &recipient};
    struct rules_asking asking = {.host = &host, .event = &event, .is_utc = true};
    struct smarthop_verdict verdict = {.size = sizeof verdict};

    MUST(rules_match(rules, &asking, &verdict) || verdict.action == SMARTHOP_PASS);
    while (allocation_count > 0)
        free(allocations[--allocation_count]);
}

/* Rules, and behind an empty line a header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pattern_limits limits = {.steps = 1000, .depth = 100};
    const char *text = (const char *)data;
    const char *gap = size > 0 ? memmem(data, size, "\n\n", 2) : NULL;
    size_t len = gap != NULL ? (size_t)(gap - text) : size;
    char problem[RULES_PROBLEM_MAX] = "";
    struct rules *rules = rules_parse(text, len, "fuzz", &limits, problem);

    MUST((rules == NULL) == (problem[0] != '\0'));
    if (rules == NULL)
        return 0;
    ask(rules, gap != NULL ? smarthop_span_of(gap + 2, size - len - 2) : SMARTHOP_TEXT("A: b"));
    rules_unref(rules);
    return 0;
}
