/*
 * log: the one logger. One line an event, `time level event key=value ...`, ids first, values that
 * came from a peer escaped. Lines gather in a buffer of the thread and are written together when
 * its loop is about to wait (log_flush), at once when the level is error.
 *
 *   struct log_line line;
 *   if (log_begin(&line, LOG_INFO, "accepted")) {
 *       log_text(&line, "id", id);
 *       log_span(&line, "from", path);
 *       log_end(&line);
 *   }
 *
 * Levels: error = an operator must act, warn = odd, info = mail flow, debug = off.
 */
#ifndef SMARTHOP_BASE_LOG_H
#define SMARTHOP_BASE_LOG_H

#include "base/err.h"
#include "base/span.h"

#include <sys/types.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum { LOG_LINE_MAX = 2048 };

struct log_line {
    enum log_level level;
    const char *event;
    size_t len;
    char text[LOG_LINE_MAX];
};

/* `target`: "stderr", "journal" (systemd's native socket), or the path of a file to append to.
 * Before threads start. Until it is called, lines of level info and above go to stderr. */
struct err log_open(const char *target, enum log_level level);
/* A part of the server that is loaded has a log of its own, and hands its lines to the one of who
 * loaded it: `sink` is given a line's level, event, and "key=value key=value". Any thread may be
 * told it. Before threads start. */
typedef void log_sink(void *context, enum log_level level, const char *event, const char *pairs);
void log_forward(log_sink *sink, void *context);
/* A file that root has made becomes this user's, who could not open it anew. */
void log_give(uid_t user, gid_t group);
/* Opens the file anew, for rotation. Any thread. On failure the old one stays. */
struct err log_reopen(void);
void log_set_level(enum log_level level);

/* False where the level is off. All of these: any thread. Values too long for the line are cut. */
bool log_begin(struct log_line *line, enum log_level level, const char *event);
void log_text(struct log_line *line, const char *key, const char *value);
void log_span(struct log_line *line, const char *key, struct span value);
void log_u64(struct log_line *line, const char *key, uint64_t value);
void log_err(struct log_line *line, struct err e);
void log_end(struct log_line *line);

/* A line with an error and one further key (none where key is NULL). */
void log_failure(enum log_level level, const char *event, struct err e, const char *key,
                 const char *value);

/* Writes what this thread has gathered. */
void log_flush(void);

#endif
