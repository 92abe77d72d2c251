#include "conf/source.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    INCLUDE_DEPTH_MAX = 8,
    INCLUDES_MAX = 256,
    PROBLEMS_MAX = 200,
    TEXT_MAX = 4 << 20, /* of one file, and of the flat text */
};

void conf_source_init(struct conf_source *source)
{
    *source = (struct conf_source){0};
    buf_init(&source->text, 0);
}

void conf_source_fini(struct conf_source *source)
{
    for (unsigned i = 0; i < source->file_count; i++)
        free(source->files[i]);
    free(source->files);
    for (unsigned i = 0; i < source->problem_count; i++)
        free(source->problems[i].text);
    free(source->problems);
    free(source->lines);
    buf_fini(&source->text);
}

void conf_source_problem(struct conf_source *source, unsigned line, const char *format, ...)
{
    struct conf_problem problem = {.line = line};
    va_list args;

    if (source->problem_count >= PROBLEMS_MAX)
        return;
    va_start(args, format);
    if (vasprintf(&problem.text, format, args) < 0)
        abort();
    va_end(args);
    for (char *c = problem.text; *c != '\0'; c++) {
        if (conf_is_control(*c))
            *c = '?';
    }
    source->problems =
        mem_realloc(source->problems, (source->problem_count + 1) * sizeof *source->problems);
    source->problems[source->problem_count++] = problem;
}

void conf_source_print_place(const struct conf_source *source, unsigned line, struct buf *out)
{
    if (line == 0 || line > source->line_count) {
        buf_addf(out, "%s", source->files[0]);
        return;
    }
    struct conf_source_line at = source->lines[line - 1];
    buf_addf(out, "%s:%u", source->files[at.file], at.line);
}

void conf_source_print_problems(struct conf_source *source, struct buf *out)
{
    struct conf_problem *items = source->problems;

    for (unsigned i = 1; i < source->problem_count; i++) {
        struct conf_problem moved = items[i];
        unsigned at = i;
        for (; at > 0 && items[at - 1].line > moved.line; at--)
            items[at] = items[at - 1];
        items[at] = moved;
    }
    for (unsigned i = 0; i < source->problem_count; i++) {
        conf_source_print_place(source, items[i].line, out);
        buf_addf(out, ": %s\n", items[i].text);
    }
    if (source->problem_count >= PROBLEMS_MAX)
        buf_addf(out, "%s: further problems are not shown\n", source->files[0]);
}

static unsigned add_line(struct conf_source *source, unsigned file, unsigned line)
{
    if ((source->line_count & (source->line_count - 1)) == 0)
        source->lines =
            mem_realloc(source->lines,
                        (source->line_count ? 2 * source->line_count : 1) * sizeof *source->lines);
    source->lines[source->line_count++] = (struct conf_source_line){file, line};
    return source->line_count;
}

/* Makes the end of the text stand for this line of this file. */
static unsigned begin_line(struct conf_source *source, unsigned file, unsigned line)
{
    if (source->line_count > 0) {
        struct conf_source_line last = source->lines[source->line_count - 1];
        if (last.file == file && last.line == line)
            return source->line_count;
        buf_add(&source->text, SPAN("\n"));
    }
    return add_line(source, file, line);
}

static void add_token(struct conf_source *source, unsigned file, const struct conf_token *token)
{
    unsigned line = token->line;

    begin_line(source, file, line);
    buf_add(&source->text, token->text);
    buf_add(&source->text, SPAN(" "));
    for (size_t i = 0; i < token->text.len; i++) {
        if (token->text.ptr[i] == '\n')
            add_line(source, file, ++line);
    }
}

static struct err read_open_file(int fd, struct buf *out)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_system(errno, "stat");
    if (!S_ISREG(st.st_mode))
        return err_make(ERR_INVALID, "not a regular file");
    for (;;) {
        char *room = buf_reserve(out, 16384);
        if (room == NULL)
            return err_make(ERR_INVALID, "file is larger than 4 MiB");
        ssize_t got = read(fd, room, 16384);
        if (got < 0)
            return err_system(errno, "read");
        if (got == 0)
            return ERR_OK;
        buf_commit(out, (size_t)got);
    }
}

