/* POP3: the parser, dialogues by line, byte by byte and all at once, and what is then in the
 * mailbox. */
#include "support/drop_talk.h"

#include "plugins/drop/pop3/command.h"
#include "support/io_faults.h"

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define LOGIN        "S:+OK", "C:USER alice", "S:+OK", "C:PASS pencil", "=+OK Logged in"
#define BYE          "C:QUIT", "=+OK Bye", "!eof"

/* The store of this program has nothing in memory while `is_far`, and breaks off each message
 * behind `damaged_at` bytes. */
static bool is_far;
static unsigned asked;
static uint64_t damaged_at;

bool __real_mailstore_content_is_resident(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                          uint64_t len);
bool __wrap_mailstore_content_is_resident(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                          uint64_t len)
{
    asked++;
    return !is_far && __real_mailstore_content_is_resident(txn, message, offset, len);
}

struct err __real_mailstore_content_walk(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                         uint64_t len, mailstore_visit_bytes *visit, void *context);
struct err __wrap_mailstore_content_walk(struct kv_txn *txn, uint64_t message, uint64_t offset,
                                         uint64_t len, mailstore_visit_bytes *visit, void *context)
{
    uint64_t left = damaged_at > offset ? damaged_at - offset : 0;

    if (damaged_at == 0 || left >= len)
        return __real_mailstore_content_walk(txn, message, offset, len, visit, context);
    struct err e = __real_mailstore_content_walk(txn, message, offset, left, visit, context);
    return err_is(e) ? e : err_make(ERR_CORRUPT, "body chunk");
}

static int setup(void **state)
{
    (void)state;
    is_far = false;
    damaged_at = 0;
    drop_rig_open("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drop_rig_close();
    return 0;
}

static void put(const char *text)
{
    rig_put_flagged(drop_rig.worker.store, "alice", "INBOX", text, 0);
}

static unsigned exists(void)
{
    return rig_box(drop_rig.worker.store, "alice", "INBOX").exists;
}

static void in_every_way(const char *const *script)
{
    drop_talk_whole(&drop_pop3, script, DROP_BY_LINE);
    drop_talk_whole(&drop_pop3, script, DROP_BY_BYTE);
    drop_talk_whole(&drop_pop3, script, DROP_AT_ONCE);
}

/* ---- the parser --------------------------------------------------------------------------- */

static const struct {
    const char *line;
    enum pop3_verb verb;
    bool is_wrong;
    const char *text;
    uint32_t number;
    uint64_t lines;
} lines[] = {
    {"", POP3_UNKNOWN, false, "", 0, 0},
    {"QUIT", POP3_QUIT, false, "", 0, 0},
    {"quit", POP3_QUIT, false, "", 0, 0},
    {"QUITS", POP3_UNKNOWN, false, "", 0, 0},
    {" QUIT", POP3_UNKNOWN, false, "", 0, 0},
    {"QUIT x", POP3_QUIT, true, "", 0, 0},
    {"USER", POP3_USER, true, "", 0, 0},
    {"USER a b", POP3_USER, false, "a b", 0, 0},
    {"PASS  a b ", POP3_PASS, false, " a b ", 0, 0},
    {"LIST", POP3_LIST, false, "", 0, 0},
    {"LIST 7", POP3_LIST, false, "", 7, 0},
    {"LIST 7 ", POP3_LIST, false, "", 7, 0},
    {"LIST x", POP3_LIST, true, "", 0, 0},
    {"LIST -1", POP3_LIST, true, "", 0, 0},
    {"LIST 7 8", POP3_LIST, true, "", 0, 0},
    {"UIDL 4294967295", POP3_UIDL, false, "", UINT32_MAX, 0},
    {"RETR 4294967296", POP3_RETR, false, "", UINT32_MAX, 0},
    {"RETR 99999999999999999999999", POP3_RETR, false, "", UINT32_MAX, 0},
    {"RETR", POP3_RETR, true, "", 0, 0},
    {"DELE 0", POP3_DELE, false, "", 0, 0},
    {"TOP 1 0", POP3_TOP, false, "", 1, 0},
    {"TOP 1  20", POP3_TOP, false, "", 1, 20},
    {"TOP 1", POP3_TOP, true, "", 1, 0},
    {"TOP 1 x", POP3_TOP, true, "", 1, 0},
    {"UTF8", POP3_UTF8, false, "", 0, 0},
    {"UTF8 user", POP3_UTF8, false, "user", 0, 0},
    {"UTF8 x", POP3_UTF8, true, "x", 0, 0},
    {"LANG *", POP3_LANG, false, "*", 0, 0},
    {"LANG a b", POP3_LANG, true, "a b", 0, 0},
};

static void parses(void **state)
{
    struct pop3_command command;

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        pop3_parse(span_cstr(lines[i].line), &command);
        if (command.verb != lines[i].verb || command.is_wrong != lines[i].is_wrong ||
            !span_equal(command.text, span_cstr(lines[i].text)) ||
            (!command.is_wrong &&
             (command.number != lines[i].number || command.lines != lines[i].lines)))
            fail_msg("%s", lines[i].line);
    }
    pop3_parse(SPAN("AUTH"), &command);
    assert_true(!command.is_wrong && command.method.len == 0 && !command.has_initial);
    pop3_parse(SPAN("auth plain ="), &command);
    assert_true(span_equal(command.method, SPAN("plain")) && command.has_initial);
    assert_true(span_equal(command.initial, SPAN("=")));
    pop3_parse(SPAN("AUTH x y z"), &command);
    assert_true(span_equal(command.initial, SPAN("y z")));
}

