/* IMAP's session: clients that do not read, say nothing, or say nonsense; and how sessions end. */
#include "support/drop_talk.h"

#include <cmocka.h>

#define HELLO  "S:* OK [CAPABILITY IMAP4rev1 "
#define LOGIN  "C:l LOGIN alice pencil", "S:l OK [CAPABILITY IMAP4rev1 "
#define SELECT "C:s SELECT INBOX"

enum { LARGE = 900000, FETCHES = 20 };

static int setup(void **state)
{
    (void)state;
    drop_rig_open("");
    drop_rig.settings.folders = "";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drop_rig_close();
    return 0;
}

#define SAY(talk, ...)                                                                             \
    drop_talk_follow(talk, (const char *const[]){__VA_ARGS__, NULL}, DROP_BY_LINE)

static struct drop_session *only_session(void)
{
    return container_of(drop_rig.worker.sessions.next, struct drop_session, link);
}

/* Lines that are not looked at, up to the one that begins so. */
static bool has_come(struct drop_talk *t, const char *beginning)
{
    struct span text = buf_span(&t->in);

    drop_talk_pull(t);
    text = buf_span(&t->in);
    return memmem(text.ptr, text.len, beginning, strlen(beginning)) != NULL;
}

static void wait_for(struct drop_talk *t, const char *beginning)
{
    TURN_UNTIL(drop_rig.loop, has_come(t, beginning));
    buf_clear(&t->in);
}

static void put_large(void)
{
    char *text = mem_alloc(LARGE + 1);

    memset(text, 'x', LARGE);
    text[LARGE] = '\0';
    assert_true(rig_put_flagged(drop_rig.worker.store, "alice", "INBOX", text, 0) > 0);
    free(text);
}

static void ask_for_much(struct drop_talk *t)
{
    drop_talk_open(t, &drop_imap);
    SAY(t, HELLO, LOGIN, SELECT);
    wait_for(t, "s OK");
    for (unsigned i = 0; i < FETCHES; i++)
        SAY(t, "C:f FETCH 1 BODY.PEEK[]");
    SAY(t, "C:g NOOP");
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0 || conn_is_congested(only_session()->conn));
}

/* What waits for a client that does not read is bounded, and nothing of it is lost. */
static void test_reads_late(void **state)
{
    struct drop_talk t;
    size_t most = 0;

    (void)state;
    put_large();
    ask_for_much(&t);
    for (int i = 0; i < 50; i++) {
        drop_rig_turn();
        size_t unsent = conn_unsent(only_session()->conn);
        most = unsent > most ? unsent : most;
    }
    assert_true(most > 0 && most < 200000);
    TURN_UNTIL(drop_rig.loop, has_come(&t, "g OK Done"));
    assert_true(buf_len(&t.in) > (size_t)LARGE * FETCHES);
    drop_talk_close(&t);
}

static void test_never_reads(void **state)
{
    struct drop_talk t;

    (void)state;
    drop_rig.settings.write_timeout = 20;
    put_large();
    ask_for_much(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
    drop_talk_close(&t);
}

static void test_says_nothing(void **state)
{
    struct drop_talk t;

    (void)state;
    drop_rig.settings.login_timeout = 20;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, "=* BYE Timed out waiting for you to log in", "!eof");
    drop_talk_close(&t);
    drop_rig.settings.login_timeout = 60000;
    drop_rig.settings.idle_timeout = 20;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, LOGIN, "=* BYE Disconnected for inactivity", "!eof");
    drop_talk_close(&t);
}

static void test_says_nonsense(void **state)
{
    struct drop_talk t;

    (void)state;
    drop_rig.settings.errors_max = 3;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, "C:a FROB", "S:a BAD ", "C:(", "S:* BAD ", "C:b FETCH 1 FLAGS", "S:b BAD ",
        "=* BYE Too many errors", "!eof");
    drop_talk_close(&t);
}

/* What is refused is read, but not for ever. */
static void test_sends_too_much(void **state)
{
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, LOGIN, "C:a APPEND INBOX {9223372036854775807}", "S:a NO [TOOBIG]",
        "C:b APPEND INBOX {9223372036854775807+}", "S:* BYE [TOOBIG]", "!eof");
    drop_talk_close(&t);
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, "C:a APPEND INBOX {100000+}", "S:* BYE [TOOBIG]", "!eof");
    drop_talk_close(&t);
}

static void test_guesses_passwords(void **state)
{
    struct drop_talk t;

    (void)state;
    drop_rig.settings.errors_max = 2;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, "C:a LOGIN alice a", "S:a NO [AUTHENTICATIONFAILED]", "C:b LOGIN alice b",
        "S:* BYE ", "!eof");
    drop_talk_close(&t);
}

