/*
 * The envelope of an exported message. The first byte says in what pieces it arrives; the result is
 * that of arriving whole, and nothing behind the envelope is taken.
 */
#include "queue/eml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum parse_result result;
    size_t taken;
    unsigned line;
    unsigned recipients;
    unsigned flags;
};

static struct outcome read_so(struct span text, size_t step)
{
    static struct eml_reader reader;
    struct queue_message *message = queue_message_create();
    struct outcome outcome = {.result = PARSE_MORE};

    eml_reader_init(&reader, message);
    while (outcome.result == PARSE_MORE && outcome.taken < text.len) {
        struct span piece = span_head(span_from(text, outcome.taken), step);
        size_t len = piece.len;
        outcome.result = eml_read(&reader, &piece);
        outcome.taken += len - piece.len;
    }
    outcome.line = reader.line;
    outcome.recipients = reader.recipient_count;
    outcome.flags = message->flags;
    queue_message_unref(message);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct span text = span_of((const char *)data + 1, size - 1);
    struct outcome whole = read_so(text, text.len), parts = read_so(text, data[0] + 1u);
    if (whole.result != parts.result || whole.line != parts.line ||
        whole.recipients != parts.recipients || whole.flags != parts.flags)
        abort();
    if (whole.result == PARSE_DONE &&
        (whole.taken != parts.taken || text.ptr[whole.taken - 1] != '\n' || whole.recipients == 0))
        abort();
    return 0;
}
