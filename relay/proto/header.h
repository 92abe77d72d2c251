/*
 * header: looks at the header section (RFC 5322 2.2, RFC 6532) of a message as its bytes pass by:
 * where it ends, how many hops it tells of, and the values of a few fields. It changes nothing.
 *
 * Lines end by CRLF; a scanner belongs to one transaction. Also the date of RFC 5322 3.3.
 */
#ifndef SMARTHOP_PROTO_HEADER_H
#define SMARTHOP_PROTO_HEADER_H

#include "base/arena.h"
#include "base/span.h"
#include "proto/parse.h"

#include <time.h>

enum {
    HEADER_BYTES_MAX = 256 * 1024, /* default limits; no RFC sets any */
    HEADER_FIELDS_MAX = 2048,
    HEADER_NAME_MAX = 77,   /* kept of a field name; RFC 5322 2.1.1: 78 with the colon */
    HEADER_VALUE_MAX = 256, /* kept of a value */
    HEADER_WANTED_MAX = 32,
};

enum header_flag {
    HEADER_8BIT = 1 << 0,      /* in name or value */
    HEADER_MALFORMED = 1 << 1, /* a line that is no field and continues none */
    HEADER_TOO_LARGE = 1 << 2,
    HEADER_TOO_MANY = 1 << 3,
    HEADER_CONTINUES = 1 << 4, /* it begins with a space: it would be more of a field before it */
};

struct header_value {
    char *bytes; /* HEADER_VALUE_MAX in the arena, once the field has been seen */
    size_t len;
    bool truncated;
};

enum header_state {
    HEADER_STATE_LINE = 0, /* at the start of a line */
    HEADER_STATE_LINE_CR,  /* behind a CR at the start of a line: maybe the end of the section */
    HEADER_STATE_NAME,
    HEADER_STATE_VALUE,
    HEADER_STATE_BODY,
};

struct header_scanner {
    /* Results, for the caller to read. */
    unsigned flags; /* bits of enum header_flag */
    uint64_t bytes; /* of the section, with the empty line once it has come */
    uint64_t fields;
    uint64_t received; /* Received fields: hops (RFC 5321 6.3) */

    struct arena *arena;
    const struct span *wanted;
    size_t wanted_count;
    uint64_t bytes_max;
    uint64_t fields_max;
    enum header_state state;
    bool cr_last;
    struct header_value *capture; /* of the open field, or NULL */
    bool name_bad;                /* a byte that no name may hold */
    bool name_space;              /* only the colon may follow */
    size_t name_len;              /* HEADER_NAME_MAX + 1 for any longer name */
    char name[HEADER_NAME_MAX];
    struct header_value values[HEADER_WANTED_MAX];
};

/* `wanted` names fields (at most HEADER_WANTED_MAX, "Message-ID"; matched without regard to case)
 * and outlives the scanner; so does the arena, which takes their values. Limits of 0 mean the
 * defaults. */
void header_scanner_init(struct header_scanner *h, struct arena *arena, const struct span *wanted,
                         size_t wanted_count, uint64_t bytes_max, uint64_t fields_max);

/* PARSE_MORE: still in the header section. PARSE_DONE: the empty line has come (in this span or
 * before); further calls cost nothing. Past a limit the scan goes on, with the flag set, but no
 * value is kept any more. Any split gives the same result. */
enum parse_result header_scan(struct header_scanner *h, struct span input);

/* At the end of the message: closes a section that no empty line ended. */
void header_scan_end(struct header_scanner *h);

/* The value of wanted[index]: unfolded, without spaces around it, of the first such field, cut at
 * HEADER_VALUE_MAX; raw bytes otherwise. False where there was none; an empty value is found. */
bool header_value(const struct header_scanner *h, size_t index, struct span *value_out);

enum { RFC5322_DATE_MAX = 40 };
/* "Tue, 05 Mar 2024 10:11:12 +0100", the local time at that offset from UTC; returns the length. */
size_t rfc5322_date(time_t utc, int offset_minutes, char out[RFC5322_DATE_MAX]);

#endif
