/* control: commands with one answer, and the socket itself. */
#include "support/control_rig.h"

/* ---- tests ------------------------------------------------------------------------------------
 */

static void test_mode(void **state)
{
    struct stat file;

    (void)state;
    assert_int_equal(stat(daemon_side.path, &file), 0);
    assert_int_equal(file.st_mode, S_IFSOCK | 0600);
}

static void test_operations(void **state)
{
    static const struct {
        const char *command;
        enum control_verb verb;
        uint64_t id;
    } cases[] = {
        {"{\"command\":\"retry\",\"id\":\"000000000000A\"}\n", CONTROL_RETRY, 10},
        {"{\"command\":\"remove\",\"id\":\"000000000000b\"}\r\n", CONTROL_REMOVE, 11},
        {"{\"command\":\"hold\",\"id\":\"000000000000A\"}\n", CONTROL_HOLD, 10},
        {"{\"command\":\"release\",\"id\":\"000000000000A\"}\n", CONTROL_RELEASE, 10},
        {"{\"command\":\"bounce\",\"id\":\"000000000000C\"}\n", CONTROL_BOUNCE, 12},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        exchange(cases[i].command, "{\"ok\":true,\"affected\":3,\"busy\":1,\"moot\":0}");
        assert_int_equal(daemon_side.verb, cases[i].verb);
        assert_int_equal(daemon_side.id, cases[i].id);
    }
}

static void test_operations_on_groups(void **state)
{
    static const char wrong[] =
        "{\"ok\":false,\"error\":\"\\\"groups\\\" are 1 to 1000 names like 0SA50SNSW0001/0\"}";
    static const char *const bad[] = {
        "[]",
        "{}",
        "7",
        "[7]",
        "[\"\"]",
        "[\"000000000000A\"]",
        "[\"000000000000A/\"]",
        "[\"000000000000A/x\"]",
        "[\"0000000000000/1\"]",
        "[\"000000000000A/4294967295\"]",
        "[\"000000000000A/1\",\"x/1\"]",
    };
    char command[128];

    (void)state;
    exchange(
        "{\"command\":\"hold\",\"groups\":[\"000000000000A/0\",\"000000000000B/4294967294\"]}\n",
        "{\"ok\":true,\"affected\":3,\"busy\":1,\"moot\":0}");
    assert_int_equal(daemon_side.verb, CONTROL_HOLD);
    assert_int_equal(daemon_side.group_count, 2);
    assert_int_equal(daemon_side.groups[0].id, 10);
    assert_int_equal(daemon_side.groups[0].group, 0);
    assert_int_equal(daemon_side.groups[1].id, 11);
    assert_int_equal(daemon_side.groups[1].group, 4294967294);
    while (sem_trywait(&daemon_side.operation_came) == 0)
        continue;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(command, sizeof command, "{\"command\":\"hold\",\"groups\":%s}\n", bad[i]);
        exchange(command, wrong);
    }
    exchange("{\"command\":\"hold\",\"id\":\"000000000000A\",\"groups\":[\"000000000000A/0\"]}\n",
             "{\"ok\":false,\"error\":\"\\\"groups\\\" go alone\"}");
    assert_int_equal(sem_trywait(&daemon_side.operation_came), -1);
}

static void test_more_groups_than_one_operation_takes(void **state)
{
    struct buf command;

    (void)state;
    buf_init(&command, 0);
    buf_addf(&command, "{\"command\":\"hold\",\"groups\":[");
    for (unsigned i = 0; i <= CONTROL_GROUPS_MAX; i++)
        buf_addf(&command, "%s\"000000000000A/%u\"", i ? "," : "", i);
    buf_addf(&command, "]}\n%c", '\0');
    exchange(
        buf_span(&command).ptr,
        "{\"ok\":false,\"error\":\"\\\"groups\\\" are 1 to 1000 names like 0SA50SNSW0001/0\"}");
    buf_fini(&command);
}

static void test_operation_failures(void **state)
{
    static const char command[] = "{\"command\":\"remove\",\"id\":\"000000000000A\"}\n";

    (void)state;
    daemon_side.result = err_make(ERR_NOT_FOUND, "group");
    exchange(command, "{\"ok\":false,\"error\":\"there is no such message in the queue\"}");
    daemon_side.moot = 1;
    exchange(command, "{\"ok\":false,\"error\":\"there is nothing left to change: it has gone "
                      "meanwhile, or is so already\"}");
    daemon_side.result = err_make(ERR_CONFLICT, "group");
    exchange(command, "{\"ok\":false,\"error\":\"it is being delivered at this moment; try again "
                      "when that is over\"}");
    daemon_side.result = err_make(ERR_NO_SPACE, "commit");
    exchange(command, "{\"ok\":false,\"error\":\"commit: no space left\"}");
}

