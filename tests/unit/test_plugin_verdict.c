/* plugins/host: answers that make no sense are refused whole, whoever gave them. */
#include "support/plugin_rig.h"

struct answer {
    const char *name;
    enum smarthop_hook hook;
    struct smarthop_verdict verdict;
};

static int answer(struct plugin_desk *desk, const struct smarthop_event *event,
                  struct smarthop_verdict *verdict)
{
    (void)event;
    *verdict = *(const struct smarthop_verdict *)desk->user;
    return SMARTHOP_DONE;
}

#define TEXT(literal) SMARTHOP_TEXT_INIT(literal)
#define V             .size = sizeof(struct smarthop_verdict)

static char long_text[2000];

static const struct smarthop_span empty_span, bad_span = TEXT("a\r\nb"), good_span = TEXT("a");
static const struct smarthop_next_hop bad_hop = {.host = TEXT("mail.example\n")}, no_hop;
static const struct smarthop_next_hop good_hop = {.host = TEXT("mail.example")};
static const struct smarthop_span many[SMARTHOP_REWRITES_MAX + 1];

static const struct smarthop_edit edits[] = {
    {SMARTHOP_PREPEND, 0, TEXT("X-A"), TEXT("a\r\nX-B: b")},
    {SMARTHOP_PREPEND, 0, TEXT("X-A"), TEXT("a\nb")},
    {SMARTHOP_PREPEND, 0, TEXT("X-A"), TEXT("a\rb")},
    {SMARTHOP_PREPEND, 0, TEXT("X-A"), TEXT("a\r\n")},
    {SMARTHOP_PREPEND, 0, TEXT("X-A"), TEXT("a\r\n ")},
    {SMARTHOP_PREPEND, 0, TEXT("X-A"), TEXT("a\r\n \r\n b")},
    {SMARTHOP_PREPEND, 0, TEXT("X-A"), TEXT("a\0b")},
    {SMARTHOP_PREPEND, 0, TEXT("X A"), TEXT("a")},
    {SMARTHOP_PREPEND, 0, TEXT("X-A:"), TEXT("a")},
    {SMARTHOP_PREPEND, 0, TEXT("X\r\n"), TEXT("a")},
    {SMARTHOP_PREPEND, 0, TEXT("X\xc3\xa4"), TEXT("a")},
    {SMARTHOP_PREPEND, 0, {NULL, 0}, TEXT("a")},
    {SMARTHOP_REMOVE + 1, 0, TEXT("X-A"), TEXT("a")},
    {SMARTHOP_APPEND, 0, TEXT("X-A"), {long_text, sizeof long_text}},
    {SMARTHOP_APPEND, 0, TEXT("X-A"), {long_text, 994}},
    {SMARTHOP_APPEND, 0, TEXT("X-A"), {NULL, 1}},
};

static const struct answer bad[] = {
    {"no such action", SMARTHOP_ON_ROUTE, {V, .action = SMARTHOP_ACTIONS}},
    {"a huge action", SMARTHOP_ON_ROUTE, {V, .action = UINT32_MAX}},
    {"send at RCPT", SMARTHOP_ON_RCPT, {V, .action = SMARTHOP_SEND, .mx = TEXT("a.example")}},
    {"hold at RCPT", SMARTHOP_ON_RCPT, {V, .action = SMARTHOP_HOLD}},
    {"accept a route", SMARTHOP_ON_ROUTE, {V, .action = SMARTHOP_ACCEPT}},
    {"send to nowhere", SMARTHOP_ON_ROUTE, {V, .action = SMARTHOP_SEND}},
    {"a hop without host",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_SEND, .next_hops = &no_hop, .next_hop_count = 1}},
    {"a hop with a line end",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_SEND, .next_hops = &bad_hop, .next_hop_count = 1}},
    {"hops without a place", SMARTHOP_ON_ROUTE, {V, .action = SMARTHOP_SEND, .next_hop_count = 1}},
    {"too many hops",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_SEND, .next_hops = &good_hop, .next_hop_count = 17}},
    {"no such transport",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_SEND, .next_hops = &good_hop, .next_hop_count = 1, .transport = 9}},
    {"no such TLS",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_SEND, .next_hops = &good_hop, .next_hop_count = 1, .tls = 99}},
    {"rewrite to nobody", SMARTHOP_ON_ROUTE, {V, .action = SMARTHOP_REWRITE}},
    {"rewrite to an empty one",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_REWRITE, .recipients = &empty_span, .recipient_count = 1}},
    {"rewrite to too many",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_REWRITE, .recipients = many, .recipient_count = 1001}},
    {"a line end in a text", SMARTHOP_ON_RCPT, {V, .text = TEXT("a\r\n250 ok")}},
    {"a NUL in a text", SMARTHOP_ON_RCPT, {V, .why = {"a\0b", 3}}},
    {"a text without a place", SMARTHOP_ON_RCPT, {V, .text = {NULL, 4}}},
    {"a text that is too long", SMARTHOP_ON_RCPT, {V, .text = {long_text, sizeof long_text}}},
    {"a sender that is too long", SMARTHOP_ON_RCPT, {V, .sender = {long_text, 999}}},
    {"a length that cannot be", SMARTHOP_ON_RCPT, {V, .tenant = {"a", SIZE_MAX}}},
    {"a bad tag", SMARTHOP_ON_RCPT, {V, .tags = &bad_span, .tag_count = 1}},
    {"too many tags", SMARTHOP_ON_RCPT, {V, .tags = many, .tag_count = SMARTHOP_TAGS_MAX + 1}},
    {"too many edits", SMARTHOP_ON_RCPT, {V, .edits = edits, .edit_count = UINT32_MAX}},
    {"a 4yz that rejects", SMARTHOP_ON_RCPT, {V, .action = SMARTHOP_REJECT, .code = 451}},
    {"a 5yz that defers", SMARTHOP_ON_RCPT, {V, .action = SMARTHOP_DEFER, .code = 550}},
    {"a 2yz", SMARTHOP_ON_RCPT, {V, .action = SMARTHOP_REJECT, .code = 250}},
    {"4.x.x that rejects", SMARTHOP_ON_RCPT, {V, .action = SMARTHOP_REJECT, .enhanced = {4, 1, 1}}},
    {"a 2yz that holds", SMARTHOP_ON_MESSAGE, {V, .action = SMARTHOP_HOLD, .code = 250}},
    {"without a size", SMARTHOP_ON_RCPT, {.action = SMARTHOP_REJECT}},
    {"of a size that never was",
     SMARTHOP_ON_RCPT,
     {.size = sizeof(struct smarthop_verdict) - 1, .action = SMARTHOP_REJECT}},
};

