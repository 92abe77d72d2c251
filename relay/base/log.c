#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum log_target { TARGET_STDERR, TARGET_FILE, TARGET_JOURNAL, TARGET_FORWARD };

/* The process has one log; everything else that is global in it is constant. */
static struct {
    pthread_mutex_t lock; /* around reopening */
    enum log_target target;
    char *path;
    log_sink *forward;
    void *context;
    _Atomic int fd;
    _Atomic int level;
    atomic_bool is_torn; /* the file ends in the midst of a line: it had no room */
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .level = LOG_INFO};

enum { GATHER = 16384 };
static _Thread_local char gathered[GATHER];
static _Thread_local size_t gathered_len;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static struct err open_file(const char *path, int *fd_out)
{
    *fd_out = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    return *fd_out < 0 ? err_system(errno, "open log") : ERR_OK;
}

static struct err open_journal(int *fd_out)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};

    *fd_out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (*fd_out < 0)
        return err_system(errno, "socket");
    if (connect(*fd_out, (struct sockaddr *)&addr, sizeof addr) != 0) {
        int sys = errno;
        close(*fd_out);
        return err_system(sys, "connect " JOURNAL_SOCKET);
    }
    return ERR_OK;
}

struct err log_open(const char *target, enum log_level level)
{
    int fd = STDERR_FILENO;
    struct err e = ERR_OK;

    sink.target = TARGET_STDERR;
    if (strcmp(target, "journal") == 0) {
        sink.target = TARGET_JOURNAL;
        e = open_journal(&fd);
    } else if (strcmp(target, "stderr") != 0) {
        sink.target = TARGET_FILE;
        e = open_file(target, &fd);
    }
    if (err_is(e)) {
        sink.target = TARGET_STDERR;
        return e;
    }
    free(sink.path);
    sink.path = sink.target == TARGET_FILE ? strdup(target) : NULL;
    int old = atomic_exchange(&sink.fd, fd);
    if (old != STDERR_FILENO)
        close(old);
    log_set_level(level);
    return ERR_OK;
}

void log_forward(log_sink *forward, void *context)
{
    sink.target = TARGET_FORWARD;
    sink.forward = forward;
    sink.context = context;
}

void log_give(uid_t user, gid_t group)
{
    int fd = atomic_load(&sink.fd);
    struct stat st;

    if (sink.target != TARGET_FILE || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != 0)
        return;
    if (fchown(fd, user, group) != 0)
        log_failure(LOG_WARN, "log-not-given", err_system(errno, "chown"), "path", sink.path);
}

struct err log_reopen(void)
{
    int fd = -1;

    pthread_mutex_lock(&sink.lock);
    struct err e = ERR_OK;
    if (sink.target == TARGET_FILE) {
        e = open_file(sink.path, &fd);
        /* dup3 swaps the file behind the number that other threads may be writing to. */
        if (!err_is(e) && dup3(fd, atomic_load(&sink.fd), O_CLOEXEC) < 0)
            e = err_system(errno, "dup3");
        if (fd >= 0)
            close(fd);
    }
    pthread_mutex_unlock(&sink.lock);
    return e;
}

void log_set_level(enum log_level level)
{
    atomic_store(&sink.level, (int)level);
}

static void add_bytes(struct log_line *line, const char *bytes, size_t len)
{
    size_t room = LOG_LINE_MAX - 1 - line->len; /* one for the line feed */

    if (len > room)
        len = room;
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}

static void add_key(struct log_line *line, const char *key)
{
    add_bytes(line, " ", 1);
    add_bytes(line, key, strlen(key));
    add_bytes(line, "=", 1);
}

static char digit(uint64_t number)
{
    return (char)('0' + number % 10);
}