/* ---- logging in --------------------------------------------------------------------------- */

/* "\0alice\0pencil" and a wrong one. */
#define PLAIN "AGFsaWNlAHBlbmNpbA=="
#define WRONG "AGFsaWNlAHBlbg=="

static const char *const logins[][40] = {
    {LOGIN, BYE, NULL},
    {"S:+OK", "C:USER alice", "S:+OK", "C:USER ALICE", "S:+OK", "C:PASS pencil", "S:+OK", BYE,
     NULL},
    {"S:+OK", "C:AUTH PLAIN " PLAIN, "=+OK Logged in", BYE, NULL},
    {"S:+OK", "C:AUTH PLAIN", "=+ ", "C:" PLAIN, "=+OK Logged in", BYE, NULL},
    {"S:+OK", "C:AUTH LOGIN", "S:+ ", "C:YWxpY2U=", "S:+ ", "C:cGVuY2ls", "=+OK Logged in", BYE,
     NULL},
    {"S:+OK", "C:AUTH PLAIN", "=+ ", "C:*", "S:-ERR The exchange", "C:AUTH NTLM",
     "S:-ERR There is no such way", "C:AUTH PLAIN " PLAIN, "=+OK Logged in", BYE, NULL},
    /* an exchange that is broken off, whatever by, is over */
    {"S:+OK", "C:AUTH PLAIN", "=+ ", "R:a\nb\r\n", "S:-ERR The exchange", "C:NOOP",
     "=-ERR Log in first", BYE, NULL},
    {"S:+OK", "C:STAT", "=-ERR Log in first", "C:PASS x", "=-ERR USER first", "C:NOOP", "S:-ERR",
     "C:FOO", "=-ERR Unknown command", "C:RETR", "=-ERR Log in first", "C:PASS",
     "=-ERR This command does not take such arguments", "C:STLS", "=-ERR TLS is not available", BYE,
     NULL},
    {"S:+OK",
     "C:CAPA",
     "S:+OK",
     "=TOP",
     "=UIDL",
     "=RESP-CODES",
     "=AUTH-RESP-CODE",
     "=PIPELINING",
     "=EXPIRE NEVER",
     "=LANG",
     "=UTF8 USER",
     "=USER",
     "=SASL PLAIN LOGIN SCRAM-SHA-256",
     "=IMPLEMENTATION Smarthop",
     "=.",
     "C:UTF8",
     "S:+OK",
     "C:LANG",
     "S:+OK",
     "S:en ",
     "S:i-default ",
     "=.",
     "C:LANG en",
     "S:+OK en",
     "C:LANG tlh",
     "S:-ERR",
     BYE,
     NULL},
    {"S:+OK", "C:AUTH", "S:+OK", "=PLAIN", "=LOGIN", "=SCRAM-SHA-256", "=.", BYE, NULL},
    {LOGIN, "C:USER alice", "=-ERR You are logged in already", "C:CAPA", "S:+OK", "=TOP", "=UIDL",
     "=RESP-CODES", "=AUTH-RESP-CODE", "=PIPELINING", "=EXPIRE NEVER", "=LANG", "=UTF8 USER",
     "=USER", "=IMPLEMENTATION Smarthop", "=.", BYE, NULL},
    {"S:+OK", "R:NOOP\nNOOP\r\n", "=-ERR Lines end with CRLF", "!eof", NULL},
    {"S:+OK", "C:USER alice", "S:+OK", "!shut", "!eof", NULL},
};

