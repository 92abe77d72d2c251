/* What the running daemon knows of its destinations: lines of mail for one next hop and tenant. */
#include "base/clock.h"
#include "conf/pattern.h"
#include "queue/ctl/output.h"
#include "queue/ctl/pages.h"
#include "route/route.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    WIDTH_STATE = 10,
    WIDTH_COUNT = 7,
    WIDTH_CONNECTIONS = 10,
    WIDTH_TIME = 8,
    WIDTH_TENANT = 20,
    WIDTH_LABEL = 13,
};

/* A key, a part of one, or what `queue suspend` takes. */
static bool is_wanted(const json_t *destination, void *context)
{
    const struct ctl *ctl = context;
    struct span key = client_text(destination, "key"),
                next_hop = client_text(destination, "next_hop");
    struct span wanted = ctl->operand_count > 0 ? span_cstr(ctl->operands[0]) : SPAN("*");
    const json_t *host;
    size_t i;

    if (route_next_hop_matches(next_hop, wanted) ||
        (key.len > 0 && memmem(key.ptr, key.len, wanted.ptr, wanted.len) != NULL))
        return true;
    json_array_foreach(json_object_get(destination, "hosts"), i, host)
    {
        if (conf_pattern_matches(wanted, client_text(host, "name")))
            return true;
    }
    return false;
}

static enum output_style style_of(struct span state)
{
    if (span_equal(state, SPAN("backoff")) || span_equal(state, SPAN("dns")))
        return OUTPUT_BAD;
    return span_equal(state, SPAN("suspended")) || span_equal(state, SPAN("rate")) ? OUTPUT_WARN
                                                                                   : OUTPUT_GOOD;
}

/* When what keeps it ends; 0: nothing does, or no time is known. */
static uint64_t end_of(const json_t *destination)
{
    static const char *const ends[] = {"suspended_until", "backoff_until", "rate_until"};

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (client_number(destination, ends[i]) != 0)
            return client_number(destination, ends[i]);
    return client_number(destination, "ready") > 0 ? 0 : client_number(destination, "store_due");
}

static void print_heading(void)
{
    output_cell(SPAN("STATE"), WIDTH_STATE, OUTPUT_BOLD);
    output_cell(SPAN("READY"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("SENDING"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("CONNS"), WIDTH_CONNECTIONS, OUTPUT_BOLD);
    output_cell(SPAN("NEXT"), WIDTH_TIME, OUTPUT_BOLD);
    output_cell(SPAN("TENANT"), WIDTH_TENANT, OUTPUT_BOLD);
    output_cell(SPAN("NEXT HOP"), 0, OUTPUT_BOLD);
    putchar('\n');
}

static void print_row(const json_t *destination, uint64_t shown, void *context)
{
    struct span state = client_text(destination, "state"),
                tenant = client_text(destination, "tenant");
    struct span why = client_text(destination, "why");
    uint64_t end = end_of(destination), now = clock_wall_ms();
    char connections[64], next[OUTPUT_DURATION_MAX] = "-";

    (void)context;
    if (shown == 0)
        print_heading();
    snprintf(connections, sizeof connections, "%" PRIu64 "/%" PRIu64,
             client_number(destination, "connections"),
             client_number(destination, "connections_allowed"));
    if (end != 0)
        output_duration(end > now ? end - now : 0, next);
    output_cell(state, WIDTH_STATE, style_of(state));
    output_number(client_number(destination, "ready"), WIDTH_COUNT);
    output_number(client_number(destination, "sending"), WIDTH_COUNT);
    output_cell(span_cstr(connections), WIDTH_CONNECTIONS, OUTPUT_PLAIN);
    output_cell(span_cstr(next), WIDTH_TIME, OUTPUT_PLAIN);
    output_cell(tenant.len > 0 ? tenant : SPAN("-"), WIDTH_TENANT, OUTPUT_PLAIN);
    output_text(client_text(destination, "next_hop"));
    putchar('\n');
    if (why.len > 0) {
        fputs("    ", stdout);
        output_text(why);
        putchar('\n');
    }
}

/* ---- one in full -------------------------------------------------------------------------- */

static void print_label(const char *label)
{
    output_cell(span_cstr(label), WIDTH_LABEL, OUTPUT_BOLD);
}

static void print_text(const char *label, struct span text)
{
    if (text.len == 0)
        return;
    print_label(label);
    output_text(text);
    putchar('\n');
}

static void print_time(const char *label, uint64_t at)
{
    char date[OUTPUT_TIME_MAX], distance[OUTPUT_DURATION_MAX];
    uint64_t now = clock_wall_ms();

    if (at == 0)
        return;
    output_time(at, date);
    output_duration(at > now ? at - now : 0, distance);
    print_label(label);
    printf("%s (in %s)\n", date, distance);
}

static void print_hosts(const json_t *destination)
{
    const json_t *host;
    size_t i;

    json_array_foreach(json_object_get(destination, "hosts"), i, host)
    {
        print_label(i == 0 ? "Hosts" : "");
        output_text(client_text(host, "name"));
        putchar(' ');
        output_text(client_text(host, "address"));
        fputs(": ", stdout);
        output_text(client_text(host, "health"));
        printf(", %" PRIu64 " connections\n", client_number(host, "connections"));
    }
}

static void print_in_full(const json_t *destination, uint64_t shown, void *context)
{
    (void)context;
    if (shown > 0)
        putchar('\n');
    print_text("Destination", client_text(destination, "key"));
    print_text("Next hop", client_text(destination, "next_hop"));
    print_text("Tenant", client_text(destination, "tenant"));
    print_text("Site", client_text(destination, "site"));
    print_text("State", client_text(destination, "state"));
    print_text("Why", client_text(destination, "why"));
    print_label("In memory");
    printf("%" PRIu64 " in line, %" PRIu64 " being sent or recorded\n",
           client_number(destination, "ready"), client_number(destination, "sending"));
    print_time("In the store", client_number(destination, "store_due"));
    print_label("Connections");
    printf("%" PRIu64 " of %" PRIu64 " allowed now, at most %" PRIu64 "\n",
           client_number(destination, "connections"),
           client_number(destination, "connections_allowed"),
           client_number(destination, "connections_most"));
    print_label("Breaker");
    output_text(client_text(destination, "breaker"));
    printf(", %" PRIu64 " failures in a row\n", client_number(destination, "failures"));
    print_time("Left alone", client_number(destination, "backoff_until"));
    print_time("Suspended", client_number(destination, "suspended_until"));
    print_time("Rate", client_number(destination, "rate_until"));
    print_hosts(destination);
}

enum ctl_exit ctl_destinations(struct ctl *ctl)
{
    bool in_full = strcmp(ctl->verb, "show") == 0;
    const struct pages pages = {.command = "destinations",
                                .wanted = is_wanted,
                                .print = in_full ? print_in_full : print_row,
                                .context = ctl};
    uint64_t shown;
    enum ctl_exit result = pages_print(ctl, &pages, &shown);

    if (result != CTL_OK || shown > 0)
        return result;
    if (ctl->operand_count > 0)
        ctl_complain("smarthopd has no mail for \"%s\" in hand", ctl->operands[0]);
    else if (!ctl->json)
        puts("No destination has mail in hand.");
    return in_full ? CTL_FAILED : CTL_OK;
}
