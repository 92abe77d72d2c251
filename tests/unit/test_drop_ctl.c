/* drop/ctl: mailboxes to files and back, and what files are. */
#include "plugins/drop/ctl/mailbox_ctl.h"
#include "plugins/drop/ctl/mbox.h"
#include "plugins/drop/ctl/names.h"
#include "support/mailstore_rig.h"
#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- names -------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    static const struct {
        const char *name, *file;
    } cases[] = {
        {"INBOX", "INBOX"},
        {"Archive/2024", "Archive.2024"},
        {"a.b/c", "a&AC4-b.c"},
        {"..", "&AC4-&AC4-"},
        {"Entw\xc3\xbcrfe", "Entw&APw-rfe"},
        {"\xc3\xa9.\xc3\xbc", "&AOk-&AC4-&APw-"},
        {"R&D", "R&-D"},
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        buf_init(&out, 0);
        names_encode(span_cstr(cases[i].name), &out);
        CHECK_SPAN(cases[i].name, buf_span(&out), span_cstr(cases[i].file));
        buf_clear(&out);
        CHECK(cases[i].name, names_decode(span_cstr(cases[i].file), &out));
        CHECK_SPAN(cases[i].name, buf_span(&out), span_cstr(cases[i].name));
        buf_fini(&out);
    }
    buf_init(&out, 0);
    assert_true(names_decode(SPAN("Entw\xc3\xbcrfe.x"), &out)); /* not encoded, but clear */
    CHECK_SPAN("utf-8", buf_span(&out), SPAN("Entw\xc3\xbcrfe/x"));
    assert_false(names_decode(SPAN(""), &out));
    assert_false(names_decode(SPAN("a..b"), &out));
    assert_false(names_decode(SPAN("a\nb"), &out));
    buf_fini(&out);
}

