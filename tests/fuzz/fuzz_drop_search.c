/*
 * drop/imap/search: any program over any message. A line that is the program, behind it the
 * message; the store is this file. However the message is cut into chunks, and whether it is asked
 * for on a loop or not, the answer is the same; what NOT of the program says is the opposite.
 */
#include "plugins/drop/imap/parse.h"
#include "plugins/drop/imap/search_private.h"
#include "tests/support/fuzz.h"

static struct span stored;
static struct span stored_digest;
static uint32_t stored_seed;

struct err mailstore_digest_get(struct kv_txn *txn, uint64_t message, struct span *out)
{
    (void)txn, (void)message;
    *out = stored_digest;
    return ERR_OK;
}

bool mailstore_content_is_resident(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                   uint64_t len)
{
    (void)txn, (void)message, (void)offset, (void)len;
    return true;
}

struct err mailstore_content_walk(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                  uint64_t len, mailstore_visit_bytes *visit, void *context)
{
    struct span rest = span_head(span_from(stored, offset), len);
    uint32_t seed = stored_seed;

    (void)txn, (void)message;
    while (rest.len > 0) {
        size_t piece = fuzz_piece(&seed, rest.len);

        if (!visit(context, span_head(rest, piece)))
            break;
        rest = span_from(rest, piece);
    }
    return ERR_OK;
}

static enum search_answer ask(const struct search_plan *plan, const struct search_node *node,
                              const struct mailstore_entry *entry, uint32_t seed, bool may_block)
{
    struct search_message message;

    stored_seed = seed;
    search_message_init(&message);
    message.may_block = may_block;
    search_message_begin(&message, NULL, entry);
    enum search_answer answer = search_match(plan, node, &message);
    search_message_fini(&message);
    return answer;
}

static void run_program(const struct imap_search *program, const struct mailstore_entry *entry,
                        uint32_t seed, struct arena *arena)
{
    struct imap_scope scope = {.uids = &entry->uid, .count = 1};
    struct search_plan plan;

    search_plan_make(&plan, program, &scope, arena);
    struct search_node not = {.key = IMAP_KEY_NOT, .child = plan.root};
    enum search_answer answer = ask(&plan, plan.root, entry, seed, false);
    MUST(answer == SEARCH_YES || answer == SEARCH_NO);
    MUST(ask(&plan, plan.root, entry, 0, true) == answer);
    MUST(ask(&plan, &not, entry, seed + 1, true) != answer);
}

/* Its keys for SORT and THREAD. */
static void take_keys(const struct imap_search *program, const struct mailstore_entry *entry,
                      struct arena *arena)
{
    struct imap_search all = *program;
    struct search_sort sort = {.program = &all, .arena = arena};
    struct search_message message;
    uint32_t order[2];

    for (all.sort_count = 0; all.sort_count <= IMAP_SORT_DISPLAYTO; all.sort_count++)
        all.sort[all.sort_count].key = (enum imap_sort_key)all.sort_count;
    search_message_init(&message);
    search_message_begin(&message, NULL, entry);
    MUST(search_sort_take(&sort, &message, 0) == SEARCH_YES);
    MUST(search_sort_take(&sort, &message, 1) == SEARCH_YES);
    search_sort_order(&sort, order);
    MUST(order[0] == 0 && order[1] == 1);
    search_sort_fini(&sort);
    search_message_fini(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct imap_command command = {.verb = IMAP_INVALID};
    struct mailstore_entry entry = {
        .uid = 7, .modseq = 1, .message = 1, .prefix = SPAN("A: b\r\n")};
    struct span line = span_split(input, '\n', &stored);
    struct arena arena;
    struct buf text, digest;

    arena_init(&arena);
    arena_init(&command.arena);
    buf_init(&text, 0);
    buf_init(&digest, 0);
    buf_add(&text, SPAN("a SEARCH "));
    buf_add(&text, line);
    imap_command_parse(&command, buf_span(&text), true);
    if (command.verb == IMAP_SEARCH) {
        struct mime_scanner *scanner = mime_scanner_create(&arena);
        mime_scanner_feed(scanner, stored);
        digest_write(mime_scanner_end(scanner), &digest);
        mime_scanner_free(scanner);
        stored_digest = buf_span(&digest);
        entry.size = stored.len + entry.prefix.len;
        run_program(&command.search, &entry, seed, &arena);
        take_keys(&command.search, &entry, &arena);
    }
    buf_fini(&text);
    buf_fini(&digest);
    arena_fini(&command.arena);
    arena_fini(&arena);
    return 0;
}
