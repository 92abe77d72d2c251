/* A name server's reply: the packet walker and what a look-up makes of it. The first byte chooses
 * the type that was asked for. */
#include "resolver/lookup.h"

#include <stdlib.h>

static void check(const struct lookup *lookup)
{
    if (lookup->count > LOOKUP_RECORDS_MAX || lookup->chain_len > LOOKUP_CHAIN_MAX + 1)
        abort();
    if (lookup->next != LOOKUP_DONE)
        return;
    if (lookup->result == LOOKUP_FAILED && lookup->reason == NULL)
        abort();
    for (unsigned i = 0; i < lookup->count && lookup->type == PACKET_TXT; i++)
        if (lookup->records[i].data.len > PACKET_TEXT_MAX)
            abort();
    for (unsigned i = 1; i < lookup->count && lookup->type == PACKET_MX; i++)
        if (lookup->records[i - 1].preference > lookup->records[i].preference)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum packet_type types[] = {PACKET_MX, PACKET_A, PACKET_AAAA, PACKET_PTR,
                                             PACKET_TXT};
    struct arena arena;

    if (size == 0)
        return 0;
    arena_init(&arena);
    struct lookup lookup = {
        .arena = &arena,
        .type = types[data[0] % 5],
        .ttl = INT32_MAX,
        .chain = {"d.test"},
        .chain_len = 1,
    };
    lookup_read(&lookup, span_of((const char *)data + 1, size - 1));
    check(&lookup);
    arena_fini(&arena);
    return 0;
}
