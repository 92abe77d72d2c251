/* An aliases file: whatever it says, what a name stands for is told within bounds, each once, and
 * is a user, or an address elsewhere. */
#include "plugins/drop/address/address.h"
#include "tests/support/fuzz.h"

static const char *const domains[] = {"a.test", "b.test"};

static struct users *make_users(void)
{
    struct users *users;
    struct buf messages;

    buf_init(&messages, 0);
    MUST(!err_is(users_parse(SPAN("a:*\nb:*\nc@a.test:*\n"), "users", &messages, &users)));
    buf_fini(&messages);
    return users;
}

static void check(const struct addresses *addresses, const struct users *users, struct span name)
{
    struct address_result *results;
    struct arena arena;
    unsigned count = 0;

    arena_init(&arena);
    enum address_answer answer =
        addresses_find(addresses, users, name, SPAN("a.test"), &arena, &results);
    MUST(answer == (results != NULL ? ADDRESS_KNOWN : ADDRESS_UNKNOWN));
    for (const struct address_result *r = results; r != NULL; r = r->next) {
        count++;
        MUST((r->user.len > 0) != (r->forward.len > 0));
        MUST(r->user.len == 0 || (users_find(users, r->user) != NULL && r->folder.len > 0));
        MUST(r->forward.len == 0 || span_index(r->forward, '@') < r->forward.len);
    }
    MUST(count <= ADDRESS_RESULTS_MAX);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct users *users;
    struct span text = span_of((const char *)data, size);
    struct addresses *addresses;
    struct buf messages;

    if (users == NULL)
        users = make_users();
    buf_init(&messages, 0);
    struct err e = addresses_parse(text, "file", domains, 2, "+", &messages, &addresses);
    MUST(err_is(e) == (addresses == NULL) && err_is(e) == (buf_len(&messages) > 0));
    for (unsigned lines = 0; addresses != NULL && text.len > 0 && lines < 100; lines++) {
        struct span line = span_split(text, '\n', &text);
        check(addresses, users, span_trim(span_head(line, span_index(line, ':'))));
    }
    addresses_unref(addresses);
    buf_fini(&messages);
    return 0;
}
