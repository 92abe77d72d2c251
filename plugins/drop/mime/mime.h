/*
 * mime: the structure of a message (RFC 5322, RFC 2045 to 2047, RFC 2231, RFC 6532), found while
 * its bytes pass by: where each part's header and body lie, and the fields of a header that IMAP
 * tells of. Whatever comes in, there is a structure: what is broken is taken for less (a multipart
 * whose boundary never comes is one with an empty text part, a type that cannot be read is
 * text/plain), never refused.
 *
 * Lines end by CRLF; a bare CR or LF is a byte as any other. A boundary is a line that holds it and
 * nothing else but blanks; one of more than 200 bytes is none.
 *
 * Pure. Bounded: what is beyond a limit is not looked into, and its bytes count to the part that
 * they lie in.
 */
#ifndef SMARTHOP_DROP_MIME_H
#define SMARTHOP_DROP_MIME_H

#include "base/arena.h"
#include "base/span.h"

enum {
    MIME_DEPTH_MAX = 100, /* parts within parts */
    MIME_PARTS_MAX = 1000,
    MIME_HEADER_MAX = 256 << 10, /* bytes of the fields of one header that are looked at */
    MIME_HEADERS_MAX = 1 << 20,  /* and of all headers of one message */
    MIME_PARAMETERS_MAX = 64,    /* of one field */
    MIME_ADDRESSES_MAX = 10000,  /* of one message, in all its fields */
};

enum mime_kind {
    MIME_LEAF,
    MIME_MULTIPART,
    MIME_MESSAGE, /* message/rfc822, message/global: its one child is the message within */
};

enum mime_encoding {
    MIME_7BIT,
    MIME_8BIT,
    MIME_BINARY,
    MIME_QUOTED_PRINTABLE,
    MIME_BASE64,
    MIME_OTHER
};

struct mime_parameter {
    struct mime_parameter *next;
    struct span name;
    struct span value; /* unquoted; RFC 2231 pieces are joined and decoded to UTF-8 under the plain
                          name, which then stands for one without, too */
    bool is_extended;  /* it was of that kind */
};

/* A mailbox, or the begin or the end of a group (RFC 5322 3.4) as ENVELOPE tells them. Texts as
 * they are in the field, without quotes and comments, encoded words as they are. Where there is no
 * name but a comment, that is it. What a mailbox lacks is told as "MISSING_MAILBOX" and
 * "MISSING_DOMAIN". */
struct mime_address {
    struct mime_address *next;
    struct span name;   /* ptr NULL where there is none */
    struct span route;  /* "@a,@b"; ptr NULL where there is none */
    struct span local;  /* of a group's begin its name; of its end absent */
    struct span domain; /* absent (ptr NULL) for both of a group */
};

struct mime_envelope {
    struct span date; /* unfolded, otherwise as they came; ptr NULL = no such field */
    struct span subject;
    struct mime_address *from;
    struct mime_address *sender; /* ENVELOPE's own rule holds: where it is missing, as from */
    struct mime_address *reply_to;
    struct mime_address *to;
    struct mime_address *cc;
    struct mime_address *bcc;
    struct span in_reply_to;
    struct span message_id;
};

struct mime_part {
    struct mime_part *parent;
    struct mime_part *child; /* the first */
    struct mime_part *next;
    enum mime_kind kind;
    uint64_t header_at;  /* offset in the message */
    uint64_t header_len; /* with the empty line */
    uint64_t body_at;
    uint64_t body_len; /* without the line end that belongs to the boundary behind it */
    uint64_t lines;    /* line ends in the body */
    bool has_nul;      /* in the body: BINARY needs literal8 */
    enum mime_encoding encoding;

    struct span type; /* as written, e.g. "TEXT"; never absent: "text", "plain" is the default */
    struct span subtype;
    struct mime_parameter *parameters;
    struct span id; /* Content-ID; absent = ptr NULL, as of all below */
    struct span description;
    struct span encoding_name; /* absent = "7BIT"; told as it is written */
    struct span md5;
    struct span disposition;
    struct mime_parameter *disposition_parameters;
    struct mime_parameter *languages; /* only names */
    struct span location;
    struct mime_envelope *envelope; /* of the root and of a message within one; else NULL */
};

struct mime_scanner;

/* `arena` takes all that is found, and outlives the scanner. */
struct mime_scanner *mime_scanner_create(struct arena *arena);
/* Any split of the message gives the same result. */
void mime_scanner_feed(struct mime_scanner *scanner, struct span bytes);
/* At the end. The root lives as long as the arena; never NULL. */
struct mime_part *mime_scanner_end(struct mime_scanner *scanner);
/* NULL is let be. */
void mime_scanner_free(struct mime_scanner *scanner);

/* The value of the n-th (from 0) field of this name in a header section, unfolded into the arena,
 * without the blanks around it; ptr NULL where there is none. */
struct span mime_field(struct span header, struct span name, unsigned nth, struct arena *arena);
/* Walks over a header section field by field: *rest_inout shrinks; the whole field with its line
 * ends, its name, and what is behind the colon as it lies there. A line that is no field is told
 * with an empty name. False at its end. */
bool mime_next_field(struct span *rest_inout, struct span *field_out, struct span *name_out,
                     struct span *value_out);
/* An address list (RFC 5322 3.4, with the obsolete forms); broken ones are told as far as they can
 * be read. */
struct mime_address *mime_addresses(struct span value, struct arena *arena);
/* Date of RFC 5322 3.3, with the obsolete forms: seconds since 1970; *zone_out minutes east. */
bool mime_date(struct span value, int64_t *seconds_out, int *zone_out);

#endif
