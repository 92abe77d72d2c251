/*
 * append: the messages of one APPEND, shared by append.c, which takes them from the client, and
 * pipeline.c, which commits several such commands at a time.
 */
#ifndef SMARTHOP_DROP_IMAP_APPEND_H
#define SMARTHOP_DROP_IMAP_APPEND_H

#include "plugins/drop/imap/session.h"

/* In the command's arena, but for the arrays. */
struct imap_append {
    struct mailstore_draft **drafts;
    struct mailstore_target *targets;
    unsigned count;
    unsigned cap;
    uint64_t left;  /* bytes of the literal */
    bool is_binary; /* it may have NULs: it is held until it is whole */
    struct buf held;
    bool had_cr;         /* as its last byte so far */
    const char *problem; /* it is refused; static */
    const char *code;
};

void append_free(struct imap_append *append);
/* All but its completion. */
void append_prepare(struct imap_append *append, struct mailstore_append *op);
/* "APPENDUID 3857529045 3:5", in the arena. */
const char *append_uids(const struct imap_append *append, struct arena *arena);
/* encode.c: a message without NULs; false where that cannot be made of it. Appends. */
bool append_encode(struct span message, struct buf *out);

#endif
