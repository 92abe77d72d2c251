/* `plugin test`: what the test kit tells, for people or as JSON. */
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"

#include <jansson.h>
#include <stdio.h>

enum { NAME_WIDTH = 14, TIMEOUT_MS = 30000 };

static void print_row(const char *name, struct span text)
{
    printf("  %-*s ", NAME_WIDTH, name);
    output_text(text);
    putchar('\n');
}

/* ---- decisions ----------------------------------------------------------------------------- */

static void print_host(const char *name, const json_t *hop)
{
    struct span address = client_text(hop, "address");

    printf("  %-*s ", NAME_WIDTH, name);
    output_text(client_text(hop, "host"));
    printf(":%llu", (unsigned long long)client_number(hop, "port"));
    if (address.len > 0) {
        fputs(" [", stdout);
        output_text(address);
        putchar(']');
    }
    printf(" priority %llu weight %llu\n",
           (unsigned long long)(client_number(hop, "priority") + client_number(hop, "preference")),
           (unsigned long long)client_number(hop, "weight"));
}

static void print_edit(const json_t *edit)
{
    struct span value = client_text(edit, "value");

    printf("  %-*s ", NAME_WIDTH, "header");
    output_text(client_text(edit, "kind"));
    putchar(' ');
    output_text(client_text(edit, "name"));
    if (client_number(edit, "nth") > 0)
        printf(" (%llu)", (unsigned long long)client_number(edit, "nth"));
    if (value.len > 0) {
        fputs(": ", stdout);
        output_text(value);
    }
    putchar('\n');
}

static void print_member(const char *name, const json_t *value)
{
    static const char *const hidden[] = {"record", "hook",     "recipient",
                                         "answer", "after_ms", "action"};
    size_t index;
    json_t *item;

    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (strcmp(name, hidden[i]) == 0)
            return;
    if (json_is_string(value))
        print_row(name, span_of(json_string_value(value), json_string_length(value)));
    if (json_is_integer(value))
        printf("  %-*s %lld\n", NAME_WIDTH, name, (long long)json_integer_value(value));
    json_array_foreach(value, index, item)
    {
        if (strcmp(name, "edits") == 0)
            print_edit(item);
        else if (json_is_object(item))
            print_host(strcmp(name, "targets") == 0 ? "target" : "next_hop", item);
        else
            print_row(name, span_of(json_string_value(item), json_string_length(item)));
    }
}

static void print_decision(const json_t *record)
{
    struct span answer = client_text(record, "answer");
    const char *name;
    json_t *value;

    output_cell(client_text(record, "hook"), NAME_WIDTH + 2, OUTPUT_BOLD);
    output_text(client_text(record, "action"));
    if (client_text(record, "recipient").len > 0) {
        fputs("  ", stdout);
        output_text(client_text(record, "recipient"));
    }
    if (!span_equal(answer, SPAN("at once"))) {
        fputs("  (", stdout);
        output_text(answer);
        printf(", after %llu ms)", (unsigned long long)client_number(record, "after_ms"));
    }
    putchar('\n');
    json_object_foreach((json_t *)(uintptr_t)record, name, value) print_member(name, value);
}

/* ---- the rest ------------------------------------------------------------------------------ */

static void print_plugin(const json_t *record)
{
    output_text(client_text(record, "name"));
    putchar(' ');
    output_text(client_text(record, "version"));
    fputs(": ", stdout);
    output_text(client_text(record, "summary"));
    putchar('\n');
}

static void print_problem(const json_t *record)
{
    output_cell(SPAN("MISBEHAVES"), NAME_WIDTH + 2, OUTPUT_BAD);
    output_text(client_text(record, "during"));
    fputs(": ", stdout);
    output_text(client_text(record, "text"));
    putchar('\n');
}

static void print_log(const json_t *record)
{
    output_cell(SPAN("log"), NAME_WIDTH + 2, OUTPUT_PLAIN);
    output_text(client_text(record, "level"));
    putchar(' ');
    output_text(client_text(record, "event"));
    fputs(": ", stdout);
    output_text(client_text(record, "text"));
    putchar('\n');
}

