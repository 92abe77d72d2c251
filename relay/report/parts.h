/* The parts of a notification, which dsn.c puts together; nobody else includes this. */
#ifndef SMARTHOP_REPORT_PARTS_H
#define SMARTHOP_REPORT_PARTS_H

#include "report/report.h"

/* What goes back of the message that the notification is about. */
struct returned {
    struct buf bytes;
    bool whole;      /* otherwise its header section */
    bool incomplete; /* some of it could not be read */
    bool cut;        /* a header section too long to be returned in full */
};

struct dsn {
    const struct report_options *options;
    unsigned counts[REPORT_ACTION_COUNT]; /* recipients by action */
    struct arena scratch;                 /* until the notification is put together */
    struct returned returned;
    bool utf8_recipients; /* RFC 6533: the machine's part becomes message/global-delivery-status */
    struct buf human;
    struct buf machine;
};

/* RFC 6522 3 (1): for people. */
void dsn_write_human(struct dsn *dsn);
/* RFC 3464: for programs. */
void dsn_write_machine(struct dsn *dsn);
/* Blocking, where the message is not in memory. */
void dsn_read_returned(struct dsn *dsn);

#endif
