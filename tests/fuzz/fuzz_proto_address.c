/* Canonical and ASCII forms of an accepted address are addresses themselves, and stay as they are.
 */
#include "base/buf.h"
#include "proto/address.h"
#include "tests/support/fuzz.h"

enum {
    ALL_FLAGS = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE | ADDRESS_ALLOW_LONG_LOCAL,
};

static void check_canonical(const struct address *a, struct arena *arena)
{
    struct span local = address_canonical_local(a, arena);
    struct address again;
    struct buf text;

    MUST(local.len > 0 && local.len <= a->local.len);
    buf_init(&text, 0);
    buf_add(&text, local);
    buf_add(&text, SPAN("@a"));
    if (buf_len(&text) <= ADDRESS_TEXT_MAX) {
        MUST(address_parse(buf_span(&text), ALL_FLAGS, &again) == ADDRESS_OK);
        MUST(span_equal(address_canonical_local(&again, arena), local));
    }
    buf_fini(&text);
}

static void check_ascii(const struct address *a, struct arena *arena)
{
    struct address again;
    struct span text;

    if (!address_format(a, true, arena, &text))
        return;
    MUST(address_parse(text, ALL_FLAGS & ~(unsigned)ADDRESS_ALLOW_UTF8, &again) == ADDRESS_OK);
    MUST(domain_equal(a->domain, again.domain));
}

static void check_address(const struct address *a, struct span input)
{
    struct arena arena;

    arena_init(&arena);
    MUST(fuzz_is_inside(a->text, input));
    MUST(fuzz_is_inside(a->local, a->text));
    MUST(fuzz_is_inside(a->domain, a->text));
    struct address copy = address_dup(&arena, a);
    MUST(span_equal(copy.text, a->text) && span_equal(copy.domain, a->domain));
    if (a->kind != ADDRESS_NULL) {
        check_canonical(a, &arena);
        check_ascii(a, &arena);
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    struct address address;
    size_t consumed;

    for (unsigned flags = 0; flags <= ALL_FLAGS; flags++) {
        if (address_parse(input, flags, &address) == ADDRESS_OK)
            check_address(&address, input);
        if (address_parse_path(input, flags, &address, &consumed) == ADDRESS_OK) {
            MUST(consumed >= 2 && consumed <= input.len && input.ptr[consumed - 1] == '>');
            check_address(&address, input);
        }
    }
    return 0;
}
