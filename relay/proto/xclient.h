/*
 * xclient: what a trusted proxy tells of the client behind it (XCLIENT, as Postfix's
 * XCLIENT_README has it), and XFORWARD, by which we tell a content filter behind us.
 *
 * Pure. XCLIENT is for trusted sources only, and ends whatever the session has learnt of its
 * client so far.
 */
#ifndef SMARTHOP_PROTO_XCLIENT_H
#define SMARTHOP_PROTO_XCLIENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "proto/ip.h"

enum {
    XCLIENT_VALUE_MAX = 255,      /* of a value, decoded */
    XFORWARD_LINE_MAX = 512,      /* with CRLF: what every server takes */
    XFORWARD_ATTRIBUTE_COUNT = 7, /* and so the most commands of one writing */
};

enum xclient_attribute {
    XCLIENT_NAME = 0, /* a host name */
    XCLIENT_ADDR,
    XCLIENT_PORT,
    XCLIENT_PROTO, /* "SMTP" or "ESMTP" */
    XCLIENT_HELO,
    XCLIENT_LOGIN,
    XCLIENT_DESTADDR,
    XCLIENT_DESTPORT,
    XCLIENT_ATTRIBUTE_COUNT,
};

enum xclient_state {
    XCLIENT_ABSENT = 0, /* not said: what the session knew stays */
    XCLIENT_GIVEN,
    XCLIENT_UNAVAILABLE,
    XCLIENT_TEMPUNAVAIL, /* a lookup failed for now */
};

struct xclient_value {
    enum xclient_state state;
    struct span text; /* with XCLIENT_GIVEN only: decoded and checked */
};

struct xclient {
    struct xclient_value values[XCLIENT_ATTRIBUTE_COUNT];
    /* Where their values are XCLIENT_GIVEN. */
    struct ip_address address;
    struct ip_address target;
    uint16_t port;
    uint16_t target_port;
    bool esmtp;
};

enum xclient_error {
    XCLIENT_OK = 0,
    XCLIENT_EMPTY,
    XCLIENT_SYNTAX, /* no NAME=VALUE, or no xtext */
    XCLIENT_UNKNOWN,
    XCLIENT_REPEATED,
    XCLIENT_VALUE, /* one that its attribute cannot have */
};

/* The arguments of XCLIENT. Values are decoded into the arena. All errors are 501 5.5.4. */
enum xclient_error xclient_parse(struct span args, struct arena *arena, struct xclient *out);

/* Static text for the reply: "unknown attribute". */
const char *xclient_error_text(enum xclient_error error);

/* The attribute's name, upper case, for the reply to EHLO. */
const char *xclient_attribute_name(enum xclient_attribute attribute);

enum xforward_attribute {
    XFORWARD_NAME = 1 << 0,
    XFORWARD_ADDR = 1 << 1,
    XFORWARD_PORT = 1 << 2,
    XFORWARD_PROTO = 1 << 3,
    XFORWARD_HELO = 1 << 4,
    XFORWARD_IDENT = 1 << 5,
    XFORWARD_SOURCE = 1 << 6,
};

/* The client that we have a message from. Empty or NULL is told as "[UNAVAILABLE]". */
struct xforward {
    struct span name;
    const struct ip_address *address;
    uint16_t port;
    struct span protocol; /* "ESMTP" */
    struct span hello;
    struct span ident; /* our id of the message */
    bool local;        /* it came from this machine */
};

/* Bits of enum xforward_attribute from what the server's EHLO lists; unknown names count not. */
unsigned xforward_attributes(struct span names);

/* Appends as many XFORWARD commands as the offered attributes need, each at most XFORWARD_LINE_MAX
 * long, and returns their number: so many replies are to come. A value that fits no line, or is
 * longer than XCLIENT_VALUE_MAX, is told as "[UNAVAILABLE]". Zero, with nothing appended, where
 * nothing is offered or the buffer's bound would be passed. Scratch memory is taken from the arena.
 */
unsigned xforward_write(const struct xforward *x, unsigned offered, struct arena *arena,
                        struct buf *out);

#endif
