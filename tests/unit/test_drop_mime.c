/* Where the parts of a message lie. */
#include "support/mime_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct tree_case {
    const char *name;
    struct span message;
    struct span tree;
};

#define M(boundary)  "Content-Type: multipart/mixed; boundary=" boundary "\r\n\r\n"
#define H(boundary)  "[Content-Type: multipart/mixed; boundary=" boundary "$$]"
#define D(boundary)  "Content-Type: multipart/digest; boundary=" boundary "\r\n\r\n"
#define HD(boundary) "[Content-Type: multipart/digest; boundary=" boundary "$$]"
#define RFC822       "Content-Type: message/rfc822\r\n\r\n"
#define CASE(name, input, tree)                                                                    \
    {                                                                                              \
        name, {input, sizeof(input) - 1},                                                          \
        {                                                                                          \
            tree, sizeof(tree) - 1                                                                 \
        }                                                                                          \
    }

static const struct tree_case cases[] = {
    CASE("nothing", "", "TEXT/PLAIN [] []\n"),
    CASE("an empty line", "\r\n", "TEXT/PLAIN [$] []\n"),
    CASE("no header", "\r\nbody\r\n", "TEXT/PLAIN [$] [body$]\n"),
    CASE("no body", "Subject: a\r\n", "TEXT/PLAIN [Subject: a$] []\n"),
    CASE("no line end", "Subject: a", "TEXT/PLAIN [Subject: a] []\n"),
    CASE("half a line end", "Subject: a\r\n\r", "TEXT/PLAIN [Subject: a$\r] []\n"),
    CASE("simple", "Subject: a\r\n\r\none\r\ntwo", "TEXT/PLAIN [Subject: a$$] [one$two]\n"),
    CASE("bare LF is content", "A: b\n\nc\r\n\r\nd\ne\r\n", "TEXT/PLAIN [A: b\n\nc$$] [d\ne$]\n"),
    CASE("bare CR is content", "A: b\r\r\n\r\r\n\r\nd\re", "TEXT/PLAIN [A: b\r$\r$$] [d\re]\n"),
    CASE("NUL in a body", "A: b\r\n\r\nd\0e", "TEXT/PLAIN [A: b$$] [d\0e] NUL\n"),
    CASE("NUL in a header", "A: b\0\r\n\r\nde", "TEXT/PLAIN [A: b\0$$] [de]\n"),
    CASE("a type that cannot be read", "Content-Type: text\r\n\r\na",
         "TEXT/PLAIN [Content-Type: text$$] [a]\n"),
    CASE("boundaries that are none", "\r\n--a\r\n--a--\r\n", "TEXT/PLAIN [$] [--a$--a--$]\n"),
    CASE("two parts", M("a") "--a\r\n\r\none\r\n--a\r\nX: y\r\n\r\ntwo\r\n\r\n--a--\r\n",
         "multipart/mixed " H("a") " [--a$$one$--a$X: y$$two$$--a--$]\n"
                                   " TEXT/PLAIN [$] [one]\n"
                                   " TEXT/PLAIN [X: y$$] [two$]\n"),
    CASE("preamble and epilogue",
         M("a") "--b\r\n-- a\r\n--a\r\n\r\none\r\n--a--\r\n--a\r\n\r\ntwo\r\n",
         "multipart/mixed " H("a") " [--b$-- a$--a$$one$--a--$--a$$two$]\n"
                                   " TEXT/PLAIN [$] [one]\n"),
    CASE("trailing blanks", M("a") "--a \t\r\n\r\none\r\n--a-- \r\n",
         "multipart/mixed " H("a") " [--a \t$$one$--a-- $]\n"
                                   " TEXT/PLAIN [$] [one]\n"),
    CASE("more than blanks", M("a") "--ab\r\n\r\n--a b\r\n--a-\r\n--a---\r\n--a--b\r\n",
         "multipart/mixed " H("a") " [--ab$$--a b$--a-$--a---$--a--b$]\n"
                                   " TEXT/PLAIN [] []\n"),
    CASE("no last boundary", M("a") "--a\r\n\r\none\r\n",
         "multipart/mixed " H("a") " [--a$$one$]\n"
                                   " TEXT/PLAIN [$] [one$]\n"),
    CASE("the last boundary without a line end", M("a") "--a\r\n\r\none\r\n--a--",
         "multipart/mixed " H("a") " [--a$$one$--a--]\n"
                                   " TEXT/PLAIN [$] [one]\n"),
    CASE("a boundary at the end", M("a") "--a\r\n\r\none\r\n--a",
         "multipart/mixed " H("a") " [--a$$one$--a]\n"
                                   " TEXT/PLAIN [$] [one]\n"
                                   " TEXT/PLAIN [] []\n"),
    CASE("a boundary before a bare LF", M("a") "--a\n\r\n--a\r\n\r\none",
         "multipart/mixed " H("a") " [--a\n$--a$$one]\n"
                                   " TEXT/PLAIN [$] [one]\n"),
    CASE("no boundary parameter", "Content-Type: multipart/mixed\r\n\r\n--\r\n----\r\n",
         "multipart/mixed [Content-Type: multipart/mixed$$] [--$----$]\n"
         " TEXT/PLAIN [] []\n"),
    CASE("an empty part", M("a") "--a\r\n\r\n--a\r\n--a\r\nX: y\r\n--a--\r\n",
         "multipart/mixed " H("a") " [--a$$--a$--a$X: y$--a--$]\n"
                                   " TEXT/PLAIN [$] []\n"
                                   " TEXT/PLAIN [] []\n"
                                   " TEXT/PLAIN [X: y$] []\n"),
    CASE("boundaries in the header of a part", M("a") "--a\r\nX: y\r\n --a\r\n--b\r\n--a--\r\n",
         "multipart/mixed " H("a") " [--a$X: y$ --a$--b$--a--$]\n"
                                   " TEXT/PLAIN [X: y$ --a$--b$] []\n"),
    CASE("nested, with the same begin",
         M("a") "--a\r\n" M("ab") "--ab\r\n\r\none\r\n--a\r\n\r\ntwo\r\n--ab\r\n--a--\r\n",
         "multipart/mixed " H("a") " [--a$Content-Type: multipart/mixed; "
                                   "boundary=ab$$--ab$$one$--a$$two$--ab$--a--$]\n"
                                   " multipart/mixed " H("ab") " [--ab$$one]\n"
                                                               "  TEXT/PLAIN [$] [one]\n"
                                                               " TEXT/PLAIN [$] [two$--ab]\n"),
    CASE("nested, with the same boundary",
         M("a") "--a\r\n" M("a") "--a\r\n\r\none\r\n--a--\r\n--a\r\n\r\ntwo\r\n--a--\r\n",
         "multipart/mixed " H("a") " [--a$Content-Type: multipart/mixed; "
                                   "boundary=a$$--a$$one$--a--$--a$$two$--a--$]\n"
                                   " multipart/mixed " H("a") " [--a$$one$--a--]\n"
                                                              "  TEXT/PLAIN [$] [one]\n"
                                                              " TEXT/PLAIN [$] [two]\n"),
    CASE("the boundary of one is the end of another",
         M("\"a--\"") "--a--\r\n" M("a") "--a\r\n\r\none\r\n--a--\r\n\r\n--a----\r\n",
         "multipart/mixed " H("\"a--\"") " [--a--$Content-Type: multipart/mixed; "
                                         "boundary=a$$--a$$one$--a--$$--a----$]\n"
                                         " multipart/mixed " H("a") " [--a$$one$--a--$]\n"
                                                                    "  TEXT/PLAIN [$] [one]\n"),
    CASE("a folded boundary", M("\"foo\r\n bar\"") "--foo bar\r\n\r\none\r\n--foo bar--\r\n",
         "multipart/mixed " H("\"foo$ bar\"") " [--foo bar$$one$--foo bar--$]\n"
                                              " TEXT/PLAIN [$] [one]\n"),
    CASE("a message", RFC822 "Subject: a\r\n\r\nb\r\n",
         "message/rfc822 [Content-Type: message/rfc822$$] [Subject: a$$b$]\n"
         " TEXT/PLAIN [Subject: a$$] [b$]\n"),
    CASE("a message of nothing", RFC822,
         "message/rfc822 [Content-Type: message/rfc822$$] []\n"
         " TEXT/PLAIN [] []\n"),
    CASE("messages in messages", RFC822 RFC822 "\r\nb",
         "message/rfc822 [Content-Type: message/rfc822$$] [Content-Type: message/rfc822$$$b]\n"
         " message/rfc822 [Content-Type: message/rfc822$$] [$b]\n"
         "  TEXT/PLAIN [$] [b]\n"),
    CASE("a message in a part", M("a") "--a\r\n" RFC822 "X: y\r\n\r\nb\r\n--a--\r\n",
         "multipart/mixed " H("a") " [--a$Content-Type: message/rfc822$$X: y$$b$--a--$]\n"
                                   " message/rfc822 [Content-Type: message/rfc822$$] [X: y$$b]\n"
                                   "  TEXT/PLAIN [X: y$$] [b]\n"),
    CASE("a message of a header in a part", M("a") "--a\r\n" RFC822 "X: y\r\n--a\r\n--a--\r\n",
         "multipart/mixed " H("a") " [--a$Content-Type: message/rfc822$$X: y$--a$--a--$]\n"
                                   " message/rfc822 [Content-Type: message/rfc822$$] [X: y$]\n"
                                   "  TEXT/PLAIN [X: y$] []\n"
                                   " TEXT/PLAIN [] []\n"),
    CASE("a digest",
         D("a") "--a\r\n\r\nX: y\r\n\r\nb\r\n--a\r\nContent-Type: text/html\r\n\r\nc\r\n--a--\r\n",
         "multipart/digest " HD("a") " [--a$$X: y$$b$--a$Content-Type: text/html$$c$--a--$]\n"
                                     " MESSAGE/RFC822 [$] [X: y$$b]\n"
                                     "  TEXT/PLAIN [X: y$$] [b]\n"
                                     " text/html [Content-Type: text/html$$] [c]\n"),
    CASE("NUL in one part", M("a") "--a\r\n\r\n1\r\n--a\r\n\r\n\0\r\n--a\r\n\r\n2\r\n--a--\r\n",
         "multipart/mixed " H("a") " [--a$$1$--a$$\0$--a$$2$--a--$] NUL\n"
                                   " TEXT/PLAIN [$] [1]\n"
                                   " TEXT/PLAIN [$] [\0] NUL\n"
                                   " TEXT/PLAIN [$] [2]\n"),
};

