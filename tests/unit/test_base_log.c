/* base/log: the form of a line, what is escaped, cut and left out, and rotation. */
#include "base/log.h"

#include "support/full_file.h"
#include "support/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FILE_MAX = 1 << 20 };

static char folder[SCRATCH_PATH], path[SCRATCH_PATH + 16], moved[SCRATCH_PATH + 16];
static char got[FILE_MAX];

static size_t read_log(const char *file)
{
    int fd = open(file, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t len = read(fd, got, sizeof got - 1);
    close(fd);
    assert_true(len >= 0);
    got[len] = '\0';
    return (size_t)len;
}

/* Behind the time stamp of the only line: "2026-01-02T03:04:05.678Z ". */
static const char *only_line(void)
{
    enum { STAMP = 25 };
    size_t len = read_log(path);

    assert_true(len > STAMP);
    assert_int_equal(got[10], 'T');
    assert_int_equal(got[19], '.');
    assert_string_equal(strchr(got, '\n'), "\n");
    return got + STAMP;
}

static int set_up(void **state)
{
    (void)state;
    scratch_make(folder);
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(moved, sizeof moved, "%s/log.1", folder);
    return err_is(log_open(path, LOG_INFO));
}

static int tear_down(void **state)
{
    (void)state;
    log_flush();
    struct err e = log_open("stderr", LOG_INFO);
    scratch_remove(folder);
    return err_is(e);
}

static void test_line(void **state)
{
    struct log_line line;

    (void)state;
    assert_true(log_begin(&line, LOG_WARN, "odd-thing"));
    log_text(&line, "id", "4F2");
    log_u64(&line, "size", UINT64_MAX);
    log_text(&line, "none", NULL);
    log_err(&line, err_system(ENOENT, "open"));
    log_end(&line);
    log_flush();
    assert_string_equal(only_line(), "warn odd-thing id=4F2 size=18446744073709551615 none=\"\" "
                                     "error=\"open: No such file or directory\"\n");
}

static void test_escapes(void **state)
{
    static const struct {
        struct span value;
        const char *text;
    } cases[] = {
        {{"a@b.example", 11}, "a@b.example"},
        {{"", 0}, "\"\""},
        {{"a b", 3}, "\"a b\""},
        {{"a=b", 3}, "\"a=b\""},
        {{"\"\\", 2}, "\"\\\"\\\\\""},
        {{"x\r\ny\0z", 6}, "\"x\\x0d\\x0ay\\x00z\""},
        {{"\x1b[0m\x7f\xff", 6}, "\"\\x1b[0m\\x7f\\xff\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char wanted[128];
        struct log_line line;
        assert_int_equal(truncate(path, 0), 0);
        log_begin(&line, LOG_INFO, "x");
        log_span(&line, "v", cases[i].value);
        log_end(&line);
        log_flush();
        snprintf(wanted, sizeof wanted, "info x v=%s\n", cases[i].text);
        assert_string_equal(only_line(), wanted);
    }
}

static void test_long_values_are_cut(void **state)
{
    static char value[3 * LOG_LINE_MAX];

    (void)state;
    for (int fill = 0; fill < 2; fill++) {
        struct log_line line;
        memset(value, fill ? 'x' : '\n', sizeof value);
        assert_int_equal(truncate(path, 0), 0);
        log_begin(&line, LOG_INFO, "x");
        for (int i = 0; i < 3; i++)
            log_span(&line, "v", span_of(value, sizeof value));
        log_u64(&line, "n", 1);
        log_end(&line);
        log_flush();
        only_line();
        assert_true(strlen(got) > LOG_LINE_MAX / 2 && strlen(got) <= LOG_LINE_MAX);
    }
}

static void test_levels(void **state)
{
    struct log_line line;

    (void)state;
    assert_false(log_begin(&line, LOG_DEBUG, "x"));
    log_set_level(LOG_DEBUG);
    assert_true(log_begin(&line, LOG_DEBUG, "x"));
    log_set_level(LOG_ERROR);
    assert_false(log_begin(&line, LOG_WARN, "x"));
    log_failure(LOG_WARN, "x", ERR_OK, NULL, NULL);
    log_flush();
    assert_int_equal(read_log(path), 0);
    log_failure(LOG_ERROR, "dire", err_make(ERR_CORRUPT, "read"), "id", "7");
    assert_string_equal(only_line(),
                        "error dire id=7 error=\"read: damaged data\"\n"); /* at once */
}

static void write_info(const char *event)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, event);
    log_end(&line);
    log_flush();
}