static void logs_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(logins); i++) {
        drop_talk_whole(&drop_pop3, logins[i], DROP_BY_LINE);
        drop_talk_whole(&drop_pop3, logins[i], DROP_BY_BYTE);
    }
    in_every_way(logins[0]);
    assert_int_equal(drop_rig.logged_in, 0);
}

static void refuses_strangers(void **state)
{
    static const char *const password[] = {"S:+OK",      "C:USER alice",  "S:+OK",
                                           "C:PASS pen", "S:-ERR [AUTH]", NULL};
    static const char *const later[] = {"S:+OK", "C:AUTH PLAIN " WRONG, "S:-ERR [", NULL};
    static const char *const remote[] = {
        "S:+OK", "C:USER alice", "S:-ERR Passwords", "C:AUTH PLAIN " PLAIN, "S:-ERR Passwords", BYE,
        NULL};

    (void)state;
    drop_talk_whole(&drop_pop3, password, DROP_BY_LINE);
    drop_talk_whole(&drop_pop3, later, DROP_BY_LINE);
    drop_rig.is_remote = true;
    drop_talk_whole(&drop_pop3, remote, DROP_BY_LINE);
}

static void ends_the_hopeless(void **state)
{
    static const char *const script[] = {"S:+OK", "C:A",    "S:-ERR", "C:A", "S:-ERR",
                                         "C:A",   "S:-ERR", "!eof",   NULL};

    (void)state;
    drop_rig.settings.errors_max = 3;
    drop_talk_whole(&drop_pop3, script, DROP_BY_LINE);
}

/* Nothing is removed. */
static void times_out(void **state)
{
    static const char *const deletes[] = {LOGIN, "C:DELE 1", "S:+OK", NULL};
    struct drop_talk t;

    (void)state;
    put("one\r\n");
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, deletes, DROP_BY_LINE);
    drop_rig.settings.idle_timeout = 1;
    drop_talk_send(&t, SPAN("NOOP\r\n"), DROP_BY_LINE);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
    drop_talk_close(&t);
    assert_int_equal(exists(), 1);
    drop_rig.settings.login_timeout = 1;
    drop_talk_open(&t, &drop_pop3);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
    drop_talk_close(&t);
}

static void has_the_mailbox_alone(void **state)
{
    static const char *const first[] = {LOGIN, NULL};
    static const char *const second[] = {
        "S:+OK", "C:USER alice", "S:+OK", "C:PASS pencil", "S:-ERR [IN-USE]", "!eof", NULL};
    static const char *const bye[] = {"C:DELE 1", "S:+OK", "C:QUIT", "=+OK Bye", NULL};
    struct drop_talk t;

    (void)state;
    put("one\r\n");
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, first, DROP_BY_LINE);
    struct drop_talk other;
    drop_talk_open(&other, &drop_pop3);
    drop_talk_follow(&other, second, DROP_BY_LINE);
    drop_talk_close(&other);
    drop_talk_follow(&t, bye, DROP_BY_LINE);
    drop_talk_open(&other, &drop_pop3); /* whatever has become of the first one's connection */
    drop_talk_follow(&other, first, DROP_BY_LINE);
    drop_talk_close(&other);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