static void check_tree(const struct tree_case *c, size_t way)
{
    struct arena arena;
    struct buf text;

    arena_init(&arena);
    buf_init(&text, 0);
    mime_rig_dump(mime_rig_scan(c->message, way, &arena), c->message, 0, &text);
    CHECK_SPAN(c->name, buf_span(&text), c->tree);
    buf_fini(&text);
    arena_fini(&arena);
}

static void trees(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t way = 0; way < split_ways(cases[i].message.len); way++)
            check_tree(&cases[i], way);
}

/* ---- limits ------------------------------------------------------------------------------- */

static unsigned count_parts(const struct mime_part *part, unsigned depth, unsigned *depth_out)
{
    unsigned count = 0;

    if (depth > *depth_out)
        *depth_out = depth;
    for (; part != NULL; part = part->next)
        count += 1 + count_parts(part->child, depth + (part->child != NULL), depth_out);
    return count;
}

static void check_limits(const struct buf *message, unsigned parts, unsigned depth)
{
    unsigned deepest = 0;
    struct arena arena;

    arena_init(&arena);
    struct mime_part *root = mime_rig_scan(buf_span(message), SPLIT_WHOLE, &arena);
    assert_int_equal(count_parts(root, 0, &deepest), parts);
    assert_int_equal(deepest, depth);
    assert_int_equal(root->header_len + root->body_len, buf_len(message));
    arena_fini(&arena);
}

