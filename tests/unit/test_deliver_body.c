/* deliver/: message data of every size, from memory and from the queue, whole and damaged. */
#include "deliver/body.h"
#include "support/deliver_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define ENVELOPE "MAIL FROM:<a@example.com>\r\nRCPT TO:<r1@example.net>\r\n"
#define OK       "250 2.0.0 ok\r\n"
#define GO       "354 go\r\n"
#define PIPED    "S:220 hi\r\n", "C:EHLO me.example\r\n", "S:250-peer\r\n250 PIPELINING\r\n"
#define QUICK                                                                                      \
    "S:220 hi\r\n", "C:EHLO me.example\r\n",                                                       \
        "S:250-peer\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define AT_DATA PIPED, "C:" ENVELOPE "DATA\r\n"
#define IN_DATA AT_DATA, "S:" OK OK GO
#define IN_BDAT QUICK, "C:" ENVELOPE, "S:" OK OK
#define BYE     "C:QUIT\r\n", "S:221 bye\r\n", "!eof"

enum how { BY_DATA, BY_BDAT, AT_ONCE };

struct body_case {
    struct rig_case dialogue;
    enum how how;
    size_t size;
    bool stored;
    const char *end; /* the body's last bytes, behind its lines */
    struct err error;
    uint32_t bad_chunk;
    size_t missing; /* bytes that the store has lost */
};

static const char ok[] = "250 2.0.0 sent; closed";
static const char damaged[] = "451 4.3.0 message damaged; closed";

enum { KIB = 1024, MIB = 1024 * KIB, MOST_AT_ONCE = 64 * KIB - (sizeof RIG_TRACE - 1) };

static const struct body_case cases[] = {
    {{"5 MiB in memory", {IN_DATA, "!body", "S:" OK, BYE}, .want = ok}, .size = 5 * MIB},
    {{"5 MiB in memory, BDAT", {IN_BDAT, "!body", "S:" OK, BYE}, .want = ok},
     .how = BY_BDAT,
     .size = 5 * MIB},
    {{"5 MiB stored", {IN_DATA, "!body", "S:" OK, BYE}, .want = ok},
     .size = 5 * MIB,
     .stored = true},
    {{"5 MiB stored, BDAT", {IN_BDAT, "!body", "S:" OK, BYE}, .want = ok},
     .how = BY_BDAT,
     .size = 5 * MIB,
     .stored = true},
    {{"one byte stored", {IN_DATA, "!body", "S:" OK, BYE}, .want = ok}, .size = 1, .stored = true},
    {{"one byte stored, BDAT", {IN_BDAT, "!body", "S:" OK, BYE}, .want = ok},
     .how = BY_BDAT,
     .size = 1,
     .stored = true},
    {{"whole pieces stored", {IN_DATA, "!body", "S:" OK, BYE}, .want = ok},
     .size = 2 * DELIVER_BODY_CHUNKS * QUEUE_CHUNK,
     .stored = true},
    {{"empty", {IN_DATA, "!body", "S:" OK, BYE}, .want = ok}, .how = BY_DATA},
    {{"empty, stored", {IN_BDAT, "!body", "S:" OK, BYE}, .want = ok},
     .how = BY_BDAT,
     .stored = true},
    {{"the most that goes at once", {QUICK, "!body", "S:" OK OK OK, BYE}, .want = ok},
     .how = AT_ONCE,
     .size = MOST_AT_ONCE},
    {{"one byte more", {IN_BDAT, "!body", "S:" OK, BYE}, .want = ok},
     .how = BY_BDAT,
     .size = MOST_AT_ONCE + 1},
    {{"no line end at the end", {IN_DATA, "!body", "S:" OK, BYE}, .want = ok},
     .size = 100,
     .end = "\r\nlast"},
    {{"no line end at the end, BDAT", {IN_BDAT, "!body", "S:" OK, BYE}, .want = ok},
     .how = BY_BDAT,
     .size = 70 * KIB,
     .end = "\r\nlast"},

    /* what must not be taken for a good message */
    {{"bare LF", {IN_DATA, "!drain"}, .want = damaged}, .size = 100, .end = "\n.\r\n"},
    {{"bare CR", {IN_DATA, "!drain"}, .want = damaged}, .size = 100, .end = "x\rx\r\n"},
    {{"last CR", {IN_DATA, "!drain"}, .want = damaged}, .size = 100, .end = "\r\n\r"},
    {{"bare LF, at once: nothing leaves", {QUICK, "!eof"}, .want = damaged},
     .how = AT_ONCE,
     .size = 100,
     .end = "\n.\r\n"},
    {{"last CR, BDAT", {IN_BDAT, "!drain"}, .want = damaged},
     .how = BY_BDAT,
     .size = 70 * KIB,
     .end = "\r\n\r"},
    {{"damaged first chunk", {IN_DATA, "!drain"}, .want = damaged},
     .size = MIB,
     .stored = true,
     .error = {ERR_CORRUPT, 0, "test"}},
    {{"damaged later chunk", {IN_DATA, "!drain"}, .want = damaged},
     .size = MIB,
     .stored = true,
     .error = {ERR_CORRUPT, 0, "test"},
     .bad_chunk = 100},
    {{"damaged later chunk, BDAT", {IN_BDAT, "!drain"}, .want = damaged},
     .how = BY_BDAT,
     .size = MIB,
     .stored = true,
     .error = {ERR_CORRUPT, 0, "test"},
     .bad_chunk = 100},
    {{"the end is missing", {IN_BDAT, "!drain"}, .want = damaged},
     .how = BY_BDAT,
     .size = MIB,
     .stored = true,
     .missing = 300000},
    {{"shorter in memory than it says", {IN_DATA, "!drain"}, .want = damaged},
     .size = 100,
     .missing = 1},
    {{"the store cannot be read", {IN_DATA, "!drain"}, .want = "451 4.3.0 message; closed"},
     .size = MIB,
     .stored = true,
     .error = {ERR_STORE, 5, "test"},
     .bad_chunk = 50},

    /* peers that do not take it */
    {{"refused half-way",
      {AT_DATA, "S:" OK OK GO "552 5.3.4 too big\r\n", "!drain"},
      .want = "552 5.3.4 message; closed"},
     .size = 5 * MIB},
    {{"421 half-way",
      {AT_DATA, "S:" OK OK GO "421 4.3.2 bye\r\n", "!drain"},
      .want = "421 4.3.2 host; closed 421 4.3.2 host"},
     .size = 5 * MIB,
     .stored = true},
    {{"lost half-way", {IN_BDAT}, .want = "451 4.4.2 session; closed 451 4.4.2 session"},
     .how = BY_BDAT,
     .size = 5 * MIB,
     .stored = true},
    {{"a stalled peer",
      {IN_DATA, "!stall"},
      .want = "451 4.4.2 session; closed 451 4.4.2 session",
      .tiny = RIG_TINY(data_block)},
     .size = 16 * MIB},
};