static void test_flags_in_names(void **state)
{
    static const struct {
        const char *file;
        uint32_t flags;
        bool is_forwarded;
        uint32_t keywords;
    } cases[] = {
        {"1.M1:2,", 0, false, 0},
        {"1.M1:2,DFPRST", 31, true, 0},
        {"1.M1:2,Sac", MAILSTORE_SEEN, false, 5},
        {"1.M1:2,S!zZ", MAILSTORE_SEEN, false, 1u << 25},
        {"1.M1", 0, false, 0},
        {"1.M1:1,S", 0, false, 0},
        {"1.M1:2", 0, false, 0},
        {"1.M1,S=3:2,F", MAILSTORE_FLAGGED, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t flags, keywords;
        bool is_forwarded;

        names_read_flags(span_cstr(cases[i].file), &flags, &is_forwarded, &keywords);
        CHECK(cases[i].file, flags == cases[i].flags);
        CHECK(cases[i].file, is_forwarded == cases[i].is_forwarded);
        CHECK(cases[i].file, keywords == cases[i].keywords);
    }
    struct buf out;
    buf_init(&out, 0);
    names_write_flags(MAILSTORE_SEEN | MAILSTORE_DRAFT, true, 3, &out);
    CHECK_SPAN("written", buf_span(&out), SPAN(":2,DPSab"));
    buf_fini(&out);
}

/* ---- mbox --------------------------------------------------------------------------------- */

static void on_begin(void *context, int64_t date, int zone)
{
    buf_addf(context, "<%lld %d|", (long long)date, zone);
}

static void on_bytes(void *context, struct span bytes)
{
    buf_add(context, bytes);
}

static void on_end(void *context, uint32_t flags, struct span keywords)
{
    buf_addf(context, "|%x %.*s>", flags, SPAN_ARG(keywords));
}

static const struct mbox_handler handler = {on_begin, on_bytes, on_end};

#define FROM "From a@b.example Thu Jan  1 00:00:09 1970\n"

static const struct {
    const char *name;
    const char *file;
    const char *told; /* NULL = it is no mbox */
} mboxes[] = {
    {"nothing", "", ""},
    {"empty lines", "\n\n", ""},
    {"one", FROM "A: b\n\nbody\n\n", "<9 0|A: b\r\n\r\nbody\r\n|0 >"},
    {"without an end", FROM "A: b\n\nbody", "<9 0|A: b\r\n\r\nbody\r\n|0 >"},
    {"CRLF", "From a@b Thu Jan  1 00:00:09 1970\r\nA: b\r\n\r\nbody\r\n\r\n",
     "<9 0|A: b\r\n\r\nbody\r\n|0 >"},
    {"two", FROM "A: b\n\none\n\n" FROM "C: d\n\ntwo\n\n\n",
     "<9 0|A: b\r\n\r\none\r\n|0 ><9 0|C: d\r\n\r\ntwo\r\n\r\n|0 >"},
    {"no body", FROM "A: b\n\n" FROM "C: d\n\n\n", "<9 0|A: b\r\n\r\n|0 ><9 0|C: d\r\n\r\n|0 >"},
    {"quoted", FROM "A: b\n\n>From x\n>>From y\n> From z\n\n",
     "<9 0|A: b\r\n\r\nFrom x\r\n>From y\r\n> From z\r\n|0 >"},
    {"From lines that are none", FROM "A: b\n\nx\n" FROM "\nFrom here on\nFrom\n",
     "<9 0|A: b\r\n\r\nx\r\nFrom a@b.example Thu Jan  1 00:00:09 1970\r\n\r\nFrom here on\r\n"
     "From\r\n|0 >"},
    {"flags", FROM "Status: RO\nA: b\nX-Status: AFTD\nStatusline: x\n\nStatus: x\n\n",
     "<9 0|A: b\r\nStatusline: x\r\n\r\nStatus: x\r\n|1f >"},
    {"keywords", FROM "X-Keywords: one $two\n three\n folded\nA: b\n x\n\n\n",
     "<9 0|A: b\r\n x\r\n\r\n|0 one $two>"},
    {"zones",
     "From x y Thu Jan  1 01:00:00 +0100 1970\n\nFrom: x\n\nFrom x Thu Jan  1 02:00:00 1970"
     " +0200\n\n",
     "<0 60|\r\nFrom: x\r\n|0 ><0 120|\r\n|0 >"},
    {"a lone CR", FROM "A: b\n\na\rb\n", "<9 0|A: b\r\n\r\na\rb\r\n|0 >"},
    {"something else", "Hello\n" FROM "A: b\n\n", NULL},
    {"no date", "From a@b.example\nA: b\n\n", NULL},
};

static bool read_mbox(struct span file, size_t way, struct buf *told)
{
    struct mbox_reader reader;
    bool good = true;

    mbox_reader_init(&reader, &handler, told);
    for (size_t at = 0, len; at < file.len; at += len) {
        len = split_piece(way, file.len, at);
        good = mbox_reader_feed(&reader, span_of(file.ptr + at, len));
    }
    good = mbox_reader_end(&reader) && good;
    mbox_reader_fini(&reader);
    return good;
}

static void test_mbox(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(mboxes); i++) {
        struct span file = span_cstr(mboxes[i].file);

        for (size_t way = 0; way < split_ways(file.len); way++) {
            struct buf told;

            buf_init(&told, 0);
            bool good = read_mbox(file, way, &told);
            CHECK(mboxes[i].name, good == (mboxes[i].told != NULL));
            CHECK_SPAN(mboxes[i].name, buf_span(&told), span_cstr(mboxes[i].told));
            buf_fini(&told);
        }
    }
}

/* Lines longer than what is held, with a CR and a mark at their seams. */
static void test_long_lines(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 4; extra++) {
        struct buf file, told, expected;

        buf_init(&file, 0);
        buf_init(&told, 0);
        buf_init(&expected, 0);
        buf_add_text(&file, FROM "A: b\n\n");
        buf_add_text(&expected, "<9 0|A: b\r\n\r\n");
        for (size_t i = 0; i < MBOX_LINE_MAX - 2 + extra; i++)
            buf_add_text(&file, "x");
        buf_add(&expected, span_from(buf_span(&file), strlen(FROM "A: b\n\n")));
        buf_add_text(&file, "\r\nFrom \n");
        buf_add_text(&expected, "\r\nFrom \r\n|0 >");
        assert_true(read_mbox(buf_span(&file), SPLIT_WHOLE, &told));
        assert_true(span_equal(buf_span(&told), buf_span(&expected)));
        buf_clear(&told);
        assert_true(read_mbox(buf_span(&file), SPLIT_BYTES, &told));
        assert_true(span_equal(buf_span(&told), buf_span(&expected)));
        buf_fini(&file);
        buf_fini(&told);
        buf_fini(&expected);
    }
}

