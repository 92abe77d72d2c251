/* The envelope of exported messages: what is written is read, however it arrives, and written again
 * as the same bytes; what is none is refused where it is wrong. */
#include "queue/eml.h"

#include "support/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINE(name, value) "X-Smarthop-" name ": " value "\r\n"
#define FIRST             LINE("Envelope", "1")
#define MAIL              LINE("Mail", "FROM:<a@example.org>")
#define GROUP             LINE("Group", "waiting")
#define RCPT              LINE("Rcpt", "TO:<x@example.net>")
#define END               LINE("Envelope-End", "1")

static const char everything[] = FIRST LINE("Id", "0SA50SNSW0001")                                //
    LINE("Arrival", "2026-07-01T08:00:00.123Z")                                                   //
    LINE("Mail", "FROM:<\"a b\"@example.org> BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS"          //
                 " ENVID=a+2Bb MT-PRIORITY=-9 AUTH=u+3D@example.org")                             //
    LINE("Release", "2026-07-01T09:00:00.000Z") LINE("Deliver-By", "2026-07-01T10:00:00.999Z;RT") //
    LINE("Tenant", "a+20b") LINE("Client", "[192.0.2.1]") LINE("Client-Name", "c.example.org")    //
    LINE("Client-Port", "65535") LINE("Protocol", "ESMTPSA") LINE("Hello", "+00")                 //
    LINE("Flags", "notification verp")                                                            //
    LINE("Group", "held tries=4294967295 warned late from=b+2B@example.org sender"                //
                  " wishes=source+3Dx")                                                           //
    LINE("Rcpt", "TO:<gr\xc3\xbc\xc3\x9f@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;z@y.x")   //
    LINE("Rcpt", "TO:<Postmaster> NOTIFY=NEVER") LINE("Group", "future") RCPT END;

struct reading {
    struct queue_message *message;
    struct eml_reader reader;
    enum parse_result result;
    size_t taken;
};

static void read_so(struct reading *r, struct span text, size_t way)
{
    r->message = queue_message_create();
    r->result = PARSE_MORE;
    r->taken = 0;
    eml_reader_init(&r->reader, r->message);
    for (size_t at = 0, len; at < text.len && r->result == PARSE_MORE; at += len) {
        len = split_piece(way, text.len, at);
        struct span piece = span_of(text.ptr + at, len);
        r->result = eml_read(&r->reader, &piece);
        r->taken = at + len - piece.len;
    }
}

/* As a message with its groups. */
static void gather(struct reading *r)
{
    struct queue_message *m = r->message;
    const struct queue_group *last = NULL;

    m->groups = arena_alloc(&m->arena, r->reader.recipient_count * sizeof *m->groups);
    for (const struct eml_recipient *each = r->reader.recipients; each; each = each->next) {
        if (each->group != last) {
            m->groups[m->group_count] = *each->group;
            m->groups[m->group_count++].recipients =
                arena_alloc(&m->arena, r->reader.recipient_count * sizeof(struct queue_recipient));
        }
        struct queue_group *group = &m->groups[m->group_count - 1];
        last = each->group;
        group->recipients[group->recipient_count++] = each->recipient;
    }
}

static void test_there_and_back(void **state)
{
    struct span text = span_cstr(everything), with_body;
    char room[sizeof everything + 8];
    struct reading r;
    struct buf out;

    (void)state;
    with_body = span_of(room, (size_t)snprintf(room, sizeof room, "%s\r\nX-Sm", everything));
    for (size_t way = 0; way < split_ways(with_body.len); way++) {
        read_so(&r, with_body, way);
        assert_int_equal(r.result, PARSE_DONE);
        assert_int_equal(r.taken, text.len);
        gather(&r);
        buf_init(&out, 0);
        eml_write(r.message, &out);
        CHECK_SPAN("written again", buf_span(&out), text);
        buf_fini(&out);
        queue_message_unref(r.message);
    }
}

static void test_what_is_read(void **state)
{
    struct reading r;

    (void)state;
    read_so(&r, span_cstr(everything), SPLIT_WHOLE);
    assert_int_equal(r.message->arrival % 1000, 123);
    assert_int_equal(r.message->flags, QUEUE_BODY_8BIT | QUEUE_SMTPUTF8 | QUEUE_REQUIRE_TLS |
                                           QUEUE_BY_TRACE | QUEUE_HAS_AUTH | QUEUE_DSN |
                                           QUEUE_VERP);
    CHECK_SPAN("envid", r.message->envelope_id, SPAN("a+b"));
    CHECK_SPAN("hello", r.message->hello, SPAN("\0"));
    const struct eml_recipient *first = r.reader.recipients;
    CHECK_SPAN("path", first->group->reverse_path, SPAN("b+@example.org"));
    assert_int_equal(first->recipient.notify, ESMTP_NOTIFY_SUCCESS | ESMTP_NOTIFY_DELAY);
    assert_int_equal(r.reader.recipient_count, 3);
    queue_message_unref(r.message);
}

