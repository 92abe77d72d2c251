/* Replies come out the same however the input is cut, bounded and without control bytes; what we
 * write ourselves can be read. */
#include "proto/smtp_ehlo.h"
#include "proto/smtp_reply.h"
#include "tests/support/fuzz.h"

static void check_reply(const struct smtp_reply *reply)
{
    struct smtp_ehlo ehlo;

    MUST(reply->code >= 200 && reply->code <= 599);
    MUST(reply->text.len <= SMTP_REPLY_TEXT_MAX);
    for (size_t i = 0; i < reply->text.len; i++)
        MUST((unsigned char)reply->text.ptr[i] >= ' ' || reply->text.ptr[i] == '\n');
    smtp_ehlo_parse(reply, &ehlo);
    MUST(fuzz_is_inside(ehlo.domain, reply->text));
    MUST(fuzz_is_inside(ehlo.auth_text, reply->text));
    MUST(fuzz_is_inside(ehlo.xclient, reply->text));
}

static void note_reply(struct buf *events, const struct smtp_reply *reply)
{
    char enhanced[ENHANCED_CODE_TEXT_MAX];

    enhanced_code_format(reply->enhanced, enhanced);
    buf_addf(events, "%u %s %d %zu ", reply->code, enhanced, reply->truncated, reply->text.len);
    buf_add(events, reply->text);
}

static void run(struct span data, uint32_t seed, bool whole, struct buf *events)
{
    struct smtp_reply_parser parser;
    struct smtp_reply reply;
    struct buf text;
    size_t consumed;

    buf_init(&text, 0);
    buf_init(events, 0);
    smtp_reply_parser_init(&parser, &text, seed & 1 ? SMTP_REPLY_ALLOW_BARE_LF : 0);
    while (data.len > 0 && parser.error == SMTP_REPLY_OK) {
        struct span piece = span_head(data, whole ? data.len : fuzz_piece(&seed, data.len));
        enum parse_result result = smtp_reply_parse(&parser, piece, &consumed, &reply);
        MUST(result == PARSE_BAD || consumed > 0);
        MUST(result != PARSE_MORE || consumed == piece.len);
        if (result == PARSE_DONE) {
            check_reply(&reply);
            note_reply(events, &reply);
        }
        data = span_from(data, consumed);
    }
    buf_addf(events, "%d", parser.error);
    buf_fini(&text);
}

static void check_writer(struct span text)
{
    struct smtp_reply_parser parser;
    struct smtp_reply reply;
    struct buf wire, read;
    size_t consumed, lines = 0;

    buf_init(&wire, 0);
    buf_init(&read, 0);
    MUST(smtp_reply_write(&wire, 554, (struct enhanced_code){5, 6, 7}, text));
    for (struct span rest = buf_span(&wire); rest.len > 0; lines++) {
        size_t lf = span_index(rest, '\n');
        MUST(lf < rest.len && lf < SMTP_REPLY_LINE_MAX && rest.ptr[lf - 1] == '\r');
        rest = span_from(rest, lf + 1);
    }
    smtp_reply_parser_init(&parser, &read, 0);
    enum parse_result result = smtp_reply_parse(&parser, buf_span(&wire), &consumed, &reply);
    if (lines <= SMTP_REPLY_LINES_MAX) {
        MUST(result == PARSE_DONE && consumed == buf_len(&wire));
        MUST(reply.code == 554 && reply.enhanced.detail == 7);
    }
    buf_fini(&wire);
    buf_fini(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct buf whole, pieces;

    run(input, seed, true, &whole);
    run(input, seed, false, &pieces);
    MUST(span_equal(buf_span(&whole), buf_span(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    check_writer(input);
    return 0;
}
