#include "auth/users_private.h"
#include "base/follow.h"

static struct err load(const char *file, void *context, struct stat *st_out, struct buf *messages,
                       void **out)
{
    struct users *users;
    struct err e = users_file_load(file, st_out, messages, &users);

    (void)context;
    *out = users;
    return e;
}

static void ref(void *users)
{
    users_ref(users);
}

static void unref(void *users)
{
    users_unref(users);
}

static uint64_t count_of(const void *users)
{
    return users_count(users);
}

static const struct follow_kind kind = {
    .loaded = "users-loaded",
    .refused = "users-refused",
    .count = "users",
    .load = load,
    .ref = ref,
    .unref = unref,
    .count_of = count_of,
};

struct err users_follow(const char *file, struct buf *messages, struct follow **out)
{
    struct follow *follow = follow_create(&kind, NULL);
    struct err e = follow_set(follow, file, messages);

    *out = follow;
    if (err_is(e)) {
        follow_free(follow);
        *out = NULL;
    }
    return e;
}