static void see(struct plugin_rig *rig, struct plugin_desk *desk, const struct answer *given,
                bool is_good)
{
    uint64_t before = VIEW(rig, 0)->invalid;

    desk->user = (void *)&given->verdict;
    enum smarthop_action action = ask_once(rig, given->hook);
    if ((VIEW(rig, 0)->invalid == before) != is_good)
        fail_msg("%s: %s", given->name, is_good ? "was refused" : "was taken");
    assert_int_equal(action, is_good ? given->verdict.action : SMARTHOP_DEFER);
}

static void test_bad_answers_are_refused(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = answer};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "strikes = 1000");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        see(&rig, &desk, &bad[i], false);
    plugin_rig_stop(&rig);
}

static void test_edits_that_would_break_a_header_are_refused(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = answer};
    char name[32];

    (void)state;
    plugin_rig_start_one(&rig, &desk, "strikes = 1000");
    for (unsigned i = 0; i < sizeof edits / sizeof *edits; i++) {
        struct answer one = {name, SMARTHOP_ON_MESSAGE, {V, .edits = &edits[i], .edit_count = 1}};
        snprintf(name, sizeof name, "edit %u", i);
        see(&rig, &desk, &one, false);
    }
    plugin_rig_stop(&rig);
}

/* What a promised answer is, is judged in the same way. */
static int answer_later(struct plugin_desk *desk, const struct smarthop_event *event,
                        struct smarthop_verdict *verdict)
{
    (void)verdict;
    desk->host->complete(desk->self, event->token, desk->user);
    return SMARTHOP_PENDING;
}

static void test_bad_answers_that_come_later_are_refused(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = answer_later};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "strikes = 1000");
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        see(&rig, &desk, &bad[i], false);
    plugin_rig_stop(&rig);
}

static const struct smarthop_edit good_edits[] = {
    {SMARTHOP_PREPEND, 0, TEXT("X-A"), TEXT("a")},
    {SMARTHOP_APPEND, 0, TEXT("x"), TEXT("")},
    {SMARTHOP_REPLACE, 1, TEXT("Subject"), TEXT("a\r\n b\r\n\tc")},
    {SMARTHOP_REMOVE, 0, TEXT("Bcc"), {NULL, 0}},
    {SMARTHOP_APPEND, 0, TEXT("X-A"), {long_text, 993}},
};

static const struct smarthop_next_hop drop_hop = {TEXT("/run/drop"), 0, 0, 0};

static const struct answer good[] = {
    {"one with more than we know", SMARTHOP_ON_RCPT, {.size = 4096, .action = SMARTHOP_REJECT}},
    {"edits", SMARTHOP_ON_MESSAGE, {V, .edits = good_edits, .edit_count = 5}},
    {"drop",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_SEND, .transport = SMARTHOP_DROP, .next_hops = &drop_hop,
      .next_hop_count = 1}},
    {"mx", SMARTHOP_ON_ROUTE, {V, .action = SMARTHOP_SEND, .mx = TEXT("a.example")}},
    {"rewrite",
     SMARTHOP_ON_ROUTE,
     {V, .action = SMARTHOP_REWRITE, .recipients = &good_span, .recipient_count = 1}},
    {"a long name", SMARTHOP_ON_RCPT, {V, .sender = {long_text, 998}}},
    {"5yz", SMARTHOP_ON_RCPT, {V, .action = SMARTHOP_REJECT, .code = 554, .enhanced = {5, 7, 1}}},
    {"4yz", SMARTHOP_ON_RCPT, {V, .action = SMARTHOP_DEFER, .code = 450, .enhanced = {4, 2, 1}}},
};

static void test_good_answers_are_taken(void **state)
{
    struct plugin_rig rig;
    struct plugin_desk desk = {.ask = answer};

    (void)state;
    plugin_rig_start_one(&rig, &desk, "");
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        see(&rig, &desk, &good[i], true);
    plugin_rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_answers_are_refused),
        cmocka_unit_test(test_edits_that_would_break_a_header_are_refused),
        cmocka_unit_test(test_bad_answers_that_come_later_are_refused),
        cmocka_unit_test(test_good_answers_are_taken),
    };

    memset(long_text, 'x', sizeof long_text);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