static void many_parts(void **state)
{
    struct buf message;

    (void)state;
    buf_init(&message, 0);
    buf_add(&message, SPAN(M("a")));
    for (int i = 0; i < 3 * MIME_PARTS_MAX; i++)
        buf_add(&message, SPAN("--a\r\nContent-Type: multipart/mixed\r\n\r\n"));
    check_limits(&message, MIME_PARTS_MAX, 2);
    buf_fini(&message);
}

static void deep_multiparts(void **state)
{
    struct buf message;

    (void)state;
    buf_init(&message, 0);
    for (int i = 0; i < 3 * MIME_DEPTH_MAX; i++)
        buf_addf(&message, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
    check_limits(&message, MIME_DEPTH_MAX + 1, MIME_DEPTH_MAX);
    buf_fini(&message);
}

static void deep_messages(void **state)
{
    struct buf message;

    (void)state;
    buf_init(&message, 0);
    for (int i = 0; i < 3 * MIME_DEPTH_MAX; i++)
        buf_add(&message, SPAN(RFC822));
    check_limits(&message, MIME_DEPTH_MAX + 1, MIME_DEPTH_MAX);
    buf_fini(&message);
}

static void long_boundaries(void **state)
{
    static const struct {
        int len;
        int blanks;
        bool is_found;
    } lengths[] = {{200, 0, true}, {201, 0, false}, {100, 152, true}, {100, 153, false}};
    struct buf message;
    char boundary[202];
    struct arena arena;

    (void)state;
    memset(boundary, 'b', sizeof boundary);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        buf_init(&message, 0);
        buf_addf(&message, "Content-Type: multipart/mixed; boundary=%.*s\r\n\r\n", lengths[i].len,
                 boundary);
        buf_addf(&message, "--%.*s%*s\r\nX: y\r\n\r\n", lengths[i].len, boundary, lengths[i].blanks,
                 "");
        for (size_t way = 0; way < split_ways(buf_len(&message)); way++) {
            arena_init(&arena);
            struct mime_part *root = mime_rig_scan(buf_span(&message), way, &arena);
            assert_int_equal(root->child->header_len > 0, lengths[i].is_found);
            arena_fini(&arena);
        }
        buf_fini(&message);
    }
}

