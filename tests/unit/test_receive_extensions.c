/* receive/: the ESMTP extensions: what is offered to whom, what is taken, and what it makes of the
 * message. */
#include "base/clock.h"
#include "support/receive_rig.h"
#include "support/receive_script.h"
#include "support/tls_for_tests.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define FOLLOW(client, ...) talk_follow((client), (const char *const[]){__VA_ARGS__, NULL})

#define GOOD  "S:250 2.1.0"
#define BAD   "S:501 5.5.4"
#define NONE  "S:555 5.5.4"
#define RSET  "C:RSET", "S:250 "
#define FROM  "C:MAIL FROM:<a@sender.test> "
#define ALIEN "relay_networks = \"192.0.2.0/24\"\n"

#define ALL_OFF                                                                                    \
    "extensions_off = {PIPELINING, SIZE, 8bitmime, SMTPUTF8, CHUNKING, BINARYMIME, DSN, LIMITS, "  \
    "REQUIRETLS, MT-PRIORITY, FUTURERELEASE, DELIVERBY}\n"

enum { SCRIPT_MAX = 40 };

static struct tls_server *tls;

static int make_tls(void **state)
{
    (void)state;
    tls = tls_server_for_tests("mx.test");
    return 0;
}

static int free_tls(void **state)
{
    (void)state;
    tls_server_unref(tls);
    return 0;
}

static void open_rig(struct receive_rig *rig, struct talk *client, const char *conf,
                     enum conf_listener_role role, enum conf_listener_tls mode)
{
    receive_rig_open(rig, conf, mode == CONF_TLS_NONE ? NULL : tls, mode);
    rig->kind.role = role;
    receive_rig_connect(rig, client);
    if (mode == CONF_TLS_IMPLICIT)
        FOLLOW(client, "!tls");
}

static void close_rig(struct receive_rig *rig, struct talk *client)
{
    talk_close(client);
    receive_rig_close(rig);
}

/* ---- what is offered ---------------------------------------------------------------------- */

static bool has_line(struct span reply, const char *line)
{
    struct span rest = reply;

    while (rest.len > 0) {
        struct span text = span_from(span_split(rest, '\n', &rest), 4);
        if (span_starts_nocase(text, span_cstr(line)) && text.len > strlen(line) &&
            (text.ptr[strlen(line)] == '\r' || text.ptr[strlen(line)] == ' '))
            return true;
    }
    return false;
}

static const struct offering {
    const char *name, *conf;
    enum conf_listener_role role;
    enum conf_listener_tls mode;
    const char *lines[16], *missing[16];
} offerings[] = {
    {"offered to a server",
     "message_size_max = 5KiB\nrecipients_max = 117\n",
     CONF_ROLE_RELAY,
     CONF_TLS_STARTTLS,
     {"PIPELINING", "SIZE 5120", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "CHUNKING",
      "BINARYMIME", "DSN", "LIMITS RCPTMAX=117", "MT-PRIORITY\r", "DELIVERBY\r", "STARTTLS",
      "HELP"},
     {"REQUIRETLS", "FUTURERELEASE", "AUTH", "XCLIENT"}},
    {"offered under TLS", "", CONF_ROLE_RELAY, CONF_TLS_IMPLICIT, {"REQUIRETLS\r"}, {"STARTTLS"}},
    {"offered to users",
     "future_release_max = 2h\ndeliver_by_min = 1500ms\n",
     CONF_ROLE_SUBMISSION,
     CONF_TLS_NONE,
     {"FUTURERELEASE 7200", "DELIVERBY 2"},
     {"REQUIRETLS"}},
    {"offered to local programs",
     "",
     CONF_ROLE_LOCAL,
     CONF_TLS_NONE,
     {"FUTURERELEASE 604800"},
     {NULL}},
    {"no future",
     "future_release_max = 0\n",
     CONF_ROLE_LOCAL,
     CONF_TLS_NONE,
     {"DSN"},
     {"FUTURERELEASE"}},
    {"all off",
     ALL_OFF,
     CONF_ROLE_LOCAL,
     CONF_TLS_IMPLICIT,
     {"ENHANCEDSTATUSCODES", "HELP"},
     {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "BINARYMIME", "DSN", "LIMITS",
      "REQUIRETLS", "MT-PRIORITY", "FUTURERELEASE", "DELIVERBY"}},
    {"one off takes the other with it",
     "extensions_off = {\"CHUNKING\"}\n",
     CONF_ROLE_RELAY,
     CONF_TLS_NONE,
     {"DSN"},
     {"CHUNKING", "BINARYMIME"}},
};

