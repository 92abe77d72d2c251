/* net/conn over TLS, and net/tls: handshakes, both ways under back-pressure, names, resumption. */
#include "net/tls_tickets.h"

#include "support/certificate.h"
#include "support/conn_rig.h"
#include "support/scratch.h"

enum { MUCH = 12 << 20 };

static struct {
    char folder[SCRATCH_PATH];
    struct certificate mail, other;
    struct tls_client *wary, *trusting; /* no roots; mail's certificate as the only root */
    struct tls_server *server;
} shared;

static char much[MUCH];

static struct tls_server *make_server(const struct tls_server *old)
{
    const struct tls_certificate_files files[] = {
        {NULL, shared.mail.path, shared.mail.key_path},
        {"other.example", shared.other.path, shared.other.key_path},
        {"*.wild.example", shared.other.path, shared.other.key_path},
    };
    const struct tls_server_options options = {.files = files, .count = 3, .old = old};
    struct tls_server *server;
    char problem[300];

    assert_false(err_is(tls_server_create(&options, problem, sizeof problem, &server)));
    return server;
}

static int set_up(void **state)
{
    (void)state;
    scratch_make(shared.folder);
    certificate_make(&shared.mail, shared.folder, "mail.example");
    certificate_make(&shared.other, shared.folder, "other.example");
    setenv("SSL_CERT_DIR", shared.folder, 1);
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    assert_false(err_is(tls_client_create(&shared.wary)));
    setenv("SSL_CERT_FILE", shared.mail.path, 1);
    assert_false(err_is(tls_client_create(&shared.trusting)));
    shared.server = make_server(NULL);
    conn_rig_fill(much, MUCH);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_client_unref(shared.wary);
    tls_client_unref(shared.trusting);
    tls_server_unref(shared.server);
    scratch_remove(shared.folder);
    return 0;
}

struct secure {
    struct tls_client *client; /* NULL = wary */
    struct tls_server *server; /* NULL = shared */
    const char *host;          /* NULL = mail.example */
    enum tls_verify verify;
    struct ssl_session_st *resume;
};

static void start(struct conn_rig *rig, const struct secure *how)
{
    struct tls_client *client = how->client ? how->client : shared.wary;
    struct tls_server *server = how->server ? how->server : shared.server;
    const char *host = how->host ? how->host : "mail.example";

    SIDE_CALL(conn_start_tls_server(rig->server.conn, server, NULL));
    SIDE_CALL(conn_start_tls_client(rig->client.conn, client, host, how->verify, how->resume));
}

static bool both_secured(const struct conn_rig *rig)
{
    return rig->client.count[CONN_SECURED] == 1 && rig->server.count[CONN_SECURED] == 1;
}

static void open_secured(struct conn_rig *rig, const struct secure *how)
{
    conn_rig_open(rig);
    conn_rig_connect_both(rig);
    start(rig, how);
    TURN_UNTIL(rig->loop, both_secured(rig));
}

static void say(struct side *side, const char *text)
{
    SIDE_CALL(conn_write(side->conn, span_cstr(text)));
}

static void test_there_and_back(void **state)
{
    struct conn_tls_info info;
    struct conn_rig rig;

    (void)state;
    open_secured(&rig, &(struct secure){0});
    say(&rig.client, "ping");
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == 4);
    say(&rig.server, "pong");
    SIDE_CALL(conn_finish(rig.server.conn));
    TURN_UNTIL(rig.loop, rig.client.count[CONN_EOF] == 1);
    assert_got(&rig.client, "pong");
    conn_tls_info(rig.client.conn, &info);
    assert_true(info.active && !info.resumed && !info.verified && info.bits >= 128);
    assert_string_equal(info.version, "TLSv1.3");
    conn_rig_close(&rig);
    assert_string_equal(rig.client.events, "connected secured input eof closed ");
    assert_string_equal(rig.server.events, "secured input closed ");
}

static void test_plain_text_before(void **state)
{
    struct conn_tls_info info;
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    rig.client.hold = true;
    say(&rig.server, "220 go\r\n250 injected\r\n");
    TURN_UNTIL(rig.loop, rig.client.count[CONN_INPUT] == 1);
    conn_consume(rig.client.conn, 8);
    conn_tls_info(rig.client.conn, &info);
    assert_false(info.active);
    say(&rig.client, "last plain words"); /* leave before the handshake, in plain text */
    size_t discarded =
        conn_start_tls_client(rig.client.conn, shared.wary, "mail.example", TLS_VERIFY_NONE, NULL);
    assert_int_equal(discarded, 14);
    assert_int_equal(conn_input(rig.client.conn).len, 0);
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) > 16);
    assert_memory_equal(buf_span(&rig.server.got).ptr, "last plain words\x16\x03", 18);
    conn_rig_close(&rig);
}

