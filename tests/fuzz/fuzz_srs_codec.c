#include "../support/fuzz.h"

#include "srs/codec.h"

static const uint64_t now = 1577836860;

static void go_there_and_back(const struct srs *srs, struct smarthop_span sender)
{
    struct srs_address made, back;

    if (srs_forward(srs, sender, now, &made) != SRS_DONE)
        return;
    MUST(made.len <= SRS_ADDRESS_MAX && made.len > srs->domain.len);
    size_t len = made.len - srs->domain.len - 1;
    MUST(made.text[len] == '@');
    MUST(srs_reverse(srs, smarthop_span_of(made.text, len), now, &back) == SRS_DONE);
}

/* A sender, or the local part of a recipient. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keys *keys;
    struct smarthop_span input = smarthop_span_of((const char *)data, size);
    struct srs_address back;

    if (keys == NULL)
        keys = keys_parse(SMARTHOP_TEXT("tops3cr3t"));
    struct srs srs = {keys, SMARTHOP_TEXT("example.com"), '=', 4, 4, 21};
    go_there_and_back(&srs, input);
    if (srs_reverse(&srs, input, now, &back) == SRS_DONE)
        MUST(back.len <= SRS_ADDRESS_MAX && memchr(back.text, '@', back.len) != NULL);
    return 0;
}
