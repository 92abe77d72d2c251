/* The users file: each user that is read can be found, each refusal has its reason. */
#include "auth/users.h"
#include "tests/support/fuzz.h"

static void check_users(const struct users *users)
{
    for (unsigned i = 0; i < users_count(users); i++) {
        const struct users_entry *entry = users_at(users, i);
        MUST(users_find(users, entry->name) == entry);
        MUST(entry->hash == NULL || strlen(entry->hash) > 0);
        for (unsigned n = 0; n < entry->send_as_count; n++)
            MUST(entry->send_as[n].len > 0);
        for (unsigned n = 0; n < entry->certificate_count; n++)
            MUST(users_find_certificate(users, &entry->certificates[n]) == entry);
        if (entry->has_keys) {
            char text[SCRAM_KEYS_TEXT_MAX];
            struct scram_keys again;
            MUST(scram_keys_parse(span_cstr(scram_keys_format(&entry->keys, text)), &again));
            MUST(again.iterations == entry->keys.iterations);
        }
    }
    MUST(users_decoy_hash(users, 7) != NULL);
    MUST(users_decoy_keys(users, 7).salt_len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct users *users;
    struct buf messages;

    buf_init(&messages, 0);
    struct err e = users_parse(span_of((const char *)data, size), "users", &messages, &users);
    MUST(err_is(e) == (users == NULL) && err_is(e) == (buf_len(&messages) > 0));
    if (users != NULL)
        check_users(users);
    users_unref(users);
    buf_fini(&messages);
    return 0;
}