/* ---- the mailbox -------------------------------------------------------------------------- */

static const char *const visits[][48] = {
    {LOGIN, "C:STAT", "=+OK 3 44", "C:LIST", "S:+OK", "=1 26", "=2 11", "=3 7", "=.", "C:LIST 2",
     "=+OK 2 11", "C:LIST 4", "=-ERR There is no such message", "C:LIST 0", "S:-ERR",
     "C:RETR 99999999999", "S:-ERR", BYE, NULL},
    {LOGIN,         "C:RETR 1",    "=+OK 26 octets",
     "=Subject: a", "=",           "=..one",
     "=..",         "=x",          "=.",
     "C:TOP 1 0",   "S:+OK",       "=Subject: a",
     "=",           "=.",          "C:TOP 1 1",
     "S:+OK",       "=Subject: a", "=",
     "=..one",      "=.",          "C:TOP 1 99",
     "S:+OK",       "=Subject: a", "=",
     "=..one",      "=..",         "=x",
     "=.",          BYE,           NULL},
    /* no header's end, no line's end */
    {LOGIN, "C:TOP 2 0", "S:+OK", "=no header", "=.",     "C:TOP 3 0", "S:+OK",    "=",
     "=.",  "C:TOP 3 1", "S:+OK", "=",          "=three", "=.",        "C:RETR 3", "=+OK 7 octets",
     "=",   "=three",    "=.",    BYE,          NULL},
    /* what is deleted is not there, until it is again */
    {LOGIN,       "C:DELE 2", "S:+OK",  "C:DELE 2",  "S:-ERR", "C:RETR 2", "S:-ERR",   "C:STAT",
     "=+OK 2 33", "C:LIST",   "S:+OK",  "=1 26",     "=3 7",   "=.",       "C:LIST 2", "S:-ERR",
     "C:RSET",    "S:+OK",    "C:STAT", "=+OK 3 44", "C:NOOP", "=+OK",     BYE,        NULL},
    {LOGIN, "C:DELE 1", "S:+OK", "!shut", "!eof", NULL},
};

static void visits_the_mailbox(void **state)
{
    (void)state;
    put("Subject: a\r\n\r\n.one\r\n.\r\nx\r\n");
    put("no header\r\n");
    put("\r\nthree");
    for (size_t i = 0; i < COUNT(visits); i++)
        in_every_way(visits[i]);
    assert_int_equal(exists(), 3);
}

