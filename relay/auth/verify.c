#include "auth/verify.h"

#include "auth/backoff.h"
#include "auth/password.h"
#include "auth/prepare.h"
#include "auth/recall.h"
#include "base/clock.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct auth {
    struct follow *source;
    struct auth_backoff *backoff;
    struct auth_recall *recall;
    struct crypto_secret secret;
    unsigned hashing_max;
    unsigned waiting_max;
    atomic_uint_fast64_t hashed;

    pthread_mutex_t lock; /* the gate: of all below */
    unsigned hashing;
    unsigned waiting_count;
    struct list waiting; /* auth_verify.turn.link */
};

struct err auth_create(const struct auth_options *options, struct buf *messages, struct auth **out)
{
    struct follow *source;
    struct err e = users_follow(options->users_file, messages, &source);

    *out = NULL;
    if (err_is(e))
        return e;
    struct auth *auth = mem_zalloc(sizeof *auth);
    auth->source = source;
    crypto_random(auth->secret.bytes, sizeof auth->secret.bytes);
    auth->backoff = auth_backoff_create(&auth->secret);
    auth->recall = auth_recall_create();
    auth->hashing_max = options->hashing_max > 0 ? options->hashing_max : AUTH_HASHING_MAX;
    auth->waiting_max = options->waiting_max > 0 ? options->waiting_max : AUTH_WAITING_MAX;
    pthread_mutex_init(&auth->lock, NULL);
    list_init(&auth->waiting);
    *out = auth;
    return ERR_OK;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    follow_free(auth->source);
    auth_backoff_free(auth->backoff);
    auth_recall_free(auth->recall);
    pthread_mutex_destroy(&auth->lock);
    crypto_cleanse(&auth->secret, sizeof auth->secret);
    free(auth);
}

void auth_set_recall(struct auth *auth, uint64_t ms)
{
    auth_recall_set(auth->recall, ms);
}

bool auth_poll(struct auth *auth)
{
    return follow_poll(auth->source);
}

struct users *auth_users(struct auth *auth)
{
    return follow_get(auth->source);
}

const struct crypto_secret *auth_secret(const struct auth *auth)
{
    return &auth->secret;
}

uint64_t auth_delay(struct auth *auth, const struct sockaddr *client, struct span user)
{
    return auth_backoff_delay(auth->backoff, client, user, clock_mono_ms());
}

void auth_note(struct auth *auth, const struct sockaddr *client, struct span user, bool succeeded)
{
    auth_backoff_note(auth->backoff, client, user, succeeded, clock_mono_ms());
}

uint64_t auth_hash_count(struct auth *auth)
{
    return atomic_load(&auth->hashed);
}

enum gate_answer { GATE_GO, GATE_WAIT, GATE_FULL };

static enum gate_answer gate_enter(struct auth *auth, struct auth_verify *verify)
{
    enum gate_answer answer = GATE_FULL;

    pthread_mutex_lock(&auth->lock);
    if (auth->hashing < auth->hashing_max) {
        auth->hashing++;
        answer = GATE_GO;
    } else if (auth->waiting_count < auth->waiting_max) {
        auth->waiting_count++;
        list_append(&auth->waiting, &verify->turn.link);
        answer = GATE_WAIT;
    }
    pthread_mutex_unlock(&auth->lock);
    return answer;
}

/* The place goes to who has waited longest. Its turn is told on its own loop: only there may its
 * work be started. */
static void gate_leave(struct auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    struct list *next = list_pop(&auth->waiting);
    if (next != NULL)
        auth->waiting_count--;
    else
        auth->hashing--;
    pthread_mutex_unlock(&auth->lock);
    if (next == NULL)
        return;
    struct auth_verify *verify = container_of(next, struct auth_verify, turn.link);
    loop_post(verify->loop, &verify->turn);
}

static const struct sockaddr *client_of(const struct auth_verify *verify)
{
    return (const struct sockaddr *)&verify->client;
}

/* Before the owner is told: it may free the call. */
static void release(struct auth_verify *verify)
{
    if (verify->password != NULL)
        crypto_cleanse(verify->password, strlen(verify->password));
    free(verify->password);
    free(verify->name);
    users_unref(verify->users);
    verify->password = verify->name = NULL;
    verify->users = NULL;
    verify->hash = NULL;
}

static void finish(struct auth_verify *verify)
{
    release(verify);
    verify->call.done(&verify->call);
}

