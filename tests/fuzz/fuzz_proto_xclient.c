/* What XCLIENT tells is clean and bounded; whatever goes into XFORWARD keeps to its lines and can
 * be read by XCLIENT's rules. */
#include "proto/xclient.h"
#include "tests/support/fuzz.h"

static void check_xclient(struct span args, struct arena *arena)
{
    struct xclient x;

    if (xclient_parse(args, arena, &x) != XCLIENT_OK)
        return;
    for (size_t i = 0; i < XCLIENT_ATTRIBUTE_COUNT; i++) {
        struct span text = x.values[i].text;
        MUST((x.values[i].state == XCLIENT_GIVEN) == (text.len > 0));
        MUST(text.len <= XCLIENT_VALUE_MAX);
        for (size_t at = 0; at < text.len; at++)
            MUST((unsigned char)text.ptr[at] >= ' ' && text.ptr[at] != 0x7f);
    }
}

static void check_xforward(struct span input, uint32_t offered, struct arena *arena)
{
    struct xforward x = {.port = (uint16_t)offered, .local = (offered & 1) != 0};
    struct buf out;
    unsigned lines = 0;

    x.name = span_split(input, '|', &input);
    x.hello = span_split(input, '|', &input);
    x.ident = span_split(input, '|', &input);
    x.protocol = input;
    buf_init(&out, 0);
    unsigned count = xforward_write(&x, offered, arena, &out);
    MUST(count <= XFORWARD_ATTRIBUTE_COUNT);
    for (struct span rest = buf_span(&out); rest.len > 0; lines++) {
        size_t end = span_index(rest, '\n');
        MUST(end < rest.len && end < XFORWARD_LINE_MAX && span_index(rest, '\r') == end - 1);
        MUST(span_starts_nocase(rest, SPAN("XFORWARD ")));
        rest = span_from(rest, end + 1);
    }
    MUST(lines == count);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct arena arena;

    arena_init(&arena);
    check_xclient(input, &arena);
    check_xforward(input, seed, &arena);
    MUST(xforward_attributes(input) < 1u << XFORWARD_ATTRIBUTE_COUNT);
    arena_fini(&arena);
    return 0;
}
