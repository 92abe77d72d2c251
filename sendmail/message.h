/*
 * message: a message on its way from standard input to the server. It rests in a temporary file
 * without a name, so that memory stays bounded whatever its size.
 */
#ifndef SMARTHOP_SENDMAIL_MESSAGE_H
#define SMARTHOP_SENDMAIL_MESSAGE_H

#include "sendmail/address_list.h"

#include <stdio.h>

struct message {
    FILE *file;
    uint64_t size;
    bool eight_bit; /* a byte above 127 somewhere */
};

struct message_source {
    int fd;
    bool dot_is_text;
    const char *hostname;
    const char
        *full_name;     /* NULL, or for a From field where there is none; no control characters */
    struct span sender; /* for the same */
    struct address_list *recipients; /* NULL, or to be filled from the header; Bcc is left out */
};

/* Reads the input to its end. EX_OK, or another exit status once it has been said why; to be closed
 * in either case. */
int message_read(struct message *m, const struct message_source *source);
void message_close(struct message *m);

/* From the start. */
void message_rewind(struct message *m);
/* Up to `room` bytes; none at the end. False where the file cannot be read. */
bool message_next(struct message *m, char *bytes, size_t room, struct span *out);

#endif