static void on_turned_away(struct call *call)
{
    finish(container_of(call, struct auth_verify, turn));
}

/* On the pool. */
static void run_hash(struct work *work)
{
    struct auth_verify *verify = container_of(work, struct auth_verify, work);

    atomic_fetch_add(&verify->auth->hashed, 1);
    bool same = password_matches(span_cstr(verify->password), verify->hash);
    verify->result = same && verify->has_user ? AUTH_GOOD : AUTH_BAD;
    if (verify->result == AUTH_GOOD)
        auth_recall_note(verify->auth->recall, span_cstr(verify->name), span_cstr(verify->hash),
                         span_cstr(verify->password), clock_mono_ms());
}

static void on_recalled(struct call *call)
{
    struct auth_verify *verify = container_of(call, struct auth_verify, turn);

    verify->result = AUTH_GOOD;
    auth_note(verify->auth, client_of(verify), span_cstr(verify->name), true);
    finish(verify);
}

static void on_hashed(struct call *call)
{
    struct auth_verify *verify = container_of(call, struct auth_verify, work.call);

    auth_note(verify->auth, client_of(verify), span_cstr(verify->name),
              verify->result == AUTH_GOOD);
    gate_leave(verify->auth);
    finish(verify);
}

static bool is_held_back(struct auth_verify *verify)
{
    return auth_delay(verify->auth, client_of(verify), span_cstr(verify->name)) > 0;
}

/* The call has a place. The back-off is asked again: many tries may have waited together. */
static void on_turn(struct call *call)
{
    struct auth_verify *verify = container_of(call, struct auth_verify, turn);

    if (verify->is_cancelled || is_held_back(verify)) {
        gate_leave(verify->auth);
        finish(verify);
        return;
    }
    verify->work.run = run_hash;
    verify->work.call.done = on_hashed;
    loop_work(verify->loop, &verify->work);
}

static uint32_t decoy_number(const struct auth *auth, struct span name)
{
    struct crypto_digest digest;
    uint32_t number;

    crypto_secret_derive(&auth->secret, "hash", name, &digest);
    memcpy(&number, digest.bytes, sizeof number);
    return number;
}

static void copy_client(struct auth_verify *verify, const struct sockaddr *client)
{
    verify->client = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    if (client != NULL && client->sa_family == AF_INET)
        memcpy(&verify->client, client, sizeof(struct sockaddr_in));
    else if (client != NULL && client->sa_family == AF_INET6)
        memcpy(&verify->client, client, sizeof(struct sockaddr_in6));
}

/* What will be hashed: the user's hash, or another's where there is none. A decoy is looked for in
 * either case, so that both take the same way. */
static void choose_hash(struct auth_verify *verify, struct span user, bool is_valid)
{
    const char *decoy = users_decoy_hash(verify->users, decoy_number(verify->auth, user));
    const struct users_entry *entry = users_find(verify->users, user);

    verify->has_user = is_valid && entry != NULL && entry->hash != NULL;
    verify->hash = verify->has_user ? entry->hash : decoy;
}

static bool is_recalled(const struct auth_verify *verify)
{
    return verify->has_user &&
           auth_recall_knows(verify->auth->recall, span_cstr(verify->name), span_cstr(verify->hash),
                             span_cstr(verify->password), clock_mono_ms());
}

void auth_verify_start(struct auth_verify *verify, struct auth *auth, struct loop *loop,
                       const struct sockaddr *client, struct span user, struct span password)
{
    bool is_valid = auth_password_is_valid(password);

    verify->auth = auth;
    verify->loop = loop;
    verify->result = AUTH_LATER;
    verify->is_cancelled = false;
    verify->users = auth_users(auth);
    verify->name = span_to_text(span_head(user, AUTH_NAME_MAX));
    verify->password = span_to_text(is_valid ? password : SPAN_NONE);
    copy_client(verify, client);
    choose_hash(verify, user, is_valid);
    verify->turn.done = on_turn;
    enum gate_answer answer = GATE_GO;
    if (is_held_back(verify))
        answer = GATE_FULL;
    else if (is_recalled(verify))
        verify->turn.done = on_recalled;
    else
        answer = gate_enter(auth, verify);
    if (answer == GATE_FULL)
        verify->turn.done = on_turned_away;
    if (answer != GATE_WAIT)
        loop_defer(loop, &verify->turn);
}

void auth_verify_cancel(struct auth_verify *verify)
{
    verify->is_cancelled = true;
}
