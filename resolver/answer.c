#include "internal.h"

#include <arpa/inet.h>
#include <stdlib.h>

static struct resolver_answer *create(enum resolver_outcome outcome, size_t target_count)
{
    struct resolver_answer *answer =
        mem_zalloc(sizeof *answer + target_count * sizeof answer->targets[0]);

    arena_init(&answer->strings);
    answer->outcome = outcome;
    answer->refs = 1;
    answer->text = "";
    return answer;
}

struct resolver_answer *resolver_answer_ref(struct resolver_answer *answer)
{
    answer->refs++;
    return answer;
}

void resolver_answer_unref(struct resolver_answer *answer)
{
    if (answer == NULL || --answer->refs > 0)
        return;
    arena_fini(&answer->strings);
    free(answer);
}

struct resolver_answer *answer_bare(enum resolver_outcome outcome, const char *text)
{
    struct resolver_answer *answer = create(outcome, 0);

    answer->text = arena_dup(&answer->strings, span_cstr(text)).ptr;
    return answer;
}

/* splitmix64: fair enough for spreading load, and nothing else hangs on it. */
static uint64_t next_random(struct resolver *resolver)
{
    uint64_t z = resolver->random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void shuffle(struct resolver *resolver, unsigned *items, size_t count)
{
    for (size_t left = count; left > 1; left--) {
        size_t chosen = (size_t)(next_random(resolver) % left);
        unsigned taken = items[chosen];
        items[chosen] = items[left - 1];
        items[left - 1] = taken;
    }
}

struct family {
    unsigned items[2 * RESOLVER_ADDRESSES_MAX]; /* places in the entry */
    size_t count;
    size_t used;
};

static void gather(struct resolver *resolver, const struct entry *entry, int number,
                   struct family *family)
{
    for (unsigned i = 0; i < entry->count; i++)
        if (entry->addresses[i].any.sa_family == number)
            family->items[family->count++] = i;
    shuffle(resolver, family->items, family->count);
}

static void add_target(struct resolver_answer *answer, const char *host, uint16_t preference,
                       const union resolver_address *address)
{
    answer->targets[answer->target_count++] = (struct resolver_target){
        .host = host,
        .preference = preference,
        .address = *address,
    };
}

static void add_host(struct resolver *resolver, struct resolver_answer *answer,
                     const struct answer_host *host)
{
    struct family v4 = {0};
    struct family v6 = {0};
    const char *name = arena_dup(&answer->strings, span_cstr(host->entry->name)).ptr;

    gather(resolver, host->entry, AF_INET, &v4);
    gather(resolver, host->entry, AF_INET6, &v6);
    struct family *turn = resolver->preference == RESOLVER_IPV4 ? &v4 : &v6;
    while (v4.used + v6.used < v4.count + v6.count) {
        struct family *other = turn == &v4 ? &v6 : &v4;
        if (turn->used == turn->count)
            turn = other;
        unsigned item = turn->items[turn->used++];
        add_target(answer, name, host->preference, &host->entry->addresses[item]);
        if (resolver->preference == RESOLVER_ANY)
            turn = turn == &v4 ? &v6 : &v4;
    }
}

/* RFC 5321 section 5.1: by preference, a random choice among equals. */
static void order_hosts(struct resolver *resolver, const struct answer_host *hosts, unsigned count,
                        unsigned *order)
{
    for (unsigned i = 0; i < count; i++)
        order[i] = i;
    for (unsigned from = 0; from < count;) {
        unsigned to = from;
        while (to < count && hosts[to].preference == hosts[from].preference)
            to++;
        shuffle(resolver, order + from, to - from);
        from = to;
    }
}

struct resolver_answer *answer_compose(struct resolver *resolver, const char *name,
                                       const struct answer_host *hosts, unsigned host_count,
                                       const char *notes)
{
    unsigned order[RESOLVER_HOSTS_MAX];
    size_t total = 0;

    for (unsigned i = 0; i < host_count; i++)
        total += hosts[i].entry->count;
    struct resolver_answer *answer = create(RESOLVER_OK, total);
    order_hosts(resolver, hosts, host_count, order);
    for (unsigned i = 0; i < host_count; i++)
        add_host(resolver, answer, &hosts[order[i]]);
    answer->text =
        arena_printf(&answer->strings, "%s: addresses: %u%s", name, answer->target_count, notes)
            .ptr;
    return answer;
}

struct resolver_answer *answer_literal(struct span address)
{
    struct resolver_answer *answer = create(RESOLVER_OK, 1);
    union resolver_address parsed = {0};

    const char *text = arena_dup(&answer->strings, address).ptr;
    if (inet_pton(AF_INET, text, &parsed.in4.sin_addr) == 1) {
        parsed.in4.sin_family = AF_INET;
    } else {
        inet_pton(AF_INET6, text, &parsed.in6.sin6_addr);
        parsed.in6.sin6_family = AF_INET6;
    }
    answer->text = text;
    answer->expires = UINT64_MAX;
    add_target(answer, text, 0, &parsed);
    return answer;
}