static void print_race(const json_t *record)
{
    output_cell(SPAN("race"), NAME_WIDTH + 2, OUTPUT_PLAIN);
    output_text(client_text(record, "hook"));
    fputs(": ", stdout);
    output_text(client_text(record, "text"));
    putchar('\n');
}

static void print_metric(const json_t *record)
{
    output_cell(SPAN("metric"), NAME_WIDTH + 2, OUTPUT_PLAIN);
    output_text(client_text(record, "name"));
    printf(": %llu (%llu times)\n", (unsigned long long)client_number(record, "sum"),
           (unsigned long long)client_number(record, "count"));
}

static void print_reload(const json_t *record)
{
    (void)record;
    output_cell(SPAN("reload"), NAME_WIDTH + 2, OUTPUT_BOLD);
    puts("done");
}

static void print_command(const json_t *record)
{
    struct span line, rest = client_text(record, "output");

    output_cell(SPAN("command"), NAME_WIDTH + 2, OUTPUT_BOLD);
    output_text(client_text(record, "words"));
    printf(" (exit code %lld)\n", (long long)json_integer_value(json_object_get(record, "code")));
    while (rest.len > 0) {
        line = span_split(rest, '\n', &rest);
        print_row("", line);
    }
}

/* Why it does not start is for stderr, as with all commands that fail. */
static void print_refusal(const json_t *record)
{
    struct span text = client_text(record, "text");

    fflush(stdout);
    fprintf(stderr, "%.*s\n", SPAN_ARG(text));
}

static void print_record(struct span line)
{
    static const struct {
        const char *kind;
        void (*print)(const json_t *record);
    } kinds[] = {
        {"plugin", print_plugin}, {"decision", print_decision}, {"problem", print_problem},
        {"log", print_log},       {"race", print_race},         {"metric", print_metric},
        {"reload", print_reload}, {"command", print_command},   {"refused", print_refusal},
    };
    json_t *record = json_loadb(line.ptr, line.len, 0, NULL);

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (span_equal(client_text(record, "record"), span_cstr(kinds[i].kind)))
            kinds[i].print(record);
    json_decref(record);
}

struct telling {
    bool json;
    unsigned count;
};

static void on_record(void *context, struct span record)
{
    struct telling *telling = context;

    if (telling->json)
        printf("%s%.*s", telling->count > 0 ? ",\n" : "[\n", SPAN_ARG(record));
    else
        print_record(record);
    telling->count++;
}

enum ctl_exit ctl_plugin_test(struct ctl *ctl)
{
    static const enum ctl_exit exits[] = {
        [KIT_GOOD] = CTL_OK,
        [KIT_MISBEHAVED] = CTL_FAILED,
        [KIT_REFUSED] = CTL_FAILED,
        [KIT_USAGE] = CTL_USAGE,
    };
    struct telling telling = {.json = ctl->json};
    struct kit_order *order = &ctl->trial;
    struct buf messages;

    order->recipients = (struct kit_texts){.items = ctl->to.items, .count = ctl->to.count};
    order->file = ctl->operands[0];
    order->conf = ctl->conf;
    order->sender = order->sender != NULL ? order->sender : "sender@example.org";
    order->client = order->client != NULL ? order->client : "192.0.2.1";
    order->helo = order->helo != NULL ? order->helo : "client.example.org";
    order->timeout = order->timeout != 0 ? order->timeout : TIMEOUT_MS;
    buf_init(&messages, 0);
    enum kit_result result = kit_run(order, &messages, on_record, &telling);
    if (result == KIT_USAGE)
        ctl_complain("%.*s", (int)buf_len(&messages) - 1, buf_span(&messages).ptr);
    else if (ctl->json)
        puts(telling.count > 0 ? "\n]" : "[]");
    buf_fini(&messages);
    return exits[result];
}