/* What is beyond the limit of a header is not looked at, and yet belongs to it. */
static void long_header(void **state)
{
    struct buf message;
    struct arena arena;

    (void)state;
    buf_init(&message, 0);
    buf_add(&message, SPAN("Subject: here\r\n"));
    while (buf_len(&message) < MIME_HEADER_MAX)
        buf_add(&message, SPAN("X-Filler: 0123456789012345678901234567890123456789\r\n"));
    buf_add(&message, SPAN("Message-ID: <late@x>\r\n\r\nbody"));
    arena_init(&arena);
    struct mime_part *root = mime_rig_scan(buf_span(&message), SPLIT_WHOLE, &arena);
    assert_int_equal(root->body_len, 4);
    CHECK_SPAN("subject", root->envelope->subject, SPAN("here"));
    assert_null(root->envelope->message_id.ptr);
    arena_fini(&arena);
    buf_fini(&message);
}

/* Nor is what is beyond the limit of all of them. */
static void long_headers(void **state)
{
    struct buf message;
    struct arena arena;
    unsigned images = 0;

    (void)state;
    buf_init(&message, 0);
    buf_add(&message, SPAN(M("a")));
    for (int i = 0; i < 10; i++) {
        buf_add(&message, SPAN("--a\r\nContent-Type: image/png\r\nX: "));
        for (int j = 0; j < 20000; j++)
            buf_add(&message, SPAN("0123456789"));
        buf_add(&message, SPAN("\r\n\r\n"));
    }
    arena_init(&arena);
    struct mime_part *root = mime_rig_scan(buf_span(&message), SPLIT_WHOLE, &arena);
    for (struct mime_part *part = root->child; part != NULL; part = part->next)
        images += span_equal(part->type, SPAN("image"));
    assert_int_equal(images, 6);
    arena_fini(&arena);
    buf_fini(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees),           cmocka_unit_test(many_parts),
        cmocka_unit_test(deep_multiparts), cmocka_unit_test(deep_messages),
        cmocka_unit_test(long_boundaries), cmocka_unit_test(long_header),
        cmocka_unit_test(long_headers),
    };
    return cmocka_run_group_tests_name("drop_mime", tests, NULL, NULL);
}
