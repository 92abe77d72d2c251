/* base64: what is read can be written, to the same text; what is written can be read. */
#include "auth/base64.h"
#include "tests/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    char *text = malloc(BASE64_TEXT_LEN(size) + 1);
    char *bytes = malloc(size + 1);
    size_t len;

    MUST(text != NULL && bytes != NULL);
    size_t text_len = base64_encode(input, text);
    MUST(base64_decode(span_of(text, text_len), bytes, size, &len));
    MUST(span_equal(span_of(bytes, len), input));
    if (base64_decode(input, bytes, size, &len)) {
        MUST(len <= BASE64_BYTES_MAX(size));
        text_len = base64_encode(span_of(bytes, len), text);
        MUST(span_equal(span_of(text, text_len), input));
    }
    free(text);
    free(bytes);
    return 0;
}
