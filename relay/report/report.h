/*
 * report: what is told to senders. Builds delivery status notifications (RFC 3464 in the
 * multipart/report of RFC 6522) as messages that are ready for the queue.
 *
 * Pure but for reading the returned message through the queue: blocking, for a pool thread.
 */
#ifndef SMARTHOP_REPORT_REPORT_H
#define SMARTHOP_REPORT_REPORT_H

#include "conf/conf.h"
#include "queue/queue.h"

enum report_action {
    REPORT_FAILED,    /* permanent, or given up */
    REPORT_DELAYED,   /* still being tried */
    REPORT_RELAYED,   /* taken by a next hop that will not tell what becomes of it */
    REPORT_DELIVERED, /* into the mailbox */
    REPORT_ACTION_COUNT,
};

struct report_recipient {
    const struct queue_recipient *recipient; /* its address, ORCPT and last status */
    enum report_action action;
    bool is_late; /* told of because the message's deliver_by has passed (RFC 2852): Status x.4.7 */
    struct span final_text; /* why it was given up where that is not the last status, or empty */
};

struct report_options {
    const struct conf *conf; /* hostname, dsn_return_max, dsn_return_headers_only */
    struct queue *queue;     /* to read the returned message where it is not in memory */
    uint64_t id;             /* of the notification, from queue_new_id */
    uint64_t now;            /* wall clock ms */
    const struct queue_message *message; /* what it is about; reverse_path is not empty */
    const struct report_recipient *recipients;
    unsigned recipient_count;
    struct span to;       /* the address that it is for; empty = message->reverse_path */
    bool is_copy;         /* for somebody else than the sender: with the header alone */
    uint64_t retry_until; /* of delayed ones: wall clock ms until which it is tried */
};

/* One message for all the recipients, whatever their actions; whether they are to be told of is the
 * caller's to judge. What is returned of the message is its header, or, where a recipient has
 * failed, what its RET asks for; dsn_return_headers_only decides where that says nothing.
 *
 * One reference, body in memory, flags, reverse-path empty, no groups: the caller routes it to
 * message->reverse_path, or to `to`, and adds them. Never NULL: what cannot be read of the
 * returned message is left out and said so. */
struct queue_message *report_dsn(const struct report_options *options);

#endif
