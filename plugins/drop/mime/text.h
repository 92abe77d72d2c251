/*
 * text: what mail's encodings mean, for searching, sorting and previews: transfer encodings,
 * charsets (iconv), encoded words (RFC 2047), and UTF-8 made comparable.
 *
 * Pure. All output is appended to bufs that are unbounded; it is never much longer than the input.
 * Streaming decoders take any split. Unknown charsets and broken input give what can be read; an
 * unreadable byte becomes U+FFFD. Nothing here fails.
 */
#ifndef SMARTHOP_DROP_TEXT_H
#define SMARTHOP_DROP_TEXT_H

#include "base/buf.h"
#include "plugins/drop/mime/mime.h"

enum { TEXT_BLANKS_MAX = 128 };

/* Bytes of a part's body to its content. */
struct text_transfer {
    enum mime_encoding encoding;
    bool is_broken; /* something could not be decoded */
    unsigned state;
    unsigned char held[4];
    size_t held_len;
    size_t blank_count; /* of quoted-printable: at a line's end they are not content */
    char blanks[TEXT_BLANKS_MAX];
};
void text_transfer_init(struct text_transfer *t, enum mime_encoding encoding);
/* Appends what is complete. False (once something could not be decoded) makes BINARY's
 * UNKNOWN-CTE; for searching what was decoded will do. */
bool text_transfer_feed(struct text_transfer *t, struct span bytes, struct buf *out);
bool text_transfer_end(struct text_transfer *t, struct buf *out);

/* Content in a charset to UTF-8. */
struct text_charset;
/* "", US-ASCII and unknown ones: UTF-8 where it is valid, else Latin-1. Never NULL. */
struct text_charset *text_charset_create(struct span charset);
void text_charset_feed(struct text_charset *c, struct span bytes, struct buf *out);
void text_charset_end(struct text_charset *c, struct buf *out);
/* NULL is let be. */
void text_charset_free(struct text_charset *c);
/* Whether the charset is known; for SEARCH CHARSET (BADCHARSET). */
bool text_charset_is_known(struct span charset);

/* A field's value, folded or not, with encoded words (RFC 2047) to UTF-8. */
void text_words(struct span value, struct buf *out);

/* UTF-8 to what is compared: case folded to small letters (i;unicode-casemap as far as simple
 * folding goes), marks joined to their letters (so "a" and a diaeresis are as the one character
 * is), bytes that are not UTF-8 as they are. ASCII is fast. Nothing is joined to what an earlier
 * call has written. */
void text_fold(struct span utf8, struct buf *out);
/* Whether `needle` (folded) is in `folded`; a needle of length 0 is. */
bool text_contains(struct span folded, struct span needle);

/* RFC 5256 2.1: the base subject of an undecoded subject, in folded UTF-8; whether it was a reply
 * or a forward. */
bool text_base_subject(struct span subject, struct buf *out);

/* HTML to its text: no tags, no scripts and styles, entities decoded, blanks joined. */
void text_of_html(struct span html, struct buf *out);

#endif
