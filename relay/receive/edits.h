/*
 * edits: what plugins change of a header section. Pure. Shared by the files of receive/ only.
 */
#ifndef SMARTHOP_RECEIVE_EDITS_H
#define SMARTHOP_RECEIVE_EDITS_H

#include "base/buf.h"
#include "plugins/smarthop_plugin.h"

/* Makes these changes, one after the other, of a header section with its empty line, if it has one.
 * A field that is not there is not replaced or removed. The edits are sound (plugins/host/verdict.c
 * has seen to that). */
void edits_apply(struct buf *head, const struct smarthop_edit *edits, uint32_t count);

#endif
