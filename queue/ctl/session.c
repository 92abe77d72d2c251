/* sessions and session end: the clients of the running daemon. Printed as they come, page by page.
 */
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"
#include "queue/ctl/pages.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    WIDTH_ID = 9,
    WIDTH_TIME = 8,
    WIDTH_COUNT = 5,
    WIDTH_SIZE = 5,
    WIDTH_TLS = 7,
    WIDTH_STATE = 27,
    WIDTH_LISTENER = 12,
    WIDTH_TEXT = 28,  /* client, hello, user */
    WIDTH_WIDE = 200, /* from here on everything goes into one line */
};

struct column {
    const char *name;
    const char *heading;
    size_t width;
    enum { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_TIME, COLUMN_SIZE } kind;
};

static const struct column columns[] = {
    {"session", "SESSION", WIDTH_ID, COLUMN_NUMBER},
    {"ms", "AGE", WIDTH_TIME, COLUMN_TIME},
    {"state", "STATE", WIDTH_STATE, COLUMN_TEXT},
    {"state_ms", "FOR", WIDTH_TIME, COLUMN_TIME},
    {"messages", "MSGS", WIDTH_COUNT, COLUMN_NUMBER},
    {"recipients", "RCPTS", WIDTH_COUNT, COLUMN_NUMBER},
    {"errors", "ERRS", WIDTH_COUNT, COLUMN_NUMBER},
    {"bytes", "BYTES", WIDTH_SIZE, COLUMN_SIZE},
    {"tls", "TLS", WIDTH_TLS, COLUMN_TEXT},
    {"listener", "LISTENER", WIDTH_LISTENER, COLUMN_TEXT},
    {"client", "CLIENT", WIDTH_TEXT, COLUMN_TEXT},
    {"hello", "HELLO", WIDTH_TEXT, COLUMN_TEXT},
    {"user", "USER", WIDTH_TEXT, COLUMN_TEXT},
};
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0], COLUMN_BREAK = 9 };

static void begin_column(size_t index)
{
    bool one_line = output_width() == 0 || output_width() >= WIDTH_WIDE;

    if (index == COLUMN_BREAK && !one_line)
        fputs("\n    ", stdout);
}

static void write_heading(void)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        begin_column(i);
        output_cell(span_cstr(columns[i].heading), columns[i].width, OUTPUT_BOLD);
    }
    putchar('\n');
}

static void write_cell(const struct column *column, const json_t *value)
{
    char text[OUTPUT_DURATION_MAX];
    uint64_t number = (uint64_t)json_integer_value(value);
    struct span cell = SPAN_NONE;

    switch (column->kind) {
    case COLUMN_TEXT:
        cell = span_of(json_string_value(value), json_string_length(value));
        break;
    case COLUMN_NUMBER:
        cell = span_of(text, (size_t)snprintf(text, sizeof text, "%" PRIu64, number));
        break;
    case COLUMN_TIME:
        cell = span_of(text, output_duration(number, text));
        break;
    case COLUMN_SIZE:
        cell = span_of(text, output_size(number, text));
        break;
    }
    output_cell(cell.len > 0 ? cell : SPAN("-"), column->width, OUTPUT_PLAIN);
}

static void write_row(const json_t *session)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        begin_column(i);
        write_cell(&columns[i], json_object_get(session, columns[i].name));
    }
    putchar('\n');
}

static void print_session(const json_t *session, uint64_t shown, void *context)
{
    (void)context;
    if (shown == 0)
        write_heading();
    write_row(session);
}

enum ctl_exit ctl_sessions(struct ctl *ctl)
{
    const struct pages pages = {.command = "sessions", .print = print_session};
    uint64_t shown;
    enum ctl_exit result = pages_print(ctl, &pages, &shown);

    if (!ctl->json && shown == 0 && result == CTL_OK)
        puts("No client is connected.");
    return result;
}

enum ctl_exit ctl_session_end(struct ctl *ctl)
{
    uint64_t id;
    json_t *answer;

    if (!span_parse_u64(span_cstr(ctl->operands[0]), &id) || id == 0 || id > INT64_MAX) {
        ctl_complain("\"%s\" is not the number of a session; `smarthopctl sessions` shows them",
                     ctl->operands[0]);
        return CTL_USAGE;
    }
    enum ctl_exit asked = client_order(
        ctl, json_pack("{s:s,s:I}", "command", "end-session", "session", (json_int_t)id), &answer);
    if (asked != CTL_OK)
        return asked;
    if (ctl->json)
        client_print(answer);
    else
        printf("Session %" PRIu64 " has been ended.\n", id);
    json_decref(answer);
    return CTL_OK;
}
