/* report/events: lines for programs, whatever is in them, and a file that is slow or moves. */
#include "report/events.h"

#include "base/log.h"
#include "base/memory.h"
#include "support/full_file.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

struct folder {
    char path[SCRATCH_PATH];
    char file[SCRATCH_PATH + 16];
};

static void folder_make(struct folder *f)
{
    scratch_make(f->path);
    snprintf(f->file, sizeof f->file, "%s/events", f->path);
}

static struct span content(const char *file, char *room, size_t size)
{
    FILE *in = fopen(file, "r");

    if (in == NULL)
        return SPAN("");
    size_t len = fread(room, 1, size, in);
    fclose(in);
    return span_of(room, len);
}

static struct queue_message *message(const char *sender)
{
    struct queue_message *m = queue_message_create();

    m->id = 1;
    m->reverse_path = arena_dup(&m->arena, span_cstr(sender));
    return m;
}

static bool holds(struct span text, const char *part)
{
    return text.len > 0 && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static void test_without_a_file(void **state)
{
    struct queue_message *m = message("a@b.test");
    struct events *events;

    (void)state;
    assert_false(err_is(events_open(NULL, &events)));
    assert_null(events);
    events_add(events, &(struct event){.name = "x", .message = m});
    events_add_all(events, "x", m);
    events_reopen(events);
    events_close(events);
    assert_true(err_is(events_open("/nonexistent/folder/file", &events)));
    queue_message_unref(m);
}

static void test_texts(void **state)
{
    struct status status = {.code = 550, .said = true};
    char room[4096];
    struct folder f;
    struct events *events;

    (void)state;
    folder_make(&f);
    struct queue_message *m = message("\"q\\\"@b.test");
    status.text = SPAN("line\r\nfeed \x7f b\xc3\xbc"
                       "cher");
    status.by = SPAN("mx.test [192.0.2.1]:25");
    assert_false(err_is(events_open(f.file, &events)));
    events_add(events, &(struct event){.name = "failed", .message = m, .status = &status});
    status.text = SPAN("broken \xff\xc3 text");
    status.by = SPAN("[192.0.2.1]:25");
    events_add(events, &(struct event){.name = "failed", .message = m, .status = &status});
    events_close(events);
    struct span text = content(f.file, room, sizeof room);
    assert_true(holds(text, "\"sender\":\"\\u0022q\\u005c\\u0022@b.test\""));
    assert_true(holds(text, "\"text\":\"line\\u000d\\u000afeed \\u007f b\xc3\xbc"
                            "cher\",\"said\":true}\n"));
    assert_true(holds(text, "\"host\":\"mx.test\",\"address\":\"[192.0.2.1]:25\",\"code\":550"));
    assert_true(holds(text, "\"text\":\"broken ?? text\""));
    assert_true(holds(text, "\"arrival\":0,\"address\":\"[192.0.2.1]:25\""));
    queue_message_unref(m);
    scratch_remove(f.path);
}

static void test_reopen(void **state)
{
    char room[4096], moved[SCRATCH_PATH + 32];
    struct folder f;
    struct events *events;

    (void)state;
    folder_make(&f);
    struct queue_message *m = message("a@b.test");
    snprintf(moved, sizeof moved, "%s/moved", f.path);
    assert_false(err_is(events_open(f.file, &events)));
    events_add(events, &(struct event){.name = "first", .message = m});
    while (!holds(content(f.file, room, sizeof room), "first"))
        usleep(1000);
    assert_int_equal(rename(f.file, moved), 0);
    events_reopen(events);
    events_add(events, &(struct event){.name = "second", .message = m});
    events_close(events);
    assert_false(holds(content(moved, room, sizeof room), "second"));
    assert_true(holds(content(f.file, room, sizeof room), "second"));
    queue_message_unref(m);
    scratch_remove(f.path);
}

static void on_log_line(void *context, enum log_level level, const char *event, const char *pairs)
{
    (void)level, (void)pairs;
    if (strcmp(event, "events-lost") == 0)
        atomic_store((atomic_bool *)context, true);
}

/* What a disk without room has cut is nobody's beginning. */
static void test_half_a_line_is_ended(void **state)
{
    enum { HALF = 10 };
    atomic_bool is_lost = false;
    char room[4096];
    struct folder f;
    struct events *events;

    (void)state;
    folder_make(&f);
    log_forward(on_log_line, &is_lost);
    struct queue_message *m = message("a@b.test");
    assert_false(err_is(events_open(f.file, &events)));
    assert_true(full_file_limit(HALF));
    events_add(events, &(struct event){.name = "first", .message = m});
    while (!atomic_load(&is_lost))
        usleep(1000);
    assert_true(full_file_limit(RLIM_INFINITY));
    events_add(events, &(struct event){.name = "second", .message = m});
    events_close(events);
    struct span text = content(f.file, room, sizeof room);
    assert_int_equal(text.ptr[HALF], '\n');
    assert_int_equal(text.ptr[HALF + 1], '{');
    assert_false(err_is(log_open("stderr", LOG_INFO)));
    queue_message_unref(m);
    scratch_remove(f.path);
}

/* A pipe that nobody reads takes a little; what is over the bound is dropped, and told. */
static void test_dropped(void **state)
{
    enum { PIECE = 1 << 16, SENT = 2 * EVENTS_PENDING_MAX / PIECE };
    char *large = mem_zalloc(PIECE + 1), *room = mem_alloc(PIECE);
    struct queue_message *m = message("a@b.test");
    struct status status = {.code = 250};
    struct folder f;
    struct events *events;
    struct buf all;

    (void)state;
    folder_make(&f);
    memset(large, 'x', PIECE);
    status.text = span_cstr(large);
    assert_int_equal(mkfifo(f.file, 0600), 0);
    int fd = open(f.file, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_false(err_is(events_open(f.file, &events)));
    for (unsigned i = 0; i < SENT; i++)
        events_add(events, &(struct event){.name = "x", .message = m, .status = &status});
    buf_init(&all, 0);
    assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
    while (!holds(buf_span(&all), "\"event\":\"dropped\",\"count\":")) {
        ssize_t got = read(fd, room, PIECE);
        assert_true(got > 0);
        buf_add(&all, span_of(room, (size_t)got));
    }
    assert_in_range(buf_len(&all), EVENTS_PENDING_MAX / 2, SENT * PIECE - PIECE);
    events_close(events);
    close(fd);
    buf_fini(&all);
    queue_message_unref(m);
    scratch_remove(f.path);
    free(large);
    free(room);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_file), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_reopen),         cmocka_unit_test(test_half_a_line_is_ended),
        cmocka_unit_test(test_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
