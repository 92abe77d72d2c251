/*
 * smtp_reply: reads the replies of a server (RFC 5321 4.2) and writes our own.
 *
 * Replies are hostile input: everything that a peer chooses is bounded and control bytes never
 * leave the parser. What an EHLO reply offers is for smtp_ehlo.h.
 */
#ifndef SMARTHOP_PROTO_SMTP_REPLY_H
#define SMARTHOP_PROTO_SMTP_REPLY_H

#include "base/buf.h"
#include "base/span.h"
#include "proto/parse.h"
#include "proto/status.h"

enum {
    SMTP_REPLY_LINE_MAX = 512, /* RFC 5321 4.5.3.1.5, with CRLF: kept of each line, sent by us */
    SMTP_REPLY_LINE_REFUSE = 2048, /* a longer line is no reply */
    SMTP_REPLY_LINES_MAX = 128,
    SMTP_REPLY_TEXT_MAX = 16384, /* kept of one reply */
};

enum smtp_reply_flag {
    /* A line may end by LF alone, as that of some old servers; refused without it. */
    SMTP_REPLY_ALLOW_BARE_LF = 1 << 0,
};

enum smtp_reply_error {
    SMTP_REPLY_OK = 0,
    SMTP_REPLY_CODE,     /* no code 200..599, or something else than space or hyphen behind it */
    SMTP_REPLY_MISMATCH, /* the lines of one reply have different codes */
    SMTP_REPLY_LINE_TOO_LONG,
    SMTP_REPLY_TOO_MANY_LINES,
    SMTP_REPLY_BARE_LF,
};

struct smtp_reply {
    uint16_t code;
    struct enhanced_code enhanced; /* the first that was seen; absent is all zero */
    /* Without codes, lines separated by '\n'; other control bytes have become spaces. */
    struct span text;
    bool truncated; /* some text did not fit the bounds and was left out */
};

struct smtp_reply_parser {
    struct buf *text;
    unsigned flags;
    enum smtp_reply_error error; /* after PARSE_BAD */
    struct smtp_reply reply;     /* under way */
    size_t lines;
    size_t line_len; /* bytes of the current line, kept or not */
    bool cr_last;
    bool text_full;
    char line[SMTP_REPLY_LINE_MAX];
};

/* `text` is the caller's, takes the text of one reply at a time and outlives the parser; its own
 * bound, if smaller than SMTP_REPLY_TEXT_MAX, holds as well. */
void smtp_reply_parser_init(struct smtp_reply_parser *p, struct buf *text, unsigned flags);

/* Consumes what it has looked at: all of `input`, or up to the end of one reply. After PARSE_DONE
 * out->text lives in the text buffer until the next call, which begins the next reply. */
enum parse_result smtp_reply_parse(struct smtp_reply_parser *p, struct span input,
                                   size_t *consumed_out, struct smtp_reply *out);

/* Static text: "reply line too long". */
const char *smtp_reply_error_text(enum smtp_reply_error error);

/* A walk over the lines of a reply; it lives as long as reply->text:
 * for (lines = smtp_reply_lines(&reply); smtp_reply_lines_next(&lines, &line);) ... */
struct smtp_reply_lines {
    struct span rest;
    bool end;
};

struct smtp_reply_lines smtp_reply_lines(const struct smtp_reply *reply);
bool smtp_reply_lines_next(struct smtp_reply_lines *lines, struct span *line_out);

/* As an outcome: a missing enhanced code becomes the generic one, the lines are joined by spaces in
 * the arena. Scope and `by` are left for the caller. */
struct status smtp_reply_status(const struct smtp_reply *reply, struct arena *arena);

/* Appends one whole reply, or nothing and false where the buffer's bound would be passed. The text
 * is split at '\n' and where a line would pass SMTP_REPLY_LINE_MAX (at a space if there is one,
 * never inside a UTF-8 character); other control bytes are left out. An absent enhanced code is not
 * written. */
__attribute__((warn_unused_result)) bool
smtp_reply_write(struct buf *out, uint16_t code, struct enhanced_code enhanced, struct span text);

#endif