static void start_when_asked(struct side *side, enum conn_event event)
{
    if (event == CONN_INPUT && side->tls != NULL) {
        struct tls_server *tls = side->tls;
        side->tls = NULL;
        conn_write(side->conn, SPAN("220"));
        conn_start_tls_server(side->conn, tls, NULL);
    } else if (event == CONN_INPUT && side->tls_client != NULL) {
        struct tls_client *tls = side->tls_client;
        side->tls_client = NULL;
        conn_start_tls_client(side->conn, tls, "mail.example", TLS_VERIFY_NONE, NULL);
    }
}

static void test_started_while_being_told(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    rig.server.then = rig.client.then = start_when_asked;
    rig.server.tls = shared.server;
    rig.client.tls_client = shared.wary;
    conn_rig_connect_both(&rig);
    say(&rig.client, "STARTTLS");
    TURN_UNTIL(rig.loop, both_secured(&rig));
    say(&rig.client, " EHLO");
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == 13);
    assert_got(&rig.server, "STARTTLS EHLO");
    assert_got(&rig.client, "220");
    conn_rig_close(&rig);
}

/* Both send much at once; the server keeps stopping, so that ciphertext has to be kept. */
static void stop_and_go(struct side *side, enum conn_event event)
{
    if (event != CONN_INPUT)
        return;
    if (side->count[CONN_INPUT] % 3 == 0)
        conn_pause(side->conn);
    if (side->count[CONN_INPUT] % 3 == 0 && side->count[CONN_INPUT] % 2 == 0)
        conn_resume(side->conn);
}

static void test_much_both_ways_with_pauses(void **state)
{
    struct conn_rig rig;

    (void)state;
    open_secured(&rig, &(struct secure){0});
    rig.server.then = stop_and_go;
    SIDE_CALL(conn_write(rig.client.conn, span_of(much, MUCH)));
    SIDE_CALL(conn_write(rig.server.conn, span_of(much, MUCH)));
    while (buf_len(&rig.server.got) < MUCH) {
        size_t before = buf_len(&rig.server.got);
        TURN_UNTIL(rig.loop, buf_len(&rig.server.got) > before);
        SIDE_CALL(conn_resume(rig.server.conn));
    }
    TURN_UNTIL(rig.loop, buf_len(&rig.client.got) == MUCH);
    assert_memory_equal(buf_span(&rig.server.got).ptr, much, MUCH);
    assert_memory_equal(buf_span(&rig.client.got).ptr, much, MUCH);
    assert_int_equal(buf_len(&rig.server.got), MUCH);
    conn_rig_close(&rig);
}

/* A reader that takes nothing: what waits for it stays bounded, and comes whole when it goes on. */
static void test_back_pressure(void **state)
{
    enum { BOUND = 20000, RECORD = 16384 };
    struct conn_rig rig;

    (void)state;
    open_secured(&rig, &(struct secure){0});
    rig.server.hold = true;
    SIDE_CALL(conn_set_input_max(rig.server.conn, BOUND));
    SIDE_CALL(conn_write(rig.client.conn, span_of(much, MUCH)));
    TURN_UNTIL(rig.loop, conn_input(rig.server.conn).len >= BOUND);
    turn_for(rig.loop, 30);
    assert_in_range(conn_input(rig.server.conn).len, BOUND, BOUND + RECORD);
    assert_true(conn_is_congested(rig.client.conn));
    rig.server.hold = false;
    SIDE_CALL(side_take(&rig.server));
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == MUCH);
    assert_memory_equal(buf_span(&rig.server.got).ptr, much, MUCH);
    TURN_UNTIL(rig.loop, rig.client.count[CONN_DRAINED] == 1);
    conn_rig_close(&rig);
}

static void pause_when_secured(struct side *side, enum conn_event event)
{
    if (event == CONN_SECURED)
        conn_pause(side->conn);
}

static void speak_when_secured(struct side *side, enum conn_event event)
{
    if (event == CONN_SECURED)
        conn_write(side->conn, SPAN("EHLO"));
}

static void test_paused_at_the_handshake(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    rig.server.then = pause_when_secured;
    rig.client.then = speak_when_secured;
    start(&rig, &(struct secure){0});
    TURN_UNTIL(rig.loop, both_secured(&rig));
    turn_for(rig.loop, 20);
    assert_int_equal(rig.server.count[CONN_INPUT], 0);
    SIDE_CALL(conn_resume(rig.server.conn));
    TURN_UNTIL(rig.loop, buf_len(&rig.server.got) == 4);
    conn_rig_close(&rig);
}

static void close_when_secured(struct side *side, enum conn_event event)
{
    if (event == CONN_SECURED)
        conn_close(side->conn);
}

