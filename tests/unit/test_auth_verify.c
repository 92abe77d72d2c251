/* Passwords checked off the loop: what comes of them, what it costs, and who is turned away. */
#include "auth/backoff.h"
#include "auth/verify.h"
#include "support/loop_rig.h"
#include "support/scratch.h"
#include "unit/auth_users.h"

#include <netinet/in.h>

#define USERS PENCIL_USER "bare:*:scram=" PENCIL_KEYS "\n"

enum { MANY = 16 };

struct site {
    char folder[SCRATCH_PATH];
    char file[SCRATCH_PATH + 8];
    struct auth *auth;
};

static struct site site;

/* One check, started on the loop's thread. */
struct check {
    struct call start;
    struct auth_verify verify;
    const char *user;
    const char *password;
    uint8_t client;
    bool cancel;
    bool is_started;
};

static void on_checked(struct call *call)
{
    struct check *check =
        container_of(container_of(call, struct auth_verify, call), struct check, verify);

    if (!check->is_started)
        abort();
    rig_on_done(call);
}

static void start_check(struct call *call)
{
    struct check *check = container_of(call, struct check, start);
    struct sockaddr_in client = {.sin_family = AF_INET};

    client.sin_addr.s_addr = check->client;
    check->verify.call.done = on_checked;
    auth_verify_start(&check->verify, site.auth, loop_rig.loop,
                      check->client != 0 ? (struct sockaddr *)&client : NULL,
                      span_cstr(check->user), span_cstr(check->password));
    if (check->cancel)
        auth_verify_cancel(&check->verify);
    check->is_started = true;
}

static void run_checks(struct check *checks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        checks[i].start.done = start_check;
        loop_post(loop_rig.loop, &checks[i].start);
    }
    rig_wait(count);
    assert_int_equal(atomic_load(&loop_rig.astray), 0);
}

static void open_site(unsigned hashing_max, unsigned waiting_max)
{
    struct auth_options options = {site.file, hashing_max, waiting_max};
    struct buf messages;

    buf_init(&messages, 0);
    assert_false(err_is(auth_create(&options, &messages, &site.auth)));
    buf_fini(&messages);
}

static int enter(void **state)
{
    (void)state;
    scratch_make(site.folder);
    snprintf(site.file, sizeof site.file, "%s/users", site.folder);
    int fd = open(site.file, O_WRONLY | O_CREAT, 0600);
    if (fd < 0 || write(fd, USERS, sizeof USERS - 1) != sizeof USERS - 1 || close(fd) != 0)
        return -1;
    rig_start();
    return 0;
}

static int leave(void **state)
{
    (void)state;
    rig_stop();
    auth_free(site.auth);
    site.auth = NULL;
    scratch_remove(site.folder);
    return 0;
}

static void one_hash_whatever_is_asked(void **state)
{
    static const struct {
        const char *user;
        const char *password;
        enum auth_result result;
    } cases[] = {
        {"user", "pencil", AUTH_GOOD}, {"user", "pen", AUTH_BAD},  {"user", "Pencil", AUTH_BAD},
        {"user", "", AUTH_BAD},        {"user", "a\nb", AUTH_BAD}, {"nobody", "pencil", AUTH_BAD},
        {"bare", "pencil", AUTH_BAD},  {"nobody", "x", AUTH_BAD},
    };

    (void)state;
    open_site(0, 0);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct check check = {.user = cases[i].user, .password = cases[i].password};
        run_checks(&check, 1);
        if (check.verify.result != cases[i].result)
            fail_msg("%s:%s", cases[i].user, cases[i].password);
        assert_int_equal(auth_hash_count(site.auth), i + 1);
        assert_null(check.verify.password);
    }
}

static void check_once(const char *password, enum auth_result result)
{
    struct check check = {.user = "user", .password = password};

    run_checks(&check, 1);
    assert_int_equal(check.verify.result, result);
}