static void test_offering(void **state)
{
    const struct offering *o = *state;
    struct receive_rig rig;
    struct talk client;
    struct buf reply;

    buf_init(&reply, 0);
    open_rig(&rig, &client, o->conf, o->role, o->mode);
    FOLLOW(&client, "S:220 ", "C:EHLO client.test");
    talk_expect_all(&client, "250 ", &reply);
    for (size_t i = 0; o->lines[i] != NULL; i++) {
        struct span line = span_cstr(o->lines[i]);
        bool whole = line.ptr[line.len - 1] == '\r';
        assert_true(whole
                        ? memmem(buf_span(&reply).ptr, buf_len(&reply), line.ptr, line.len) != NULL
                        : has_line(buf_span(&reply), line.ptr));
    }
    for (size_t i = 0; o->missing[i] != NULL; i++)
        assert_false(has_line(buf_span(&reply), o->missing[i]));
    FOLLOW(&client, BYE);
    buf_fini(&reply);
    close_rig(&rig, &client);
}

/* ---- dialogues ---------------------------------------------------------------------------- */

static const struct dialogue {
    const char *name, *conf;
    enum conf_listener_role role;
    enum conf_listener_tls mode;
    const char *script[SCRIPT_MAX];
    unsigned accepted;
} dialogues[] = {
    /* ---- BINARYMIME ---- */
    {"binary by BDAT",
     "",
     0,
     0,
     {HELLO, FROM "BODY=BINARYMIME", GOOD, RCPT, "R:BDAT 23\r\nSubject: x\r\n\r\na\nb\r\r\n.\r\n",
      "S:250 2.0.0", "R:BDAT 4 LAST\r\n\r\n\n.", QUEUED, BYE},
     1},
    {"no DATA for binary",
     "",
     0,
     0,
     {HELLO, FROM "BODY=BINARYMIME", GOOD, RCPT, "C:DATA", "S:503 5.5.1 BODY=BINARYMIME",
      "R:BDAT 2 LAST\r\n\r\n", QUEUED, MAIL, RCPT, DATA, "R:" BODY, END, QUEUED, BYE},
     2},
    {"no DATA for binary, pipelined",
     "",
     0,
     0,
     {HELLO,
      "R:MAIL FROM:<a@sender.test> BODY=BINARYMIME\r\nRCPT TO:<b@rcpt.test>\r\nDATA\r\nRSET\r\n",
      GOOD, "S:250 2.1.5", "S:503 5.5.1", "S:250 ", BYE},
     0},
    {"a binary message's header has lines",
     "",
     0,
     0,
     {HELLO, FROM "BODY=BINARYMIME", GOOD, RCPT, "R:BDAT 11 LAST\r\nTo: x\na: b\n", "S:554 5.6.0",
      FROM "BODY=BINARYMIME", GOOD, RCPT, "R:BDAT 13 LAST\r\nTo: x\n\nbody\r\n", "S:554 5.6.0",
      FROM "BODY=BINARYMIME", GOOD, RCPT, "R:BDAT 4\r\nTo: ", "S:250 ",
      "R:BDAT 8 LAST\r\nx\r\r\n\r\ny\n", "S:554 5.6.0", BYE},
     0},
    {"binary without a header's end",
     "",
     0,
     0,
     {HELLO, FROM "BODY=BINARYMIME", GOOD, RCPT, "R:BDAT 3 LAST\r\na\r\r", "S:554 5.6.0", BYE},
     0},
    {"8BITMIME is not binary",
     "",
     0,
     0,
     {HELLO, FROM "BODY=8BITMIME", GOOD, RCPT, "R:BDAT 5 LAST\r\n\r\na\nb", "S:554 5.6.0", BYE},
     0},
    {"BODY twice, and an unknown one",
     "",
     0,
     0,
     {HELLO, FROM "BODY=BINARYMIME BODY=7BIT", BAD, FROM "BODY=BINARY", BAD, FROM "BODY", BAD, BYE},
     0},
    {"BINARYMIME off",
     "extensions_off = {BINARYMIME}\n",
     0,
     0,
     {HELLO, FROM "BODY=BINARYMIME", BAD, FROM "BODY=8BITMIME", GOOD, RCPT, "R:BDAT 2 LAST\r\n\r\n",
      QUEUED, BYE},
     1},
    {"CHUNKING off",
     "extensions_off = {CHUNKING}\n",
     0,
     0,
     {HELLO, FROM "BODY=BINARYMIME", BAD, MAIL, RCPT, "R:BDAT 6 LAST\r\nQUIT\r\n", "S:502 5.5.1",
      MAIL, RCPT, DATA, "R:" BODY, END, QUEUED, BYE},
     1},

    /* ---- REQUIRETLS ---- */
    {"REQUIRETLS in clear",
     "",
     0,
     CONF_TLS_STARTTLS,
     {HELLO,
      FROM "REQUIRETLS",
      NONE,
      "C:STARTTLS",
      "S:220 ",
      "!tls",
      "C:EHLO client.test",
      "S:250 ",
      FROM "REQUIRETLS=yes",
      BAD,
      FROM "REQUIRETLS REQUIRETLS",
      BAD,
      FROM "requiretls",
      GOOD,
      RCPT,
      DATA,
      "R:" BODY,
      END,
      QUEUED,
      BYE},
     1},
    {"REQUIRETLS off",
     "extensions_off = {REQUIRETLS}\n",
     0,
     CONF_TLS_IMPLICIT,
     {HELLO, FROM "REQUIRETLS", NONE, BYE},
     0},

    /* ---- MT-PRIORITY ---- */
    {"MT-PRIORITY",
     "",
     0,
     0,
     {HELLO,
      FROM "MT-PRIORITY=9",
      GOOD,
      RSET,
      FROM "MT-PRIORITY=-9",
      GOOD,
      RSET,
      FROM "MT-PRIORITY=0",
      GOOD,
      RSET,
      FROM "MT-PRIORITY=10",
      BAD,
      FROM "MT-PRIORITY=-0",
      BAD,
      FROM "MT-PRIORITY",
      BAD,
      FROM "MT-PRIORITY=1 MT-PRIORITY=1",
      BAD,
      MAIL,
      "C:RCPT TO:<b@rcpt.test> MT-PRIORITY=1",
      NONE,
      BYE},
     0},
    {"a stranger's priority",
     ALIEN,
     0,
     0,
     {HELLO, FROM "MT-PRIORITY=1", "S:250 2.3.6 ", RSET, FROM "MT-PRIORITY=-4", GOOD, RSET,
      FROM "MT-PRIORITY=0", GOOD, BYE},
     0},
    {"MT-PRIORITY off",
     "extensions_off = {MT-PRIORITY}\n",
     0,
     0,
     {HELLO, FROM "MT-PRIORITY=1", NONE, BYE},
     0},

    /* ---- FUTURERELEASE ---- */
    {"FUTURERELEASE is for submission",
     "",
     0,
     0,
     {HELLO, FROM "HOLDFOR=1", NONE, FROM "HOLDUNTIL=2030-01-01T00:00:00Z", NONE, BYE},
     0},
    {"FUTURERELEASE",
     "future_release_max = 1h\n",
     CONF_ROLE_LOCAL,
     0,
     {HELLO,
      FROM "HOLDFOR=3600",
      GOOD,
      RSET,
      FROM "HOLDFOR=3601",
      BAD,
      FROM "HOLDFOR=-1",
      BAD,
      FROM "HOLDFOR",
      BAD,
      FROM "HOLDFOR=1 HOLDUNTIL=2001-01-01T00:00:00Z",
      BAD,
      FROM "HOLDFOR=1 HOLDFOR=1",
      BAD,
      FROM "HOLDUNTIL=2901-01-01T00:00:00Z",
      BAD,
      FROM "HOLDUNTIL=tomorrow",
      BAD,
      FROM "HOLDUNTIL=2001-01-01T00:00:00Z",
      GOOD,
      RSET,
      FROM "HOLDFOR=0",
      GOOD,
      BYE},
     0},
    {"FUTURERELEASE off",
     "extensions_off = {FUTURERELEASE}\n",
     CONF_ROLE_LOCAL,
     0,
     {HELLO, FROM "HOLDFOR=1", NONE, BYE},
     0},
    {"released too late",
     "",
     CONF_ROLE_LOCAL,
     0,
     {HELLO, FROM "HOLDFOR=60 BY=60;R", BAD, FROM "BY=1;N HOLDFOR=60", BAD, MAIL, RSET,
      FROM "HOLDFOR=60 BY=61;R", GOOD, BYE},
     0},

    /* ---- DELIVERBY ---- */
    {"DELIVERBY",
     "deliver_by_min = 2m\n",
     0,
     0,
     {HELLO,
      FROM "BY=120;R",
      GOOD,
      RSET,
      FROM "BY=119;R",
      BAD,
      FROM "BY=1;N",
      GOOD,
      RSET,
      FROM "BY=-5;NT",
      GOOD,
      RSET,
      FROM "BY=0;R",
      BAD,
      FROM "BY=120",
      BAD,
      FROM "BY=120;X",
      BAD,
      FROM "BY=120;R BY=120;R",
      BAD,
      BYE},
     0},
    {"DELIVERBY off",
     "extensions_off = {DELIVERBY}\n",
     0,
     0,
     {HELLO, FROM "BY=120;R", NONE, BYE},
     0},

    /* ---- the others ---- */
    {"all off, none taken",
     ALL_OFF,
     CONF_ROLE_LOCAL,
     CONF_TLS_IMPLICIT,
     {HELLO,
      FROM "SIZE=1",
      NONE,
      FROM "BODY=8BITMIME",
      NONE,
      FROM "SMTPUTF8",
      NONE,
      FROM "RET=FULL",
      NONE,
      FROM "REQUIRETLS",
      NONE,
      "C:MAIL FROM:<\xc3\xa4@sender.test>",
      "S:553 5.6.7",
      MAIL,
      "C:RCPT TO:<b@rcpt.test> NOTIFY=NEVER",
      NONE,
      RCPT,
      DATA,
      "R:" BODY,
      END,
      QUEUED,
      BYE},
     1},
    {"all need EHLO",
     "",
     CONF_ROLE_LOCAL,
     CONF_TLS_IMPLICIT,
     {"S:220 ", "C:HELO c.test", "S:250 ", FROM "BODY=BINARYMIME", NONE, FROM "REQUIRETLS", NONE,
      FROM "MT-PRIORITY=1", NONE, FROM "HOLDFOR=1", NONE, FROM "BY=9;N", NONE, MAIL, RCPT,
      "R:BDAT 6 LAST\r\nQUIT\r\n", "S:502 ", BYE},
     0},
};

