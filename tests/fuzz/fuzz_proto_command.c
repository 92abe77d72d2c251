/* Commands come out the same however the input is cut, and no line is held past its limit. */
#include "base/buf.h"
#include "proto/smtp_command.h"
#include "tests/support/fuzz.h"

enum { MAX_LINE = 64 };

static void note_command(struct buf *events, const struct smtp_command *command, struct span input)
{
    MUST(fuzz_is_inside(command->line, input));
    MUST(fuzz_is_inside(command->verb_text, command->line));
    MUST(fuzz_is_inside(command->args, command->line));
    MUST(span_index(command->args, '\n') == command->args.len || command->error != 0);
    buf_addf(events, "%d %d %zu ", command->error, command->verb, command->line.len);
    buf_add(events, command->line);
    buf_addf(events, "\n");
}

static void receive(struct smtp_command_parser *p, struct buf *input, struct buf *events)
{
    struct smtp_command command;
    size_t consumed;
    enum parse_result result;

    do {
        result = smtp_command_parse(p, buf_span(input), &consumed, &command);
        MUST(result != PARSE_BAD && consumed <= buf_len(input));
        MUST(result == PARSE_MORE || consumed > 0);
        if (result == PARSE_DONE)
            note_command(events, &command, buf_span(input));
        buf_consume(input, consumed);
    } while (result == PARSE_DONE);
    MUST(buf_len(input) < MAX_LINE);
}

static void run(struct span data, uint32_t seed, bool whole, struct buf *events)
{
    struct smtp_command_parser parser;
    struct buf input;

    smtp_command_parser_init(&parser, MAX_LINE);
    buf_init(&input, 0);
    buf_init(events, 0);
    while (data.len > 0) {
        size_t len = whole ? data.len : fuzz_piece(&seed, data.len);
        buf_add(&input, span_head(data, len));
        data = span_from(data, len);
        receive(&parser, &input, events);
    }
    buf_fini(&input);
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
    return 0;
}