static void test_bad_commands(void **state)
{
    static const struct {
        const char *command;
        const char *answer;
    } cases[] = {
        {"{\"command\":\"dance\"}\n", "{\"ok\":false,\"error\":\"there is no such command\"}"},
        {"[1]\n", "{\"ok\":false,\"error\":\"an object with a \\\"command\\\" is needed\"}"},
        {"{\"command\":7}\n",
         "{\"ok\":false,\"error\":\"an object with a \\\"command\\\" is needed\"}"},
        {"{\"command\":\"remove\"}\n",
         "{\"ok\":false,\"error\":\"an \\\"id\\\" or \\\"groups\\\" are needed\"}"},
        {"{\"command\":\"remove\",\"all\":true}\n",
         "{\"ok\":false,\"error\":\"an \\\"id\\\" or \\\"groups\\\" are needed\"}"},
        {"{\"command\":\"remove\",\"id\":\"x\"}\n",
         "{\"ok\":false,\"error\":\"that is not a message id\"}"},
        {"{\"command\":\"remove\",\"id\":\"0000000000000\"}\n",
         "{\"ok\":false,\"error\":\"that is not a message id\"}"},
        {"\n", "{\"ok\":false,\"error\":\"'[' or '{' expected near end of file\"}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        exchange(cases[i].command, cases[i].answer);
    assert_int_equal(sem_trywait(&daemon_side.operation_came), -1);
}

static void test_simple_commands(void **state)
{
    (void)state;
    exchange("{\"command\":\"ping\"}\n", "{\"ok\":true}");
    exchange("{\"command\":\"reopen-log\"}\n", "{\"ok\":true}");
    assert_int_equal(daemon_side.log_reopened, 1);
    exchange("{\"command\":\"stop\"}\n", "{\"ok\":true}");
    exchange("{\"command\":\"ping\"}\n", "{\"ok\":true}"); /* behind the action */
    assert_int_equal(daemon_side.stopped, 1);
}

static void test_forget(void **state)
{
    static const char no_kind[] = "{\"ok\":false,\"error\":\"there is no such kind\"}";
    static const char no_key[] = "{\"ok\":false,\"error\":\"a \\\"key\\\" is needed\"}";

    (void)state;
    exchange("{\"command\":\"forget\",\"key\":\"alice\"}\n", "{\"ok\":true,\"forgotten\":2}");
    assert_string_equal(daemon_side.forgotten, ":alice");
    exchange("{\"command\":\"forget\",\"kind\":\"known\",\"key\":\"a b\"}\n",
             "{\"ok\":true,\"forgotten\":2}");
    assert_string_equal(daemon_side.forgotten, "known:a b");
    exchange("{\"command\":\"forget\",\"kind\":\"strange\",\"key\":\"a\"}\n", no_kind);
    exchange("{\"command\":\"forget\",\"kind\":\"\",\"key\":\"b\"}\n", no_kind);
    exchange("{\"command\":\"forget\",\"kind\":7,\"key\":\"b\"}\n", no_kind);
    exchange("{\"command\":\"forget\"}\n", no_key);
    exchange("{\"command\":\"forget\",\"key\":7}\n", no_key);
    assert_string_equal(daemon_side.forgotten, "strange:a"); /* the others were not asked for */
}

static void test_reload(void **state)
{
    (void)state;
    daemon_side.reload_accepts = true;
    exchange("{\"command\":\"reload\"}\n",
             "{\"ok\":true,\"messages\":[\"a.conf:1: \\\"q\\\"\",\"a.conf:2: ?\"]}");
    daemon_side.reload_accepts = false;
    exchange("{\"command\":\"reload\"}\n",
             "{\"ok\":false,\"error\":\"the new configuration is refused; the old one stays\","
             "\"messages\":[\"a.conf:1: \\\"q\\\"\",\"a.conf:2: ?\"]}");
}

static void test_status(void **state)
{
    (void)state;
    exchange("{\"command\":\"status\"}\n",
             "{\"ok\":true,\"version\":\"" SMARTHOP_VERSION "\",\"started\":0,\"workers\":2,"
             "\"messages\":12,\"groups\":0,\"sessions\":0,\"gave_way\":0,\"accepted\":0,"
             "\"rejected\":0,"
             "\"delivered\":0,\"deferred\":0,\"failed\":0,\"destinations\":0,\"connections\":0,"
             "\"commits\":0,\"store_operations\":0,\"map_used\":0,\"map_size\":0,"
             "\"disk_free\":0,\"oldest\":0,\"overdue\":0,\"swept\":0,\"suspensions\":0,\"stress\":"
             "false,\"store_low\":true,\"store_broken\":false,"
             "\"configuration\":\"/etc/x?.conf\"}");
}

static void test_split_and_joined_lines(void **state)
{
    static const char line[] =
        "{\"command\":\"ping\"}\n{\"command\":\"ping\"}\n"
        "{\"command\":\"hold\",\"id\":\"000000000000A\"}\n{\"command\":\"ping\"}\n";

    (void)state;
    for (size_t split = 0; split < sizeof line; split++) {
        int fd = client_connect();
        client_send(fd, span_of(line, split));
        client_send(fd, span_of(line + split, sizeof line - 1 - split));
        expect_line(fd, "{\"ok\":true}");
        expect_line(fd, "{\"ok\":true}");
        expect_line(fd, "{\"ok\":true,\"affected\":3,\"busy\":1,\"moot\":0}");
        expect_line(fd, "{\"ok\":true}");
        shutdown(fd, SHUT_WR);
        expect_end(fd);
    }
}

static void test_half_closed(void **state)
{
    int fd = client_connect();

    (void)state;
    client_send(fd, SPAN("{\"command\":\"ping\"}\n"));
    shutdown(fd, SHUT_WR);
    expect_line(fd, "{\"ok\":true}");
    expect_end(fd);
}

static void test_line_too_long(void **state)
{
    static char line[LOCAL_LINE_MAX];
    int fd = client_connect();

    (void)state;
    memset(line, 'x', sizeof line);
    client_send(fd, span_of(line, sizeof line - 1));
    client_send(fd, SPAN("\n"));
    expect_line(fd, "{\"ok\":false,\"error\":\"'[' or '{' expected\"}");
    client_send(fd, span_of(line, sizeof line));
    expect_line(fd, "{\"ok\":false,\"error\":\"the line is too long\"}");
    expect_end(fd);
}

static void test_several_clients(void **state)
{
    int fds[LOCAL_PEERS_MAX];

    (void)state;
    for (size_t i = 0; i < LOCAL_PEERS_MAX; i++)
        fds[i] = client_connect();
    expect_end(client_connect()); /* one more than may be */
    for (size_t i = LOCAL_PEERS_MAX; i-- > 0;) {
        client_send(fds[i], SPAN("{\"command\":\"ping\"}\n"));
        expect_line(fds[i], "{\"ok\":true}");
    }
    for (size_t i = 0; i < LOCAL_PEERS_MAX; i++)
        close(fds[i]);
}

static void complete_held(void)
{
    loop_post(daemon_side.held->home, &daemon_side.held->call);
}

static void hold_an_operation(int fd)
{
    daemon_side.hold = true;
    client_send(fd, SPAN("{\"command\":\"hold\",\"id\":\"000000000000A\"}\n"));
    sem_wait(&daemon_side.operation_came);
}

static void test_others_go_on_while_one_waits(void **state)
{
    int fd = client_connect();

    (void)state;
    hold_an_operation(fd);
    exchange("{\"command\":\"ping\"}\n", "{\"ok\":true}");
    complete_held();
    expect_line(fd, "{\"ok\":true,\"affected\":3,\"busy\":1,\"moot\":0}");
    close(fd);
}

static void test_client_gone_while_it_waits(void **state)
{
    int fd = client_connect();

    (void)state;
    hold_an_operation(fd);
    close(fd);
    complete_held();
    exchange("{\"command\":\"ping\"}\n", "{\"ok\":true}");
}

static void test_closed_while_it_waits(void **state)
{
    int fd = client_connect();

    (void)state;
    hold_an_operation(fd);
    close_control();
    expect_end(fd);
    complete_held();
}

static void test_second_is_refused(void **state)
{
    struct loop *loop;
    struct control *second;

    (void)state;
    assert_false(err_is(loop_create(&loop)));
    assert_int_equal(control_create(loop, daemon_side.path, &control_rig_actions, &second).kind,
                     ERR_CONFLICT);
    loop_free(loop);
    exchange("{\"command\":\"ping\"}\n", "{\"ok\":true}");
}

static void test_what_lies_in_the_way(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct loop *loop;
    struct control *other;
    char long_path[200];

    (void)state;
    assert_false(err_is(loop_create(&loop)));
    snprintf(address.sun_path, sizeof address.sun_path, "%.64s/other", daemon_side.folder);
    int file = open(address.sun_path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(control_create(loop, address.sun_path, &control_rig_actions, &other).kind,
                     ERR_CONFLICT);
    close(file);
    unlink(address.sun_path);

    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
    close(stale);
    assert_false(err_is(control_create(loop, address.sun_path, &control_rig_actions, &other)));
    control_close(other);

    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(control_create(loop, long_path, &control_rig_actions, &other).kind,
                     ERR_INVALID);
    assert_int_equal(control_create(loop, "/no/such/folder/x", &control_rig_actions, &other).kind,
                     ERR_NOT_FOUND);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mode, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_operations, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_operations_on_groups, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_more_groups_than_one_operation_takes,
                                        control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_operation_failures, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_bad_commands, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_simple_commands, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_forget, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_reload, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_status, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_split_and_joined_lines, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_half_closed, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_line_too_long, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_several_clients, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_others_go_on_while_one_waits, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_client_gone_while_it_waits, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_closed_while_it_waits, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_second_is_refused, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_what_lies_in_the_way, control_rig_setup,
                                        control_rig_teardown),
    };

    signal(SIGPIPE, SIG_IGN); /* as main.c does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