static void test_rotation(void **state)
{
    (void)state;
    write_info("before");
    assert_int_equal(rename(path, moved), 0);
    write_info("between");
    assert_false(err_is(log_reopen()));
    write_info("after");
    assert_non_null(strstr(only_line(), "after"));
    read_log(moved);
    assert_non_null(strstr(got, "before"));
    assert_non_null(strstr(got, "between"));
}

/* Whole lines again where there is room again: the half one is nobody's beginning. */
static void test_half_a_line_is_ended(void **state)
{
    (void)state;
    write_info("before");
    assert_true(full_file_limit(read_log(path) + 10));
    write_info("torn");
    write_info("lost");
    assert_true(full_file_limit(RLIM_INFINITY));
    write_info("after");
    read_log(path);
    assert_null(strstr(got, "lost"));
    const char *half = strchr(got, '\n') + 1, *last = strchr(half, '\n') + 1;
    assert_int_equal(last - half, 10 + 1);
    assert_int_equal(last[10], 'T');
    assert_string_equal(last + strcspn(last, "i"), "info after\n");
}

static void test_a_failed_reopening_keeps_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(err_is(log_reopen()));
    write_info("still");
    read_log(moved);
    assert_non_null(strstr(got, "still"));
}

static void test_a_symbolic_link_is_not_followed(void **state)
{
    char name[SCRATCH_PATH + 16];

    (void)state;
    snprintf(name, sizeof name, "%s/link", folder);
    assert_int_equal(symlink(path, name), 0);
    assert_true(err_is(log_open(name, LOG_INFO)));
    write_info("still");
    assert_non_null(strstr(only_line(), "still"));
}

enum { THREADS = 4, LINES = 500 };

static void *write_many(void *name)
{
    for (int i = 0; i < LINES; i++) {
        struct log_line line;
        log_begin(&line, LOG_INFO, name);
        log_text(&line, "k", "0123456789012345678901234567890123456789");
        log_end(&line);
    }
    log_flush();
    return NULL;
}

static void test_threads_write_whole_lines(void **state)
{
    static const char *const names[THREADS] = {"a", "b", "c", "d"};
    pthread_t threads[THREADS];
    unsigned lines = 0;

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)(uintptr_t)names[i]),
                         0);
    for (int i = 0; i < THREADS; i++) {
        assert_false(err_is(log_reopen()));
        pthread_join(threads[i], NULL);
    }
    struct span rest = span_of(got, read_log(path));
    while (rest.len > 0) {
        struct span line = span_split(rest, '\n', &rest);
        assert_int_equal(line.ptr[4], '-');
        assert_true(span_ends_nocase(line, SPAN(" k=0123456789012345678901234567890123456789")));
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES);
}

struct forwarded {
    unsigned lines;
    enum log_level level;
    char event[32];
    char pairs[256];
};

static void on_line(void *context, enum log_level level, const char *event, const char *pairs)
{
    struct forwarded *line = context;

    line->lines++;
    line->level = level;
    snprintf(line->event, sizeof line->event, "%s", event);
    snprintf(line->pairs, sizeof line->pairs, "%s", pairs);
}

static void test_lines_are_forwarded(void **state)
{
    struct forwarded forwarded = {0};
    struct log_line line;

    (void)state;
    log_forward(on_line, &forwarded);
    assert_false(log_begin(&line, LOG_DEBUG, "off"));
    assert_true(log_begin(&line, LOG_WARN, "odd"));
    log_text(&line, "a", "1");
    log_text(&line, "b", "two words");
    log_end(&line);
    assert_int_equal(forwarded.lines, 1);
    assert_int_equal(forwarded.level, LOG_WARN);
    assert_string_equal(forwarded.event, "odd");
    assert_string_equal(forwarded.pairs, "a=1 b=\"two words\"");
    assert_true(log_begin(&line, LOG_INFO, "bare"));
    log_end(&line);
    assert_int_equal(forwarded.lines, 2);
    assert_string_equal(forwarded.pairs, "");
    assert_int_equal(read_log(path), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(test_line),
        TEST(test_escapes),
        TEST(test_long_values_are_cut),
        TEST(test_levels),
        TEST(test_rotation),
        TEST(test_half_a_line_is_ended),
        TEST(test_a_failed_reopening_keeps_the_old_file),
        TEST(test_a_symbolic_link_is_not_followed),
        TEST(test_threads_write_whole_lines),
        TEST(test_lines_are_forwarded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
