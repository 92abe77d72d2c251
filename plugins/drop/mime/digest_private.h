/* How a digest lies in its bytes; digest.c tells the order. */
#ifndef SMARTHOP_DROP_DIGEST_PRIVATE_H
#define SMARTHOP_DROP_DIGEST_PRIVATE_H

enum {
    DIGEST_VERSION = 1,
    DIGEST_HEAD = 29,
    DIGEST_PART = 32,
    DIGEST_CHARSET_MAX = 64, /* bytes kept of a charset's name */
};

enum digest_flag {
    DIGEST_TEXT = 1 << 0,
    DIGEST_HTML = 1 << 1,
    DIGEST_NUL = 1 << 2,
    DIGEST_FLAGS = DIGEST_TEXT | DIGEST_HTML | DIGEST_NUL,
};

#endif