static struct err read_file(const char *file, struct buf *out)
{
    /* Not to hang where somebody names a FIFO. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return err_system(errno, "open");
    struct err e = read_open_file(fd, out);
    close(fd);
    return e;
}

static unsigned add_file(struct conf_source *source, char *name)
{
    source->files = mem_realloc(source->files, (source->file_count + 1) * sizeof(char *));
    source->files[source->file_count] = name;
    return source->file_count++;
}

static void flatten(struct conf_source *source, unsigned file, struct span text, unsigned depth);

/* Relative to the folder of the file that includes it. */
static char *include_path(const char *from, struct span name)
{
    struct span folder = span_cstr(from);
    char *path;

    folder.len = name.len > 0 && name.ptr[0] == '/' ? 0 : span_rindex(folder, '/') + 1;
    if (folder.len > strlen(from))
        folder.len = 0;
    if (asprintf(&path, "%.*s%.*s", SPAN_ARG(folder), SPAN_ARG(name)) < 0)
        abort();
    return path;
}

static void include(struct conf_source *source, unsigned file, const struct conf_token *name,
                    unsigned depth)
{
    struct span inner = name->text;
    struct buf text;

    if (name->kind == CONF_TOKEN_QUOTED)
        inner = span_of(inner.ptr + 1, inner.len - 2);
    unsigned line = begin_line(source, file, name->line);
    if (depth + 1 >= INCLUDE_DEPTH_MAX || source->file_count >= INCLUDES_MAX) {
        conf_source_problem(source, line, "too many nested includes");
        return;
    }
    char *path = include_path(source->files[file], inner);
    unsigned included = add_file(source, path);
    buf_init(&text, TEXT_MAX);
    struct err e = read_file(path, &text);
    char why[ERR_TEXT_MAX];
    if (err_is(e))
        conf_source_problem(source, line, "cannot include %s: %s", path, err_text(e, why));
    else
        flatten(source, included, buf_span(&text), depth + 1);
    buf_fini(&text);
}

/* After the word `include`: true, and *name_out set, where ("file") follows. */
static bool scan_include(struct conf_scanner *scanner, struct conf_token *name_out)
{
    struct conf_scanner ahead = *scanner;
    struct conf_token open = conf_scan(&ahead);
    struct conf_token name = conf_scan(&ahead);
    struct conf_token close = conf_scan(&ahead);

    if (!conf_token_is(&open, "(") || !conf_token_is_text(&name) || !conf_token_is(&close, ")"))
        return false;
    *scanner = ahead;
    *name_out = name;
    return true;
}

static void flatten(struct conf_source *source, unsigned file, struct span text, unsigned depth)
{
    const struct span mark = SPAN("\xef\xbb\xbf"); /* that editors put there */
    struct conf_scanner scanner = {text, 1};

    if (text.len >= mark.len && memcmp(text.ptr, mark.ptr, mark.len) == 0)
        scanner.rest = span_from(text, mark.len);
    for (;;) {
        struct conf_token token = conf_scan(&scanner);
        struct conf_token name;
        if (token.kind == CONF_TOKEN_END)
            return;
        if (token.kind == CONF_TOKEN_BAD) {
            unsigned line = begin_line(source, file, token.line);
            conf_source_problem(source, line, "syntax error: %s", token.wrong);
            return;
        }
        if (buf_len(&source->text) + token.text.len > TEXT_MAX) {
            unsigned line = begin_line(source, file, token.line);
            conf_source_problem(source, line, "the configuration is larger than 4 MiB");
            return;
        }
        if (span_equal(token.text, SPAN("include")) && scan_include(&scanner, &name))
            include(source, file, &name, depth);
        else
            add_token(source, file, &token);
    }
}

struct err conf_source_read(struct conf_source *source, const char *file)
{
    struct buf text;

    add_file(source, mem_strdup(file));
    buf_init(&text, TEXT_MAX);
    struct err e = read_file(file, &text);
    if (!err_is(e))
        flatten(source, 0, buf_span(&text), 0);
    buf_fini(&text);
    return e;
}
