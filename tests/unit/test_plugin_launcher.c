/* plugins/host/launcher, and smarthop-plugin --launch: processes of plugins as users of their own.
 * All but the refusals need root, and a user nobody that root can become. */
#include "plugins/host/launcher.h"
#include "support/plugin_rig.h"
#include "support/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define NEEDS_ROOT()                                                                               \
    if (!can_become_nobody())                                                                      \
    skip()

static bool can_become_nobody(void)
{
    const struct passwd *pw = getpwnam("nobody");
    int status = 1;
    pid_t child = pw != NULL && geteuid() == 0 ? fork() : -1;

    if (child == 0)
        _exit(setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0);
    if (child > 0)
        waitpid(child, &status, 0);
    return status == 0;
}

/* ---- the program by itself ---------------------------------------------------------------- */

struct peer {
    int socket;
    pid_t pid;
};

static void peer_start(struct peer *peer)
{
    posix_spawn_file_actions_t actions;
    char *const arguments[] = {"smarthop-plugin", "--launch", NULL};
    char *const environment[] = {NULL};
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    int high = fcntl(ends[1], F_DUPFD_CLOEXEC, 100);
    close(ends[1]);
    peer->socket = ends[0];
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, high, LAUNCH_CONTROL);
    assert_int_equal(posix_spawn(&peer->pid, HELPER, &actions, NULL, arguments, environment), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(high);
}

static void say(const struct peer *peer, enum launch_kind kind, uint32_t value, const char *user,
                int fd)
{
    struct launch_packet packet = {.kind = kind, .value = value};

    snprintf(packet.user, sizeof packet.user, "%s", user);
    assert_true(launch_send(peer->socket, &packet, fd));
}

static void need_answer(const struct peer *peer, enum launch_kind kind, uint32_t value)
{
    struct launch_packet answer;
    int fd;

    assert_true(launch_receive(peer->socket, &answer, &fd) > 0);
    assert_int_equal(answer.kind, kind);
    assert_int_equal(answer.value, value);
    assert_int_equal(fd, -1);
}

static void leave(struct peer *peer)
{
    int status;

    close(peer->socket);
    assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* It has closed its socket, and ends by itself. */
static void need_end(struct peer *peer)
{
    struct launch_packet answer;
    int fd;
    ssize_t len;

    do {
        len = launch_receive(peer->socket, &answer, &fd);
    } while (len > 0);
    assert_true(len == 0 || len == -ECONNRESET);
    leave(peer);
}

static void peer_start_with(struct peer *peer, const char *user)
{
    peer_start(peer);
    say(peer, LAUNCH_USER, 0, user, -1);
    say(peer, LAUNCH_READY, 0, "", -1);
}

/* Root is none that a plugin may have; nor who is not there. */
static void test_users(void **state)
{
    static const struct {
        const char *user;
        uint32_t error;
    } cases[] = {{"root", EPERM}, {"nobody-of-that-name", ENOENT}, {"", ENOENT}};

    (void)state;
    NEEDS_ROOT();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer peer;
        peer_start_with(&peer, cases[i].user);
        need_answer(&peer, LAUNCH_FAILED, cases[i].error);
        need_end(&peer);
    }
}

static void test_not_named(void **state)
{
    static const char *const others[] = {"root", "daemon", "", "nobod", "nobody "};
    struct peer peer;

    (void)state;
    NEEDS_ROOT();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    peer_start_with(&peer, "nobody");
    need_answer(&peer, LAUNCH_STARTED, 0);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        say(&peer, LAUNCH_START, 2, others[i], -1);
        say(&peer, LAUNCH_DESCRIPTOR, 0, "", null);
        say(&peer, LAUNCH_DESCRIPTOR, 0, "", null);
        need_answer(&peer, LAUNCH_FAILED, EPERM);
    }
    leave(&peer);
    close(null);
}

/* What smarthopd never says ends it; in particular no user comes to those that there are. */
static void test_nonsense(void **state)
{
    enum { AGAIN, NO_DESCRIPTORS, TOO_MANY, ANOTHER_KIND, WITHOUT, WITH, SHORT, LONG, CASES };

    (void)state;
    NEEDS_ROOT();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < CASES; i++) {
        struct launch_packet room[2] = {{.kind = LAUNCH_READY}};
        struct peer peer;
        peer_start_with(&peer, "nobody");
        need_answer(&peer, LAUNCH_STARTED, 0);
        if (i == AGAIN)
            say(&peer, LAUNCH_USER, 0, "daemon", -1);
        if (i == NO_DESCRIPTORS)
            say(&peer, LAUNCH_START, 0, "nobody", -1);
        if (i == TOO_MANY)
            say(&peer, LAUNCH_START, UINT32_MAX, "nobody", -1);
        if (i == ANOTHER_KIND)
            say(&peer, 77, 0, "nobody", -1);
        if (i == WITHOUT || i == WITH)
            say(&peer, LAUNCH_START, 2, "nobody", i == WITH ? null : -1);
        if (i == WITHOUT)
            say(&peer, LAUNCH_DESCRIPTOR, 0, "", -1);
        if (i == SHORT || i == LONG) {
            size_t len = i == SHORT ? sizeof room[0] - 1 : sizeof room;
            assert_int_equal(send(peer.socket, room, len, MSG_NOSIGNAL), len);
        }
        need_end(&peer);
    }
    close(null);
}

