/*
 * key: what is looked up of an address, and hashes of it. Local parts and domains are compared in
 * lower case (ASCII); a local part is the same however it is quoted.
 */
#ifndef SMARTHOP_TABLE_KEY_H
#define SMARTHOP_TABLE_KEY_H

#include "text.h"

enum { KEY_MAX = 512 };

/* What keys a table has: what it does not have is not looked for. */
enum key_kind {
    KEY_ADDRESS = 1 << 0,  /* user@example.org */
    KEY_LOCAL = 1 << 1,    /* user */
    KEY_CATCHALL = 1 << 2, /* @example.org */
    KEY_DOMAIN = 1 << 3,   /* example.org */
    KEY_PARENT = 1 << 4,   /* .example.org */
    KEY_ANY = 1 << 5,      /* * */
};

/* An address, ready to be looked up. Most keys are the ends of one text. */
struct subject {
    struct smarthop_span address; /* user+more@example.org */
    struct smarthop_span local;
    struct smarthop_span catchall;
    struct smarthop_span domain;
    struct smarthop_span base;       /* user@example.org; empty = there is no extension */
    struct smarthop_span base_local; /* likewise */
    struct smarthop_span extension;  /* "+more", as it is written */
    char room[KEY_MAX];
    char base_room[KEY_MAX];
};

/* `delimiters` are the bytes that begin an extension. False where it is too long for any key. */
bool subject_init(struct subject *subject, struct smarthop_span local, struct smarthop_span domain,
                  struct smarthop_span delimiters);
/* Likewise, of a mailbox; false where it has no domain. */
bool subject_parse(struct subject *subject, struct smarthop_span mailbox,
                   struct smarthop_span delimiters);

/* As keys are kept: into `room` of KEY_MAX bytes. Empty = it is too long. */
struct smarthop_span key_fold(struct smarthop_span written, char *room);

uint64_t key_hash(struct smarthop_span key);

#endif
