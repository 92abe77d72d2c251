/* What -bs lets go to the server is the same however the input is cut, and nothing is lost of it or
 * goes too early: each DATA is answered, every third one refused. */
#include "sendmail/turns.h"
#include "tests/support/fuzz.h"

static void answer(struct turns *t, unsigned *asked)
{
    while (t->replies_due > 1)
        turns_server(t, SPAN("250-one\r\n250 two\r\n"));
    turns_server(t, ++*asked % 3 == 0 ? SPAN("554\r\n") : SPAN("354 go on\r\n"));
    MUST(t->state == (*asked % 3 == 0 ? TURNS_COMMANDS : TURNS_TEXT));
}

static void run(struct span input, uint32_t seed, bool whole, struct buf *out)
{
    struct turns turns;
    unsigned asked = 0;

    turns_init(&turns);
    while (input.len > 0) {
        size_t len = whole ? input.len : fuzz_piece(&seed, input.len);
        struct span piece = span_head(input, len);
        turns_client(&turns, &piece, out);
        input = span_from(input, len - piece.len);
        MUST(piece.len == 0 || turns.state == TURNS_WAIT);
        if (turns.state != TURNS_WAIT)
            continue;
        MUST(span_ends_nocase(buf_span(out), SPAN("\n")));
        answer(&turns, &asked);
    }
}

static size_t next_but_cr(struct span text, size_t at)
{
    while (at < text.len && text.ptr[at] == '\r')
        at++;
    return at;
}

/* Nothing but CRs has been added. */
static void compare(struct span sent, struct span got)
{
    size_t i = next_but_cr(sent, 0), k = next_but_cr(got, 0);

    MUST(got.len >= sent.len);
    while (i < sent.len && k < got.len) {
        MUST(sent.ptr[i] == got.ptr[k]);
        i = next_but_cr(sent, i + 1);
        k = next_but_cr(got, k + 1);
    }
    MUST(i == sent.len && k == got.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct buf whole, pieces;

    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    run(input, seed, true, &whole);
    run(input, seed, false, &pieces);
    MUST(span_equal(buf_span(&whole), buf_span(&pieces)));
    compare(input, buf_span(&whole));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
