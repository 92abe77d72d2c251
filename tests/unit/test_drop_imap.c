/* IMAP's session: dialogues by line, byte by byte and all at once. */
#include "support/drop_talk.h"

#include <cmocka.h>

#define COUNT(array)            (sizeof(array) / sizeof(array)[0])
#define HELLO                   "S:* OK [CAPABILITY IMAP4rev1 "
#define LOGIN                   "C:l LOGIN alice pencil", "S:l OK [CAPABILITY IMAP4rev1 "
#define BYE                     "C:z LOGOUT", "S:* BYE", "=z OK Goodbye", "!eof"
#define MESSAGE                 "Subject: x\r\n\r\nhello\r\n" /* 21 bytes */
#define APPEND(box)             "C:p APPEND " box " (\\Flagged) {21+}\r\n" MESSAGE, "S:p OK [APPENDUID "
#define FLAGS                   "S:* FLAGS (", "S:* OK [PERMANENTFLAGS ("
#define SELECTED(count, recent) FLAGS, "=* " count " EXISTS", "=* " recent " RECENT"
#define VALID(next)                                                                                \
    "S:* OK [UIDVALIDITY ", "S:* OK [UIDNEXT " next "]", "S:* OK [HIGHESTMODSEQ ",                 \
        "S:* OK [MAILBOXID ("
#define SELECT(count)                                                                              \
    "C:s SELECT INBOX", SELECTED(count, count), "S:* OK [UNSEEN 1]", "S:* OK [UIDVALIDITY ",       \
        "S:* OK [UIDNEXT ", "S:* OK [HIGHESTMODSEQ ", "S:* OK [MAILBOXID (", "S:s OK [READ-WRITE]"

#define SELECT_EMPTY "C:s SELECT INBOX", SELECTED("0", "0"), VALID("1"), "S:s OK [READ-WRITE]"

static int setup(void **state)
{
    (void)state;
    drop_rig_open("");
    drop_rig.settings.folders = "Drafts Trash";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    drop_rig_close();
    return 0;
}

struct dialogue {
    const char *name;
    const char *script[80];
};

