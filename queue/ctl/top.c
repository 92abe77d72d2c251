/* queue top: the queue at a glance, again and again. */
#include "base/clock.h"
#include "queue/ctl/census.h"
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"
#include "queue/ctl/select.h"
#include "route/route.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

enum {
    ROWS = 15,
    REFRESH_MS = 1000,
    REST = 4, /* a large queue is read for a fifth of the time at most */
    WIDTH_COUNT = 10,
    COUNTS_WIDTH = 2 * (WIDTH_COUNT + 1), /* each with its space */
    HEADING_LINES = 2,
    ROOMY = 1 << 30, /* columns and lines of what is no screen */
    INTERRUPT = 3,   /* Ctrl-C, which is a byte here */
};

static const char *const counter_names[] = {"accepted", "rejected", "delivered", "deferred",
                                            "failed"};
enum { COUNTERS = sizeof counter_names / sizeof counter_names[0] };

struct top {
    struct ctl *ctl;
    struct census *states;
    struct census *destinations;
    uint64_t messages, recipients, bytes, last_id;
    bool has_daemon;
    uint64_t sessions, connections;
    uint64_t counters[COUNTERS], before[COUNTERS];
    uint64_t at, before_at;  /* monotonic ms; 0 = there is nothing before */
    uint64_t columns, lines; /* that are left of the screen; ROOMY where it is none */
};

static bool visit(void *context, const struct selected *s)
{
    struct top *top = context;
    unsigned recipients = 0;

    for (unsigned i = 0; i < s->group->recipient_count; i++)
        recipients += filter_recipient(&top->ctl->filter, &s->group->recipients[i]);
    top->recipients += recipients;
    if (s->message->id != top->last_id) {
        top->messages++;
        top->bytes += s->message->size;
    }
    top->last_id = s->message->id;
    census_add(top->states, span_cstr(view_state_detail(s->state, s->group, s->now)),
               s->message->id, 0, s->message->size, recipients);
    census_add(top->destinations, route_destination_place(s->group->destination), s->message->id, 0,
               s->message->size, recipients);
    return true;
}

static enum ctl_exit ask_daemon(struct top *top)
{
    json_t *answer;
    enum ctl_exit asked = client_ask(top->ctl, json_pack("{s:s}", "command", "status"), &answer);

    top->before_at = top->has_daemon ? top->at : 0;
    memcpy(top->before, top->counters, sizeof top->before);
    top->has_daemon = asked == CTL_OK;
    top->at = clock_mono_ms();
    for (unsigned i = 0; i < COUNTERS && asked == CTL_OK; i++)
        top->counters[i] = client_number(answer, counter_names[i]);
    top->sessions = client_number(answer, "sessions");
    top->connections = client_number(answer, "connections");
    json_decref(answer);
    return asked == CTL_NO_DAEMON ? CTL_OK : asked;
}

static enum ctl_exit collect(struct top *top)
{
    struct queue *queue;
    enum ctl_exit opened = ctl_open_store(top->ctl, true, &queue);

    if (opened != CTL_OK)
        return opened;
    top->messages = top->recipients = top->bytes = top->last_id = 0;
    struct err e = select_groups(queue, &top->ctl->filter, visit, top);
    queue_close(queue);
    return err_is(e) ? ctl_store_failed(0, e) : ask_daemon(top);
}

/* ---- the screen ----------------------------------------------------------------------------- */

/* As much of it as fits behind `used` columns. */
static void write_rest(const struct top *top, struct span text, uint64_t used)
{
    if (used < top->columns)
        output_text(span_head(text, top->columns - used));
    putchar('\n');
}

/* A line of its own, where there is room for one. */
static void write_line(struct top *top, struct buf *line)
{
    if (top->lines > 0) {
        write_rest(top, buf_span(line), 0);
        top->lines--;
    }
    buf_clear(line);
}

