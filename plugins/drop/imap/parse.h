/*
 * parse: what the files of the command parser share. A parser stands in a command's text: a copy
 * in the command's arena, into which spans point, and whose strings are unescaped where they lie.
 * Literals stand in the text behind their announcements, as they came; there is no NUL in it.
 *
 * Whatever returns a bool says false once the command is refused: its problem is set then. Nothing
 * looks further behind that.
 */
#ifndef SMARTHOP_DROP_IMAP_PARSE_H
#define SMARTHOP_DROP_IMAP_PARSE_H

#include "plugins/drop/imap/command.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct imap_parser {
    char *at;
    char *end;
    struct imap_command *command;
    bool utf8; /* names are UTF-8, not modified UTF-7 */
};

/* ---- token.c ------------------------------------------------------------------------------ */

/* A parser of a copy of the text; without what an earlier one has found. */
struct imap_parser parse_make(struct imap_command *command, struct span text, bool utf8);

/* Refused: with a BAD, or with a NO and its response code. Both return false. */
bool parse_bad(struct imap_parser *p, const char *problem);
bool parse_no(struct imap_parser *p, const char *code, const char *problem);
/* Something else than `problem` asks for stands here; told apart are the end, and a second space.
 */
bool parse_unexpected(struct imap_parser *p, const char *problem);
/* The word is none that is known; or it is none at all, because something else stands here. */
bool parse_unknown(struct imap_parser *p, struct span word, const char *problem);

static inline bool parse_is_at(const struct imap_parser *p, char c)
{
    return p->at < p->end && *p->at == c;
}

/* Goes behind `c` where it stands here. */
static inline bool parse_take(struct imap_parser *p, char c)
{
    bool is_there = parse_is_at(p, c);

    p->at += is_there;
    return is_there;
}

bool parse_space(struct imap_parser *p);
bool parse_expect(struct imap_parser *p, char c, const char *problem);
bool parse_end(struct imap_parser *p);

/* The letters, digits, and ".-=" from here on; may be empty. */
struct span parse_word(struct imap_parser *p);
static inline bool parse_is_word(struct span word, const char *text)
{
    return word.len > 0 && ascii_lower(*word.ptr) == ascii_lower(*text) &&
           span_equal_nocase(word, span_cstr(text));
}

bool parse_atom(struct imap_parser *p, struct span *out);
bool parse_tag(struct imap_parser *p, struct span *out);
bool parse_string(struct imap_parser *p, struct span *out); /* quoted, or a literal */
bool parse_astring(struct imap_parser *p, struct span *out);
/* In UTF-8, whatever it came in. */
bool parse_mailbox(struct imap_parser *p, struct span *out);
/* Likewise, with * and % in it. What is no name matches none, and is left as it is. */
bool parse_pattern(struct imap_parser *p, struct span *out);

bool parse_number(struct imap_parser *p, uint32_t *out);
bool parse_number64(struct imap_parser *p, uint64_t *out); /* 63 bits */
bool parse_set(struct imap_parser *p, struct imap_set *out);
/* "(\Seen word)". */
bool parse_flag_list(struct imap_parser *p, struct imap_flags *out);
bool parse_flag(struct imap_parser *p, struct imap_flags *out);

/* One more element, zeroed, of an array in the command's arena that grows. */
void *parse_push(struct imap_parser *p, void **array, unsigned *count, size_t size);

/* ---- date.c ------------------------------------------------------------------------------- */

/* "1-Feb-1994", quoted or not: days since 1970. */
bool parse_date(struct imap_parser *p, int64_t *days_out);
/* " 1-Feb-1994 21:52:25 -0800" in quotes. */
bool parse_date_time(struct imap_parser *p, int64_t *seconds_out, int *zone_out);

/* ---- the commands ------------------------------------------------------------------------- */

/* Behind the verb. */
typedef bool imap_parse_function(struct imap_parser *p);

imap_parse_function imap_parse_fetch;
imap_parse_function imap_parse_store;
imap_parse_function imap_parse_search;
imap_parse_function imap_parse_sort;
imap_parse_function imap_parse_thread;
imap_parse_function imap_parse_list;
imap_parse_function imap_parse_lsub;
imap_parse_function imap_parse_status;
imap_parse_function imap_parse_select;
imap_parse_function imap_parse_append;

/* Bits of enum imap_status_item: "(MESSAGES UNSEEN)". */
bool parse_status_items(struct imap_parser *p, unsigned *out);

/* parse.c: a whole command. */
void imap_command_parse(struct imap_command *command, struct span text, bool utf8);
/* The tag at the start of a text that is not parsed any further; empty where there is none. */
struct span imap_tag_of(struct imap_command *command, struct span text);
/* Tag and verb. */
bool imap_parse_verb(struct imap_parser *p);

enum imap_append_part {
    IMAP_APPEND_NOT, /* it is another command, or refused */
    IMAP_APPEND_NAME,
    IMAP_APPEND_MESSAGE,
};

/* What the literal is that is announced behind the text; with IMAP_APPEND_MESSAGE *out is filled
 * but for what the announcement says. `is_next`: the text begins behind the message before.
 * *is_open: a message in UTF8 (...), whose end stands behind it. */
enum imap_append_part imap_append_part(struct imap_command *command, struct span text, bool utf8,
                                       bool is_next, struct imap_append_literal *out,
                                       bool *is_open);
/* The text behind the last message. */
bool imap_append_end(struct imap_command *command, struct span text, bool is_open);

#endif
