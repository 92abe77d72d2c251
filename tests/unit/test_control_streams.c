/* control: the list of sessions and traces, which are answered in pieces. */
#include "support/control_rig.h"

#define SESSION(id)                                                                                \
    "{\"session\":" id ",\"listener\":\"\",\"client\":\"[192.0.2.1]\",\"hello\":\"a\\\"?\","       \
    "\"user\":\"\",\"state\":\"\",\"tls\":\"\",\"state_ms\":0,\"ms\":0,\"messages\":0,"            \
    "\"recipients\":0,\"errors\":0,\"bytes\":7}"

static void test_sessions(void **state)
{
    int fd = client_connect();

    (void)state;
    daemon_side.pages = 2;
    client_send(fd, SPAN("{\"command\":\"sessions\"}\n{\"command\":\"ping\"}\n"));
    expect_line(fd, "{\"ok\":true,\"sessions\":[" SESSION("1000") "],\"more\":true}");
    expect_line(
        fd, "{\"ok\":true,\"sessions\":[" SESSION("2000") "," SESSION("2001") "],\"more\":false}");
    expect_line(fd, "{\"ok\":true}");
    close(fd);
}

static void test_destinations(void **state)
{
    (void)state;
    exchange("{\"command\":\"destinations\"}\n",
             "{\"ok\":true,\"destinations\":[{\"key\":\"k\",\"next_hop\":\"\",\"tenant\":\"\","
             "\"site\":\"\",\"state\":\"backoff\",\"ready\":3,\"sending\":0,\"connections\":0,"
             "\"connections_allowed\":1,\"connections_most\":0,\"failures\":2,"
             "\"breaker\":\"half-open\",\"backoff_until\":null,\"rate_until\":7,"
             "\"suspended_until\":null,\"store_due\":null,\"why\":\"451 a?\",\"hosts\":["
             "{\"name\":\"mx.test\",\"address\":\"192.0.2.1:25\",\"health\":\"down\","
             "\"connections\":2}]}],\"more\":false}");
}

static size_t count_lines(int fd, size_t wanted)
{
    char bytes[65536];
    size_t lines = 0;

    while (lines < wanted) {
        ssize_t len = recv(fd, bytes, sizeof bytes, 0);
        assert_true(len > 0);
        for (ssize_t i = 0; i < len; i++)
            lines += bytes[i] == '\n';
    }
    return lines;
}

/* Far more than the socket holds: each page is only made when the one before has left. */
static void test_a_long_list(void **state)
{
    enum { PAGES = 500 };
    int fd = client_connect();
    int made;

    (void)state;
    daemon_side.pages = PAGES;
    client_send(fd, SPAN("{\"command\":\"sessions\"}\n"));
    exchange("{\"command\":\"ping\"}\n", "{\"ok\":true}");
    sem_getvalue(&daemon_side.operation_came, &made);
    assert_true(made < PAGES);
    assert_int_equal(count_lines(fd, PAGES), PAGES);
    close(fd);
}

static void hold_a_page(int fd)
{
    daemon_side.hold = true;
    daemon_side.pages = 3;
    client_send(fd, SPAN("{\"command\":\"sessions\"}\n"));
    sem_wait(&daemon_side.operation_came);
}

static void complete_held_page(void)
{
    loop_post(daemon_side.held_page->home, &daemon_side.held_page->call);
}

static void test_gone_in_the_middle_of_a_list(void **state)
{
    int fd = client_connect();

    (void)state;
    hold_a_page(fd);
    close(fd);
    complete_held_page();
    exchange("{\"command\":\"ping\"}\n", "{\"ok\":true}");
}

static void test_closed_in_the_middle_of_a_list(void **state)
{
    int fd = client_connect();

    (void)state;
    hold_a_page(fd);
    close_control();
    expect_end(fd);
    complete_held_page();
}

static void test_ending_a_session(void **state)
{
    static const char no_number[] =
        "{\"ok\":false,\"error\":\"that is not the number of a session\"}";

    (void)state;
    exchange("{\"command\":\"end-session\",\"session\":12}\n", "{\"ok\":true}");
    exchange("{\"command\":\"end-session\",\"session\":13}\n",
             "{\"ok\":false,\"error\":\"there is no such session\"}");
    assert_int_equal(daemon_side.ended, 13);
    exchange("{\"command\":\"end-session\"}\n", no_number);
    exchange("{\"command\":\"end-session\",\"session\":\"12\"}\n", no_number);
    exchange("{\"command\":\"end-session\",\"session\":0}\n", no_number);
    exchange("{\"command\":\"end-session\",\"session\":-1}\n", no_number);
    assert_int_equal(daemon_side.ended, 13);
}

struct told {
    struct call call;
    const char *lines;
    uint64_t lost;
    bool begins;
};

static void on_told(struct call *call)
{
    struct told *told = container_of(call, struct told, call);

    buf_add(&daemon_side.trace_lines, span_cstr(told->lines));
    daemon_side.trace_lost = told->lost;
    if (told->begins)
        daemon_side.trace->begun(daemon_side.trace);
    else
        daemon_side.trace->ready(daemon_side.trace);
}

static void tell(struct told *told)
{
    list_init(&told->call.link);
    told->call.done = on_told;
    loop_post(daemon_side.loop, &told->call);
}

static int begin_a_trace(void)
{
    int fd = client_connect();

    client_send(fd, SPAN("{\"command\":\"trace\",\"network\":\"192.0.2.0/24\"}\n"));
    sem_wait(&daemon_side.operation_came);
    return fd;
}

#define LINE(text) "{\"time\":5,\"session\":6,\"client\":\"[192.0.2.1]\",\"text\":\"" text "\"}"

static void test_trace(void **state)
{
    struct told early = {.lines = "C: before\n"}, begun = {.lines = "", .begins = true},
                later = {.lines = "C: \\x00\nS: b\n", .lost = 3};
    int fd = begin_a_trace();

    (void)state;
    tell(&early); /* that it has begun is said first */
    tell(&begun);
    expect_line(fd, "{\"ok\":true}");
    expect_line(fd, "{\"ok\":true,\"lines\":[" LINE("C: before") "]}");
    tell(&later);
    expect_line(fd, "{\"ok\":true,\"lines\":[" LINE("C: \\\\x00") "," LINE("S: b") "],\"lost\":3}");
    shutdown(fd, SHUT_WR); /* whoever sends no more wants no more */
    expect_end(fd);
    sem_wait(&daemon_side.trace_ended);
    exchange("{\"command\":\"ping\"}\n", "{\"ok\":true}");
}

static void test_bad_traces(void **state)
{
    (void)state;
    exchange("{\"command\":\"trace\"}\n",
             "{\"ok\":false,\"error\":\"an address or a network is needed\"}");
    exchange("{\"command\":\"trace\",\"network\":\"x\"}\n",
             "{\"ok\":false,\"error\":\"not \\\"x\\\"\"}");
}

static void test_closed_while_tracing(void **state)
{
    int fd = begin_a_trace();

    (void)state;
    close_control();
    expect_end(fd);
    sem_wait(&daemon_side.trace_ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_destinations, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_sessions, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_a_long_list, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_gone_in_the_middle_of_a_list, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_closed_in_the_middle_of_a_list, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_ending_a_session, control_rig_setup,
                                        control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_trace, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_bad_traces, control_rig_setup, control_rig_teardown),
        cmocka_unit_test_setup_teardown(test_closed_while_tracing, control_rig_setup,
                                        control_rig_teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
