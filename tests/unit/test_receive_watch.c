/* receive/: what operators see of sessions, and what becomes of them when they are too many. */
#include "support/receive_rig.h"
#include "support/receive_script.h"

#include <stdio.h>

#define COUNT(array)        (sizeof(array) / sizeof(array)[0])
#define FOLLOW(client, ...) talk_follow((client), (const char *const[]){__VA_ARGS__, NULL})

enum { SESSIONS_MOST = 400 };

static void open_rig(struct receive_rig *rig, const char *conf)
{
    receive_rig_open(rig, conf, NULL, CONF_TLS_NONE);
    rig->kind.name = "t";
}

/* ---- the list ----------------------------------------------------------------------------- */

struct seen {
    unsigned times[SESSIONS_MOST]; /* by the name in EHLO */
    unsigned count;
    unsigned step; /* since the last step */
    struct receive_session last;
    char text[200];
};

static void note(const struct receive_session *session, void *context)
{
    struct seen *seen = context;
    unsigned name;

    seen->count++;
    seen->step++;
    seen->last = *session;
    snprintf(seen->text, sizeof seen->text, "%s %s <%s> <%s> %s <%s> %u %u %u", session->listener,
             session->client, session->hello, session->user, session->state, session->tls,
             session->messages, session->recipients, session->errors);
    if (sscanf(session->hello, "n%u.test", &name) == 1 && name < SESSIONS_MOST)
        seen->times[name]++;
}

static void look(struct receive_rig *rig, struct seen *seen)
{
    unsigned place = 0;

    *seen = (struct seen){.count = 0};
    while (receive_server_describe(rig->server, &place, note, seen))
        seen->step = 0;
}

static void test_what_is_told(void **state)
{
    struct receive_rig rig;
    struct talk client;
    struct seen seen;

    (void)state;
    open_rig(&rig, "xclient_networks = \"127.0.0.0/8\"\n");
    look(&rig, &seen);
    assert_int_equal(seen.count, 0);
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, "S:220 ");
    look(&rig, &seen);
    assert_string_equal(seen.text, "t [127.0.0.1] <> <> waiting for a command <> 0 0 0");
    FOLLOW(&client, "C:XCLIENT ADDR=192.0.2.7 LOGIN=bob", HELLO, "C:MAIL FROM:<>", "S:250 ", RCPT,
           "C:RCPT TO:<>", "S:501 ", DATA);
    look(&rig, &seen);
    uint64_t before = seen.last.bytes;
    FOLLOW(&client, "R:12345");
    TURN_UNTIL(rig.loop, (look(&rig, &seen), seen.last.bytes == before + 5));
    assert_string_equal(seen.text, "t [192.0.2.7] <client.test> <bob> receiving data <> 0 1 1");
    FOLLOW(&client, "R:\r\n.\r\n", QUEUED);
    look(&rig, &seen);
    assert_string_equal(seen.text,
                        "t [192.0.2.7] <client.test> <bob> waiting for a command <> 1 1 1");
    turn_for(rig.loop, 20);
    look(&rig, &seen);
    assert_true(seen.last.state_ms >= 20 && seen.last.ms >= seen.last.state_ms);
    talk_close(&client);
    receive_rig_close(&rig);
}

static void connect_named(struct receive_rig *rig, struct talk *client, unsigned name)
{
    char hello[40];

    receive_rig_connect(rig, client);
    snprintf(hello, sizeof hello, "C:EHLO n%u.test", name);
    FOLLOW(client, "S:220 ", hello, "S:250 ");
}

/* Those that are there all the while are told once, however many come and go between the steps. */
static void test_sessions_come_and_go(void **state)
{
    enum { STAY = 200, GO = 100 };
    struct receive_rig rig;
    struct talk stay[STAY], go[GO];
    struct seen seen = {.count = 0};
    unsigned place = 0, name = 0;
    bool more;

    (void)state;
    open_rig(&rig, "sessions_per_client = 1000\n");
    for (unsigned i = 0; i < STAY; i++) {
        connect_named(&rig, &stay[i], i);
        if (i < GO)
            connect_named(&rig, &go[i], STAY + i);
    }
    do {
        seen.step = 0;
        more = receive_server_describe(rig.server, &place, note, &seen);
        assert_true(seen.step <= RECEIVE_STEP);
        for (unsigned k = 0; k < GO / 4 && name < GO; k++, name++)
            talk_close(&go[name]);
        TURN_UNTIL(rig.loop, receive_limits_sessions(rig.limits) == STAY + GO - name);
        name--;
        connect_named(&rig, &go[name], STAY + name);
    } while (more);
    for (unsigned i = 0; i < STAY; i++)
        assert_int_equal(seen.times[i], 1);
    for (unsigned i = name; i < GO; i++)
        talk_close(&go[i]);
    for (unsigned i = 0; i < STAY; i++)
        talk_close(&stay[i]);
    receive_rig_close(&rig);
}

/* ---- ending one --------------------------------------------------------------------------- */