static const struct dialogue dialogues[] = {
    {"states",
     {HELLO, "C:a SELECT INBOX", "=a BAD Log in first", "C:b FETCH 1 FLAGS", "=b BAD Log in first",
      LOGIN, "C:c FETCH 1 FLAGS", "=c BAD Select a mailbox first", "C:d LOGIN alice pencil",
      "=d BAD You are logged in already", "C:e FROB", "S:e BAD ", "C:f NOOP", "=f OK Done", BYE}},
    {"wrong password",
     {HELLO, "C:a LOGIN alice wrong", "S:a NO [AUTHENTICATIONFAILED]", "C:z LOGOUT", "S:* BYE",
      "=z OK Goodbye", "!eof"}},
    {"mailboxes of a new user",
     {HELLO, LOGIN, "C:a LIST \"\" *", "=* LIST (\\HasNoChildren \\Drafts) \"/\" Drafts",
      "=* LIST (\\HasNoChildren) \"/\" INBOX", "=* LIST (\\HasNoChildren \\Trash) \"/\" Trash",
      "=a OK Listed", "C:b LIST \"\" \"\"", "=* LIST (\\Noselect) \"/\" \"\"", "=b OK Listed",
      "C:c LSUB \"\" %", "=* LSUB (\\HasNoChildren \\Drafts) \"/\" Drafts",
      "=* LSUB (\\HasNoChildren) \"/\" INBOX", "=* LSUB (\\HasNoChildren \\Trash) \"/\" Trash",
      "=c OK Listed", BYE}},
    {"mailboxes come and go",
     {HELLO,
      LOGIN,
      "C:a CREATE x/y/z",
      "S:a OK [MAILBOXID (",
      "C:b CREATE x/y",
      "S:b NO [ALREADYEXISTS]",
      "C:c DELETE x",
      "=c OK Deleted",
      "C:d LIST \"\" x*",
      "=* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" x",
      "=* LIST (\\HasChildren) \"/\" x/y",
      "=* LIST (\\HasNoChildren) \"/\" x/y/z",
      "=d OK Listed",
      "C:e SELECT x",
      "S:e NO [NONEXISTENT]",
      "C:f RENAME x/y q",
      "=f OK Renamed",
      "C:g LIST \"\" %",
      "=* LIST (\\HasNoChildren \\Drafts) \"/\" Drafts",
      "=* LIST (\\HasNoChildren) \"/\" INBOX",
      "=* LIST (\\HasNoChildren \\Trash) \"/\" Trash",
      "=* LIST (\\HasChildren) \"/\" q",
      "=g OK Listed",
      "C:h DELETE INBOX",
      "S:h NO [CANNOT]",
      "C:i DELETE q/z",
      "=i OK Deleted",
      "C:j DELETE q",
      "=j OK Deleted",
      "C:k DELETE q",
      "S:k NO [NONEXISTENT]",
      BYE}},
    {"append",
     {HELLO, LOGIN, "C:a APPEND Nope {21+}\r\n" MESSAGE, "S:a NO [TRYCREATE]", APPEND("INBOX"),
      "C:b STATUS INBOX (MESSAGES UNSEEN RECENT)", "=* STATUS INBOX (MESSAGES 1 UNSEEN 1 RECENT 1)",
      "=b OK Told", SELECT("1"), APPEND("Trash"), "C:p APPEND INBOX {21+}\r\n" MESSAGE,
      "=* 2 EXISTS", "=* 2 RECENT", "S:p OK [APPENDUID ", "C:c FETCH 1:* FLAGS",
      "=* 1 FETCH (FLAGS (\\Flagged \\Recent))", "=* 2 FETCH (FLAGS (\\Recent))", "=c OK Fetched",
      BYE}},
    {"appends in a row",
     {HELLO,
      LOGIN,
      APPEND("INBOX"),
      APPEND("Trash"),
      "C:a APPEND Nope {21+}\r\n" MESSAGE,
      "S:a NO [TRYCREATE]",
      APPEND("INBOX"),
      APPEND("INBOX"),
      "C:b STATUS INBOX (MESSAGES)",
      "=* STATUS INBOX (MESSAGES 3)",
      "=b OK Told",
      APPEND("INBOX"),
      "C:c FROB",
      "S:c BAD ",
      APPEND("INBOX"),
      APPEND("INBOX"),
      "C:d APPEND INBOX {0+}\r\n",
      "S:d NO ",
      APPEND("INBOX"),
      BYE}},
    {"fetch",
     {HELLO,
      LOGIN,
      APPEND("INBOX"),
      SELECT("1"),
      "C:a FETCH 1 (UID RFC822.SIZE BODY.PEEK[])",
      "=* 1 FETCH (UID 1 RFC822.SIZE 21 BODY[] {21}",
      "=Subject: x",
      "=",
      "=hello",
      "=)",
      "=a OK Fetched",
      "C:b FETCH 1 BODY[TEXT]<1.3>",
      "=* 1 FETCH (FLAGS (\\Seen \\Flagged \\Recent) BODY[TEXT]<1> {3}",
      "=ell)",
      "=b OK Fetched",
      "C:c UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (\"subject\" To)]",
      "=* 1 FETCH (UID 1 BODY[HEADER.FIELDS (subject To)] {14}",
      "=Subject: x",
      "=",
      "=)",
      "=c OK Fetched",
      "C:d FETCH 2 FLAGS",
      "S:d BAD ",
      "C:e UID FETCH 7 FLAGS",
      "=e OK Fetched",
      "C:f FETCH 1 ENVELOPE",
      "=* 1 FETCH (ENVELOPE (NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL))",
      "=f OK Fetched",
      BYE}},
    {"store and expunge",
     {HELLO,
      LOGIN,
      APPEND("INBOX"),
      APPEND("INBOX"),
      APPEND("INBOX"),
      SELECT("3"),
      "C:a STORE 1:2 FLAGS (\\Deleted)",
      "=* 1 FETCH (FLAGS (\\Deleted \\Recent))",
      "=* 2 FETCH (FLAGS (\\Deleted \\Recent))",
      "=a OK Flags stored",
      "C:b STORE 3 +FLAGS.SILENT (\\Seen)",
      "=b OK Flags stored",
      "C:c COPY 1:2 Nope",
      "S:c NO [TRYCREATE]",
      "C:d COPY 1:2 Trash",
      "S:d OK [COPYUID ",
      "C:e EXPUNGE",
      "=* 2 EXPUNGE",
      "=* 1 EXPUNGE",
      "=* 1 RECENT",
      "=e OK Expunged",
      "C:f UID FETCH 1:* FLAGS",
      "=* 1 FETCH (UID 3 FLAGS (\\Seen \\Flagged \\Recent))",
      "=f OK Fetched",
      "C:g MOVE 1 Trash",
      "S:* OK [COPYUID ",
      "=* 1 EXPUNGE",
      "=* 0 RECENT",
      "=g OK Moved",
      "C:h CLOSE",
      "=h OK Closed",
      "C:i STATUS Trash (MESSAGES)",
      "=* STATUS Trash (MESSAGES 3)",
      "=i OK Told",
      BYE}},
    {"reading only",
     {HELLO,
      LOGIN,
      APPEND("INBOX"),
      "C:s EXAMINE INBOX",
      FLAGS,
      "=* 1 EXISTS",
      "=* 1 RECENT",
      "S:* OK [UNSEEN 1]",
      VALID("2"),
      "S:s OK [READ-ONLY]",
      "C:a STORE 1 FLAGS (\\Seen)",
      "S:a NO [READ-ONLY]",
      "C:b FETCH 1 BODY[TEXT]",
      "=* 1 FETCH (BODY[TEXT] {7}",
      "=hello",
      "=)",
      "=b OK Fetched",
      "C:c EXPUNGE",
      "S:c NO [READ-ONLY]",
      "C:d UNSELECT",
      "=d OK Unselected",
      BYE}},
    {"search",
     {HELLO,
      LOGIN,
      APPEND("INBOX"),
      APPEND("INBOX"),
      APPEND("INBOX"),
      SELECT("3"),
      "C:a STORE 2 FLAGS (\\Seen)",
      "=* 2 FETCH (FLAGS (\\Seen \\Recent))",
      "=a OK Flags stored",
      "C:b SEARCH SUBJECT x UNSEEN",
      "=* SEARCH 1 3",
      "=b OK Searched",
      "C:c SEARCH BODY nope",
      "=* SEARCH",
      "=c OK Searched",
      "C:d UID SEARCH RETURN (MIN MAX COUNT ALL) ALL",
      "=* ESEARCH (TAG \"d\") UID MIN 1 MAX 3 COUNT 3 ALL 1:3",
      "=d OK Searched",
      "C:e SEARCH RETURN (COUNT) ANSWERED",
      "=* ESEARCH (TAG \"e\") COUNT 0",
      "=e OK Searched",
      "C:f SEARCH RETURN (SAVE) SEEN",
      "=f OK Searched",
      "C:g FETCH $ UID",
      "=* 2 FETCH (UID 2)",
      "=g OK Fetched",
      "C:h SEARCH CHARSET nope ALL",
      "S:h NO [BADCHARSET (",
      "C:i SORT (SIZE) UTF-8 UNSEEN",
      "=* SORT 1 3",
      "=i OK Sorted",
      "C:j UID THREAD ORDEREDSUBJECT UTF-8 1:2",
      "S:* THREAD (1",
      "=j OK Threaded",
      BYE}},
    {"list, extended",
     {HELLO,
      LOGIN,
      "C:a CREATE \"Flag ged\" (USE (\\Flagged))",
      "S:a OK [MAILBOXID (",
      "C:b LIST (SPECIAL-USE) \"\" *",
      "=* LIST (\\HasNoChildren \\Drafts) \"/\" Drafts",
      "=* LIST (\\HasNoChildren \\Flagged) \"/\" \"Flag ged\"",
      "=* LIST (\\HasNoChildren \\Trash) \"/\" Trash",
      "=b OK Listed",
      "C:c SUBSCRIBE Drafts/x",
      "S:c ",
      "C:d LIST (SUBSCRIBED) \"\" (INBOX Trash) RETURN (STATUS (MESSAGES))",
      "=* LIST (\\HasNoChildren \\Subscribed) \"/\" INBOX",
      "=* STATUS INBOX (MESSAGES 0)",
      "=* LIST (\\HasNoChildren \\Subscribed \\Trash) \"/\" Trash",
      "=* STATUS Trash (MESSAGES 0)",
      "=d OK Listed",
      "C:e CREATE Trash/deep",
      "S:e OK [MAILBOXID (",
      "C:f SUBSCRIBE Trash/deep",
      "=f OK Subscribed",
      "C:g UNSUBSCRIBE Trash",
      "=g OK Unsubscribed",
      "C:h LIST (SUBSCRIBED RECURSIVEMATCH) \"\" T%",
      "=* LIST (\\HasChildren \\Trash) \"/\" Trash (CHILDINFO (\"SUBSCRIBED\"))",
      "=h OK Listed",
      "C:i LSUB \"\" T%",
      "=* LSUB (\\Noselect \\HasChildren \\Trash) \"/\" Trash",
      "=i OK Listed",
      BYE}},
    {"several messages",
     {HELLO, LOGIN, SELECT_EMPTY,
      "C:a APPEND INBOX (\\Seen) {21+}\r\n" MESSAGE " (k) {21+}\r\n" MESSAGE,
      "S:* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft k)", "S:* OK [PERMANENTFLAGS",
      "=* 2 EXISTS", "=* 2 RECENT", "S:a OK [APPENDUID ", "C:b FETCH 1:* FLAGS",
      "=* 1 FETCH (FLAGS (\\Seen \\Recent))", "=* 2 FETCH (FLAGS (k \\Recent))", "=b OK Fetched",
      BYE}},
    {"modification sequences",
     {HELLO,
      LOGIN,
      APPEND("INBOX"),
      APPEND("INBOX"),
      SELECT("2"),
      "C:a FETCH 1 (MODSEQ)",
      "=* OK [HIGHESTMODSEQ 3] Highest",
      "=* 1 FETCH (MODSEQ (2))",
      "=a OK Fetched",
      "C:b STORE 1:2 (UNCHANGEDSINCE 2) +FLAGS.SILENT (\\Seen)",
      "=* 1 FETCH (MODSEQ (4))",
      "=b OK [MODIFIED 2] Flags stored",
      "C:c FETCH 1:* (FLAGS) (CHANGEDSINCE 3)",
      "=* 1 FETCH (MODSEQ (4) FLAGS (\\Seen \\Flagged \\Recent))",
      "=c OK Fetched",
      "C:d SEARCH MODSEQ 4",
      "=* SEARCH 1 (MODSEQ 4)",
      "=d OK Searched",
      "C:e UID FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)",
      "S:e BAD ",
      "C:f SELECT INBOX (QRESYNC (1 1))",
      "S:f BAD ",
      BYE}},
    {"binary",
     {HELLO, LOGIN,
      "C:a APPEND INBOX {70+}\r\n"
      "Content-Transfer-Encoding: base64\r\nMime-Version: 1.0\r\n\r\naABlbGxvCg==\r\n",
      "S:a OK [APPENDUID ", SELECT("1"), "C:b FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1]<2.3>)",
      "S:* 1 FETCH (BINARY.SIZE[1] 7 BINARY[1]<2> ~{3}", "=ell)", "=b OK Fetched", BYE}},
    {"preview and quota",
     {HELLO, LOGIN, APPEND("INBOX"), SELECT("1"), "C:a FETCH 1 PREVIEW",
      "=* 1 FETCH (PREVIEW \"hello\")", "=a OK Fetched", "C:b GETQUOTAROOT INBOX",
      "=* QUOTAROOT INBOX \"\"", "=* QUOTA \"\" ()", "=b OK Told", "C:c GETQUOTA nope",
      "S:c NO [NONEXISTENT]", "C:d SETQUOTA \"\" (STORAGE 1)", "S:d NO [NOPERM]", BYE}},
    {"IMAP4rev2",
     {HELLO,
      LOGIN,
      APPEND("INBOX"),
      "C:a ENABLE IMAP4rev2",
      "=* ENABLED IMAP4rev2",
      "=a OK Enabled",
      "C:b CREATE \"\xc3\xa9t\xc3\xa9\"",
      "S:b OK [MAILBOXID",
      "C:c SELECT INBOX",
      FLAGS,
      "=* 1 EXISTS",
      VALID("2"),
      "=* LIST () \"/\" INBOX",
      "S:c OK [READ-WRITE]",
      "C:d SEARCH ALL",
      "=* ESEARCH (TAG \"d\") ALL 1",
      "=d OK Searched",
      "C:e SELECT \"\xc3\xa9t\xc3\xa9\"",
      "S:* OK [CLOSED]",
      FLAGS,
      "=* 0 EXISTS",
      VALID("1"),
      "=* LIST () \"/\" \"\xc3\xa9t\xc3\xa9\"",
      "S:e OK [READ-WRITE]",
      BYE}},
    {"idle",
     {HELLO, LOGIN, SELECT_EMPTY, "C:a IDLE", "=+ idling", "C:DONE", "=a OK Idled", "C:b IDLE",
      "=+ idling", "C:NOOP", "S:b BAD ", BYE}},
};

