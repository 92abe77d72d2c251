/* net/listener: sharing an address, both families, closing, and running out of descriptors. */
#include "support/conn_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

static void test_accepts_until_it_is_closed(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    for (unsigned i = 0; i < 5; i++)
        close(conn_rig_connect_raw(&rig));
    TURN_UNTIL(rig.loop, rig.accepted == 6);
    listener_close(rig.listener);
    rig.listener = NULL;
    turn_once(rig.loop);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(connect(fd, conn_rig_address(&rig), sizeof(struct sockaddr_in)), 0);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    conn_rig_close(&rig);
}

static void test_workers_share_an_address(void **state)
{
    struct conn_rig rig;
    struct listener *second;
    int fd;

    (void)state;
    conn_rig_open(&rig);
    assert_false(err_is(listener_bind(conn_rig_address(&rig), &fd)));
    assert_false(err_is(listener_create(rig.loop, fd, conn_rig_on_accept, &rig, &second)));
    for (unsigned i = 0; i < 16; i++)
        close(conn_rig_connect_raw(&rig));
    TURN_UNTIL(rig.loop, rig.accepted == 16); /* whichever of them the kernel chose */
    listener_close(second);
    conn_rig_close(&rig);
}

static void test_somebody_elses_address(void **state)
{
    struct conn_rig rig;
    struct sockaddr_storage address;

    (void)state;
    conn_rig_open(&rig);
    memcpy(&address, conn_rig_address(&rig), sizeof(struct sockaddr_in));
    assert_int_equal(listener_probe((struct sockaddr *)&address).sys, EADDRINUSE);
    int fd = conn_rig_connect_raw(&rig);
    TURN_UNTIL(rig.loop, rig.accepted == 1);
    close(fd);
    conn_rig_close(&rig);
    /* What is left of a connection there is in nobody's way. */
    assert_false(err_is(listener_probe((struct sockaddr *)&address)));
}

/* Not shown by binding the same port for IPv4: somebody else may have that. */
static void test_six_is_six_only(void **state)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_storage bound;
    int fd, is_six_only = 0;
    socklen_t len = sizeof is_six_only;

    (void)state;
    struct err e = listener_bind((struct sockaddr *)&any, &fd);
    if (e.sys == EAFNOSUPPORT)
        skip();
    assert_false(err_is(e));
    assert_false(err_is(listener_address(fd, &bound)));
    assert_int_equal(bound.ss_family, AF_INET6);
    assert_int_equal(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_six_only, &len), 0);
    assert_int_equal(is_six_only, 1);
    close(fd);
}

static void test_binding_elsewhere_fails(void **state)
{
    struct sockaddr_in elsewhere = {.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(0xcb007101)}; /* 203.0.113.1 */
    int fd = 7;

    (void)state;
    struct err e = listener_bind((struct sockaddr *)&elsewhere, &fd);
    assert_int_equal(e.sys, EADDRNOTAVAIL);
    assert_int_equal(fd, -1);
}

static void test_a_descriptor_that_cannot_listen(void **state)
{
    struct loop *loop = turn_loop_create();
    struct listener *listener;

    (void)state;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(err_is(listener_create(loop, fd, conn_rig_on_accept, NULL, &listener)));
    assert_null(listener);
    loop_free(loop);
}

static void limit_descriptors(rlim_t most)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = most;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* With none left a client is let in only to be sent away, and the loop does not spin on it. */
static void test_out_of_descriptors(void **state)
{
    struct rlimit before;
    struct conn_rig rig;
    char text[64];

    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    conn_rig_open(&rig);
    turn_once(rig.loop);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int next = dup(fd);
    close(next);
    limit_descriptors((rlim_t)next); /* nothing from `next` on */
    assert_int_equal(dup(fd), -1);
    connect(fd, conn_rig_address(&rig), sizeof(struct sockaddr_in));
    ssize_t len;
    TURN_UNTIL(rig.loop, (len = recv(fd, text, sizeof text, 0)) >= 0 || errno != EAGAIN);
    assert_int_equal(rig.accepted, 0);
    limit_descriptors(before.rlim_cur);
    close(fd);
    conn_rig_connect_both(&rig); /* and afterwards all is well again */
    conn_rig_close(&rig);
}

static int given_up; /* a descriptor that the owner of the listener can do without, or -1 */
static unsigned asked;

static bool give_one_up(void *owner)
{
    (void)owner;
    asked++;
    if (given_up < 0)
        return false;
    close(given_up);
    given_up = -1;
    return true;
}

/* Of the last descriptors none goes to clients; room that its owner makes does. */
static void test_room_is_made(void **state)
{
    enum { KEPT_FREE = 32 };
    struct rlimit before;
    struct conn_rig rig;
    char text[64];

    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    conn_rig_open(&rig);
    listener_on_full(rig.listener, give_one_up);
    turn_once(rig.loop);
    given_up = open("/dev/null", O_RDONLY);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    asked = 0;
    limit_descriptors((rlim_t)fds[2] + 1 + KEPT_FREE);
    connect(fds[0], conn_rig_address(&rig), sizeof(struct sockaddr_in));
    TURN_UNTIL(rig.loop, rig.accepted == 1);
    assert_int_equal(asked, 1);
    connect(fds[1], conn_rig_address(&rig), sizeof(struct sockaddr_in));
    ssize_t len;
    TURN_UNTIL(rig.loop, (len = recv(fds[1], text, sizeof text, 0)) >= 0 || errno != EAGAIN);
    assert_true(len > 4);
    assert_memory_equal(text, "421 ", 4);
    assert_int_equal(asked, 2);
    assert_int_equal(rig.accepted, 1);
    limit_descriptors(before.rlim_cur);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    conn_rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_until_it_is_closed),
        cmocka_unit_test(test_workers_share_an_address),
        cmocka_unit_test(test_somebody_elses_address),
        cmocka_unit_test(test_six_is_six_only),
        cmocka_unit_test(test_binding_elsewhere_fails),
        cmocka_unit_test(test_a_descriptor_that_cannot_listen),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_room_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
