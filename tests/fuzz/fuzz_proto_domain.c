/* The A-label form of a name is a valid name, is its own A-label form, and equals the name. */
#include "proto/domain.h"
#include "tests/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span name = span_of((const char *)data, size);
    struct span ascii, again;
    struct arena arena;

    arena_init(&arena);
    if (domain_is_valid(name))
        MUST(hello_is_valid(name, false));
    if (hello_is_valid(name, false))
        MUST(hello_is_valid(name, true));
    bool valid = domain_is_valid_with(name, DOMAIN_ALLOW_UTF8 | DOMAIN_ALLOW_UNDERSCORE);
    MUST(domain_to_ascii(name, &arena, &ascii) == valid);
    if (valid) {
        MUST(domain_is_valid_with(ascii, DOMAIN_ALLOW_UNDERSCORE));
        MUST(domain_to_ascii(ascii, &arena, &again));
        MUST(span_equal(ascii, again));
        MUST(domain_equal(name, ascii));
    }
    MUST(domain_equal(name, name));
    arena_fini(&arena);
    return 0;
}
