/* Which messages all entries refer to, gathered in any order and taken in that of the messages. */
#include "plugins/drop/mailstore/mailstore_private.h"

#include <stdlib.h>

void references_add(struct references *references, uint64_t message)
{
    if (references->count == references->room) {
        references->room = references->room > 0 ? references->room * 2 : 1024;
        references->messages =
            mem_realloc(references->messages, references->room * sizeof *references->messages);
    }
    references->messages[references->count++] = message;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

void references_sort(struct references *references)
{
    if (references->count > 0)
        qsort(references->messages, references->count, sizeof *references->messages, compare_ids);
}

uint32_t references_take(struct references *references, uint64_t message,
                         void (*missing)(void *context, uint64_t message), void *context)
{
    uint32_t count = 0;

    for (; references->at < references->count; references->at++) {
        uint64_t referred = references->messages[references->at];
        if (referred > message)
            break;
        if (referred == message)
            count++;
        else if (missing != NULL)
            missing(context, referred);
    }
    return count;
}

void references_fini(struct references *references)
{
    free(references->messages);
}
