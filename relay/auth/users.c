#include "auth/users.h"

#include "auth/password.h"
#include "auth/users_private.h"
#include "base/file.h"

#include <stdlib.h>
#include <unistd.h>

void users_file_forget(struct buf *text)
{
    crypto_cleanse(text->data, text->cap);
    buf_fini(text);
}

static struct err tell(struct buf *messages, const char *file, const char *why)
{
    buf_addf(messages, "%s: %s\n", file, why);
    return err_make(ERR_INVALID, "users file");
}

/* The size that fstat told, no more: all of it is wiped later, which growing would spoil. */
static struct err read_all(int fd, size_t size, struct buf *out)
{
    size_t have = 0, len = 1;
    char *room = buf_reserve(out, size + 1);
    struct err e = ERR_OK;

    while (!err_is(e) && have < size && len > 0) {
        e = file_read(fd, room + have, size - have, &len);
        have += len;
    }
    buf_commit(out, have);
    return e;
}

static struct err read_open_file(int fd, const char *file, const struct stat *st, struct buf *out,
                                 struct buf *messages)
{
    char text[ERR_TEXT_MAX];

    if ((st->st_mode & S_IRWXO) != 0)
        return tell(messages, file, "everybody may open it; chmod o= ends that");
    struct err e = read_all(fd, (size_t)st->st_size, out);
    if (err_is(e))
        buf_addf(messages, "%s: %s\n", file, err_text(e, text));
    return e;
}

struct err users_file_read(const char *file, struct buf *out, struct stat *st_out,
                           struct buf *messages)
{
    int fd;
    struct err e = file_open(file, USERS_FILE_MAX, &fd, st_out, messages);

    if (err_is(e))
        return e;
    e = read_open_file(fd, file, st_out, out, messages);
    close(fd);
    return e;
}

struct err users_file_load(const char *file, struct stat *st, struct buf *messages,
                           struct users **out)
{
    struct buf text;

    *out = NULL;
    buf_init(&text, 0);
    struct err e = users_file_read(file, &text, st, messages);
    if (!err_is(e))
        e = users_parse(buf_span(&text), file, messages, out);
    users_file_forget(&text);
    return e;
}

struct err users_load(const char *file, struct buf *messages, struct users **out)
{
    struct stat st;

    return users_file_load(file, &st, messages, out);
}

struct users *users_ref(struct users *users)
{
    atomic_fetch_add(&users->references, 1);
    return users;
}

void users_unref(struct users *users)
{
    if (users == NULL || atomic_fetch_sub(&users->references, 1) != 1)
        return;
    crypto_cleanse(users->text, users->text_len);
    crypto_cleanse(users->entries, users->count * sizeof *users->entries);
    free(users->text);
    free(users->entries);
    free(users->hashed);
    free(users->keyed);
    free(users->addresses);
    free(users->fingerprints);
    free(users->owners);
    free(users);
}

unsigned users_count(const struct users *users)
{
    return users->count;
}

bool users_have_rates(const struct users *users)
{
    return users->has_rates;
}

const struct users_entry *users_at(const struct users *users, unsigned index)
{
    return &users->entries[index];
}

const char *users_decoy_hash(const struct users *users, uint32_t number)
{
    return users->hashed_count > 0 ? users->hashed[number % users->hashed_count]->hash
                                   : password_decoy;
}

struct scram_keys users_decoy_keys(const struct users *users, uint32_t number)
{
    struct scram_keys decoy = {.iterations = SCRAM_ITERATIONS, .salt_len = SCRAM_SALT};

    if (users->keyed_count > 0) {
        const struct scram_keys *real = &users->keyed[number % users->keyed_count]->keys;
        decoy.iterations = real->iterations;
        decoy.salt_len = real->salt_len;
    }
    return decoy;
}
