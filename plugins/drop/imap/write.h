/*
 * write: what IMAP's answers are made of (RFC 9051 9), appended to a buffer that has no bound.
 * Pure.
 */
#ifndef SMARTHOP_DROP_IMAP_WRITE_H
#define SMARTHOP_DROP_IMAP_WRITE_H

#include "base/buf.h"
#include "plugins/drop/mailstore/mailstore.h"

/* In quotes where that is possible, else as a literal. */
void imap_write_string(struct buf *out, struct span text);
/* The same; NIL where `text` is absent (ptr NULL). */
void imap_write_nstring(struct buf *out, struct span text);
/* The same; bare where it can be. */
void imap_write_astring(struct buf *out, struct span text);
/* A mailbox's name: in UTF-8 for a client that has enabled it, else in modified UTF-7. */
void imap_write_mailbox(struct buf *out, struct span name, bool utf8);
/* Flags and keywords (the bits of `box`), apart by blanks, without parentheses. */
void imap_write_flags(struct buf *out, uint32_t flags, uint64_t keywords,
                      const struct mailstore_box *box, bool is_recent);
/* "17-Jul-1996 02:44:25 -0700", in quotes; `zone` is minutes east of UTC. */
void imap_write_date(struct buf *out, int64_t seconds, int zone);
/* "\Sent"; NULL for MAILSTORE_USE_NONE. */
const char *imap_use_text(enum mailstore_use use);

/* Numbers, told one after the other, as a set: "1:3,7". Zeroed before its first number. */
struct imap_set_writer {
    uint32_t first;
    uint32_t last;
    bool has_begun; /* something has been written */
};
/* Ranges that join what came before become one with it. Whether something has been written only
 * shows behind imap_set_end. */
void imap_set_add(struct imap_set_writer *writer, struct buf *out, uint32_t first, uint32_t last);
/* What is still held; then the writer is as new. */
void imap_set_end(struct imap_set_writer *writer, struct buf *out);

#endif
