/* What only a running smarthopd can tell or do. */
#include "base/clock.h"
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"

#include <stdio.h>

enum row_kind { ROW_NUMBER, ROW_SIZE, ROW_SINCE, ROW_TEXT };

static const struct row {
    const char *name;
    const char *label;
    enum row_kind kind;
} rows[] = {
    {"version", "Version", ROW_TEXT},
    {"configuration", "Configuration", ROW_TEXT},
    {"started", "Running for", ROW_SINCE},
    {"workers", "Workers", ROW_NUMBER},
    {"messages", "Messages queued", ROW_NUMBER},
    {"groups", "Groups queued", ROW_NUMBER},
    {"sessions", "Sessions open", ROW_NUMBER},
    {"gave_way", "Idle, gave way", ROW_NUMBER},
    {"accepted", "Accepted", ROW_NUMBER},
    {"rejected", "Rejected", ROW_NUMBER},
    {"delivered", "Delivered", ROW_NUMBER},
    {"deferred", "Deferred", ROW_NUMBER},
    {"failed", "Failed", ROW_NUMBER},
    {"destinations", "Destinations", ROW_NUMBER},
    {"connections", "Connections out", ROW_NUMBER},
    {"commits", "Store commits", ROW_NUMBER},
    {"store_operations", "Store operations", ROW_NUMBER},
    {"map_used", "Store used", ROW_SIZE},
    {"map_size", "Store maximum", ROW_SIZE},
    {"disk_free", "Disk free", ROW_SIZE},
    {"oldest", "Oldest message", ROW_SINCE},
    {"swept", "Last full sweep", ROW_SINCE},
    {"overdue", "Overdue", ROW_NUMBER},
};

static void print_row(const struct row *row, const json_t *value)
{
    char text[OUTPUT_DURATION_MAX];
    uint64_t number = (uint64_t)json_integer_value(value);
    uint64_t now = clock_wall_ms();
    size_t len = 0;

    output_cell(span_cstr(row->label), 16, OUTPUT_BOLD);
    switch (row->kind) {
    case ROW_NUMBER:
        len = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
        break;
    case ROW_SIZE:
        len = output_size(number, text);
        break;
    case ROW_SINCE:
        if (number == 0)
            output_text(SPAN("-"));
        else
            len = output_duration(now > number ? now - number : 0, text);
        break;
    case ROW_TEXT:
        output_text(span_of(json_string_value(value), json_string_length(value)));
        break;
    }
    output_text(span_of(text, len));
    putchar('\n');
}

static void print_warnings(const json_t *answer)
{
    if (json_is_true(json_object_get(answer, "store_broken")))
        puts("The store has failed: nothing is accepted until it works again (see the log).");
    else if (json_is_true(json_object_get(answer, "store_low")))
        puts("The store is short of room: new mail is refused with 452 until there is more.");
    json_int_t suspensions = json_integer_value(json_object_get(answer, "suspensions"));
    if (suspensions > 0)
        printf("Mail is suspended (%lld): `smarthopctl queue suspensions` tells what and why.\n",
               (long long)suspensions);
    if (json_integer_value(json_object_get(answer, "overdue")) > 0)
        puts("Some mail is here beyond its time: `smarthopctl queue list` begins with it.");
    if (json_is_true(json_object_get(answer, "stress")))
        puts("Sessions are scarce: those that wait have less time until there are fewer.");
}

enum ctl_exit ctl_status(struct ctl *ctl)
{
    json_t *answer;
    enum ctl_exit asked = client_command(ctl, "status", &answer);

    if (asked != CTL_OK)
        return asked;
    if (ctl->json) {
        client_print(answer);
    } else {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            const json_t *value = json_object_get(answer, rows[i].name);
            if (value != NULL)
                print_row(&rows[i], value);
        }
        print_warnings(answer);
    }
    json_decref(answer);
    return CTL_OK;
}

enum ctl_exit ctl_reopen_log(struct ctl *ctl)
{
    json_t *answer;
    enum ctl_exit asked = client_command(ctl, "reopen-log", &answer);

    if (asked != CTL_OK)
        return asked;
    if (ctl->json)
        client_print(answer);
    json_decref(answer);
    return CTL_OK;
}

enum ctl_exit ctl_reload(struct ctl *ctl)
{
    json_t *answer;
    const json_t *line;
    size_t i;
    enum ctl_exit asked = client_command(ctl, "reload", &answer);

    if (asked != CTL_OK)
        return asked;
    if (ctl->json) {
        client_print(answer);
    } else {
        puts("The configuration was read anew.");
        json_array_foreach(json_object_get(answer, "messages"), i, line)
            puts(json_string_value(line));
    }
    json_decref(answer);
    return CTL_OK;
}