static bool all_accepted(const struct receive_rig *rig, unsigned wanted)
{
    return rig->accepted_count == wanted && receive_limits_sessions(rig->limits) == 0;
}

static void test_dialogue(void **state)
{
    const struct dialogue *d = *state;
    struct receive_rig rig;
    struct talk client;

    open_rig(&rig, &client, d->conf, d->role, d->mode);
    talk_follow(&client, d->script);
    talk_close(&client);
    TURN_UNTIL(rig.loop, all_accepted(&rig, d->accepted));
    assert_int_equal(queue_memory_rows(rig.queue), d->accepted);
    receive_rig_close(&rig);
}

/* ---- what is kept ------------------------------------------------------------------------- */

static void send_one(struct talk *client, const char *mail)
{
    FOLLOW(client, mail, "S:250 ", RCPT, DATA, "R:" BODY, END, QUEUED);
}

static void test_what_is_kept(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "route \"held.test\" { hold = \"Wait\" }\n", CONF_ROLE_LOCAL,
             CONF_TLS_IMPLICIT);
    uint64_t before = clock_steady_ms();
    FOLLOW(&client, HELLO,
           FROM "REQUIRETLS MT-PRIORITY=-3 HOLDFOR=3600 BY=7200;RT BODY=8BITMIME SMTPUTF8", GOOD,
           RCPT, "C:RCPT TO:<b@held.test>", "S:250 ", DATA, "R:" BODY, END, QUEUED);
    send_one(&client, "C:MAIL FROM:<>");
    const struct queue_message *m = rig.accepted[0];
    assert_int_equal(m->flags,
                     QUEUE_REQUIRE_TLS | QUEUE_BY_TRACE | QUEUE_BODY_8BIT | QUEUE_SMTPUTF8);
    assert_int_equal(m->priority, -3);
    assert_in_range(m->arrival, before, clock_steady_ms());
    assert_int_equal(m->release, m->arrival + 3600000);
    assert_int_equal(m->by, ESMTP_BY_RETURN);
    assert_int_equal(m->deliver_by, m->arrival + 7200000);
    assert_int_equal(m->groups[0].state, QUEUE_GROUP_FUTURE);
    assert_int_equal(m->groups[0].due, m->release);
    assert_int_equal(m->groups[1].state, QUEUE_GROUP_HELD);
    assert_true(span_equal(m->protocol, SPAN("UTF8SMTPS")));
    m = rig.accepted[1];
    assert_int_equal(m->flags, 0);
    assert_true(m->priority == 0 && m->release == 0 && m->by == ESMTP_BY_NONE);
    assert_int_equal(m->deliver_by, 0);
    assert_int_equal(m->groups[0].state, QUEUE_GROUP_WAITING);
    assert_int_equal(m->groups[0].due, m->arrival);
    assert_true(span_equal(m->protocol, SPAN("ESMTPS")));
    close_rig(&rig, &client);
}

