/*
 * downgrade: makes a message 7-bit for a host without 8BITMIME (RFC 6152 3) while it passes by.
 *
 * What says "Content-Transfer-Encoding: 8bit" and has no parts becomes quoted-printable (it stays
 * readable, and its lines stay lines); parts of multiparts and messages in messages are found and
 * treated alike. Nothing within multipart/signed or multipart/encrypted is changed (RFC 1847 2.1),
 * nor is a header, nor a body that is not labelled: where such holds 8-bit bytes, the message
 * cannot be made 7-bit. A message without any 8bit label passes byte for byte.
 *
 * Pure; of fixed size; nothing is allocated but by the output. Any split gives the same result.
 */
#ifndef SMARTHOP_PROTO_DOWNGRADE_H
#define SMARTHOP_PROTO_DOWNGRADE_H

#include "proto/content_type.h"
#include "proto/dot.h"
#include "proto/quoted_printable.h"

enum {
    DOWNGRADE_LINE_MAX = 1000, /* of a header line that is looked at, of a delimiter */
    DOWNGRADE_FIELD_MAX = 4000,
    DOWNGRADE_DEPTH_MAX = 20, /* multiparts in multiparts */
};

enum downgrade_field {
    DOWNGRADE_FIELD_OTHER = 0,
    DOWNGRADE_FIELD_TYPE,
    DOWNGRADE_FIELD_ENCODING, /* its lines are kept back until it is known */
};

struct downgrade_level {
    size_t boundary_len;
    char boundary[CONTENT_BOUNDARY_MAX];
    bool is_digest;
};

struct downgrade {
    struct line_checker lines; /* of the input; its faults are for the caller to read */
    bool blocked;              /* 8-bit bytes have passed where nothing may be changed */

    bool in_header;
    bool in_line; /* a line has begun */
    bool gathers; /* and is gathered in `line` */
    size_t line_len;
    char line[DOWNGRADE_LINE_MAX];

    unsigned depth;
    unsigned sealed; /* levels up to here; deeper nothing is changed. 0 = none is sealed */
    struct downgrade_level levels[DOWNGRADE_DEPTH_MAX];
    bool encodes; /* the present body */
    struct qp_encoder encoder;

    /* Of the present header. */
    enum downgrade_field field;
    size_t field_len;
    char field_text[DOWNGRADE_FIELD_MAX];
    bool is_message; /* not of a part: MIME-Version belongs there */
    bool has_version;
    bool has_type;
    struct content_type type;
    bool is_8bit;    /* labelled so; the field has been taken away */
    bool is_encoded; /* base64 or quoted-printable */
    bool is_opaque;  /* something in it is too long to be understood */
};

/* Without `may_change` everything stays as it is: then it only finds out. */
void downgrade_init(struct downgrade *d, bool may_change);
/* Takes all of the input and appends what becomes of it: at most five times as much and a few
 * kilobytes. False where it cannot be made 7-bit, from then on. `out` is unbounded. */
bool downgrade_feed(struct downgrade *d, struct span input, struct buf *out);
/* At the end of the message. */
bool downgrade_end(struct downgrade *d, struct buf *out);

#endif