/* What is written is read back, however it is cut. */
static void test_mbox_written(void **state)
{
    static const char message[] =
        "A: b\r\n\r\nFrom x\r\n>From y\r\n>>From\r\n>>>From \r\nFro\r\n\r\n\r\na\rb\r\nlast\r\n";
    static const struct span keywords[] = {{"one", 3}, {"$two", 4}};
    struct span text = span_cstr(message);

    (void)state;
    for (size_t way = 0; way < split_ways(text.len); way++) {
        struct mbox_writer writer = {.had_cr = false};
        struct buf file, told;

        buf_init(&file, 0);
        buf_init(&told, 0);
        mbox_write_head(86399, MAILSTORE_SEEN | MAILSTORE_DELETED, keywords, 2, &file);
        for (size_t at = 0, len; at < text.len; at += len) {
            len = split_piece(way, text.len, at);
            mbox_writer_feed(&writer, span_of(text.ptr + at, len), &file);
        }
        mbox_writer_end(&writer, &file);
        assert_true(read_mbox(buf_span(&file), SPLIT_WHOLE, &told));
        struct span found = buf_span(&told);
        assert_true(span_equal(span_head(found, 9), SPAN("<86399 0|")));
        found = span_from(found, 9);
        CHECK_SPAN("message", span_head(found, text.len), text);
        CHECK_SPAN("flags", span_from(found, text.len), SPAN("|9 one $two>"));
        buf_fini(&file);
        buf_fini(&told);
    }
}

/* ---- there and back ----------------------------------------------------------------------- */

static char folder[SCRATCH_PATH];
static struct mailstore *store;

