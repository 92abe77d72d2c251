/*
 * dot: message data on the wire: the end of DATA and its transparency (RFC 5321 4.1.1.4, 4.5.2),
 * and the line rules that hold for DATA and BDAT alike.
 *
 * Lines end by CRLF and by nothing else; a bare CR or LF never ends a line here, so that no byte
 * sequence but CRLF "." CRLF ends the data (RFC 5321 2.3.8: the defence against SMTP smuggling).
 * Faults are noted while reading goes on: the session refuses the message after its real end and
 * stays in step with the client. All state is fixed in size; nothing is copied by the readers.
 *
 * Normalizing, a reader mends bare line ends in what it hands out: a bare LF becomes CRLF, a bare
 * CR a space, so that the last CR before "CR CR LF" does not make an empty line. It comes behind
 * the transparency of DATA, which goes by the wire: the dot of CRLF "." LF is taken away, that of
 * LF "." LF is content, and becomes a line of its own that has to be stuffed on its way out.
 */
#ifndef SMARTHOP_PROTO_DOT_H
#define SMARTHOP_PROTO_DOT_H

#include "base/buf.h"
#include "base/span.h"
#include "proto/parse.h"

enum { DOT_LINE_MAX = 1000 }; /* RFC 5321 4.5.3.1.6, with CRLF, without the stuffed dot */

enum body_fault {
    BODY_BARE_CR = 1 << 0,
    BODY_BARE_LF = 1 << 1,
    BODY_NUL = 1 << 2,
    BODY_LONG_LINE = 1 << 3,
};
enum { BODY_FAULT_COUNT = 4 };

/* The line rules over a stream of bytes; shared by the decoder, the encoder and BDAT. */
struct line_checker {
    size_t max_line; /* with CRLF; 0 for no limit */
    size_t line_len; /* bytes of the current line so far; normalizing, as it is handed out */
    uint64_t offset; /* bytes seen */
    bool normalize;
    bool cr_last;    /* the last byte was a CR that may still belong to a CRLF */
    bool line_start; /* behind a CRLF, or at the very start */
    unsigned faults; /* bits of enum body_fault */
    uint64_t fault_at[BODY_FAULT_COUNT]; /* offset of the first of each, see line_checker_fault */
};

void line_checker_init(struct line_checker *c, size_t max_line, bool normalize);
/* Only looks, whether it is to normalize or not. Any split of the stream gives the same result, as
 * of all that follow. */
void line_checker_feed(struct line_checker *c, struct span input);
/* At the end of the data: a last CR is a bare one. Returns the faults. */
unsigned line_checker_end(struct line_checker *c);
/* Takes bytes off the front of *input and hands out the next run of what is to be kept of them: a
 * part of the input, or a few static bytes. False, with an empty run, once *input is used up. */
bool line_checker_take(struct line_checker *c, struct span *input, struct span *run_out);
/* As line_checker_end; returns what was withheld until now, if anything. */
struct span line_checker_take_end(struct line_checker *c);
/* Offset of the first such fault in the bytes as they came over the wire; for a long line, of the
 * first byte too much. Only where the fault's bit is set. */
uint64_t line_checker_fault_at(const struct line_checker *c, enum body_fault fault);
/* Static text of the lowest bit that is set: "bare LF". */
const char *body_fault_text(unsigned faults);

enum dot_state {
    DOT_STATE_TEXT = 0, /* anywhere but behind a leading dot */
    DOT_STATE_DOT,      /* behind a dot that began a line */
    DOT_STATE_DOT_CR,   /* behind the CR that followed it */
    DOT_STATE_END,
};

struct dot_decoder {
    struct line_checker lines; /* lines.faults is for the caller to read */
    enum dot_state state;
    uint64_t output; /* bytes handed out */
};

/* max_line 0: no limit. */
void dot_decoder_init(struct dot_decoder *d, size_t max_line, bool normalize);

/*
 * Takes bytes off the front of *input and hands out the next run of decoded data: a part of the
 * input, or a few static bytes. Call it until it answers otherwise:
 *
 * PARSE_MORE with a run: append it and call again.
 * PARSE_MORE with an empty run: *input is used up; feed more.
 * PARSE_DONE: the end of data has been taken, *input begins behind it, the run is empty.
 *
 * PARSE_BAD is never answered; look at d->lines.faults after PARSE_DONE (or earlier, to stop
 * storing). Of a message with faults the output is not to be relayed, but normalized it is clean
 * of bare CR and LF.
 */
enum parse_result dot_decode(struct dot_decoder *d, struct span *input, struct span *output_out);

struct dot_encoder {
    struct line_checker
        lines; /* bare CR, LF or NUL seen: do not end the data, drop the connection */
};

void dot_encoder_init(struct dot_encoder *e);

/* Moves bytes from the front of *input to `out`, with the dots that they need, until the input is
 * used up or `out` holds `max` bytes (or one less, where a dot would not fit with its line). */
void dot_encode(struct dot_encoder *e, struct span *input, struct buf *out, size_t max);

/* Appends the end of data: ".\r\n" behind a line end or nothing at all, otherwise "\r\n.\r\n".
 * False, with nothing appended, where the buffer's bound would be passed. */
__attribute__((warn_unused_result)) bool dot_encode_end(struct dot_encoder *e, struct buf *out);

#endif