static void follow(enum drop_way way)
{
    for (size_t i = 0; i < COUNT(dialogues); i++) {
        void *state = NULL;
        setup(&state);
        drop_talk_whole(&drop_imap, dialogues[i].script, way);
        teardown(&state);
    }
}

static void test_by_line(void **state)
{
    (void)state;
    follow(DROP_BY_LINE);
}

static void test_by_byte(void **state)
{
    (void)state;
    follow(DROP_BY_BYTE);
}

static void test_at_once(void **state)
{
    (void)state;
    follow(DROP_AT_ONCE);
}

/* ---- two sessions ------------------------------------------------------------------------- */

static void expect(struct drop_talk *t, const char *const *script)
{
    drop_talk_follow(t, script, DROP_BY_LINE);
}

#define SAY(talk, ...) expect(talk, (const char *const[]){__VA_ARGS__, NULL})

/* RFC 9051 7.5.1: numbers stay as they are while a client uses them. */
static void test_expunge_is_held_back(void **state)
{
    struct drop_talk a, b;

    (void)state;
    drop_talk_open(&a, &drop_imap);
    drop_talk_open(&b, &drop_imap);
    SAY(&a, HELLO, LOGIN, APPEND("INBOX"), APPEND("INBOX"), APPEND("INBOX"), SELECT("3"));
    SAY(&b, HELLO, LOGIN, "C:s SELECT INBOX", SELECTED("3", "0"), "S:* OK [UNSEEN 1]", VALID("4"),
        "S:s OK [READ-WRITE]");
    SAY(&a, "C:a STORE 1 +FLAGS.SILENT (\\Deleted)", "=a OK Flags stored", "C:b EXPUNGE",
        "=* 1 EXPUNGE", "=* 2 RECENT", "=b OK Expunged");
    SAY(&b, "C:a FETCH 1:2 UID", "=* 2 FETCH (UID 2)",
        "=a OK [EXPUNGEISSUED] Some messages are "
        "there no longer");
    SAY(&b, "C:b STORE 3 FLAGS (\\Seen)", "=* 3 FETCH (FLAGS (\\Seen))", "=b OK Flags stored");
    SAY(&b, "C:c NOOP", "=* 1 EXPUNGE", "=c OK Done", "C:d FETCH 2 UID", "=* 2 FETCH (UID 3)",
        "=d OK Fetched");
    SAY(&a, "C:c NOOP", "=* 2 FETCH (FLAGS (\\Seen \\Recent))", "=c OK Done");
    drop_talk_close(&a);
    drop_talk_close(&b);
}