static int setup(void **state)
{
    char path[2 * SCRATCH_PATH];

    (void)state;
    scratch_make(folder);
    snprintf(path, sizeof path, "%s/store", folder);
    struct mailstore_options options = rig_options(path);
    store = rig_open(&options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mailstore_close(store);
    scratch_remove(folder);
    return 0;
}

static void put(const char *box, const char *text, uint32_t flags, int64_t date,
                const char *keyword)
{
    struct span keywords[] = {span_cstr(keyword)};
    struct mailstore_target target = rig_target(RIG_USER, box);

    target.flags = flags;
    target.internal_date = date;
    target.keywords = keywords;
    target.keyword_count = keyword != NULL;
    target.is_created = true;
    target.prefix = SPAN("Delivered-To: x\r\n");
    assert_int_equal(rig_append(store, &target, 1, false, span_cstr(text), NULL), ERR_NONE);
    assert_int_not_equal(target.uid, 0);
}

struct view {
    struct buf text;
    struct kv_txn *txn;
    const struct mailstore_box *box;
};

static bool view_bytes(void *context, struct span bytes)
{
    buf_add(context, bytes);
    return true;
}

static bool view_entry(void *context, const struct mailstore_entry *entry)
{
    struct view *view = context;

    buf_addf(&view->text, " %x %lld", entry->flags, (long long)entry->internal_date);
    for (unsigned i = 0; i < view->box->keyword_count; i++)
        if ((entry->keywords & UINT64_C(1) << i) != 0)
            buf_addf(&view->text, " %.*s", SPAN_ARG(view->box->keywords[i]));
    buf_add_text(&view->text, "\n");
    buf_add(&view->text, entry->prefix);
    return !err_is(
        mailstore_content_walk(view->txn, entry->message, 0, UINT64_MAX, view_bytes, &view->text));
}

static bool view_box(void *context, const struct mailstore_box *box)
{
    struct view *view = context;

    view->box = box;
    buf_addf(&view->text, "[%.*s]\n", SPAN_ARG(box->name));
    return !err_is(mailstore_entry_walk(view->txn, box->id, 0, view_entry, view));
}

/* All that a user has, as text on the heap. */
static char *view_of(const char *user)
{
    struct view view = {.txn = rig_read_begin(store)};

    buf_init(&view.text, 0);
    assert_false(err_is(mailstore_box_walk(view.txn, span_cstr(user), view_box, &view)));
    mailstore_read_end(view.txn);
    return rig_end_text(&view.text, ERR_OK);
}

static void transfer(bool (*run)(struct mailbox_transfer *t, struct buf *problem), const char *user,
                     const char *name, const char *to, enum mailbox_format format,
                     uint64_t messages, const char *expected)
{
    char path[2 * SCRATCH_PATH];
    struct mailbox_transfer t = {.store = store,
                                 .user = span_cstr(user),
                                 .name = span_cstr(name),
                                 .path = path,
                                 .format = format};
    struct buf problem;

    snprintf(path, sizeof path, "%s/%s", folder, to);
    buf_init(&problem, 0);
    bool done = run(&t, &problem);
    buf_add(&problem, SPAN("\0"));
    assert_int_equal(done, expected == NULL);
    if (expected != NULL)
        assert_non_null(strstr(buf_span(&problem).ptr, expected));
    else
        assert_int_equal(buf_len(&problem), 1);
    assert_int_equal(t.messages, messages);
    buf_fini(&problem);
}

static void fill(void)
{
    put("INBOX", "Subject: a\r\n\r\nFrom here\r\n>From there\r\n", MAILSTORE_SEEN, 1000, NULL);
    put("INBOX", "Subject: b\r\n\r\nb\r\n\r\n\r\n", 30, 999, "$Forwarded");
    put("Archive/2024", "Subject: c\r\n\r\n", 0, 5, "Work");
    put("Archive/2024", "Subject: d\r\n\r\nx\r\n", MAILSTORE_DELETED, 86400, "$Work");
    put("v1.2", "Subject: e\r\n\r\n\xc3\xbc\r\n", MAILSTORE_DRAFT, 12, NULL);
    rig_create(store, RIG_USER, "Entw\xc3\xbcrfe");
}

static void test_round_trip(void **state)
{
    static const struct {
        enum mailbox_format format;
        const char *user, *to;
    } ways[] = {{MAILBOX_MAILDIR, "m@example.org", "maildir"},
                {MAILBOX_MBOX, "b@example.org", "mbox"}};

    (void)state;
    fill();
    char *before = view_of(RIG_USER);
    for (size_t i = 0; i < COUNT(ways); i++) {
        transfer(mailbox_export, RIG_USER, NULL, ways[i].to, ways[i].format, 5, NULL);
        transfer(mailbox_import, ways[i].user, NULL, ways[i].to, 0, 5, NULL);
        char *after = view_of(ways[i].user);
        assert_string_equal(before, after);
        free(after);
    }
    free(before);
}

/* Line ends that files do not have are kept in a maildir. */
static void test_odd_ends(void **state)
{
    (void)state;
    put("INBOX", "Subject: a\r\n\r\na\rb\r\r\nc\nd\r\n", 0, 3, NULL);
    put("INBOX", "", 0, 4, NULL);
    put("INBOX", "no end", 0, 5, NULL);
    put("INBOX", "Subject: a\r\n\r\nhalf an end\r", 0, 6, NULL);
    char *before = view_of(RIG_USER);
    transfer(mailbox_export, RIG_USER, NULL, "m", MAILBOX_MAILDIR, 4, NULL);
    transfer(mailbox_import, "m@example.org", NULL, "m", 0, 4, NULL);
    char *after = view_of("m@example.org");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void test_parts(void **state)
{
    (void)state;
    fill();
    transfer(mailbox_export, RIG_USER, "v1.2", "one", MAILBOX_MBOX, 1, NULL);
    transfer(mailbox_import, "o@example.org", "Old", "one/v1&AC4-2.mbox", 0, 1, NULL);
    transfer(mailbox_import, "o@example.org", "Old", "one", 0, 1, NULL);
    RIG_EXPECT(rig_boxes(store, "o@example.org"), "INBOX Old Old/v1.2 ");
    transfer(mailbox_export, RIG_USER, NULL, "all", MAILBOX_MAILDIR, 5, NULL);
    transfer(mailbox_import, "p@example.org", "From before", "all", 0, 5, NULL);
    RIG_EXPECT(
        rig_boxes(store, "p@example.org"),
        "From before From before/Archive From before/Archive/2024 From before/Entw\xc3\xbcrfe "
        "From before/v1.2 INBOX ");
}

static void test_problems(void **state)
{
    char path[2 * SCRATCH_PATH];

    (void)state;
    fill();
    transfer(mailbox_export, "nobody", NULL, "x", 0, 0, "has no mailboxes");
    transfer(mailbox_export, RIG_USER, "None", "x", 0, 0, "no such mailbox");
    transfer(mailbox_export, RIG_USER, NULL, "a/b", 0, 0, "No such file");
    transfer(mailbox_import, RIG_USER, NULL, "missing", 0, 0, "No such file");
    transfer(mailbox_import, RIG_USER, NULL, "store", 0, 0, "neither a maildir nor");
    transfer(mailbox_export, RIG_USER, NULL, "again", MAILBOX_MBOX, 5, NULL);
    transfer(mailbox_export, RIG_USER, NULL, "again", MAILBOX_MBOX, 0, "File exists");
    snprintf(path, sizeof path, "%s/text.mbox", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("Dear all\n", file);
    fclose(file);
    transfer(mailbox_import, RIG_USER, NULL, "text.mbox", 0, 0, "no mbox");
    transfer(mailbox_import, RIG_USER, "a//b", "again/INBOX.mbox", 0, 0, "can be called so");
}

/* ---- orders ------------------------------------------------------------------------------- */

static void test_orders(void **state)
{
    static const struct {
        const char *words[5];
        int code;
        const char *told; /* a part of it */
    } cases[] = {
        {{"quota", "u"}, 1, "u: has no mailboxes\n"},
        {{"create", "u", "A/B"}, 0, "A/B: created, UIDVALIDITY "},
        {{"create", "u", "A/B"}, 1, "A/B: there is one already\n"},
        {{"create", "u", "inbox"}, 1, "inbox: INBOX is always there"},
        {{"create", "u", "A//B"}, 1, "no mailbox can be called so\n"},
        {{"create", "u"}, 2, "create USER NAME, delete USER [NAME]"},
        {{"delete", "u", "C"}, 1, "C: there is no such mailbox\n"},
        {{"delete", "u", "A/B"}, 0, "A/B: deleted\n"},
        {{"quota", "u"}, 0, "u: 0 bytes, no bound; 0 messages, no bound\n"},
        {{"quota", "u", "100", "5"}, 0, "u: 0 of 100 bytes; 0 of 5 messages\n"},
        {{"quota", "u", "none"}, 0, "u: 0 bytes, no bound; 0 messages, no bound\n"},
        {{"quota", "u", "default", "7"}, 0, "0 bytes, no bound; 0 of 7 messages\n"},
        {{"quota", "u", "0"}, 2, "a bound is a number above 0"},
        {{"quota", "u", "1", "x"}, 2, "a bound is a number above 0"},
        {{"delete", "u"}, 0, "u: 2 mailboxes with 0 messages deleted\n"},
        {{"rename", "u", "A", "B"}, 2, "quota USER [BYTES [MESSAGES]]"},
        {{NULL}, 2, "create USER NAME"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span words[5];
        unsigned count = 0;
        struct buf out;

        while (count < 5 && cases[i].words[count] != NULL) {
            words[count] = span_cstr(cases[i].words[count]);
            count++;
        }
        buf_init(&out, 0);
        int code = mailbox_order(store, words, count, &out);
        buf_add(&out, SPAN("\0"));
        if (code != cases[i].code || strstr(buf_span(&out).ptr, cases[i].told) == NULL)
            fail_msg("%zu: %d \"%s\"", i, code, buf_span(&out).ptr);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_flags_in_names),
        cmocka_unit_test(test_mbox),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_mbox_written),
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_orders, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