static void test_when(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "", CONF_ROLE_LOCAL, CONF_TLS_NONE);
    FOLLOW(&client, HELLO);
    send_one(&client, FROM "HOLDUNTIL=2001-01-01T00:00:00Z BY=-60;N");
    send_one(&client, FROM "HOLDFOR=0 BY=60;N");
    const struct queue_message *m = rig.accepted[0];
    assert_int_equal(m->release, 0); /* that was long ago */
    assert_int_equal(m->groups[0].state, QUEUE_GROUP_WAITING);
    assert_int_equal(m->by, ESMTP_BY_NOTIFY);
    assert_int_equal(m->deliver_by, m->arrival - 60000);
    assert_true(m->groups[0].late_told); /* by whoever had it when its time passed */
    m = rig.accepted[1];
    assert_int_equal(m->release, 0);
    assert_int_equal(m->deliver_by, m->arrival + 60000);
    assert_false(m->groups[0].late_told);
    close_rig(&rig, &client);
}

static void test_a_strangers_priority(void **state)
{
    struct receive_rig rig;
    struct talk client;

    (void)state;
    open_rig(&rig, &client, "", CONF_ROLE_RELAY, CONF_TLS_NONE);
    FOLLOW(&client, HELLO);
    send_one(&client, FROM "MT-PRIORITY=6");
    assert_int_equal(rig.accepted[0]->priority, 6); /* of one that may relay */
    struct sockaddr_in local;
    socklen_t len = sizeof local;
    assert_int_equal(getsockname(client.fd, (struct sockaddr *)&local, &len), 0);
    assert_int_equal(rig.accepted[0]->client_port, ntohs(local.sin_port));
    close_rig(&rig, &client);
}

