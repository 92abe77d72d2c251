/* deliver/: a host's second address beside its first (RFC 8305). */
#include "deliver/deliver.h"
#include "support/smtp_peer.h"

#include <fcntl.h>

enum { FILLERS = 4, FIRST = 0, SECOND = 1, NEVER_MS = 3600000 };

struct race {
    struct loop *loop;
    struct smtp_peer peers[2];
    int fillers[2][FILLERS];
    struct deliver_session *session;
    unsigned readies;
    uint16_t port;         /* that the session led to when it was ready, or closed */
    bool is_closed, stays; /* it is not closed when it is ready */
    struct status failure; /* without texts */
};

/* None is read here. */
struct err queue_read_body(struct queue *queue, uint64_t id, uint32_t first, uint32_t count,
                           struct buf *out)
{
    (void)queue, (void)id, (void)first, (void)count, (void)out;
    return ERR_OK;
}

static void init(struct race *race)
{
    *race = (struct race){.loop = NULL};
    assert_false(err_is(loop_create(&race->loop)));
    for (unsigned i = 0; i < 2; i++) {
        smtp_peer_open(&race->peers[i], race->loop);
        for (unsigned j = 0; j < FILLERS; j++)
            race->fillers[i][j] = -1;
    }
}

static void fini(struct race *race)
{
    for (unsigned i = 0; i < 2; i++) {
        smtp_peer_close(&race->peers[i]);
        for (unsigned j = 0; j < FILLERS; j++)
            if (race->fillers[i][j] >= 0)
                close(race->fillers[i][j]);
    }
    loop_free(race->loop);
}

static struct sockaddr_in address_of(const struct smtp_peer *peer)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(peer->port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Its queue of connections is full: what tries to connect hears nothing, until smtp_peer_listen. */
static void fill(struct race *race, unsigned number)
{
    struct sockaddr_in address = address_of(&race->peers[number]);

    assert_int_equal(listen(race->peers[number].fd, 0), 0);
    for (unsigned i = 0; i < FILLERS; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fd >= 0);
        (void)!connect(fd, (struct sockaddr *)&address, sizeof address);
        race->fillers[number][i] = fd;
    }
}

static void note_peer(struct race *race)
{
    const struct sockaddr_storage *peer = deliver_session_peer(race->session);

    race->port = ntohs(((const struct sockaddr_in *)peer)->sin_port);
}

static void on_event(struct deliver_session *session, enum deliver_event event,
                     struct deliver_attempt *attempt, void *owner)
{
    struct race *race = owner;

    (void)attempt;
    note_peer(race);
    if (event == DELIVER_READY) {
        race->readies++;
        if (!race->stays)
            deliver_close(session);
    } else if (event == DELIVER_CLOSED) {
        race->failure = *deliver_session_failure(session);
        race->is_closed = true;
    }
}

static void begin(struct race *race, uint64_t second_after, enum deliver_tls tls)
{
    struct sockaddr_in first = address_of(&race->peers[FIRST]);
    struct sockaddr_in second = address_of(&race->peers[SECOND]);
    struct deliver_deadlines deadlines = {NEVER_MS, NEVER_MS, NEVER_MS, NEVER_MS, NEVER_MS,
                                          NEVER_MS, NEVER_MS, NEVER_MS, NEVER_MS};
    struct deliver_options options = {.loop = race->loop,
                                      .hello = "me.example",
                                      .host = "peer.example",
                                      .peer = (struct sockaddr *)&first,
                                      .second = (struct sockaddr *)&second,
                                      .second_after = second_after,
                                      .tls = tls,
                                      .deadlines = deadlines};

    race->session = deliver_open(&options, on_event, race);
}

static void run_to_end(struct race *race)
{
    TURN_UNTIL(race->loop, race->is_closed);
    for (unsigned i = 0; i < 2; i++) /* nothing is left open, on either side */
        TURN_UNTIL(race->loop, race->peers[i].open == 0);
}

static void test_the_first_answers(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    smtp_peer_listen(&race.peers[FIRST]);
    smtp_peer_listen(&race.peers[SECOND]);
    begin(&race, NEVER_MS, DELIVER_TLS_NONE);
    run_to_end(&race);
    assert_int_equal(race.readies, 1);
    assert_int_equal(race.port, race.peers[FIRST].port);
    assert_int_equal(race.peers[SECOND].connections, 0);
    fini(&race);
}

