/*
 * codec: addresses of the Sender Rewriting Scheme, as libsrs2 writes them:
 *
 *     SRS0=HASH=DAY=HOST=USER@domain        stands for USER@HOST
 *     SRS1=HASH=HOST==REST@domain           stands for SRS0=REST@HOST, of another forwarder
 *
 * DAY are two characters of base32: the days since 1970, modulo 1024. A quoted local part is quoted
 * as a whole. Nothing here allocates; all may be called on any thread.
 */
#ifndef SMARTHOP_SRS_CODEC_H
#define SMARTHOP_SRS_CODEC_H

#include "keys.h"

enum { SRS_ADDRESS_MAX = 254 };

struct srs {
    const struct keys *keys;
    struct smarthop_span domain; /* that rewritten addresses have */
    char separator;              /* behind SRS0 and SRS1: = - or + */
    uint8_t hash_len;            /* at most KEYS_HASH_MAX */
    uint8_t hash_min;            /* of what comes back */
    unsigned max_age_days;
};

enum srs_result {
    SRS_DONE,
    SRS_UNFIT,   /* forward: it has no domain, or becomes too long; reverse: it is none of these */
    SRS_BROKEN,  /* reverse: it is one, but parts are missing */
    SRS_FORGED,  /* reverse: no secret has signed it */
    SRS_EXPIRED, /* reverse: the time is over in which it may be used */
};

struct srs_address {
    size_t len;
    char text[SRS_ADDRESS_MAX];
};

/* `sender` without brackets, not the null one; `now` in seconds since 1970. */
enum srs_result srs_forward(const struct srs *srs, struct smarthop_span sender, uint64_t now,
                            struct srs_address *out);
/* `local` is the local part of a recipient in `domain`. */
enum srs_result srs_reverse(const struct srs *srs, struct smarthop_span local, uint64_t now,
                            struct srs_address *out);

#endif