static void what_was_right_is_not_hashed_again(void **state)
{
    (void)state;
    open_site(0, 0);
    auth_set_recall(site.auth, 60000);
    check_once("pencil", AUTH_GOOD);
    check_once("pencil", AUTH_GOOD);
    assert_int_equal(auth_hash_count(site.auth), 1);
    check_once("pen", AUTH_BAD);
    check_once("pen", AUTH_BAD);
    assert_int_equal(auth_hash_count(site.auth), 3);
    auth_set_recall(site.auth, 0);
    check_once("pencil", AUTH_GOOD);
    assert_int_equal(auth_hash_count(site.auth), 4);
}

static void the_gate_is_bounded(void **state)
{
    struct check checks[MANY];
    unsigned good = 0, later = 0;

    (void)state;
    open_site(1, MANY / 2);
    for (unsigned i = 0; i < MANY; i++)
        checks[i] = (struct check){.user = "user", .password = "pencil"};
    run_checks(checks, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        good += checks[i].verify.result == AUTH_GOOD;
        later += checks[i].verify.result == AUTH_LATER;
    }
    assert_int_equal(good + later, MANY);
    assert_true(good > MANY / 2);
    assert_int_equal(auth_hash_count(site.auth), good);
    /* All places are free again. */
    run_checks(checks, 1);
    assert_int_equal(checks[0].verify.result, AUTH_GOOD);
}

static void who_is_gone_costs_nothing(void **state)
{
    struct check checks[MANY];

    (void)state;
    open_site(1, MANY);
    for (unsigned i = 0; i < MANY; i++)
        checks[i] = (struct check){.user = "user", .password = "pencil", .cancel = true};
    run_checks(checks, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(checks[i].verify.result, AUTH_LATER);
    assert_int_equal(auth_hash_count(site.auth), 0);
}

static void failures_hold_back(void **state)
{
    (void)state;
    open_site(0, 0);
    for (unsigned i = 0; i < AUTH_BACKOFF_FREE_ADDRESS + 1; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%u", i);
        struct check check = {.user = name, .password = "x", .client = 1};
        run_checks(&check, 1);
        assert_int_equal(check.verify.result, AUTH_BAD);
    }
    struct check held = {.user = "user", .password = "pencil", .client = 1};
    run_checks(&held, 1);
    assert_int_equal(held.verify.result, AUTH_LATER);
    assert_int_equal(auth_hash_count(site.auth), AUTH_BACKOFF_FREE_ADDRESS + 1);
    struct check other = {.user = "user", .password = "pencil", .client = 2};
    run_checks(&other, 1);
    assert_int_equal(other.verify.result, AUTH_GOOD);
}

/* Tries that wait together are not all let in: each failure counts for those behind it. */
static void a_burst_is_held_back(void **state)
{
    struct check checks[4 * AUTH_BACKOFF_FREE_USER];
    unsigned count = sizeof checks / sizeof *checks;

    (void)state;
    open_site(1, count);
    for (unsigned i = 0; i < count; i++)
        checks[i] = (struct check){.user = "user", .password = "guess"};
    run_checks(checks, count);
    assert_int_equal(auth_hash_count(site.auth), AUTH_BACKOFF_FREE_USER + 1);
}

static void a_file_is_needed(void **state)
{
    struct auth_options options = {.users_file = "/nonexistent/users"};
    struct buf messages;
    struct auth *auth;

    (void)state;
    buf_init(&messages, 0);
    assert_int_equal(auth_create(&options, &messages, &auth).kind, ERR_NOT_FOUND);
    assert_null(auth);
    assert_true(buf_len(&messages) > 0);
    buf_fini(&messages);
    auth_free(NULL);
}

#define AT_SITE(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_SITE(one_hash_whatever_is_asked),         AT_SITE(the_gate_is_bounded),
        AT_SITE(who_is_gone_costs_nothing),          AT_SITE(failures_hold_back),
        AT_SITE(what_was_right_is_not_hashed_again), AT_SITE(a_burst_is_held_back),
        cmocka_unit_test(a_file_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