/* Of a message's place in the mailbox, for ever; not of its number. */
static void names_messages(void **state)
{
    static const char *const before[] = {LOGIN, "C:UIDL", "S:+OK", NULL};
    static const char *const deletes[] = {"=.", "C:DELE 1", "S:+OK", BYE, NULL};
    struct drop_talk t;
    char first[40], second[40];

    (void)state;
    put("a\r\n");
    put("b\r\n");
    uint32_t validity = rig_box(drop_rig.worker.store, "alice", "INBOX").uid_validity;
    snprintf(first, sizeof first, "1 %08x%08x", validity, 1u);
    snprintf(second, sizeof second, "2 %08x%08x", validity, 2u);
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    drop_talk_expect(&t, first, true);
    drop_talk_expect(&t, second, true);
    drop_talk_follow(&t, deletes, DROP_BY_LINE);
    drop_talk_close(&t);
    second[0] = '1';
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    drop_talk_expect(&t, second, true);
    drop_talk_expect(&t, ".", true);
    drop_talk_follow(&t, (const char *const[]){"C:UIDL 1", NULL}, DROP_BY_LINE);
    drop_talk_expect(&t, "+OK ", false);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

static void deletes_on_quit(void **state)
{
    static const char *const script[] = {LOGIN,      "C:DELE 1", "S:+OK", "C:DELE 2", "S:+OK",
                                         "C:DELE 4", "S:+OK",    BYE,     NULL};
    struct buf text;

    (void)state;
    for (int i = 0; i < 2; i++) {
        put("one\r\n");
        put("two\r\n");
        put("three\r\n");
        put("four\r\n");
        put("five\r\n");
        drop_talk_whole(&drop_pop3, script, i == 0 ? DROP_AT_ONCE : DROP_BY_LINE);
        assert_int_equal(exists(), 2 + 2 * i);
    }
    buf_init(&text, 0);
    drop_rig_read("alice", "INBOX", &text);
    assert_true(span_equal(buf_span(&text), SPAN("one\r\n|three\r\n|four\r\n|five\r\n|")));
    buf_fini(&text);
}

/* RFC 1939 6: where something could not be removed, that is said. */
static void cannot_delete(void **state)
{
    static const char *const before[] = {LOGIN, "C:DELE 1", "S:+OK", NULL};
    static const char *const behind[] = {"C:QUIT", "=-ERR [SYS/TEMP] No message has been removed",
                                         "!eof", NULL};
    struct drop_talk t;

    (void)state;
    put("one\r\n");
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    faults.write_most = 1;
    drop_talk_follow(&t, behind, DROP_BY_LINE);
    faults_heal();
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
    assert_int_equal(exists(), 1);
}

/* Others may have removed messages meanwhile, or put some there. */
static void bears_others(void **state)
{
    static const char *const before[] = {LOGIN, NULL};
    static const char *const behind[] = {"C:RETR 1", "=-ERR The message is not there any more",
                                         "C:RETR 2", "=+OK 3 octets",
                                         "=b",       "=.",
                                         "C:DELE 1", "S:+OK",
                                         "C:DELE 2", "S:+OK",
                                         BYE,        NULL};
    struct drop_talk t;

    (void)state;
    put("a\r\na\r\n");
    put("b\r\n");
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    uint32_t box = rig_box(drop_rig.worker.store, "alice", "INBOX").id;
    rig_expunge(drop_rig.worker.store, box, (struct mailstore_range){1, 1}, true);
    put("c\r\n");
    drop_talk_follow(&t, behind, DROP_BY_LINE);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
    assert_int_equal(exists(), 1);
}

/* ---- long answers ------------------------------------------------------------------------- */

enum { MANY = 3000 };

/* What does not fit the connection waits for the client, and nothing of it is lost. */
static void sends_what_is_long(void **state)
{
    static const char *const before[] = {LOGIN, "C:RETR 1", "S:+OK ", NULL};
    struct drop_talk t;
    struct buf text, wanted;

    (void)state;
    buf_init(&text, 0);
    buf_init(&wanted, 0);
    for (int i = 0; i < 100000; i++) {
        buf_addf(&text, "%sline %d\r\n", i % 7 == 0 ? "." : "", i);
        buf_addf(&wanted, "%sline %d\r\n", i % 7 == 0 ? ".." : "", i);
    }
    buf_add_text(&wanted, ".\r\n");
    buf_add(&text, span_of("", 1));
    put(buf_span(&text).ptr);
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    turn_for(drop_rig.loop, 5); /* nobody reads: what is held for him is bounded */
    const struct drop_session *session =
        container_of(drop_rig.worker.sessions.next, struct drop_session, link);
    assert_true(conn_unsent(session->conn) < 512 * 1024);
    TURN_UNTIL(drop_rig.loop, drop_talk_pull(&t) && buf_len(&t.in) >= buf_len(&wanted));
    assert_int_equal(buf_len(&t.in), buf_len(&wanted));
    assert_memory_equal(buf_span(&t.in).ptr, buf_span(&wanted).ptr, buf_len(&wanted));
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
    buf_fini(&text);
    buf_fini(&wanted);
}

/* What would have to come from the disk is brought there off the loop, once a slice. */
static void waits_for_the_disk(void **state)
{
    static const char *const script[] = {LOGIN,       "C:RETR 1", "=+OK 5 octets", "=one", "=.",
                                         "C:TOP 2 0", "S:+OK",    "=Subject: a",   "=",    "=.",
                                         BYE,         NULL};
    static const char *const leaves[] = {LOGIN, "C:RETR 1", "!close", NULL};

    (void)state;
    put("one\r\n");
    put("Subject: a\r\n\r\nx\r\n");
    is_far = true;
    asked = 0;
    in_every_way(script);
    assert_int_equal(asked, 3 * 2);
    drop_talk_whole(&drop_pop3, leaves, DROP_BY_LINE);
}

/* Nobody takes half a message for a whole one. */
static void breaks_off(void **state)
{
    static const char *const before[] = {LOGIN, "C:RETR 1", NULL};
    struct drop_talk t;

    (void)state;
    put("0123456789\r\n0123456789\r\n");
    damaged_at = 15;
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    TURN_UNTIL(drop_rig.loop, drop_talk_pull(&t) && t.eof);
    assert_null(buf_len(&t.in) > 0 ? memmem(buf_span(&t.in).ptr, buf_len(&t.in), "\r\n.\r\n", 5)
                                   : NULL);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

static void lists_many(void **state)
{
    static const char *const before[] = {LOGIN, "C:LIST", "S:+OK", NULL};
    struct mailstore_target targets[100];
    struct drop_talk t;
    char line[40];

    (void)state;
    for (int i = 0; i < 100; i++)
        targets[i] = rig_target("alice", "INBOX");
    for (int i = 0; i < MANY / 100; i++)
        assert_int_equal(rig_append(drop_rig.worker.store, targets, 100, true, SPAN("x\r\n"), NULL),
                         ERR_NONE);
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    for (int i = 1; i <= MANY; i++) {
        snprintf(line, sizeof line, "%d 3", i);
        drop_talk_expect(&t, line, true);
    }
    drop_talk_expect(&t, ".", true);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

/* ---- ends --------------------------------------------------------------------------------- */

/* Who has said QUIT need not wait for its end. */
static void removes_alone(void **state)
{
    static const char *const script[] = {LOGIN, "C:DELE 1", "S:+OK", "C:QUIT", "!close", NULL};

    (void)state;
    put("one\r\n");
    drop_talk_whole(&drop_pop3, script, DROP_BY_LINE);
    /* Where its connection broke before the server has read it, it was not said. */
    assert_true(exists() <= 1);
    assert_int_equal(drop_rig.claimed[0], '\0');
}

/* While its password is being checked. */
static void leaves_early(void **state)
{
    static const char *const script[] = {"S:+OK",         "C:USER alice", "S:+OK",
                                         "C:PASS pencil", "!close",       NULL};

    (void)state;
    drop_talk_whole(&drop_pop3, script, DROP_BY_LINE);
    assert_int_equal(drop_rig.logged_in, 0);
}

static void stops(void **state)
{
    static const char *const before[] = {LOGIN, "C:NOOP", "S:+OK", NULL};
    static const char *const bye[] = {"S:-ERR [SYS/TEMP]", "!eof", NULL};
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_pop3);
    drop_talk_follow(&t, before, DROP_BY_LINE);
    struct drop_session *session =
        container_of(drop_rig.worker.sessions.next, struct drop_session, link);
    session->shut(session);
    drop_talk_follow(&t, bye, DROP_BY_LINE);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

int main(void)
{
    log_set_level(LOG_ERROR);
#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses), RUN(logs_in),        RUN(refuses_strangers),
        RUN(ends_the_hopeless),   RUN(times_out),      RUN(has_the_mailbox_alone),
        RUN(visits_the_mailbox),  RUN(names_messages), RUN(deletes_on_quit),
        RUN(cannot_delete),       RUN(bears_others),   RUN(sends_what_is_long),
        RUN(waits_for_the_disk),  RUN(breaks_off),     RUN(lists_many),
        RUN(removes_alone),       RUN(leaves_early),   RUN(stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
