/*
 * err: what went wrong on our side (a system call, the store, a file, a name server), by value.
 * What happened to mail is a struct status (proto/status.h); the two are never mixed.
 */
#ifndef SMARTHOP_BASE_ERR_H
#define SMARTHOP_BASE_ERR_H

#include <stdbool.h>

enum err_kind {
    ERR_NONE = 0,
    ERR_SYSTEM,    /* a system call; `sys` is errno */
    ERR_NO_SPACE,  /* disk, inodes, quota or store map full: an ordinary, passing condition */
    ERR_NOT_FOUND, /* no such thing in the store, no such file */
    ERR_CORRUPT,   /* a checksum or a format does not fit */
    ERR_INVALID,   /* input that does not fit what was asked for */
    ERR_TIMEOUT,
    ERR_CANCELLED,
    ERR_CLOSED,   /* the peer or the module has gone */
    ERR_STORE,    /* LMDB; `sys` is its code */
    ERR_TLS,      /* OpenSSL; the text was logged where it happened */
    ERR_CONFLICT, /* somebody else holds it, or it is not in the state that was asked for */
};

struct err {
    enum err_kind kind;
    int sys;           /* errno (positive) or a library's own code; 0 where there is none */
    const char *where; /* static text: the operation that failed */
};

#define ERR_OK ((struct err){ERR_NONE, 0, NULL})

static inline bool err_is(struct err e)
{
    return e.kind != ERR_NONE;
}

static inline struct err err_make(enum err_kind kind, const char *where)
{
    return (struct err){kind, 0, where};
}

/* From errno; ENOSPC, EDQUOT and EFBIG become ERR_NO_SPACE, ENOENT ERR_NOT_FOUND,
 * ETIMEDOUT ERR_TIMEOUT, ECANCELED ERR_CANCELLED. */
struct err err_system(int sys, const char *where);

enum { ERR_TEXT_MAX = 256 };
/* "where: why", written into `text` (ERR_TEXT_MAX bytes), which is returned. */
const char *err_text(struct err e, char text[ERR_TEXT_MAX]);

#endif