static void test_closed_at_the_handshake(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    rig.server.then = close_when_secured;
    rig.client.then = speak_when_secured;
    start(&rig, &(struct secure){0});
    TURN_UNTIL(rig.loop, rig.server.conn == NULL);
    assert_string_equal(rig.server.events, "secured closed ");
    conn_rig_close(&rig);
}

static void test_finish_during_the_handshake(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    conn_rig_connect_both(&rig);
    SIDE_CALL(conn_start_tls_server(rig.server.conn, shared.server, NULL));
    SIDE_CALL(conn_finish(rig.server.conn));
    TURN_UNTIL(rig.loop, rig.server.conn == NULL);
    assert_int_equal(rig.client.count[CONN_EOF], 1);
    conn_rig_close(&rig);
}

static void test_garbage_for_a_handshake(void **state)
{
    struct conn_rig rig;

    (void)state;
    conn_rig_open(&rig);
    int fd = conn_rig_connect_raw(&rig);
    SIDE_CALL(conn_start_tls_server(rig.server.conn, shared.server, NULL));
    assert_int_equal(send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    TURN_UNTIL(rig.loop, rig.server.count[CONN_FAILED] == 1);
    assert_int_equal(conn_error(rig.server.conn).kind, ERR_TLS);
    assert_string_equal(rig.server.failure, "http request");
    turn_once(rig.loop);
    close(fd);
    conn_rig_close(&rig);
    assert_string_equal(rig.server.events, "failed closed ");
}

static void test_verification(void **state)
{
    static const struct {
        bool trusted;
        const char *host, *failure;
    } cases[] = {
        {true, "mail.example", NULL},
        {true, "mail.elsewhere", "certificate verify failed"},
        {true, "127.0.0.1", "certificate verify failed"},
        {false, "mail.example", "certificate verify failed"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct secure how = {.client = cases[i].trusted ? shared.trusting : shared.wary,
                             .host = cases[i].host,
                             .verify = TLS_VERIFY_NAME};
        struct conn_tls_info info;
        struct conn_rig rig;
        conn_rig_open(&rig);
        conn_rig_connect_both(&rig);
        start(&rig, &how);
        TURN_UNTIL(rig.loop, rig.client.count[CONN_SECURED] || rig.client.count[CONN_FAILED]);
        assert_string_equal(rig.client.failure, cases[i].failure ? cases[i].failure : "");
        conn_tls_info(rig.client.conn, &info);
        assert_int_equal(info.verified, cases[i].failure == NULL);
        if (cases[i].failure != NULL)
            TURN_UNTIL(rig.loop, rig.server.count[CONN_FAILED] == 1); /* the alert told it */
        conn_rig_close(&rig);
    }
}

/* Where any certificate will do, what it is worth is told all the same. */
static void test_worth_of_a_certificate(void **state)
{
    static const struct {
        bool trusted;
        const char *host;
        bool verified;
    } cases[] = {
        {true, "mail.example", true},
        {true, "mail.elsewhere", false},
        {true, "127.0.0.1", false},
        {false, "mail.example", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct secure how = {.client = cases[i].trusted ? shared.trusting : shared.wary,
                             .host = cases[i].host};
        struct conn_tls_info info;
        struct conn_rig rig;
        open_secured(&rig, &how);
        conn_tls_info(rig.client.conn, &info);
        assert_int_equal(info.verified, cases[i].verified);
        conn_tls_info(rig.server.conn, &info);
        assert_false(info.verified);
        conn_rig_close(&rig);
    }
}

/* Which certificate the server shows for a name. */
static void test_server_names(void **state)
{
    static const struct {
        const char *asked;
        bool other;
    } cases[] = {
        {"mail.example", false},    {"other.example", true},  {"OTHER.example", true},
        {"x.other.example", false}, {"a.wild.example", true}, {"a.b.wild.example", false},
        {"wild.example", false},    {"127.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct conn_tls_info info;
        struct conn_rig rig;
        open_secured(&rig, &(struct secure){.host = cases[i].asked});
        conn_tls_info(rig.server.conn, &info);
        assert_int_equal(info.server_name != NULL, strcmp(cases[i].asked, "127.0.0.1") != 0);
        conn_rig_close(&rig);
        conn_rig_open(&rig);
        conn_rig_connect_both(&rig);
        struct secure how = {
            .client = shared.trusting, .host = cases[i].asked, .verify = TLS_VERIFY_NAME};
        start(&rig, &how);
        TURN_UNTIL(rig.loop, rig.client.count[CONN_SECURED] || rig.client.count[CONN_FAILED]);
        /* Only mail's own certificate is trusted, and only for its own name. */
        assert_int_equal(rig.client.count[CONN_SECURED], i == 0);
        conn_rig_close(&rig);
    }
}

static struct ssl_session_st *session_after_input(struct conn_rig *rig)
{
    say(&rig->server, "x"); /* the tickets of TLS 1.3 come with it */
    TURN_UNTIL(rig->loop, buf_len(&rig->client.got) == 1);
    return conn_tls_session(rig->client.conn);
}

static void test_resumption_survives_a_reload(void **state)
{
    struct tls_server *reloaded = make_server(shared.server);
    struct tls_server *foreign = make_server(NULL);
    struct tls_server *const servers[] = {shared.server, reloaded, foreign};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct conn_tls_info info;
        struct conn_rig rig;
        open_secured(&rig, &(struct secure){0});
        struct ssl_session_st *session = session_after_input(&rig);
        assert_non_null(session);
        conn_rig_close(&rig);
        open_secured(&rig, &(struct secure){.server = servers[i], .resume = session});
        conn_tls_info(rig.server.conn, &info);
        assert_int_equal(info.resumed, i < 2);
        conn_rig_close(&rig);
        tls_session_free(session);
    }
    tls_server_unref(reloaded);
    tls_server_unref(foreign);
}

static void assert_found(struct tls_tickets *tickets, uint64_t now,
                         const struct tls_ticket_key *key, enum tls_tickets_found expected)
{
    struct tls_ticket_key found;

    assert_int_equal(tls_tickets_find(tickets, now, key->name, &found), expected);
    if (expected != TLS_TICKETS_NONE)
        assert_memory_equal(&found, key, sizeof found);
}

static void test_ticket_keys_do_not_last(void **state)
{
    enum { BEGIN = 1000, LIFE = TLS_TICKETS_KEY_MS };
    struct tls_tickets *tickets = tls_tickets_create();
    struct tls_ticket_key first, same, second, third;

    (void)state;
    assert_true(tls_tickets_present(tickets, BEGIN, &first));
    assert_true(tls_tickets_present(tickets, BEGIN + LIFE - 1, &same));
    assert_memory_equal(&first, &same, sizeof first);
    assert_found(tickets, BEGIN + LIFE - 1, &first, TLS_TICKETS_PRESENT);
    assert_found(tickets, BEGIN + LIFE, &first, TLS_TICKETS_FORMER); /* nobody has asked since */
    assert_true(tls_tickets_present(tickets, BEGIN + LIFE, &second));
    assert_memory_not_equal(&first, &second, sizeof first);
    assert_found(tickets, BEGIN + 2 * LIFE - 1, &first, TLS_TICKETS_FORMER);
    assert_found(tickets, BEGIN + 2 * LIFE - 1, &second, TLS_TICKETS_PRESENT);
    assert_found(tickets, BEGIN + 2 * LIFE, &first, TLS_TICKETS_NONE);
    assert_true(tls_tickets_present(tickets, BEGIN + 9 * (uint64_t)LIFE, &third));
    assert_found(tickets, BEGIN + 9 * (uint64_t)LIFE, &second, TLS_TICKETS_NONE);
    tls_tickets_unref(tickets);
}

static void test_certificates_that_cannot_be_used(void **state)
{
    const struct {
        struct tls_certificate_files files;
        const char *file; /* that is blamed */
    } cases[] = {
        {{NULL, "/nonexistent/cert", shared.mail.key_path},
         "/nonexistent/cert: No such file or directory"},
        {{NULL, shared.mail.path, "/nonexistent/key"},
         "/nonexistent/key: No such file or directory"},
        {{NULL, shared.mail.key_path, shared.mail.key_path}, shared.mail.key_path},
        {{NULL, shared.mail.path, shared.other.key_path}, shared.other.key_path},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_server *server = (struct tls_server *)1;
        char problem[400] = "";
        const struct tls_server_options options = {.files = &cases[i].files, .count = 1};
        struct err e = tls_server_create(&options, problem, sizeof problem, &server);
        assert_int_equal(e.kind, ERR_TLS);
        assert_null(server);
        assert_memory_equal(problem, cases[i].file, strlen(cases[i].file));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_plain_text_before),
        cmocka_unit_test(test_started_while_being_told),
        cmocka_unit_test(test_much_both_ways_with_pauses),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_paused_at_the_handshake),
        cmocka_unit_test(test_closed_at_the_handshake),
        cmocka_unit_test(test_finish_during_the_handshake),
        cmocka_unit_test(test_garbage_for_a_handshake),
        cmocka_unit_test(test_verification),
        cmocka_unit_test(test_worth_of_a_certificate),
        cmocka_unit_test(test_server_names),
        cmocka_unit_test(test_resumption_survives_a_reload),
        cmocka_unit_test(test_ticket_keys_do_not_last),
        cmocka_unit_test(test_certificates_that_cannot_be_used),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
