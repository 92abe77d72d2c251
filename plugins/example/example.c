/*
 * example: the smallest useful plugin. Recipients in one of its `domains` are sent to `next_hop`;
 * of all others it has no opinion.
 */
#include <smarthop_plugin.h>

#include <stdlib.h>
#include <strings.h>

struct example {
    struct smarthop_next_hop next_hop;
    struct smarthop_span *domains;
    uint32_t domain_count;
};

static struct smarthop_span text_of(const struct smarthop_host *host, struct smarthop_self *self,
                                    const char *option, uint32_t index)
{
    const char *text = host->option_text(self, option, index);

    return smarthop_span_of(text, strlen(text));
}

/* The texts of options live as long as the state, so the state may point to them. */
static int start(const struct smarthop_host *host, struct smarthop_self *self, void **state_out)
{
    uint32_t count = host->option_count(self, "domains");

    if (host->option_count(self, "next_hop") == 0) {
        host->option_problem(self, "next_hop", 0, "is needed");
        return -1;
    }
    struct example *example = calloc(1, sizeof *example);
    if (example == NULL)
        return -1;
    example->domains = calloc(count + 1, sizeof *example->domains);
    if (example->domains == NULL) {
        free(example);
        return -1;
    }
    example->next_hop.host = text_of(host, self, "next_hop", 0);
    example->next_hop.port = (uint16_t)host->option_number(self, "port", 0);
    for (uint32_t i = 0; i < count; i++)
        example->domains[i] = text_of(host, self, "domains", i);
    example->domain_count = count;
    *state_out = example;
    return 0;
}

static void stop(void *state)
{
    struct example *example = state;

    free(example->domains);
    free(example);
}

static bool is_ours(const struct example *example, struct smarthop_span domain)
{
    for (uint32_t i = 0; i < example->domain_count; i++)
        if (example->domains[i].len == domain.len &&
            strncasecmp(example->domains[i].ptr, domain.ptr, domain.len) == 0)
            return true;
    return false;
}

/* Nothing of the state changes, so any number of threads may be in here. */
static int route(void *state, const struct smarthop_event *event, struct smarthop_verdict *verdict)
{
    const struct example *example = state;

    if (!is_ours(example, event->recipient->domain))
        return SMARTHOP_DONE;
    verdict->action = SMARTHOP_SEND;
    verdict->next_hops = &example->next_hop;
    verdict->next_hop_count = 1;
    verdict->why = SMARTHOP_TEXT("the domain is one of `domains`");
    return SMARTHOP_DONE;
}

static const struct smarthop_option options[] = {
    {"domains", SMARTHOP_OPTION_TEXT, 1, NULL, 1, 253, "The domains of recipients."},
    {"next_hop", SMARTHOP_OPTION_TEXT, 0, NULL, 1, 255, "The host that their mail is sent to."},
    {"port", SMARTHOP_OPTION_NUMBER, 0, "25", 1, 65535, "Its port."},
};

SMARTHOP_EXPORT const struct smarthop_plugin smarthop_plugin = {
    SMARTHOP_PLUGIN_HEAD,
    .name = "example",
    .version = "1.0",
    .summary = "sends some domains to a next hop of their own",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .start = start,
    .stop = stop,
    .hooks = {[SMARTHOP_ON_ROUTE] = route},
};
