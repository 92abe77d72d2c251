/*
 * parse: the one answer that every parser of this folder gives.
 *
 * A parser is fed spans, says how much it consumed and never reads a socket. Its state is fixed in
 * size; spans that it hands out point into the input and expire when the caller lets those bytes
 * go.
 */
#ifndef SMARTHOP_PROTO_PARSE_H
#define SMARTHOP_PROTO_PARSE_H

enum parse_result {
    PARSE_MORE, /* all that can be said so far; feed more bytes */
    PARSE_DONE, /* one whole element */
    PARSE_BAD,  /* the peer does not speak the protocol; the parser must not be fed again */
};

#endif
