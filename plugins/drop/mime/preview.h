/*
 * preview: how a message begins, in a line (RFC 8970): the first PREVIEW_CHARACTERS of its first
 * part that has text, decoded, without HTML's tags, quotes of other messages and runs of blanks.
 *
 * Pure.
 */
#ifndef SMARTHOP_DROP_PREVIEW_H
#define SMARTHOP_DROP_PREVIEW_H

#include "base/buf.h"
#include "plugins/drop/mime/digest.h"

enum {
    PREVIEW_CHARACTERS = 200,      /* of Unicode; RFC 8970 3.1 */
    PREVIEW_SOURCE_MAX = 64 << 10, /* bytes of a part that are looked at */
};

/* The part that is shown: text, not empty, and none of a message within. False: there is none, and
 * the preview is the empty string. */
bool preview_part(const struct digest *digest, struct digest_part *out);

/* `body`: how the part's body begins, PREVIEW_SOURCE_MAX bytes or as many as there are. Appends
 * UTF-8 to `out`, which is unbounded: no controls, no blanks around. */
void preview_write(const struct digest_part *part, struct span body, struct buf *out);

#endif
