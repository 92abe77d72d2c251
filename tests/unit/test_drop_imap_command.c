/* Commands of one line, and what they mean. Strings in literals: test_drop_imap_command_reader.c.
 */
#include "support/imap_print.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct sample {
    const char *command; /* behind "a " */
    const char *meaning; /* likewise */
};

static void check_sample(const struct sample *sample, bool utf8)
{
    struct buf input, expected;

    buf_init(&input, 0);
    buf_init(&expected, 0);
    buf_addf(&input, "a %s\r\n", sample->command);
    buf_addf(&expected, "a %s\n", sample->meaning);
    for (size_t way = 0; way < split_ways(buf_len(&input)); way++) {
        struct imap_dialogue dialogue = {.reader = imap_reader_create(), .refuses_from = UINT_MAX};
        struct buf events;
        buf_init(&events, 0);
        imap_reader_set_utf8(dialogue.reader, utf8);
        for (size_t at = 0, len; at < buf_len(&input); at += len) {
            len = split_piece(way, buf_len(&input), at);
            dialogue_feed(&dialogue, span_of(buf_span(&input).ptr + at, len), &events);
        }
        CHECK_SPAN(sample->command, buf_span(&events), buf_span(&expected));
        CHECK(sample->command, !imap_reader_is_within(dialogue.reader));
        imap_reader_free(dialogue.reader);
        buf_fini(&events);
    }
    buf_fini(&input);
    buf_fini(&expected);
}

#define CHECK_SAMPLES(samples, utf8)                                                               \
    for (size_t i_ = 0; i_ < sizeof(samples) / sizeof(samples)[0]; i_++)                           \
    check_sample(&(samples)[i_], utf8)

#define END    "BAD Something is missing at the end"
#define SPACE  "BAD One space too many"
#define EXTRA  "BAD More than was expected"
#define WANTED "BAD A space was expected"

