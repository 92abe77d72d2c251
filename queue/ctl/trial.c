#include "queue/ctl/trial.h"

#include "base/memory.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "proto/ip.h"
#include "queue/ctl/ctl.h"

#include <stdlib.h>

static void add(struct kit_texts *texts, const char *value)
{
    texts->items = mem_realloc(texts->items, (texts->count + 1) * sizeof *texts->items);
    texts->items[texts->count++] = value;
}

/* The index of the word; -1, and complained of, where it is none of them. */
static int take_word(const char *option, const char *value, const char *const *words,
                     const char *expected)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], value) == 0)
            return i;
    ctl_complain("--%s takes %s, not \"%s\"", option, expected, value);
    return -1;
}

static bool take_outcome(struct kit_order *order, const char *value)
{
    static const char *const words[] = {"delivered", "deferred", "failed", "expired", NULL};
    int word = take_word("outcome", value, words, "delivered, deferred, failed or expired");

    if (word >= 0)
        order->outcome = (enum smarthop_outcome)word;
    return word >= 0;
}

static bool take_race(struct kit_order *order, const char *value)
{
    static const char *const words[] = {"none", "cancel", "late", "double", NULL};
    int word = take_word("race", value, words, "cancel, late or double");

    if (word >= 0)
        order->race = (enum kit_race)word;
    return word >= 0;
}

static bool take_timeout(struct kit_order *order, const char *value)
{
    static const struct conf_key key = {.name = "timeout",
                                        .type = CONF_DURATION,
                                        .width = sizeof(uint64_t),
                                        .min = 1,
                                        .max = 3600000};
    struct buf why;

    buf_init(&why, 0);
    bool good = conf_value_add(&key, &order->timeout, span_cstr(value), NULL, &why);
    if (!good)
        ctl_complain("--timeout: \"%s\" %.*s", value, SPAN_ARG(buf_span(&why)));
    buf_fini(&why);
    return good;
}

static bool take_client(struct kit_order *order, const char *value)
{
    struct ip_address ip;

    if (!ip_parse(span_cstr(value), &ip)) {
        ctl_complain("--client takes an address, not \"%s\"", value);
        return false;
    }
    order->client = value;
    return true;
}

bool trial_take(struct kit_order *order, enum trial_term term, const char *value)
{
    switch (term) {
    case TRIAL_OPTION:
        add(&order->options, value);
        break;
    case TRIAL_DNS:
        add(&order->dns, value);
        break;
    case TRIAL_FROM:
        order->sender = value;
        break;
    case TRIAL_MESSAGE:
        order->message = value;
        break;
    case TRIAL_HELO:
        order->helo = value;
        break;
    case TRIAL_USER:
        order->user = value;
        break;
    case TRIAL_CLIENT:
        return take_client(order, value);
    case TRIAL_OUTCOME:
        return take_outcome(order, value);
    case TRIAL_RACE:
        return take_race(order, value);
    case TRIAL_RELOAD:
        order->reload = true;
        break;
    case TRIAL_COMMAND:
        add(&order->commands, value);
        break;
    case TRIAL_TIMEOUT:
        return take_timeout(order, value);
    }
    return true;
}

void trial_fini(struct kit_order *order)
{
    free(order->options.items);
    free(order->dns.items);
    free(order->commands.items);
}
