/*
 * reader: the lines of a table file, from pieces of any length. Comments, empty lines and blanks at
 * both ends are gone. In Postfix's style a line that begins with a blank goes on with the one
 * before it, and only a whole line can be a comment.
 */
#ifndef SMARTHOP_TABLE_READER_H
#define SMARTHOP_TABLE_READER_H

#include "text.h"

enum { READER_LINE_MAX = 256 * 1024 };

/* `line` is the number of its first physical line; `text` lasts until the call returns. */
typedef void reader_take(void *context, unsigned line, struct smarthop_span text);

struct reader {
    const char *file; /* for problems; stays */
    bool is_postfix;
    reader_take *take;
    void *context;
    struct problems *problems;

    /* Its own. */
    unsigned line;  /* the physical one being read */
    unsigned first; /* of the logical one */
    char *begun;    /* a physical line whose end has not come yet */
    size_t begun_len;
    size_t begun_room;
    char *logical; /* Postfix's style: what may still go on */
    size_t logical_len;
    size_t logical_room;
    bool too_long;
    bool out_of_memory;
};

/* The upper part is filled; the lower one is zero. */
void reader_feed(struct reader *reader, const char *bytes, size_t len);
/* The last line may lack its end. Frees what the reader has. */
void reader_end(struct reader *reader);

#endif