/* ---- binary ------------------------------------------------------------------------------- */

static const char header[] = "Subject: x\r\n\tfolded\r\nFrom: a\r\n\r\n";
static const char content[] = "\0\n.\r\n\r.\n\r\nRSET\r\n\xff\r\0\r";

static void say_chunk(struct talk *client, struct span bytes, bool last)
{
    struct buf text;

    buf_init(&text, 0);
    buf_addf(&text, "BDAT %zu%s\r\n", bytes.len, last ? " LAST" : "");
    buf_add(&text, bytes);
    talk_send(client, buf_span(&text));
    buf_fini(&text);
}

/* Wherever the chunks are cut, the header's end included. */
static void test_binary_at_every_split(void **state)
{
    struct receive_rig rig;
    struct talk client;
    struct buf whole;

    (void)state;
    buf_init(&whole, 0);
    buf_add(&whole, span_of(header, sizeof header - 1));
    buf_add(&whole, span_of(content, sizeof content - 1));
    open_rig(&rig, &client, "commands_without_mail_max = 1000\n", CONF_ROLE_RELAY, CONF_TLS_NONE);
    FOLLOW(&client, HELLO);
    struct span all = buf_span(&whole);
    for (size_t at = 0; at <= all.len; at++) {
        FOLLOW(&client, FROM "BODY=BINARYMIME", GOOD, RCPT);
        say_chunk(&client, span_head(all, at), false);
        FOLLOW(&client, "S:250 2.0.0");
        say_chunk(&client, span_from(all, at), true);
        FOLLOW(&client, QUEUED);
        const struct queue_message *m = rig.accepted[rig.accepted_count - 1];
        assert_int_equal(m->flags, QUEUE_BODY_BINARY);
        assert_true(span_equal(buf_span(&m->body), all));
        assert_true(span_equal(m->subject, SPAN("x\tfolded")));
    }
    buf_fini(&whole);
    close_rig(&rig, &client);
}