static void test_too_many_sessions(void **state)
{
    struct drop_talk t, more;

    (void)state;
    drop_rig.settings.sessions_per_user = 1;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, LOGIN);
    drop_talk_open(&more, &drop_imap);
    SAY(&more, HELLO, "C:a LOGIN alice pencil", "S:a NO [LIMIT]");
    drop_talk_close(&t);
    drop_talk_close(&more);
}

static void test_no_password_without_tls(void **state)
{
    struct drop_talk t;

    (void)state;
    drop_rig.is_remote = true;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, "C:a LOGIN alice pencil", "S:a NO [PRIVACYREQUIRED]",
        "C:b AUTHENTICATE PLAIN AGFsaWNlAHBlbmNpbA==", "S:b NO [PRIVACYREQUIRED]", "C:c CAPABILITY",
        "S:* CAPABILITY IMAP4rev1 ", "S:c OK");
    drop_talk_close(&t);
}

static void test_sasl(void **state)
{
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, "C:a AUTHENTICATE NOPE", "S:a NO ", "C:b AUTHENTICATE PLAIN", "=+ ", "C:*",
        "S:b BAD ", "C:c AUTHENTICATE PLAIN", "=+ ", "C:AGFsaWNlAHBlbmNpbA==", "S:c OK ",
        "C:d AUTHENTICATE PLAIN AGFsaWNlAHBlbmNpbA==", "S:d BAD ");
    drop_talk_close(&t);
}

static void test_mailbox_is_deleted(void **state)
{
    struct drop_talk t, idler, other;

    (void)state;
    drop_talk_open(&t, &drop_imap);
    drop_talk_open(&idler, &drop_imap);
    drop_talk_open(&other, &drop_imap);
    SAY(&t, HELLO, LOGIN, "C:a CREATE x", "S:a OK", "C:s SELECT x");
    wait_for(&t, "s OK");
    SAY(&idler, HELLO, LOGIN, "C:s SELECT x");
    wait_for(&idler, "s OK");
    SAY(&idler, "C:i IDLE", "=+ idling");
    SAY(&other, HELLO, LOGIN, "C:d DELETE x", "=d OK Deleted");
    SAY(&idler, "=* BYE The selected mailbox has been deleted", "!eof");
    SAY(&t, "C:n NOOP", "=* BYE The selected mailbox has been deleted", "!eof");
    SAY(&other, "C:a CREATE y", "S:a OK", "C:s SELECT y");
    wait_for(&other, "s OK");
    SAY(&other, "C:d DELETE y", "=d OK Deleted", "C:f FETCH 1 FLAGS", "S:f BAD Select");
    drop_talk_close(&t);
    drop_talk_close(&idler);
    drop_talk_close(&other);
}

static void test_server_stops(void **state)
{
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, LOGIN, SELECT);
    wait_for(&t, "s OK");
    SAY(&t, "C:i IDLE", "=+ idling");
    only_session()->shut(only_session());
    SAY(&t, "S:* BYE [UNAVAILABLE]", "!eof");
    drop_talk_close(&t);
}

/* In each state, without a word. */
static void test_client_leaves(void **state)
{
    static const char *const last[] = {"a LOGIN alice pencil\r\n",
                                       "a LOGIN alice pencil\r\nb SELECT INBOX\r\nc IDLE\r\n",
                                       "a LOGIN alice pencil\r\nb APPEND INBOX {100+}\r\nSubj",
                                       "a LOGIN alice pencil\r\nb APPEND INBOX {3+}\r\na\r\n\r\n"
                                       "c APPEND INBOX {3+}\r\na\r\n\r\nd SELECT INBOX\r\ne SEARCH "
                                       "TEXT a\r\nf STORE 1:* +FLAGS (\\Seen)\r\ng FETCH 1",
                                       "a AUTHENTICATE PLAIN\r\n",
                                       "a STARTTLS\r\n",
                                       "a LOG"};
    struct drop_talk t;

    (void)state;
    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++)
        for (int turns = 0; turns < 12; turns++) {
            drop_talk_open(&t, &drop_imap);
            drop_talk_send(&t, span_cstr(last[i]), DROP_BY_LINE);
            for (int j = 0; j < turns; j++)
                drop_rig_turn();
            drop_talk_close(&t);
            TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
        }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reads_late),
        TEST(test_never_reads),
        TEST(test_says_nothing),
        TEST(test_says_nonsense),
        TEST(test_sends_too_much),
        TEST(test_guesses_passwords),
        TEST(test_too_many_sessions),
        TEST(test_no_password_without_tls),
        TEST(test_sasl),
        TEST(test_mailbox_is_deleted),
        TEST(test_server_stops),
        TEST(test_client_leaves),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