/* ---- as the daemon uses it ---------------------------------------------------------------- */

static struct plugin_launcher *create(const char *text)
{
    struct conf *conf = conf_from_text(text);
    struct plugin_launcher *launcher;

    struct err e = plugin_launcher_create(conf, HELPER, &launcher);
    conf_unref(conf);
    assert_false(err_is(e));
    return launcher;
}

/* Only where root's rights are given up, and a plugin wants another user. */
static void test_needed(void **state)
{
    (void)state;
    assert_null(create("user = \"nobody\""));
    assert_null(create("user = \"nobody\" plugin \"a\" { process = yes }"));
    assert_null(create("user = \"nobody\" plugin \"a\" { user = \"nobody\" }"));
    assert_null(create("plugin \"a\" { process = yes user = \"nobody\" }"));
}

/* Its process ends with it. */
static void test_end(void **state)
{
    int output[2], control[2], leash;
    char byte;
    pid_t pid;

    (void)state;
    NEEDS_ROOT();
    struct plugin_launcher *launcher =
        create("user = \"nobody\" plugin \"a\" { process = yes user = \"nobody\" }");
    assert_non_null(launcher);
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
    assert_false(
        err_is(launcher_begin(launcher, "nobody", output[1], &control[1], 1, &pid, &leash)));
    close(output[1]);
    close(control[1]);
    plugin_launcher_free(launcher);
    assert_int_equal(read(output[0], &byte, 1), 0);
    assert_int_equal(read(control[0], &byte, 1), 0);
    while (recv(leash, &byte, 1, 0) > 0)
        continue;
    close(leash);
    close(output[0]);
    close(control[0]);
}

struct question {
    struct asking asking;
    struct smarthop_recipient recipient;
    char local[32];
};

static enum smarthop_action once(struct plugin_rig *rig, const char *how)
{
    struct question q = {.asking.run = {.call.done = asking_on_done, .hook = SMARTHOP_ON_ROUTE}};

    snprintf(q.local, sizeof q.local, "%s", how);
    q.recipient = (struct smarthop_recipient){.size = sizeof q.recipient,
                                              .local = smarthop_span_of(q.local, strlen(how))};
    q.asking.run.event.recipient = &q.recipient;
    list_init(&q.asking.run.call.link);
    arena_init(&q.asking.arena);
    q.asking.run.arena = &q.asking.arena;
    plugin_ask(rig->worker, &q.asking.run);
    TURN_UNTIL(rig->loop, q.asking.completions > 0);
    enum smarthop_action action = q.asking.run.verdict.action;
    asking_end(&q.asking);
    return action;
}

/* Where that user can read it. */
static void copy_plugin(const char *folder, char *path, size_t size)
{
    char command[SECTION_ROOM];

    assert_int_equal(chmod(folder, 0755), 0);
    snprintf(path, size, "%s/outlaw.so", folder);
    snprintf(command, sizeof command, "install -m 644 %s/outlaw.so %s", PLUGIN_FOLDER, path);
    assert_int_equal(system(command), 0);
}

/* It is the user's, is started again as such, and killed where it hangs; others are refused. */
static void test_plugin(void **state)
{
    static const char text[] = "user = \"nobody\" plugin \"outlaw\" { file = \"%s\" process = yes "
                               "user = \"%s\" timeout = 300ms }\n";
    struct plugin_rig rig;
    char folder[SCRATCH_PATH], path[SCRATCH_PATH + 16], section[SECTION_ROOM];

    (void)state;
    NEEDS_ROOT();
    scratch_make(folder);
    copy_plugin(folder, path, sizeof path);
    snprintf(section, sizeof section, text, path, "nobody");
    struct plugin_launcher *launcher = create(section);
    plugin_rig_start(&rig);
    plugin_home_use(rig.home, HELPER);
    plugin_home_lend(rig.home, launcher);
    if (!plugin_rig_load(&rig, section))
        fail_msg("%.*s", SPAN_ARG(buf_span(&rig.messages)));
    while (once(&rig, "send") != SMARTHOP_SEND)
        continue;
    assert_int_equal(once(&rig, "crash"), SMARTHOP_DEFER);
    while (once(&rig, "send") != SMARTHOP_SEND)
        continue;
    assert_int_equal(once(&rig, "loop"), SMARTHOP_DEFER);
    while (once(&rig, "send") != SMARTHOP_SEND)
        continue;
    snprintf(section, sizeof section, text, path, "daemon");
    assert_false(plugin_rig_load(&rig, section));
    char *said = span_to_text(buf_span(&rig.messages));
    assert_non_null(strstr(said, "whom relay.conf did not name"));
    free(said);
    while (once(&rig, "send") != SMARTHOP_SEND)
        continue;
    plugin_rig_stop(&rig);
    plugin_launcher_free(launcher);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users),    cmocka_unit_test(test_not_named),
        cmocka_unit_test(test_nonsense), cmocka_unit_test(test_needed),
        cmocka_unit_test(test_end),      cmocka_unit_test(test_plugin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
