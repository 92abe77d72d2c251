/* base32, xtext, utf8 and enhanced codes: what is read can be written and read again. */
#include "proto/base32.h"
#include "proto/status.h"
#include "proto/utf8.h"
#include "proto/xtext.h"
#include "tests/support/fuzz.h"

static void check_xtext(struct span input)
{
    struct span plain, again;
    struct arena arena;

    arena_init(&arena);
    MUST(xtext_decode(xtext_encode(input, &arena), &arena, &plain));
    MUST(span_equal(plain, input));
    if (xtext_decode(input, &arena, &plain)) {
        MUST(plain.len <= input.len);
        MUST(xtext_decode(xtext_encode(plain, &arena), &arena, &again));
        MUST(span_equal(plain, again));
    }
    arena_fini(&arena);
}

static void check_id(struct span input)
{
    char text[ID_TEXT_SIZE];
    uint64_t id, again;

    if (!id_parse(input, &id))
        return;
    MUST(id_parse(span_cstr(id_format(id, text)), &again));
    MUST(id == again);
}

static void check_enhanced(struct span input)
{
    struct enhanced_code code;
    char text[ENHANCED_CODE_TEXT_MAX];
    size_t taken = enhanced_code_parse(input, &code);

    MUST(taken <= input.len);
    if (taken == 0)
        return;
    size_t len = enhanced_code_format(code, text);
    MUST(len <= taken && span_equal(span_head(input, len), span_of(text, len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);

    check_xtext(input);
    check_id(input);
    check_enhanced(input);
    MUST(!utf8_is_ascii(input) || utf8_is_valid(input));
    return 0;
}
