/* The plugins of the running daemon. */
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"

#include <inttypes.h>
#include <stdio.h>

enum { WIDTH_NAME = 16, WIDTH_VERSION = 8, WIDTH_STATE = 10, WIDTH_COUNT = 9, WIDTH_LABEL = 12 };

static uint64_t count_at(const json_t *plugin, const char *name)
{
    return client_number(json_object_get(plugin, "counts"), name);
}

static const char *state_of(const json_t *plugin)
{
    if (json_is_true(json_object_get(plugin, "bypassed_now")))
        return "bypassed";
    if (json_is_true(json_object_get(plugin, "shadow")))
        return "shadow";
    return json_is_true(json_object_get(plugin, "process")) ? "process" : "active";
}

/* Microseconds within which that share of the answers came, in thousandths; 0 = there were none. */
static uint64_t latency_of(const json_t *plugin, uint64_t thousandths)
{
    const json_t *steps = json_object_get(plugin, "latencies_us");
    uint64_t total = 0, seen = 0;
    const json_t *step;
    size_t i;

    json_array_foreach(steps, i, step) total += (uint64_t)json_integer_value(step);
    json_array_foreach(steps, i, step)
    {
        seen += (uint64_t)json_integer_value(step);
        if (seen > 0 && seen * 1000 >= total * thousandths)
            return 1ULL << i;
    }
    return 0;
}

static uint64_t failures_of(const json_t *plugin)
{
    return count_at(plugin, "timed_out") + count_at(plugin, "broken") + count_at(plugin, "invalid");
}

