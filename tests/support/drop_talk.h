/*
 * drop_talk: clients of a drop_rig that follow a script, a list of lines that ends with NULL:
 *   "C:text"  sends text and CRLF
 *   "R:text"  sends text as it is
 *   "S:text"  the next line of the server begins with text
 *   "=text"   the next line is text
 *   "!shut"   sends no more, but reads
 *   "!eof"    the server closes, without a further byte
 *   "!close"  closes
 * The client may wait for what it expects in between, or send byte by byte, or all at once.
 */
#ifndef SMARTHOP_TESTS_DROP_TALK_H
#define SMARTHOP_TESTS_DROP_TALK_H

#include "support/drop_rig.h"
#include "support/loop_turn.h"

enum drop_way { DROP_BY_LINE, DROP_BY_BYTE, DROP_AT_ONCE };

struct drop_talk {
    int fd;
    struct buf in;
    bool eof;
};

static inline void drop_talk_open(struct drop_talk *t, const struct drop_protocol *protocol)
{
    *t = (struct drop_talk){.fd = drop_rig_connect(protocol)};
    buf_init(&t->in, 0);
}

static inline void drop_talk_close(struct drop_talk *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    buf_fini(&t->in);
}

/* Always true, to stand in a condition. */
static inline bool drop_talk_pull(struct drop_talk *t)
{
    char bytes[65536];
    ssize_t len;

    while ((len = recv(t->fd, bytes, sizeof bytes, 0)) > 0)
        buf_add(&t->in, span_of(bytes, (size_t)len));
    t->eof = t->eof || len == 0 || (errno != EAGAIN && errno != EINTR);
    return true;
}

static inline bool drop_talk_push(struct drop_talk *t, struct span *rest, size_t most)
{
    ssize_t len = send(t->fd, rest->ptr, rest->len < most ? rest->len : most, MSG_NOSIGNAL);

    if (len > 0)
        *rest = span_from(*rest, (size_t)len);
    return rest->len == 0 || (len < 0 && errno != EAGAIN);
}

static inline void drop_talk_send(struct drop_talk *t, struct span bytes, enum drop_way way)
{
    if (bytes.len > 0)
        TURN_UNTIL(drop_rig.loop, drop_talk_push(t, &bytes, way == DROP_BY_BYTE ? 1 : SIZE_MAX) ||
                                      !drop_talk_pull(t));
}

static inline bool drop_talk_has_line(const struct drop_talk *t)
{
    return span_index(buf_span(&t->in), '\n') < buf_len(&t->in);
}

static inline void drop_talk_expect(struct drop_talk *t, const char *wanted, bool is_all)
{
    struct span rest;

    TURN_UNTIL(drop_rig.loop, drop_talk_pull(t) && (drop_talk_has_line(t) || t->eof));
    struct span all = buf_span(&t->in), line = span_split(all, '\n', &rest);
    bool is_line = line.len < all.len && line.len > 0 && line.ptr[line.len - 1] == '\r';
    struct span text = is_line ? span_head(line, line.len - 1) : SPAN_NONE;
    if (!is_line || !(is_all ? span_equal(text, span_cstr(wanted))
                             : span_equal(span_head(text, strlen(wanted)), span_cstr(wanted))))
        fail_msg("wanted \"%s\", got \"%.*s\"%s", wanted, SPAN_ARG(all),
                 t->eof ? " and the end" : "");
    buf_consume(&t->in, line.len + 1);
}

static inline void drop_talk_expect_end(struct drop_talk *t)
{
    TURN_UNTIL(drop_rig.loop, drop_talk_pull(t) && t->eof);
    if (buf_len(&t->in) > 0)
        fail_msg("wanted the end, got \"%.*s\"", SPAN_ARG(buf_span(&t->in)));
}

static inline void drop_talk_step(struct drop_talk *t, const char *line, enum drop_way way)
{
    struct buf text;

    buf_init(&text, 0);
    if (line[0] == 'C' || line[0] == 'R')
        buf_addf(&text, "%s%s", line + 2, line[0] == 'C' ? "\r\n" : "");
    if (line[0] == 'C' || line[0] == 'R')
        drop_talk_send(t, buf_span(&text), way);
    else if (line[0] == 'S')
        drop_talk_expect(t, line + 2, false);
    else if (line[0] == '=')
        drop_talk_expect(t, line + 1, true);
    else if (strcmp(line, "!shut") == 0)
        shutdown(t->fd, SHUT_WR);
    else if (strcmp(line, "!eof") == 0)
        drop_talk_expect_end(t);
    else if (strcmp(line, "!close") == 0)
        drop_talk_close(t);
    else
        fail_msg("\"%s\" is no line of a script", line);
    buf_fini(&text);
}

static inline void drop_talk_follow(struct drop_talk *t, const char *const *script,
                                    enum drop_way way)
{
    struct buf all;

    if (way == DROP_AT_ONCE) {
        buf_init(&all, 0);
        for (const char *const *line = script; *line != NULL; line++)
            if ((*line)[0] == 'C' || (*line)[0] == 'R')
                buf_addf(&all, "%s%s", *line + 2, (*line)[0] == 'C' ? "\r\n" : "");
        drop_talk_send(t, buf_span(&all), way);
        buf_fini(&all);
    }
    for (; *script != NULL; script++)
        if (way != DROP_AT_ONCE || ((*script)[0] != 'C' && (*script)[0] != 'R'))
            drop_talk_step(t, *script, way);
}

/* A client of its own from the greeting to the end. */
static inline void drop_talk_whole(const struct drop_protocol *protocol, const char *const *script,
                                   enum drop_way way)
{
    struct drop_talk t;

    drop_talk_open(&t, protocol);
    drop_talk_follow(&t, script, way);
    drop_talk_close(&t);
    TURN_UNTIL(drop_rig.loop, drop_rig.sessions == 0);
}

#endif