/* The second's part of the stamp changes seldom; each thread keeps the last one. */
static void add_time(struct log_line *line)
{
    static _Thread_local time_t second;
    static _Thread_local char stamp[32];
    uint64_t now = clock_wall_ms();
    char millis[] = {'.', digit(now / 100), digit(now / 10), digit(now), 'Z'};

    if ((time_t)(now / 1000) != second) {
        struct tm tm;
        second = (time_t)(now / 1000);
        gmtime_r(&second, &tm);
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    add_bytes(line, stamp, strlen(stamp));
    add_bytes(line, millis, sizeof millis);
}

bool log_begin(struct log_line *line, enum log_level level, const char *event)
{
    if ((int)level > atomic_load_explicit(&sink.level, memory_order_relaxed))
        return false;
    line->level = level;
    line->event = event;
    line->len = 0;
    if (sink.target == TARGET_FORWARD)
        return true;
    if (sink.target != TARGET_JOURNAL) {
        add_time(line);
        add_bytes(line, " ", 1);
        add_bytes(line, level_names[level], strlen(level_names[level]));
        add_bytes(line, " ", 1);
    }
    add_bytes(line, event, strlen(event));
    return true;
}

static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c >= 0x7f)
            return false;
    }
    return s.len > 0;
}

void log_span(struct log_line *line, const char *key, struct span value)
{
    add_key(line, key);
    if (is_plain(value)) {
        add_bytes(line, value.ptr, value.len);
        return;
    }
    add_bytes(line, "\"", 1);
    for (size_t i = 0; i < value.len && line->len < LOG_LINE_MAX - 8; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        char escape[8];
        if (c == '"' || c == '\\')
            add_bytes(line, escape, (size_t)snprintf(escape, sizeof escape, "\\%c", c));
        else if (c < ' ' || c >= 0x7f)
            add_bytes(line, escape, (size_t)snprintf(escape, sizeof escape, "\\x%02x", c));
        else
            add_bytes(line, (const char *)&c, 1);
    }
    add_bytes(line, "\"", 1);
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    log_span(line, key, span_cstr(value));
}

void log_u64(struct log_line *line, const char *key, uint64_t value)
{
    char digits[SPAN_U64_MAX];
    struct span text = span_format_u64(value, digits);

    add_key(line, key);
    add_bytes(line, text.ptr, text.len);
}

void log_err(struct log_line *line, struct err e)
{
    char text[ERR_TEXT_MAX];

    log_text(line, "error", err_text(e, text));
}

/* Less where it cannot be written: that must not stop mail. */
static size_t write_some(const char *bytes, size_t len)
{
    int fd = atomic_load(&sink.fd);
    size_t written = 0;

    while (written < len) {
        ssize_t n = write(fd, bytes + written, len - written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        written += (size_t)n;
    }
    return written;
}

/* What is written behind half a line begins on one of its own. */
static void write_lines(const char *bytes, size_t len)
{
    bool was_torn = atomic_exchange(&sink.is_torn, false);
    size_t written = was_torn && write_some("\n", 1) == 0 ? 0 : write_some(bytes, len);

    if (written == 0 ? was_torn : bytes[written - 1] != '\n')
        atomic_store(&sink.is_torn, true);
}

static void send_to_journal(const struct log_line *line)
{
    static const int priorities[] = {3, 4, 6, 7};
    char datagram[LOG_LINE_MAX + 96];
    int len = snprintf(datagram, sizeof datagram,
                       "PRIORITY=%d\nSYSLOG_IDENTIFIER=smarthopd\nMESSAGE=%.*s\n",
                       priorities[line->level], (int)line->len, line->text);

    if (len > 0)
        (void)!send(atomic_load(&sink.fd), datagram, (size_t)len, MSG_NOSIGNAL);
}

void log_end(struct log_line *line)
{
    if (sink.target == TARGET_FORWARD) {
        line->text[line->len] = '\0';
        sink.forward(sink.context, line->level, line->event,
                     line->text + (line->len > 0)); /* without the blank before the first pair */
        return;
    }
    if (sink.target == TARGET_JOURNAL) {
        send_to_journal(line);
        return;
    }
    line->text[line->len++] = '\n';
    if (gathered_len + line->len > GATHER)
        log_flush();
    memcpy(gathered + gathered_len, line->text, line->len);
    gathered_len += line->len;
    if (line->level == LOG_ERROR)
        log_flush();
}

void log_failure(enum log_level level, const char *event, struct err e, const char *key,
                 const char *value)
{
    struct log_line line;

    if (!log_begin(&line, level, event))
        return;
    if (key != NULL)
        log_text(&line, key, value);
    log_err(&line, e);
    log_end(&line);
}

void log_flush(void)
{
    if (gathered_len == 0)
        return;
    size_t len = gathered_len;
    gathered_len = 0;
    write_lines(gathered, len);
}
