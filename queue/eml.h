/*
 * eml: a queued message as a file: its envelope as header fields, and behind them the message as it
 * would be sent, byte for byte. So the file is a message of RFC 5322 that any mail program reads,
 * and nothing of the envelope is lost.
 *
 *   X-Smarthop-Envelope: 1                            the form; always the first line
 *   X-Smarthop-Id: 0SA50SNSW0001                      with Arrival, or neither
 *   X-Smarthop-Arrival: 2026-07-01T08:00:00.123Z
 *   X-Smarthop-Mail: FROM:<a@example.org> BODY=8BITMIME RET=HDRS ENVID=x   as in SMTP
 *   X-Smarthop-Release: 2026-07-01T10:00:00.000Z      not sent before (RFC 4865)
 *   X-Smarthop-Deliver-By: 2026-07-01T12:00:00.000Z;R (RFC 2852; R or N, and T for a trace)
 *   X-Smarthop-Tenant, -Tags, -Client, -Client-Name, -Client-Port, -Protocol, -Hello   xtext
 *   X-Smarthop-Flags: notification verp
 *   X-Smarthop-Group: held tries=2 warned late from=xtext sender wishes=xtext    of what follows
 *   X-Smarthop-Rcpt: TO:<b@example.net> NOTIFY=NEVER ORCPT=rfc822;b@x.org   as in SMTP
 *   X-Smarthop-Envelope-End: 1                        always the last
 *
 * A field is one line, and none comes twice but Group and Rcpt. Lines end with CRLF; a reader takes
 * LF, too. Pure.
 */
#ifndef SMARTHOP_QUEUE_EML_H
#define SMARTHOP_QUEUE_EML_H

#include "proto/parse.h"
#include "queue/queue.h"

enum { EML_LINE_MAX = 8192 };

/* Appends the fields of a message with all its groups. */
void eml_write(const struct queue_message *message, struct buf *out);

struct eml_recipient {
    struct eml_recipient *next;
    const struct queue_group *group; /* state, tries, marks, own reverse-path and wishes */
    struct queue_recipient recipient;
};

struct eml_reader {
    /* For the caller to read. */
    struct eml_recipient *recipients; /* in their order, in the message's arena */
    unsigned recipient_count;
    const char *fault; /* with PARSE_BAD; static */
    unsigned line;     /* likewise: counted from 1 */

    struct queue_message *message;
    struct eml_recipient **last;
    struct queue_group *group;
    unsigned seen; /* fields, as bits */
    size_t len;
    char text[EML_LINE_MAX];
};

/* Into a message fresh from queue_message_create, which the caller keeps. Without an Id its id and
 * arrival stay 0. */
void eml_reader_init(struct eml_reader *r, struct queue_message *message);
/* Takes bytes off the front of *input. PARSE_DONE: the envelope is whole, and *input begins with
 * the message; PARSE_MORE: *input is used up. Any split gives the same result. */
enum parse_result eml_read(struct eml_reader *r, struct span *input);

#endif