/* Lines of all kinds of beginnings, cut at `size` but never between CR and LF; then the end. */
static void make_body(const struct body_case *test, struct buf *out)
{
    for (unsigned i = 0; buf_len(out) < test->size; i++) {
        char line[128];
        int len = snprintf(line, sizeof line, "%.*s line %u %.*s\r\n", (int)(i % 3), "..", i,
                           (int)(i % 71),
                           "0123456789012345678901234567890123456789"
                           "01234567890123456789012345678901");
        size_t room = test->size - buf_len(out);
        buf_add(out, span_head(span_of(line, (size_t)len), room));
    }
    if (test->size > 0 && out->data[out->end - 1] == '\r')
        out->data[out->end - 1] = 'x';
    buf_add(out, span_cstr(test->end));
}

/* RFC 5321 4.5.2 in the plainest way. */
static void add_stuffed(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '.' && (i == 0 || text.ptr[i - 1] == '\n'))
            buf_add(out, SPAN("."));
        buf_add(out, span_of(text.ptr + i, 1));
    }
    if (text.len > 0 && text.ptr[text.len - 1] != '\n')
        buf_add(out, SPAN("\r\n"));
    buf_add(out, SPAN(".\r\n"));
}

static void make_wire(const struct body_case *test, struct span body, struct buf *out)
{
    if (test->how == AT_ONCE)
        buf_add(out, SPAN(ENVELOPE));
    if (test->how != BY_DATA)
        buf_addf(out, "BDAT %zu LAST\r\n", sizeof RIG_TRACE - 1 + body.len);
    buf_add(out, SPAN(RIG_TRACE));
    if (test->how == BY_DATA)
        add_stuffed(body, out);
    else
        buf_add(out, body);
}

static void test_body(void **state)
{
    const struct body_case *test = *state;
    struct buf body;
    struct buf wire;
    struct rig rig;

    buf_init(&body, 0);
    buf_init(&wire, 0);
    make_body(test, &body);
    make_wire(test, buf_span(&body), &wire);
    rig_init(&rig, &test->dialogue);
    rig_set_body(&rig, span_head(buf_span(&body), buf_len(&body) - test->missing), !test->stored);
    rig.message.size = buf_len(&body);
    rig.queue.error = test->error;
    rig.queue.bad_chunk = test->bad_chunk;
    rig.peer.body = buf_span(&wire).ptr;
    rig.peer.body_len = buf_len(&wire);
    rig_run(&rig);
    buf_fini(&body);
    buf_fini(&wire);
}

int main(void)
{
    struct CMUnitTest tests[COUNT(cases)];

    for (size_t i = 0; i < COUNT(cases); i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].dialogue.name,
                                       .test_func = test_body,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