static void understands_simple_commands(void **state)
{
    static const struct sample samples[] = {
        {"CAPABILITY", "CAPABILITY"},
        {"noop", "NOOP"},
        {"NOOP ", EXTRA},
        {"NOOP x", EXTRA},
        {"LOGOUT", "LOGOUT"},
        {"STARTTLS", "STARTTLS"},
        {"NAMESPACE", "NAMESPACE"},
        {"IDLE", "IDLE"},
        {"CHECK", "CHECK"},
        {"CLOSE", "CLOSE"},
        {"UNSELECT", "UNSELECT"},
        {"EXPUNGE", "EXPUNGE"},
        {"COMPRESS DEFLATE", "COMPRESS"},
        {"COMPRESS LZW", "BAD DEFLATE is the one way to compress"},
        {"ID NIL", "ID '' ''"},
        {"ID ()", "ID '' ''"},
        {"ID (\"name\" \"x\" \"version\" NIL)", "ID 'x' ''"},
        {"ID (\"Version\" \"1.0\" \"os\" \"y\")", "ID '' '1.0'"},
        {"ID (\"name\" x)", "BAD A value was expected"},
        {"ID (\"name\")", WANTED},
        {"ID (\"name\" \"x\"", END},
        {"ID x", "BAD ID takes NIL, or a list in parentheses"},
        {"", END},
        {"FOO", "BAD There is no such command"},
        {" NOOP", SPACE},
        {"NOOP(", EXTRA},
        {"UID", END},
        {"UID NOOP", "BAD UID does not stand before this command"},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
}

static void understands_logins(void **state)
{
    static const struct sample samples[] = {
        {"LOGIN user password", "LOGIN 'user' 'password'"},
        {"LOGIN \"u s\" \"p\\\"\\\\w\"", "LOGIN 'u s' 'p\"\\w'"},
        {"LOGIN a]b NIL", "LOGIN 'a]b' 'NIL'"},
        {"LOGIN \"\" \"\xc3\xa4\"", "LOGIN '' '\xc3\xa4'"},
        {"LOGIN user \"\xe4\"", "BAD A quoted string is neither ASCII nor UTF-8"},
        {"LOGIN user \xc3\xa4", "BAD A string was expected"},
        {"LOGIN user \"a\\n\"", "BAD Only \\ and \" are escaped in a quoted string"},
        {"LOGIN user \"abc", "BAD A quoted string has no end"},
        {"LOGIN user \"abc\\", "BAD Only \\ and \" are escaped in a quoted string"},
        {"LOGIN user \"a\"b", EXTRA},
        {"LOGIN user", END},
        {"LOGIN user ", END},
        {"LOGIN  user password", SPACE},
        {"LOGIN user  password", SPACE},
        {"LOGIN user password ", EXTRA},
        {"LOGIN user (password)", "BAD A string was expected"},
        {"LOGIN user\tpassword", WANTED},
        {"LOGIN user {x}", "BAD A literal is announced by its size in braces, at the line's end"},
        {"LOGIN user {3}x", "BAD A literal is announced by its size in braces, at the line's end"},
        {"LOGIN user p{3}", EXTRA},
        {"AUTHENTICATE PLAIN", "AUTHENTICATE 'PLAIN'"},
        {"AUTHENTICATE PLAIN AGEAYQ==", "AUTHENTICATE 'PLAIN' 'AGEAYQ=='"},
        {"AUTHENTICATE SCRAM-SHA-256 =", "AUTHENTICATE 'SCRAM-SHA-256' ''"},
        {"AUTHENTICATE PLAIN a b", EXTRA},
        {"AUTHENTICATE", END},
        {"ENABLE CONDSTORE x-foo utf8=accept", "ENABLE CONDSTORE UTF8"},
        {"ENABLE IMAP4rev2 QRESYNC", "ENABLE QRESYNC REV2"},
        {"ENABLE X", "ENABLE"},
        {"ENABLE", END},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
}

static void understands_commands_about_mailboxes(void **state)
{
    static const struct sample samples[] = {
        {"SELECT inbox", "SELECT 'INBOX'"},
        {"SELECT Inbox/a", "SELECT 'INBOX/a'"},
        {"SELECT inboxes", "SELECT 'inboxes'"},
        {"EXAMINE \"a b\"", "EXAMINE 'a b'"},
        {"SELECT &AOQ-&-b", "SELECT '\xc3\xa4&b'"},
        {"SELECT \"\xc3\xa4\"", "NO [CANNOT] The mailbox name is not modified UTF-7"},
        {"SELECT a&b", "NO [CANNOT] The mailbox name is not modified UTF-7"},
        {"SELECT &AAA-", "NO [CANNOT] The mailbox name is not modified UTF-7"},
        {"SELECT a*", WANTED},
        {"SELECT a (CONDSTORE)", "SELECT 'a' condstore"},
        {"SELECT a (QRESYNC (5 7))", "SELECT 'a' qresync 5 7   "},
        {"SELECT a (QRESYNC (5 7 1:3,9))", "SELECT 'a' qresync 5 7 1:3,9  "},
        {"SELECT a (QRESYNC (5 7 (1,2 3,4)))", "SELECT 'a' qresync 5 7  1,2 3,4"},
        {"SELECT a (QRESYNC (5 7 1:9 (1 3)) CONDSTORE)",
         "SELECT 'a' condstore qresync 5 7 1:9 1 3"},
        {"SELECT a (QRESYNC (5 7 $))", "BAD QRESYNC takes sets without * and $"},
        {"SELECT a (QRESYNC (5 7 1:*))", "BAD QRESYNC takes sets without * and $"},
        {"SELECT a (QRESYNC (0 7))", "BAD UIDVALIDITY and modification sequences begin at 1"},
        {"SELECT a (QRESYNC (5 7) QRESYNC (5 7))", "BAD QRESYNC stands twice"},
        {"SELECT a (QRESYNC 5 7)", "BAD QRESYNC (...) was expected"},
        {"SELECT a (ANNOTATE)", "BAD There is no such parameter of SELECT"},
        {"SELECT a ()", "BAD There is no such parameter of SELECT"},
        {"SELECT a (CONDSTORE", END},
        {"CREATE a/b", "CREATE 'a/b'"},
        {"CREATE a/b/", "CREATE 'a/b'"},
        {"CREATE Sent (USE (\\Sent))", "CREATE 'Sent' use 5"},
        {"CREATE Sent (USE ())", "CREATE 'Sent'"},
        {"CREATE Sent (USE (\\All))", "NO [USEATTR] There is no such use of a mailbox here"},
        {"CREATE Sent (USE (\\Sent \\Junk))", "NO [USEATTR] A mailbox has one use at most"},
        {"CREATE Sent (FOO)", "BAD CREATE takes (USE (\\Attribute))"},
        {"DELETE a", "DELETE 'a'"},
        {"DELETE", END},
        {"RENAME a inbox/b", "RENAME 'a' 'INBOX/b'"},
        {"RENAME a", END},
        {"SUBSCRIBE a", "SUBSCRIBE 'a'"},
        {"UNSUBSCRIBE \"\"", "UNSUBSCRIBE ''"},
        {"STATUS a (MESSAGES unseen SIZE)", "STATUS 'a' MESSAGES UNSEEN SIZE"},
        {"STATUS a (RECENT UIDNEXT UIDVALIDITY DELETED HIGHESTMODSEQ APPENDLIMIT MAILBOXID "
         "DELETED-STORAGE)",
         "STATUS 'a' RECENT UIDNEXT UIDVALIDITY DELETED HIGHESTMODSEQ APPENDLIMIT MAILBOXID "
         "DELETED-STORAGE"},
        {"STATUS a ()", "BAD There is no such STATUS item"},
        {"STATUS a (FOO)", "BAD There is no such STATUS item"},
        {"STATUS a (UNSEEN  SIZE)", SPACE},
        {"STATUS a MESSAGES", "BAD STATUS items in parentheses were expected"},
        {"GETQUOTA \"\"", "GETQUOTA ''"},
        {"GETQUOTAROOT inbox", "GETQUOTAROOT 'INBOX'"},
        {"SETQUOTA u (STORAGE 512 MESSAGE 10)", "SETQUOTA 'u' storage 512 messages 10"},
        {"SETQUOTA u ()", "SETQUOTA 'u'"},
        {"SETQUOTA u (FOO 1)", "NO [CANNOT] There is no such quota resource here"},
        {"SETQUOTA u (STORAGE)", WANTED},
    };
    static const struct sample in_utf8[] = {
        {"SELECT \"\xc3\xa4\"", "SELECT '\xc3\xa4'"},
        {"SELECT a&b", "SELECT 'a&b'"},
        {"LIST \"\" \"\xc3\xa4%\"", "LIST '' '\xc3\xa4%'"},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
    CHECK_SAMPLES(in_utf8, true);
}

static void understands_lists(void **state)
{
    static const struct sample samples[] = {
        {"LIST \"\" *", "LIST '' '*'"},
        {"LIST \"\" \"\"", "LIST '' ''"},
        {"LIST a/ b%]c*", "LIST 'a/' 'b%]c*'"},
        {"LIST \"\" &AOQ-*", "LIST '' '\xc3\xa4*'"},
        {"LIST &- a&b*", "LIST '&' 'a&b*'"},
        {"LIST () \"\" *", "LIST '' '*' extended"},
        {"LIST (SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE) \"\" %",
         "LIST '' '%' extended subscribed remote recursive special"},
        {"LIST \"\" (a \"b c\" %)", "LIST '' 'a' 'b c' '%' extended"},
        {"LIST \"\" * RETURN ()", "LIST '' '*' extended"},
        {"LIST \"\" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE STATUS (UNSEEN SIZE))",
         "LIST '' '*' extended return-subscribed return-children return-special return-status "
         "UNSEEN SIZE"},
        {"LIST (RECURSIVEMATCH) \"\" *", "BAD RECURSIVEMATCH needs another selection option"},
        {"LIST (RECURSIVEMATCH REMOTE) \"\" *",
         "BAD RECURSIVEMATCH needs another selection option"},
        {"LIST (FOO) \"\" *", "BAD There is no such selection option"},
        {"LIST \"\" * RETURN (FOO)", "BAD There is no such return option"},
        {"LIST \"\" * RETURN (STATUS)", WANTED},
        {"LIST \"\" * RETURN", "BAD RETURN (...) was expected"},
        {"LIST \"\" * FOO", "BAD RETURN (...) was expected"},
        {"LIST \"\" ()", "BAD A string was expected"},
        {"LIST \"\" (a", END},
        {"LIST \"\"", END},
        {"LSUB \"\" %", "LSUB '' '%'"},
        {"LSUB () \"\" %", "BAD A string was expected"},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
}

static void understands_sets(void **state)
{
    static const struct sample samples[] = {
        {"COPY 1 a", "COPY 1 'a'"},
        {"COPY 1:*,4,*:7,9:8 inbox", "COPY 1:*,4,*:7,9:8 'INBOX'"},
        {"UID COPY $ a", "UID COPY $ 'a'"},
        {"UID MOVE * a", "UID MOVE * 'a'"},
        {"MOVE 4294967295 a", "MOVE 4294967294 'a'"},
        {"MOVE 4294967296 a", "BAD A number is too large"},
        {"MOVE 99999999999999999999999 a", "BAD A number is too large"},
        {"MOVE 0 a", "BAD There is no message 0"},
        {"MOVE 1:0 a", "BAD There is no message 0"},
        {"MOVE 1, a", SPACE},
        {"MOVE ,1 a", "BAD A set consists of numbers, ':', ',' and '*'"},
        {"MOVE 1: a", SPACE},
        {"MOVE 1:2:3 a", WANTED},
        {"MOVE 1,$ a", "BAD A set consists of numbers, ':', ',' and '*'"},
        {"MOVE $,1 a", WANTED},
        {"MOVE a", "BAD A set consists of numbers, ':', ',' and '*'"},
        {"MOVE -1 a", "BAD A set consists of numbers, ':', ',' and '*'"},
        {"UID EXPUNGE 1:5", "UID EXPUNGE 1:5"},
        {"UID EXPUNGE", END},
        {"EXPUNGE 1", EXTRA},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
}

static void understands_stores(void **state)
{
    static const struct sample samples[] = {
        {"STORE 1 FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Junk a)",
         "STORE 1 = ( \\Seen \\Answered \\Flagged \\Deleted \\Draft $Junk a )"},
        {"STORE 1 FLAGS ()", "STORE 1 = ( )"},
        {"STORE 1 +flags.silent \\seen", "STORE 1 + ( \\Seen ) silent"},
        {"STORE 1 -FLAGS \\Seen x X y", "STORE 1 - ( \\Seen x y )"},
        {"UID STORE 1:* (UNCHANGEDSINCE 0) FLAGS.SILENT (a)",
         "UID STORE 1:* = ( a ) silent unless since 0"},
        {"STORE 1 (UNCHANGEDSINCE 9223372036854775807) FLAGS a",
         "STORE 1 = ( a ) unless since 9223372036854775807"},
        {"STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS a", "BAD A number is too large"},
        {"STORE 1 (FOO 1) FLAGS a", "BAD STORE takes (UNCHANGEDSINCE number)"},
        {"STORE 1 FLAGS \\Recent", "BAD \\Recent is not the client's to change"},
        {"STORE 1 FLAGS \\Foo", "BAD There is no such system flag"},
        {"STORE 1 FLAGS \\*", "BAD There is no such system flag"},
        {"STORE 1 FLAGS (a", END},
        {"STORE 1 FLAGS (a  b)", SPACE},
        {"STORE 1 FLAGS \"a\"", "BAD A flag is an atom"},
        {"STORE 1 FLAGS \xc3\xa4", "BAD A flag is an atom"},
        {"STORE 1 FLAGS a)", EXTRA},
        {"STORE 1 FLAGS", END},
        {"STORE 1  FLAGS a", SPACE},
        {"STORE 1 FLAG a", "BAD STORE takes FLAGS, +FLAGS or -FLAGS, each with .SILENT or not"},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
}

static void understands_fetches(void **state)
{
    static const struct sample samples[] = {
        {"FETCH 1 FLAGS", "FETCH 1 FLAGS"},
        {"FETCH 1 all", "FETCH 1 FLAGS INTERNALDATE SIZE ENVELOPE"},
        {"FETCH 1 FAST", "FETCH 1 FLAGS INTERNALDATE SIZE"},
        {"FETCH 1 FULL", "FETCH 1 FLAGS INTERNALDATE SIZE ENVELOPE BODY"},
        {"FETCH 1 (FULL)", "BAD There is no such item to fetch"},
        {"UID FETCH 1:* (UID FLAGS UID BODYSTRUCTURE MODSEQ EMAILID THREADID SAVEDATE)",
         "UID FETCH 1:* UID FLAGS STRUCTURE MODSEQ EMAILID THREADID SAVEDATE"},
        {"FETCH 1 RFC822", "FETCH 1 RFC822[]"},
        {"FETCH 1 (RFC822.HEADER RFC822.TEXT RFC822.SIZE)",
         "FETCH 1 RFC822.HEADER.PEEK[HEADER] RFC822.TEXT[TEXT] SIZE"},
        {"FETCH 1 BODY", "FETCH 1 BODY"},
        {"FETCH 1 BODY[]", "FETCH 1 BODY[]"},
        {"FETCH 1 (BODY[] BODY.PEEK[] BODY[])", "FETCH 1 BODY[] BODY.PEEK[]"},
        {"FETCH 1 BODY.PEEK[1.2.3]<0.2048>", "FETCH 1 BODY.PEEK[1.2.3.]<0.2048>"},
        {"FETCH 1 (BODY[TEXT] BODY[HEADER] BODY[1.MIME] BODY[2.text])",
         "FETCH 1 BODY[TEXT] BODY[HEADER] BODY[1.MIME] BODY[2.TEXT]"},
        {"FETCH 1 (BODY.PEEK[HEADER.FIELDS (From \"To\")] UID)",
         "FETCH 1 BODY.PEEK[FIELDS 'From' 'To'] UID"},
        {"FETCH 1 BODY[4.1.HEADER.FIELDS.NOT (a)]<5.9223372036854775807>",
         "FETCH 1 BODY[4.1.FIELDS.NOT 'a']<5.9223372036854775807>"},
        {"FETCH 1 (BODY[HEADER.FIELDS (a)] BODY[HEADER.FIELDS (A)] BODY[HEADER.FIELDS (b)])",
         "FETCH 1 BODY[FIELDS 'a'] BODY[FIELDS 'b']"},
        {"FETCH 1 (BINARY[1] BINARY.PEEK[2.1]<1.2> BINARY.SIZE[3] BINARY[])",
         "FETCH 1 BINARY[1.] BINARY.PEEK[2.1.]<1.2> BINARY.SIZE.PEEK[3.] BINARY[]"},
        {"FETCH 1 (PREVIEW)", "FETCH 1 PREVIEW"},
        {"FETCH 1 (PREVIEW (LAZY) UID)", "FETCH 1 PREVIEW.LAZY UID"},
        {"FETCH 1 PREVIEW (CHANGEDSINCE 1)", "FETCH 1 PREVIEW since 1"},
        {"FETCH 1 (PREVIEW (FOO))", "BAD There is no such item to fetch"},
        {"FETCH 1 (FLAGS) (CHANGEDSINCE 12345)", "FETCH 1 FLAGS since 12345"},
        {"UID FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)", "UID FETCH 1 FLAGS since 1 vanished"},
        {"UID FETCH 1 (FLAGS) (VANISHED)", "BAD VANISHED is for UID FETCH with CHANGEDSINCE"},
        {"FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
         "BAD VANISHED is for UID FETCH with CHANGEDSINCE"},
        {"FETCH 1 FLAGS (FOO)", "BAD FETCH takes (CHANGEDSINCE number VANISHED) behind its items"},
        {"FETCH 1 BODY[MIME]", "BAD There is no such section"},
        {"FETCH 1 BODY[FOO]", "BAD There is no such section"},
        {"FETCH 1 BODY[1.]", "BAD There is no such section"},
        {"FETCH 1 BODY[1", END},
        {"FETCH 1 BODY[0]", "BAD Parts of a message are counted from 1"},
        {"FETCH 1 BODY[1.2x]", "BAD A section has no end"},
        {"FETCH 1 BODY[4294967296]", "BAD A number is too large"},
        {"FETCH 1 BODY[HEADER.FIELDS]", WANTED},
        {"FETCH 1 BODY[HEADER.FIELDS ()]", "BAD A string was expected"},
        {"FETCH 1 BODY[HEADER.FIELDS (\"a b\")]",
         "BAD A header field's name has characters that names do not have"},
        {"FETCH 1 BODY[]<0.0>", "BAD No bytes at all cannot be fetched"},
        {"FETCH 1 BODY[]<0>", "BAD A part of a section is written as <first.length>"},
        {"FETCH 1 BINARY[TEXT]", "BAD BINARY takes part numbers alone"},
        {"FETCH 1 BINARY[1.MIME]", "BAD BINARY takes part numbers alone"},
        {"FETCH 1 BINARY.SIZE[1]<0.1>", "BAD BINARY.SIZE is of whole parts"},
        {"FETCH 1 BODY.PEEK", "BAD A section in brackets was expected"},
        {"FETCH 1 FOO", "BAD There is no such item to fetch"},
        {"FETCH 1 (FLAGS UID", END},
        {"FETCH 1 (FLAGS  UID)", SPACE},
        {"FETCH 1 (FLAGS UID) ", END},
        {"FETCH 1 ()", "BAD There is no such item to fetch"},
        {"FETCH 1 FLAGS UID", "BAD FETCH takes (CHANGEDSINCE number VANISHED) behind its items"},
        {"FETCH 1", END},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
}

static void understands_searches(void **state)
{
    static const struct sample samples[] = {
        {"SEARCH ALL", "SEARCH (and (all))"},
        {"UID SEARCH seen UNSEEN DELETED UNDELETED", "UID SEARCH (and (flag 1) (not (flag 1)) "
                                                     "(flag 8) (not (flag 8)))"},
        {"SEARCH ANSWERED UNANSWERED FLAGGED UNFLAGGED DRAFT UNDRAFT",
         "SEARCH (and (flag 2) (not (flag 2)) (flag 4) (not (flag 4)) (flag 16) (not (flag 16)))"},
        {"SEARCH NEW OLD RECENT",
         "SEARCH (and (and (recent) (not (flag 1))) (not (recent)) (recent))"},
        {"SEARCH KEYWORD a UNKEYWORD b", "SEARCH (and (keyword 'a') (not (keyword 'b')))"},
        {"SEARCH FROM a TO b CC c BCC d SUBJECT \"e f\"",
         "SEARCH (and (header 'FROM' 'a') (header 'TO' 'b') (header 'CC' 'c') (header 'BCC' 'd') "
         "(header 'SUBJECT' 'e f'))"},
        {"SEARCH HEADER Message-ID \"\"", "SEARCH (and (header 'Message-ID' ''))"},
        {"SEARCH BODY x TEXT y", "SEARCH (and (body 'x') (text 'y'))"},
        {"SEARCH 1:3,* UID 4:* $ UID $", "SEARCH (and (seq 1:3,*) (uid 4:*) (seq $) (uid $))"},
        {"SEARCH BEFORE 1-Jan-1970 ON \"02-Feb-2020\" SINCE 29-feb-2024",
         "SEARCH (and (before 0) (on 18294) (since 19782))"},
        {"SEARCH SENTBEFORE 31-Dec-1969 SENTON 1-Mar-2000 SENTSINCE 1-Mar-2000",
         "SEARCH (and (sent-before -1) (sent-on 11017) (sent-since 11017))"},
        {"SEARCH SAVEDBEFORE 1-Mar-2000 SAVEDON 1-Mar-2000 SAVEDSINCE 1-Mar-2000 "
         "SAVEDATESUPPORTED",
         "SEARCH (and (saved-before 11017) (saved-on 11017) (saved-since 11017) (dated 0))"},
        {"SEARCH LARGER 5 SMALLER 0 OLDER 60 YOUNGER 3600",
         "SEARCH (and (larger 5) (smaller 0) (older 60) (younger 3600))"},
        {"SEARCH MODSEQ 7", "SEARCH (and (modseq 7)) modseq"},
        {"SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338",
         "SEARCH (and (modseq 620162338)) modseq"},
        {"SEARCH EMAILID M1 THREADID T1", "SEARCH (and (emailid 'M1') (threadid 'T1'))"},
        {"SEARCH NOT OR SEEN (DELETED NOT 1)",
         "SEARCH (and (not (or (flag 1) (and (flag 8) (not (seq 1))))))"},
        {"SEARCH ((SEEN))", "SEARCH (and (and (and (flag 1))))"},
        {"SEARCH CHARSET utf-8 TEXT \"\xc3\xa4\"", "SEARCH (and (text '\xc3\xa4'))"},
        {"SEARCH CHARSET KOI8-R SEEN", "SEARCH 'KOI8-R' (and (flag 1))"},
        {"SEARCH RETURN () SEEN", "SEARCH return: ALL (and (flag 1))"},
        {"SEARCH RETURN (MIN MAX COUNT SAVE all) CHARSET US-ASCII SEEN",
         "SEARCH return: MIN MAX ALL COUNT SAVE (and (flag 1))"},
        {"SEARCH RETURN (FOO) SEEN", "BAD There is no such option of RETURN"},
        {"SEARCH RETURN SEEN", "BAD RETURN takes options in parentheses"},
        {"SEARCH RETURN (ALL)", END},
        {"SEARCH", END},
        {"SEARCH ()", "BAD There is no such search key"},
        {"SEARCH (SEEN", END},
        {"SEARCH SEEN)", EXTRA},
        {"SEARCH SEEN  DELETED", SPACE},
        {"SEARCH FOO", "BAD There is no such search key"},
        {"SEARCH FUZZY TEXT a", "BAD There is no such search key"},
        {"SEARCH OR SEEN", END},
        {"SEARCH NOT", END},
        {"SEARCH 0", "BAD There is no message 0"},
        {"SEARCH HEADER a", END},
        {"SEARCH ON 1-Jan-0000 ON 29-Feb-0000 ON 31-Dec-9999 ON 28-Feb-1900 ON 1-Mar-1900",
         "SEARCH (and (on -719528) (on -719469) (on 2932896) (on -25509) (on -25508))"},
        {"SEARCH ON 29-Feb-1900", "BAD A date is written as in 1-Feb-1994"},
        {"SEARCH ON 29-Feb-2000", "SEARCH (and (on 11016))"},
        {"SEARCH ON 30-Feb-2020", "BAD A date is written as in 1-Feb-1994"},
        {"SEARCH ON 0-Feb-2020", "BAD A date is written as in 1-Feb-1994"},
        {"SEARCH ON 1-Feb-20", "BAD A date is written as in 1-Feb-1994"},
        {"SEARCH ON 2020-02-02", "BAD A date is written as in 1-Feb-1994"},
        {"SEARCH ON \"1-Feb-2020", "BAD A date is written as in 1-Feb-1994"},
        {"SEARCH OLDER 0", "BAD OLDER and YOUNGER take at least a second"},
        {"SEARCH MODSEQ \"/flags/x\" foo 1", "BAD MODSEQ is of all, priv or shared flags"},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
}

static void understands_sorting_and_threading(void **state)
{
    static const struct sample samples[] = {
        {"SORT (DATE) UTF-8 ALL", "SORT DATE (and (all))"},
        {"UID SORT (REVERSE ARRIVAL CC FROM reverse size SUBJECT TO DISPLAYFROM DISPLAYTO) "
         "US-ASCII SEEN",
         "UID SORT -ARRIVAL CC FROM -SIZE SUBJECT TO DISPLAYFROM DISPLAYTO (and (flag 1))"},
        {"SORT (DATE) \"KOI8-R\" TEXT \"a\" SEEN", "SORT DATE 'KOI8-R' (and (text 'a') (flag 1))"},
        {"SORT () UTF-8 ALL", "BAD There is no such sort key"},
        {"SORT (FOO) UTF-8 ALL", "BAD There is no such sort key"},
        {"SORT (REVERSE) UTF-8 ALL", "BAD There is no such sort key"},
        {"SORT (DATE) UTF-8", END},
        {"SORT (DATE)", END},
        {"SORT DATE UTF-8 ALL", "BAD SORT takes sort keys in parentheses"},
        {"THREAD REFERENCES UTF-8 ALL", "THREAD REFERENCES (and (all))"},
        {"UID THREAD orderedsubject US-ASCII SINCE 1-Jan-1970",
         "UID THREAD SUBJECT (and (since 0))"},
        {"THREAD REFS UTF-8 ALL", "BAD There is no such threading algorithm"},
        {"THREAD REFERENCES UTF-8", END},
    };

    (void)state;
    CHECK_SAMPLES(samples, false);
}

/* A command that ends too soon is refused, or means something shorter; what follows is in step. */
static void check_cut(const char *command, size_t len)
{
    struct imap_dialogue dialogue = {.reader = imap_reader_create(), .refuses_from = UINT_MAX};
    const struct span next = SPAN("z NOOP\n");
    struct buf input, events;

    buf_init(&input, 0);
    buf_init(&events, 0);
    buf_addf(&input, "a %.*s\r\nz NOOP\r\n", (int)len, command);
    dialogue_feed(&dialogue, buf_span(&input), &events);
    struct span answers = buf_span(&events);
    CHECK(command, span_ends_nocase(answers, next));
    answers.len -= next.len;
    CHECK(command, span_starts_nocase(answers, SPAN("a ")));
    CHECK(command, span_index(answers, '\n') + 1 == answers.len);
    imap_reader_free(dialogue.reader);
    buf_fini(&input);
    buf_fini(&events);
}

static void stays_in_step_with_commands_that_are_cut(void **state)
{
    static const char *const commands[] = {
        "ID (\"name\" \"x\" \"version\" NIL)",
        "AUTHENTICATE PLAIN AGEAYQ==",
        "LOGIN \"us\\\"er\" password",
        "ENABLE CONDSTORE UTF8=ACCEPT",
        "CREATE Sent (USE (\\Sent))",
        "SELECT a (QRESYNC (5 7 1:9 (1:3 4,5)) CONDSTORE)",
        "STATUS a (MESSAGES DELETED-STORAGE)",
        "RENAME a b",
        "SETQUOTA \"\" (STORAGE 512 MESSAGE 3)",
        "COMPRESS DEFLATE",
        "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a* \"%\") RETURN (CHILDREN STATUS (SIZE UNSEEN))",
        "LSUB \"\" *",
        "APPEND \"a\" (\\Seen a) \" 1-Feb-1994 21:52:25 -0800\"",
        "UID EXPUNGE 1:3,5:*",
        "UID MOVE 1:3,$ a",
        "UID FETCH 1:*,3 (UID BODY.PEEK[1.2.HEADER.FIELDS (a \"b\")]<0.5> BINARY.SIZE[1] PREVIEW "
        "(LAZY)) (CHANGEDSINCE 5 VANISHED)",
        "FETCH 1 FULL (CHANGEDSINCE 5)",
        "STORE 1 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Seen $Junk)",
        "STORE 1 -FLAGS \\Seen $Junk",
        "SEARCH RETURN (MIN SAVE) CHARSET KOI8-R OR NOT SEEN (NEW KEYWORD a) HEADER b \"c\" 1:3 "
        "UID 4 "
        "BEFORE 1-Feb-1994 ON \"2-Mar-2000\" LARGER 5 OLDER 60 MODSEQ \"/flags/x\" all 7",
        "SORT (REVERSE DATE SUBJECT) UTF-8 TEXT \"a\"",
        "UID THREAD REFERENCES US-ASCII SINCE 1-Jan-1970",
    };

    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        for (size_t len = 0; len <= strlen(commands[i]); len++)
            check_cut(commands[i], len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(understands_simple_commands),
        cmocka_unit_test(understands_logins),
        cmocka_unit_test(understands_commands_about_mailboxes),
        cmocka_unit_test(understands_lists),
        cmocka_unit_test(understands_sets),
        cmocka_unit_test(understands_stores),
        cmocka_unit_test(understands_fetches),
        cmocka_unit_test(understands_searches),
        cmocka_unit_test(understands_sorting_and_threading),
        cmocka_unit_test(stays_in_step_with_commands_that_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
