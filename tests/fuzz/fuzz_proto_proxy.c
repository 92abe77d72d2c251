/* A PROXY header is found as soon as it is whole, is bounded, and depends on nothing behind it. */
#include "proto/proxy.h"
#include "tests/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    struct proxy_header header, again;
    enum proxy_error error, error_again;
    size_t consumed, consumed_again;

    enum parse_result result = proxy_parse(input, &consumed, &header, &error);
    MUST(result != PARSE_MORE || size < PROXY_HEADER_MAX);
    MUST((result == PARSE_DONE) == (consumed > 0));
    if (result != PARSE_DONE)
        return 0;
    MUST(consumed <= size && consumed <= PROXY_HEADER_MAX);
    MUST(header.version != 1 || consumed <= PROXY_V1_MAX);
    struct span exact = span_head(input, consumed);
    MUST(fuzz_is_inside(header.authority, exact));
    MUST(proxy_parse(exact, &consumed_again, &again, &error_again) == PARSE_DONE);
    MUST(consumed_again == consumed && again.kind == header.kind && again.tls == header.tls);
    MUST(ip_equal(&again.source, &header.source) && again.source_port == header.source_port);
    MUST(proxy_parse(span_head(input, consumed - 1), &consumed_again, &again, &error_again) ==
         PARSE_MORE);
    return 0;
}
