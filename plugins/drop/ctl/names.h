/*
 * names: mailboxes' names as file names, and flags in them (Maildir++, maildir(5)). Levels are
 * apart by '.'; what is not ASCII is in modified UTF-7, and so is a '.' of a name. Pure.
 */
#ifndef SMARTHOP_DROP_CTL_NAMES_H
#define SMARTHOP_DROP_CTL_NAMES_H

#include "plugins/drop/mailstore/mailstore.h"

/* "Archive/2024" to "Archive.2024", appended. */
void names_encode(struct span name, struct buf *out);
/* The other way; what is no such encoding is taken as UTF-8. False: no mailbox can be called so. */
bool names_decode(struct span file, struct buf *out);

/* "$Forwarded" has a letter of its own; other keywords have small letters, in the order of
 * dovecot-keywords. */
enum { NAMES_KEYWORDS_MAX = 26 };
#define NAMES_FORWARDED "$Forwarded"

/* What stands behind the file's unique name: ":2,FS". `keywords`: bits for small letters. */
void names_write_flags(uint32_t flags, bool is_forwarded, uint32_t keywords, struct buf *out);
/* Of a whole file name; letters that mean nothing are passed over. */
void names_read_flags(struct span file, uint32_t *flags_out, bool *is_forwarded_out,
                      uint32_t *keywords_out);

#endif
