/*
 * mbox: a file of messages that are apart by "From " lines (RFC 4155), in the kind called mboxrd:
 * lines of a message that begin so, with any number of '>' before, have one '>' more.
 *
 * The reader takes the file in any pieces. A message's lines end in CRLF, whatever the file's ends
 * are; Status, X-Status and X-Keywords are not part of it, but say what its flags are. Pure.
 */
#ifndef SMARTHOP_DROP_CTL_MBOX_H
#define SMARTHOP_DROP_CTL_MBOX_H

#include "plugins/drop/mailstore/mailstore.h"

enum { MBOX_LINE_MAX = 8192, MBOX_KEYWORDS_MAX = 2048 };

struct mbox_handler {
    void (*begin)(void *context, int64_t date, int zone); /* as the From line has them */
    void (*bytes)(void *context, struct span bytes);
    void (*end)(void *context, uint32_t flags, struct span keywords); /* apart by blanks */
};

enum mbox_place { MBOX_START, MBOX_HEADER, MBOX_BODY, MBOX_BAD };

struct mbox_reader {
    const struct mbox_handler *handler;
    void *context;
    enum mbox_place place;
    struct buf line; /* as far as it has come */
    bool is_within;  /* a line that was too long: its begin has been told */
    bool is_held;    /* an empty line that may belong to the next From line */
    bool may_begin;  /* a From line may stand here */
    bool is_status;  /* what goes on from the line before is no part of the message */
    uint32_t flags;
    struct buf keywords;
};

void mbox_reader_init(struct mbox_reader *reader, const struct mbox_handler *handler,
                      void *context);
/* False: this is no mbox; nothing was told. */
bool mbox_reader_feed(struct mbox_reader *reader, struct span bytes);
/* At the file's end; likewise. An empty file is an empty mbox. */
bool mbox_reader_end(struct mbox_reader *reader);
void mbox_reader_fini(struct mbox_reader *reader);

/* "Thu Jan  1 00:00:00 1970", with or without a zone: what stands in a From line behind its
 * address.
 */
bool mbox_date(struct span text, int64_t *seconds_out, int *zone_out);

/* What stands before a message: the From line, and the fields of its flags. */
void mbox_write_head(int64_t date, uint32_t flags, const struct span *keywords,
                     unsigned keyword_count, struct buf *out);

/* A message's bytes, in any pieces, with a line's end and an empty line behind them. */
struct mbox_writer {
    struct buf line; /* what may be a quoted From line, until that is known */
    bool is_within;  /* a line that is none */
    bool had_cr;
};
void mbox_writer_feed(struct mbox_writer *writer, struct span bytes, struct buf *out);
void mbox_writer_end(struct mbox_writer *writer, struct buf *out);

#endif
