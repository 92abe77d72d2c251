/*
 * header: the header section of a message that is being submitted: who is to get it, what is not
 * to be passed on, and where it ends when the caller has left out the empty line.
 */
#ifndef SMARTHOP_SENDMAIL_HEADER_H
#define SMARTHOP_SENDMAIL_HEADER_H

#include "sendmail/message.h"

#include "base/buf.h"

enum { HEADER_FIELD_MAX = 1 << 20 }; /* bytes of one field, and so of what is held in memory */

struct header_filter {
    const struct message_source *source;
    struct address_list original; /* of To, Cc, Bcc */
    struct address_list resent;   /* of Resent-To, Resent-Cc, Resent-Bcc */
    struct buf line;
    struct buf field;
    bool in_body;
    bool first_line;
    bool has_from;
    bool has_resent; /* a field that begins so: its recipients count, and no others */
};

void header_filter_init(struct header_filter *h, const struct message_source *source);
void header_filter_fini(struct header_filter *h);

/* Appends to `out` what of `input`, lines that end by CRLF, is to be sent. EX_OK, or another exit
 * status once it has been said why. */
int header_filter_feed(struct header_filter *h, struct span input, struct buf *out);
/* At the end of the message. The recipients are complete now. */
int header_filter_end(struct header_filter *h, struct buf *out);

#endif