static void test_idle_is_told(void **state)
{
    struct drop_talk a, b;

    (void)state;
    drop_talk_open(&a, &drop_imap);
    drop_talk_open(&b, &drop_imap);
    SAY(&a, HELLO, LOGIN, SELECT_EMPTY, "C:i IDLE", "=+ idling");
    SAY(&b, HELLO, LOGIN, APPEND("INBOX"));
    SAY(&a, "=* 1 EXISTS", "=* 1 RECENT");
    SAY(&b, "C:s SELECT INBOX", SELECTED("1", "0"), "S:* OK [UNSEEN 1]", VALID("2"),
        "S:s OK [READ-WRITE]", "C:a STORE 1 +FLAGS (\\Deleted)",
        "=* 1 FETCH (FLAGS (\\Flagged \\Deleted))", "=a OK Flags stored");
    SAY(&a, "=* 1 FETCH (FLAGS (\\Flagged \\Deleted \\Recent))");
    SAY(&b, "C:c CLOSE", "=c OK Closed");
    SAY(&a, "=* 1 EXPUNGE", "=* 0 RECENT", "C:DONE", "=i OK Idled");
    drop_talk_close(&a);
    drop_talk_close(&b);
}

/* RFC 7162 3.2.5: what a client missed. */
static void test_resync(void **state)
{
    struct drop_talk t;
    char command[100];

    (void)state;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, LOGIN, APPEND("INBOX"), APPEND("INBOX"), APPEND("INBOX"), "C:q ENABLE QRESYNC",
        "=* ENABLED QRESYNC", "=q OK Enabled", SELECT("3"), "C:a STORE 2 +FLAGS.SILENT (\\Deleted)",
        "=* 2 FETCH (UID 2 MODSEQ (5))", "=a OK Flags stored", "C:b EXPUNGE", "=* VANISHED 2",
        "=* 2 RECENT", "=b OK [HIGHESTMODSEQ 6] Expunged", "C:c STORE 2 FLAGS (\\Seen)",
        "=* 2 FETCH (UID 3 FLAGS (\\Seen \\Recent) MODSEQ (7))", "=c OK Flags stored");
    unsigned validity = rig_box(drop_rig.worker.store, "alice", "INBOX").uid_validity;
    snprintf(command, sizeof command, "C:d SELECT INBOX (QRESYNC (%u 4 1:2))", validity);
    SAY(&t, command, "S:* OK [CLOSED]", SELECTED("2", "0"), "S:* OK [UNSEEN 1]", VALID("4"),
        "=* VANISHED (EARLIER) 2", "=* 2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (7))",
        "S:d OK [READ-WRITE]", "C:e UID FETCH 1:* (FLAGS) (CHANGEDSINCE 6 VANISHED)",
        "=* 2 FETCH (UID 3 MODSEQ (7) FLAGS (\\Seen))", "=e OK Fetched");
    snprintf(command, sizeof command, "C:f SELECT INBOX (QRESYNC (%u 4))", validity + 1);
    SAY(&t, command, "S:* OK [CLOSED]", SELECTED("2", "0"), "S:* OK [UNSEEN 1]", VALID("4"),
        "S:f OK [READ-WRITE]");
    drop_talk_close(&t);
}