static void test_the_first_is_silent(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    fill(&race, FIRST);
    smtp_peer_listen(&race.peers[SECOND]);
    begin(&race, 20, DELIVER_TLS_NONE);
    run_to_end(&race);
    assert_int_equal(race.readies, 1);
    assert_int_equal(race.port, race.peers[SECOND].port);
    assert_int_equal(race.failure.code, 0);
    fini(&race);
}

/* Then the second is not waited for. */
static void test_the_first_refuses(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    smtp_peer_listen(&race.peers[SECOND]);
    begin(&race, NEVER_MS, DELIVER_TLS_NONE);
    run_to_end(&race);
    assert_int_equal(race.readies, 1);
    assert_int_equal(race.port, race.peers[SECOND].port);
    assert_int_equal(race.failure.code, 0);
    fini(&race);
}

/* It goes on, and is taken once it answers. */
static void test_the_second_refuses(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    fill(&race, FIRST);
    begin(&race, 1, DELIVER_TLS_NONE);
    turn_for(race.loop, 20);
    assert_false(race.is_closed);
    smtp_peer_listen(&race.peers[FIRST]);
    TURN_UNTIL(race.loop, race.is_closed);
    assert_int_equal(race.readies, 1);
    assert_int_equal(race.port, race.peers[FIRST].port);
    fini(&race);
}

static void test_both_refuse(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    begin(&race, 20, DELIVER_TLS_NONE);
    run_to_end(&race);
    assert_int_equal(race.readies, 0);
    assert_int_equal(race.failure.code, 451);
    assert_int_equal(race.failure.scope, STATUS_SCOPE_HOST);
    fini(&race);
}

static void test_off(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    smtp_peer_listen(&race.peers[SECOND]);
    begin(&race, 0, DELIVER_TLS_NONE);
    run_to_end(&race);
    assert_int_equal(race.readies, 0);
    assert_int_equal(race.port, race.peers[FIRST].port);
    assert_int_equal(race.peers[SECOND].connections, 0);
    fini(&race);
}

/* Both hear of the session, and one of them no word. */
static void test_both_answer_at_once(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    race.stays = true;
    fill(&race, FIRST);
    fill(&race, SECOND);
    begin(&race, 1, DELIVER_TLS_NONE);
    turn_for(race.loop, 20); /* both wait now, for the same next try of the kernel's */
    smtp_peer_listen(&race.peers[FIRST]);
    smtp_peer_listen(&race.peers[SECOND]);
    TURN_UNTIL(race.loop, race.readies == 1);
    unsigned port = race.port;
    deliver_close(race.session);
    TURN_UNTIL(race.loop, race.is_closed);
    assert_int_equal(race.readies, 1);
    assert_int_equal(race.port, port);
    assert_true(port == race.peers[FIRST].port || port == race.peers[SECOND].port);
    assert_int_equal(race.failure.code, 0);
    fini(&race);
}

static void test_closed_while_both_are_silent(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    fill(&race, FIRST);
    fill(&race, SECOND);
    begin(&race, 1, DELIVER_TLS_NONE);
    turn_for(race.loop, 20);
    deliver_close(race.session);
    TURN_UNTIL(race.loop, race.is_closed);
    assert_int_equal(race.readies, 0);
    fini(&race);
}

/* What the one that answers lacks is not looked for at the other one. */
static void test_tls_is_required(void **state)
{
    struct race race;

    (void)state;
    init(&race);
    fill(&race, FIRST);
    smtp_peer_listen(&race.peers[SECOND]);
    begin(&race, 20, DELIVER_TLS_REQUIRED);
    run_to_end(&race);
    assert_int_equal(race.readies, 0);
    assert_int_equal(race.port, race.peers[SECOND].port);
    assert_true(race.failure.code != 0);
    assert_int_equal(race.failure.scope, STATUS_SCOPE_HOST);
    fini(&race);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_answers),
        cmocka_unit_test(test_the_first_is_silent),
        cmocka_unit_test(test_the_first_refuses),
        cmocka_unit_test(test_the_second_refuses),
        cmocka_unit_test(test_both_refuse),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_both_answer_at_once),
        cmocka_unit_test(test_closed_while_both_are_silent),
        cmocka_unit_test(test_tls_is_required),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