static void test_ending_a_session(void **state)
{
    static const char *const begins[][6] = {
        {"S:220 "},
        {HELLO, MAIL},
        {HELLO, "R:BDAT 5\r\n1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(begins); i++) {
        struct receive_rig rig;
        struct talk client, other;
        struct seen seen;
        open_rig(&rig, "");
        receive_rig_connect(&rig, &client);
        for (size_t k = 0; k < COUNT(begins[i]) && begins[i][k] != NULL; k++)
            talk_step(&client, begins[i][k]);
        look(&rig, &seen);
        receive_rig_connect(&rig, &other);
        FOLLOW(&other, "S:220 ");
        assert_false(receive_server_end_session(rig.server, seen.last.id + 100));
        assert_true(receive_server_end_session(rig.server, seen.last.id));
        assert_false(receive_server_end_session(rig.server, seen.last.id));
        FOLLOW(&client, "S:421 4.3.2", "!eof");
        FOLLOW(&other, "C:NOOP", "S:250 ");
        talk_close(&client);
        talk_close(&other);
        receive_rig_close(&rig);
    }
}

static void test_ending_one_in_the_middle_of_data(void **state)
{
    struct receive_rig rig;
    struct talk client;
    struct seen seen;

    (void)state;
    open_rig(&rig, "");
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, ENVELOPE, "R:Subject: x\r\n");
    look(&rig, &seen);
    assert_true(receive_server_end_session(rig.server, seen.last.id));
    FOLLOW(&client, "S:421 4.3.2", "!eof");
    assert_int_equal(rig.accepted_count, 0);
    talk_close(&client);
    receive_rig_close(&rig);
}

/* What is being committed is ours: its 250 comes first. */
static void test_ending_one_that_commits(void **state)
{
    struct receive_rig rig;
    struct talk client;
    struct seen seen;

    (void)state;
    open_rig(&rig, "");
    receive_rig_connect(&rig, &client);
    FOLLOW(&client, ENVELOPE);
    struct span rest = SPAN(BODY ".\r\n");
    assert_true(talk_push(&client, &rest));
    TURN_UNTIL(rig.loop, (look(&rig, &seen), strcmp(seen.last.state, "committing a message") == 0));
    assert_true(receive_server_end_session(rig.server, seen.last.id));
    FOLLOW(&client, QUEUED, "S:421 4.3.2", "!eof");
    assert_int_equal(rig.accepted_count, 1);
    talk_close(&client);
    receive_rig_close(&rig);
}

/* ---- making room -------------------------------------------------------------------------- */

#define FULL "sessions_max = 2\nstress_threshold = 100\nstress_idle_min = "

static void test_the_idle_make_room(void **state)
{
    struct receive_rig rig;
    struct talk idle, later, busy, first, second;

    (void)state;
    open_rig(&rig, FULL "0ms\n");
    receive_rig_connect(&rig, &idle);
    FOLLOW(&idle, HELLO);
    receive_rig_connect(&rig, &busy);
    FOLLOW(&busy, HELLO);
    turn_for(rig.loop, 5);
    FOLLOW(&idle, "C:NOOP", "S:250 "); /* now the other has waited longer */
    receive_rig_connect(&rig, &first);
    FOLLOW(&first, "S:220 ");
    FOLLOW(&busy, "S:421 4.3.2", "!eof", "!close");
    turn_for(rig.loop, 5);
    FOLLOW(&first, "C:EHLO x.test", "S:250 ", MAIL);
    receive_rig_connect(&rig, &second); /* the idle one goes, that with a transaction stays */
    FOLLOW(&second, HELLO, MAIL);
    FOLLOW(&idle, "S:421 4.3.2", "!eof", "!close");
    receive_rig_connect(&rig, &later);
    FOLLOW(&later, "S:421 4.3.2 Too many sessions", "!eof", "!close");
    FOLLOW(&first, RCPT, DATA, "R:" BODY, END, QUEUED); /* nor goes one that has sent mail */
    receive_rig_connect(&rig, &later);
    FOLLOW(&later, "S:421 4.3.2 Too many sessions", "!eof", "!close");
    assert_int_equal(atomic_load(&receive_server_counters(rig.server)->gave_way), 2);
    talk_close(&first);
    talk_close(&second);
    receive_rig_close(&rig);
}

static void test_who_has_logged_in_stays(void **state)
{
    struct receive_rig rig;
    struct talk clients[3];

    (void)state;
    open_rig(&rig, FULL "0ms\nxclient_networks = \"127.0.0.0/8\"\n");
    for (int i = 0; i < 2; i++) {
        receive_rig_connect(&rig, &clients[i]);
        FOLLOW(&clients[i], "S:220 ", "C:XCLIENT LOGIN=bob", "S:220 ");
    }
    receive_rig_connect(&rig, &clients[2]);
    FOLLOW(&clients[2], "S:421 4.3.2 Too many sessions", "!eof");
    for (int i = 0; i < 3; i++)
        talk_close(&clients[i]);
    receive_rig_close(&rig);
}

static void test_who_has_just_come_stays(void **state)
{
    struct receive_rig rig;
    struct talk clients[3];

    (void)state;
    open_rig(&rig, FULL "1h\n");
    for (int i = 0; i < 3; i++) {
        receive_rig_connect(&rig, &clients[i]);
        FOLLOW(&clients[i], i < 2 ? "S:220 " : "S:421 4.3.2 Too many sessions");
    }
    for (int i = 0; i < 3; i++)
        talk_close(&clients[i]);
    receive_rig_close(&rig);
}