static void print_heading(void)
{
    output_cell(SPAN("PLUGIN"), WIDTH_NAME, OUTPUT_BOLD);
    output_cell(SPAN("VERSION"), WIDTH_VERSION, OUTPUT_BOLD);
    output_cell(SPAN("STATE"), WIDTH_STATE, OUTPUT_BOLD);
    output_cell(SPAN("ASKED"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("FAILED"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("P50 us"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("P99 us"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("SUMMARY"), 0, OUTPUT_BOLD);
    putchar('\n');
}

static void print_row(const json_t *plugin)
{
    const char *state = state_of(plugin);
    bool is_bad = strcmp(state, "bypassed") == 0;

    output_cell(client_text(plugin, "name"), WIDTH_NAME, OUTPUT_PLAIN);
    output_cell(client_text(plugin, "version"), WIDTH_VERSION, OUTPUT_PLAIN);
    output_cell(span_cstr(state), WIDTH_STATE, is_bad ? OUTPUT_BAD : OUTPUT_GOOD);
    output_number(count_at(plugin, "asked"), WIDTH_COUNT);
    output_number(failures_of(plugin), WIDTH_COUNT);
    output_number(latency_of(plugin, 500), WIDTH_COUNT);
    output_number(latency_of(plugin, 990), WIDTH_COUNT);
    output_text(client_text(plugin, "summary"));
    putchar('\n');
}

/* ---- one in full -------------------------------------------------------------------------- */

static void print_label(const char *label)
{
    output_cell(span_cstr(label), WIDTH_LABEL, OUTPUT_BOLD);
}

static void print_text(const char *label, struct span text)
{
    print_label(label);
    output_text(text);
    putchar('\n');
}

static void print_numbers(const char *label, const json_t *numbers)
{
    const char *name, *between = "";
    const json_t *value;

    print_label(label);
    json_object_foreach((json_t *)(uintptr_t)numbers, name, value)
    {
        if (json_integer_value(value) == 0)
            continue;
        printf("%s%s %" JSON_INTEGER_FORMAT, between, name, json_integer_value(value));
        between = ", ";
    }
    puts(between[0] == '\0' ? "none yet" : "");
}

static void print_hooks(const json_t *plugin)
{
    const json_t *hook;
    size_t i;

    print_label("Hooks");
    json_array_foreach(json_object_get(plugin, "hooks"), i, hook)
        printf("%s%s", i > 0 ? ", " : "", json_string_value(hook));
    putchar('\n');
}

static void print_latencies(const json_t *plugin)
{
    enum { BAR = 40 };
    const json_t *steps = json_object_get(plugin, "latencies_us"), *step;
    uint64_t most = 1;
    size_t i;

    json_array_foreach(steps, i, step)
    {
        uint64_t value = (uint64_t)json_integer_value(step);
        most = value > most ? value : most;
    }
    json_array_foreach(steps, i, step)
    {
        uint64_t value = (uint64_t)json_integer_value(step);
        if (value == 0)
            continue;
        printf("  < %8" PRIu64 " us %10" PRIu64 " ", (uint64_t)1 << i, value);
        for (uint64_t k = 0; k < (value * BAR + most - 1) / most; k++)
            putchar('#');
        putchar('\n');
    }
}

static void print_metrics(const json_t *answer, struct span name)
{
    const json_t *metric;
    size_t i;

    json_array_foreach(json_object_get(answer, "metrics"), i, metric)
    {
        if (!span_equal(client_text(metric, "plugin"), name))
            continue;
        print_label("Metric");
        output_text(client_text(metric, "name"));
        printf(" %" PRIu64 " (", client_number(metric, "value"));
        output_text(client_text(metric, "help"));
        puts(")");
    }
}

static void print_in_full(const json_t *answer, const json_t *plugin)
{
    print_text("Plugin", client_text(plugin, "name"));
    print_text("Version", client_text(plugin, "version"));
    print_text("Summary", client_text(plugin, "summary"));
    print_text("File", client_text(plugin, "file"));
    print_text("State", span_cstr(state_of(plugin)));
    print_text("Fail mode", client_text(plugin, "fail"));
    print_hooks(plugin);
    print_numbers("Counts", json_object_get(plugin, "counts"));
    print_numbers("Answers", json_object_get(plugin, "actions"));
    print_metrics(answer, client_text(plugin, "name"));
    print_text("Latency", SPAN("answers that came within"));
    print_latencies(plugin);
}

static enum ctl_exit print_all(const struct ctl *ctl, const json_t *answer)
{
    const json_t *plugins = json_object_get(answer, "plugins"), *plugin;
    bool found = false;
    size_t i;

    json_array_foreach(plugins, i, plugin)
    {
        if (ctl->operand_count > 0 &&
            !span_equal(client_text(plugin, "name"), span_cstr(ctl->operands[0])))
            continue;
        found = true;
        if (ctl->operand_count > 0) {
            print_in_full(answer, plugin);
        } else {
            if (i == 0)
                print_heading();
            print_row(plugin);
        }
    }
    if (!found && ctl->operand_count > 0) {
        ctl_complain("no plugin \"%s\" is loaded; `smarthopctl plugin list` shows them",
                     ctl->operands[0]);
        return CTL_FAILED;
    }
    if (!found)
        puts("No plugin is loaded.");
    return CTL_OK;
}

enum ctl_exit ctl_plugins(struct ctl *ctl)
{
    json_t *answer;
    enum ctl_exit result = client_command(ctl, "plugins", &answer);

    if (result != CTL_OK)
        return result;
    if (ctl->json)
        client_print(answer);
    else
        result = print_all(ctl, answer);
    json_decref(answer);
    return result;
}

/* ---- orders ------------------------------------------------------------------------------- */

enum ctl_exit ctl_plugin_rollback(struct ctl *ctl)
{
    json_t *answer;
    enum ctl_exit result = client_command(ctl, "plugins-back", &answer);

    if (result != CTL_OK)
        return result;
    if (ctl->json)
        client_print(answer);
    else
        puts("The plugins are those of before the latest reload; the next reload reads\n"
             "relay.conf and the plugins' files again.");
    json_decref(answer);
    return CTL_OK;
}

enum ctl_exit ctl_plugin_command(struct ctl *ctl)
{
    json_t *answer, *words = json_array();

    for (unsigned i = 1; i < ctl->operand_count; i++)
        json_array_append_new(words, json_string(ctl->operands[i]));
    enum ctl_exit result = client_order(ctl,
                                        json_pack("{s:s, s:s, s:o}", "command", "plugin-command",
                                                  "plugin", ctl->operands[0], "words", words),
                                        &answer);
    if (result != CTL_OK)
        return result;
    if (ctl->json)
        client_print(answer);
    else
        output_raw(client_text(answer, "output"));
    result = client_number(answer, "code") == 0 ? CTL_OK : CTL_FAILED;
    json_decref(answer);
    return result;
}