/* Line ends of LF, names in any case, no Id. */
static void test_written_by_hand(void **state)
{
    struct reading r;

    (void)state;
    read_so(&r,
            SPAN("x-smarthop-envelope: 1\nX-SMARTHOP-MAIL:FROM:<>\nX-Smarthop-Group:  waiting \n"
                 "X-Smarthop-Rcpt: TO:<x@example.net>\nX-Smarthop-Envelope-End: 1\nbody"),
            SPLIT_WHOLE);
    assert_int_equal(r.result, PARSE_DONE);
    assert_int_equal(r.message->id, 0);
    queue_message_unref(r.message);
}

static void test_faults(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
    } cases[] = {
        {"\r\n", 1},
        {MAIL, 1},
        {LINE("Envelope", "2"), 1},
        {FIRST FIRST, 2},
        {FIRST "Subject: x\r\n", 2},
        {FIRST "X-Smarthop-\r\n", 2},
        {FIRST MAIL MAIL, 3},
        {FIRST LINE("Mail", "FROM:a@example.org"), 2},
        {FIRST LINE("Mail", "TO:<a@example.org>"), 2},
        {FIRST LINE("Mail", "FROM:<a@example.org> HOLDFOR=5"), 2},
        {FIRST LINE("Mail", "FROM:<a@example.org> BY=5;R"), 2},
        {FIRST LINE("Mail", "FROM:<a@example.org> WHAT=5"), 2},
        {FIRST LINE("Id", "x"), 2},
        {FIRST LINE("Arrival", "today"), 2},
        {FIRST LINE("Release", "2026-07-01"), 2},
        {FIRST LINE("Deliver-By", "2026-07-01T08:00:00Z"), 2},
        {FIRST LINE("Deliver-By", "2026-07-01T08:00:00Z;X"), 2},
        {FIRST LINE("Deliver-By", "2026-07-01T08:00:00Z;RX"), 2},
        {FIRST LINE("Tenant", ""), 2},
        {FIRST LINE("Tenant", "a b"), 2},
        {FIRST LINE("Client-Port", "65536"), 2},
        {FIRST LINE("Client-Port", "0"), 2},
        {FIRST LINE("Flags", "spam"), 2},
        {FIRST LINE("Group", "lost"), 2},
        {FIRST LINE("Group", "held tries=4294967296"), 2},
        {FIRST LINE("Group", "held twice"), 2},
        {FIRST LINE("Group", "held from=b"), 2},
        {FIRST LINE("Group", "held sender"), 2},
        {FIRST RCPT, 2},
        {FIRST GROUP LINE("Rcpt", "TO:<>"), 3},
        {FIRST GROUP LINE("Rcpt", "TO:<x@example.net> NOTIFY=NEVER,DELAY"), 3},
        {FIRST GROUP RCPT END, 4},
        {FIRST MAIL GROUP END, 4},
        {FIRST MAIL LINE("Id", "0SA50SNSW0001") GROUP RCPT END, 6},
        {FIRST MAIL LINE("Arrival", "2026-07-01T08:00:00Z") GROUP RCPT END, 6},
    };
    struct reading r;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span text = span_cstr(cases[i].text);
        for (size_t way = 0; way < split_ways(text.len); way++) {
            read_so(&r, text, way);
            CHECK(cases[i].text, r.result == PARSE_BAD);
            CHECK(cases[i].text, r.reader.line == cases[i].line);
            CHECK(cases[i].text, r.reader.fault != NULL);
            queue_message_unref(r.message);
        }
    }
}

static void test_long_lines(void **state)
{
    (void)state;
    for (size_t len = EML_LINE_MAX - 1; len <= EML_LINE_MAX + 1; len++) {
        static char text[2 * EML_LINE_MAX];
        struct reading r;
        size_t at = (size_t)snprintf(text, sizeof text, FIRST "X-Smarthop-Hello: ");
        memset(text + at, 'a', sizeof text - at);
        text[sizeof FIRST - 1 + len] = '\n';
        read_so(&r, span_of(text, sizeof FIRST + len), SPLIT_WHOLE);
        assert_int_equal(r.result, len > EML_LINE_MAX ? PARSE_BAD : PARSE_MORE);
        queue_message_unref(r.message);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),  cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_written_by_hand), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_long_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