/* RFC 3516 4.4: what has a NUL is stored so that everybody can be told of it. */
static void test_binary_is_encoded(void **state)
{
    static const char binary[] = "a APPEND INBOX ~{46+}\r\nContent-Transfer-Encoding: binary\r\n"
                                 "A: b\r\n\r\na\0b\r\n";
    static const char broken[] = "b APPEND INBOX ~{3+}\r\na\0b\r\n";
    struct drop_talk t;

    (void)state;
    drop_talk_open(&t, &drop_imap);
    SAY(&t, HELLO, LOGIN);
    drop_talk_send(&t, span_of(binary, sizeof binary - 1), DROP_BY_BYTE);
    SAY(&t, "S:a OK [APPENDUID ");
    drop_talk_send(&t, span_of(broken, sizeof broken - 1), DROP_BY_LINE);
    SAY(&t, "S:b NO [UNKNOWN-CTE]", SELECT("1"), "C:c FETCH 1 (BINARY.SIZE[1] BODY.PEEK[])",
        "=* 1 FETCH (BINARY.SIZE[1] 3 BODY[] {49}", "=Content-Transfer-Encoding: base64", "=A: b",
        "=", "=YQBi", "=)", "=c OK Fetched");
    drop_talk_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_line),
        cmocka_unit_test(test_by_byte),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test_setup_teardown(test_expunge_is_held_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_binary_is_encoded, setup, teardown),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
