/*
 * text: the small writers that the parts of a notification share. Pure; for report/ only.
 */
#ifndef SMARTHOP_REPORT_TEXT_H
#define SMARTHOP_REPORT_TEXT_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    TEXT_COLUMNS = 78,    /* RFC 5322 2.1.1 */
    TEXT_WORDS_MAX = 800, /* of a foreign text: with any field name it stays below 998 */
};

/* A text that somebody else chose, safe in a header field and in a line: control bytes become
 * spaces; 8-bit bytes stay where `utf8` allows them and all of it is UTF-8, else they become "?".
 * Without spaces around it, and at most TEXT_WORDS_MAX bytes. */
struct span text_clean(struct arena *arena, struct span foreign, bool utf8);

/* Appends `text` and CRLF. It begins at `column` of a line that is already there; a word that would
 * pass TEXT_COLUMNS goes to a new line behind `indent`, which stands for the space before it. */
void text_wrap(struct buf *out, size_t column, const char *indent, struct span text);
/* "name: text", folded. */
void text_field(struct buf *out, const char *name, struct span text);

/* RFC 5322, in UTC. */
struct span text_date(struct arena *arena, uint64_t wall_ms);
/* "3 days", "1 hour", "less than a minute". */
struct span text_duration(struct arena *arena, uint64_t ms);

#endif