static void write_counters(struct top *top, struct buf *line)
{
    if (!top->has_daemon) {
        buf_addf(line, "smarthopd is not running.");
        write_line(top, line);
        return;
    }
    uint64_t ms = top->before_at != 0 && top->at > top->before_at ? top->at - top->before_at : 0;
    for (unsigned i = 0; i < COUNTERS; i++) {
        buf_addf(line, "%s%s %" PRIu64, i ? ", " : "", counter_names[i], top->counters[i]);
        if (ms > 0 && top->counters[i] >= top->before[i])
            buf_addf(line, " (%.1f/s)",
                     (double)(top->counters[i] - top->before[i]) * 1000.0 / (double)ms);
    }
    write_line(top, line);
    buf_addf(line, "%" PRIu64 " sessions in, %" PRIu64 " connections out", top->sessions,
             top->connections);
    write_line(top, line);
}

static void write_rows(struct top *top, struct census *census, const char *heading, uint64_t most)
{
    unsigned count;
    const struct census_row *rows = census_rows(census, &count);

    if (top->lines <= HEADING_LINES)
        return;
    top->lines -= HEADING_LINES;
    putchar('\n');
    output_cell(SPAN("MESSAGES"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(SPAN("RECIPIENTS"), WIDTH_COUNT, OUTPUT_BOLD);
    output_cell(span_cstr(heading), 0, OUTPUT_BOLD);
    putchar('\n');
    for (unsigned i = 0; i < count && i < most && top->lines > 0; i++) {
        output_number(rows[i].messages, WIDTH_COUNT);
        output_number(rows[i].recipients, WIDTH_COUNT);
        write_rest(top, rows[i].key.len > 0 ? rows[i].key : SPAN("(all others)"), COUNTS_WIDTH);
        top->lines--;
    }
}

/* One line stays empty, for the cursor. */
static void measure(struct top *top, bool is_screen)
{
    unsigned short columns, lines;

    output_screen(&columns, &lines);
    top->columns = is_screen ? columns : ROOMY;
    top->lines = is_screen ? lines - 1U : ROOMY;
}

static void write_screen(struct top *top)
{
    char size[OUTPUT_SIZE_MAX], now[OUTPUT_TIME_MAX];
    size_t len = output_size(top->bytes, size);
    struct buf line;

    output_time(clock_wall_ms(), now);
    buf_init(&line, 0);
    buf_addf(&line, "%s  %" PRIu64 " messages for %" PRIu64 " recipients, %.*s", now, top->messages,
             top->recipients, (int)len, size);
    write_line(top, &line);
    write_counters(top, &line);
    buf_fini(&line);
    write_rows(top, top->states, "STATE", VIEW_STATES + 2);
    write_rows(top, top->destinations, "DESTINATION",
               top->ctl->options & CTL_LIMIT ? top->ctl->limit : ROWS);
}

static enum ctl_exit draw(struct top *top, bool is_screen)
{
    top->states = census_create();
    top->destinations = census_create();
    enum ctl_exit result = collect(top);
    if (result == CTL_OK) {
        measure(top, is_screen);
        if (is_screen)
            fputs("\033[H\033[2J", stdout);
        write_screen(top);
        fflush(stdout);
    }
    census_free(top->states);
    census_free(top->destinations);
    return result;
}

/* True for q, Ctrl-C and the end of input. */
static bool is_told_to_quit(uint64_t wait_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char key;

    if (poll(&input, 1, (int)wait_ms) <= 0)
        return false;
    return read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == INTERRUPT;
}

static enum ctl_exit run_live(struct top *top, const struct termios *usual)
{
    struct termios raw = *usual;
    enum ctl_exit result;
    uint64_t rest;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG); /* signals must not leave it like this */
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fputs("\033[?1049h", stdout);
    do {
        uint64_t start = clock_mono_ms();
        result = draw(top, true);
        rest = (clock_mono_ms() - start) * REST;
    } while (result == CTL_OK && !is_told_to_quit(rest > REFRESH_MS ? rest : REFRESH_MS));
    fputs("\033[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, usual);
    return result;
}

enum ctl_exit ctl_top(struct ctl *ctl)
{
    struct top top = {.ctl = ctl};
    struct termios usual;

    if (ctl->json) {
        ctl_complain("`queue top` is for people; `queue group-by` and `status` write JSON");
        return CTL_USAGE;
    }
    if (ctl->options & CTL_ONCE || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &usual) != 0)
        return draw(&top, false);
    return run_live(&top, &usual);
}