/* Nobody is ended for a client that has all that it may have. */
static void test_a_client_with_its_share_gets_no_room(void **state)
{
    struct receive_rig rig;
    struct talk clients[3];

    (void)state;
    open_rig(&rig, FULL "0ms\nsessions_per_client = 2\nlimit_exempt_networks = \"192.0.2.0/24\"\n");
    for (int i = 0; i < 3; i++) {
        receive_rig_connect(&rig, &clients[i]);
        FOLLOW(&clients[i], i < 2 ? "S:220 " : "S:421 4.7.0");
    }
    FOLLOW(&clients[0], "C:NOOP", "S:250 ");
    for (int i = 0; i < 3; i++)
        talk_close(&clients[i]);
    receive_rig_close(&rig);
}

/* ---- stress ------------------------------------------------------------------------------- */

/* Both who waits when it begins and who comes then; but not who has more time by its state. */
static void test_stress_shortens_waits(void **state)
{
    struct receive_rig rig;
    struct talk idle, sending, late;

    (void)state;
    open_rig(&rig, "sessions_max = 4\nstress_threshold = 50\nstress_command_timeout = 50ms\n"
                   "stress_data_timeout = 1h\n");
    receive_rig_connect(&rig, &sending);
    FOLLOW(&sending, ENVELOPE);
    receive_rig_connect(&rig, &idle);
    FOLLOW(&idle, HELLO);
    turn_for(rig.loop, 200);
    FOLLOW(&idle, "C:NOOP", "S:250 ");
    assert_false(receive_limits_are_stressed(rig.limits));
    receive_rig_connect(&rig, &late);
    FOLLOW(&late, "S:220 ");
    assert_true(receive_limits_are_stressed(rig.limits));
    FOLLOW(&late, "S:421 4.4.2", "!eof");
    FOLLOW(&idle, "S:421 4.4.2", "!eof");
    FOLLOW(&sending, "R:" BODY, END, QUEUED);
    talk_close(&idle);
    talk_close(&late);
    talk_close(&sending);
    receive_rig_close(&rig);
}

static void test_stress_ends(void **state)
{
    struct receive_rig rig;
    struct talk clients[2];

    (void)state;
    open_rig(&rig, "sessions_max = 2\nstress_threshold = 60\n");
    for (int i = 0; i < 2; i++) {
        receive_rig_connect(&rig, &clients[i]);
        FOLLOW(&clients[i], HELLO);
    }
    assert_true(receive_limits_are_stressed(rig.limits));
    talk_close(&clients[1]);
    TURN_UNTIL(rig.loop, !receive_limits_are_stressed(rig.limits));
    FOLLOW(&clients[0], BYE);
    talk_close(&clients[0]);
    receive_rig_close(&rig);
}

/* ---- one client's bodies ------------------------------------------------------------------ */

static void test_a_client_has_its_share_of_memory(void **state)
{
    static const struct {
        const char *conf;
        bool in_memory;
    } cases[] = {
        {"client_memory_max = 64KiB\nlimit_exempt_networks = \"192.0.2.0/24\"\n", false},
        {"client_memory_max = 64KiB\n", true},
        {"client_memory_max = 64MiB\nlimit_exempt_networks = \"192.0.2.0/24\"\n", true},
    };
    static char line[160000];

    (void)state;
    memset(line, 'x', sizeof line);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct receive_rig rig;
        struct talk clients[2];
        open_rig(&rig, cases[i].conf);
        for (int k = 0; k < 2; k++) {
            receive_rig_connect(&rig, &clients[k]);
            FOLLOW(&clients[k], ENVELOPE);
            talk_send(&clients[k], span_of(line, sizeof line));
        }
        for (int k = 0; k < 2; k++) {
            FOLLOW(&clients[k], "R:\r\n.\r\n", QUEUED);
            assert_int_equal(rig.accepted[k]->body_in_memory, cases[i].in_memory);
        }
        FOLLOW(&clients[0], MAIL, RCPT, DATA, "R:" BODY, END, QUEUED);
        assert_true(rig.accepted[2]->body_in_memory); /* what has left counts no more */
        talk_close(&clients[0]);
        talk_close(&clients[1]);
        receive_rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_told),
        cmocka_unit_test(test_sessions_come_and_go),
        cmocka_unit_test(test_ending_a_session),
        cmocka_unit_test(test_ending_one_in_the_middle_of_data),
        cmocka_unit_test(test_ending_one_that_commits),
        cmocka_unit_test(test_the_idle_make_room),
        cmocka_unit_test(test_who_has_logged_in_stays),
        cmocka_unit_test(test_who_has_just_come_stays),
        cmocka_unit_test(test_a_client_with_its_share_gets_no_room),
        cmocka_unit_test(test_stress_shortens_waits),
        cmocka_unit_test(test_stress_ends),
        cmocka_unit_test(test_a_client_has_its_share_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