static void test_a_large_binary_body(void **state)
{
    struct receive_rig rig;
    struct talk client;
    struct buf body, stored;

    (void)state;
    buf_init(&body, 0);
    buf_init(&stored, 0);
    buf_add(&body, SPAN("\r\n"));
    for (unsigned i = 0; i < 300000; i++)
        buf_add(&body, span_of((const char *)&(uint8_t){(uint8_t)(i * 31 + i / 251)}, 1));
    open_rig(&rig, &client, "memory_body_max = 4KiB\ntext_line_max = 1000\n", CONF_ROLE_RELAY,
             CONF_TLS_NONE);
    FOLLOW(&client, HELLO, FROM "BODY=BINARYMIME", GOOD, RCPT);
    say_chunk(&client, buf_span(&body), true);
    FOLLOW(&client, QUEUED, BYE);
    uint64_t id = rig.accepted[0]->id;
    assert_false(err_is(queue_read_body(rig.queue, id, 0, UINT32_MAX, &stored)));
    assert_true(span_equal(buf_span(&stored), buf_span(&body)));
    buf_fini(&body);
    buf_fini(&stored);
    close_rig(&rig, &client);
}

int main(void)
{
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(test_what_is_kept),         cmocka_unit_test(test_when),
        cmocka_unit_test(test_a_strangers_priority), cmocka_unit_test(test_binary_at_every_split),
        cmocka_unit_test(test_a_large_binary_body),
    };
    struct CMUnitTest tests[COUNT(own) + COUNT(offerings) + COUNT(dialogues)];
    size_t count = 0;

    for (size_t i = 0; i < COUNT(own); i++)
        tests[count++] = own[i];
    for (size_t i = 0; i < COUNT(offerings); i++)
        tests[count++] = (struct CMUnitTest){.name = offerings[i].name,
                                             .test_func = test_offering,
                                             .initial_state = (void *)(uintptr_t)&offerings[i]};
    for (size_t i = 0; i < COUNT(dialogues); i++)
        tests[count++] = (struct CMUnitTest){.name = dialogues[i].name,
                                             .test_func = test_dialogue,
                                             .initial_state = (void *)(uintptr_t)&dialogues[i]};
    return cmocka_run_group_tests(tests, make_tls, free_tls);
}
