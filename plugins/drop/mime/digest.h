/*
 * digest: what is kept beside a message's bytes so that IMAP need not look at them: ENVELOPE, BODY
 * and BODYSTRUCTURE as they are sent (RFC 9051 7.5.2), and where its parts lie. Made once, when the
 * message comes in.
 *
 * All three may be sent to any client as they are: a string is in quotes where it is ASCII without
 * line ends; else it is a literal, also where it is UTF-8, which is right for those who have
 * enabled UTF8=ACCEPT or IMAP4rev2 and for those who have not. NULs are left out. A parameter in
 * RFC 2231's form that is not ASCII is told in that form, in one piece: "filename*" "utf-8''...".
 *
 * Pure. An opened digest points into the bytes that it was opened from; it trusts none of them.
 */
#ifndef SMARTHOP_DROP_DIGEST_H
#define SMARTHOP_DROP_DIGEST_H

#include "base/buf.h"
#include "plugins/drop/mime/mime.h"

enum { DIGEST_PATH_MAX = MIME_DEPTH_MAX };

/* Appends to `out`, which is unbounded. */
void digest_write(const struct mime_part *root, struct buf *out);

struct digest {
    struct span envelope;       /* "(\"Mon, 7 Feb 1994 ...\" ...)" */
    struct span body;           /* "(\"TEXT\" \"PLAIN\" ...)", without extension data */
    struct span body_structure; /* with it */
    uint64_t header_len;        /* of the message's own header, with the empty line */
    unsigned part_count;
    struct span parts; /* for digest_part_at */
    struct span charsets;
};

/* False where it is none, or of another version. */
bool digest_open(struct span bytes, struct digest *out);

struct digest_part {
    enum mime_kind kind;
    enum mime_encoding encoding;
    uint64_t header_at; /* for the parts of a multipart their MIME header; for the message within
                           a message/rfc822 its header */
    uint64_t header_len;
    uint64_t body_at;
    uint64_t body_len;
    bool is_text; /* text/... or none told */
    bool is_html;
    bool has_nul;
    struct span charset; /* "" = none told */
    unsigned depth;      /* 0 = the message itself */
    unsigned index;      /* in the digest, by depth first */
};

/* By number, 0 is the message itself. False behind the last one, and where it cannot be. */
bool digest_part_at(const struct digest *digest, unsigned index, struct digest_part *out);

/*
 * By the numbers of a section (RFC 9051 6.4.5.1): {2, 1} is the first part of the second. A message
 * that is no multipart has one part, 1, which is its body; the parts of a message/rfc822 are those
 * of the message within. For the section's HEADER and TEXT of a message/rfc822 part, *within_out
 * (may be NULL) is the message within; kind MIME_LEAF with body_len 0 where it is none.
 */
bool digest_find(const struct digest *digest, const uint32_t *path, unsigned depth,
                 struct digest_part *out, struct digest_part *within_out);

#endif
