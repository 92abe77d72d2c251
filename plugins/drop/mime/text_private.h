/* What the files of text share. */
#ifndef SMARTHOP_DROP_TEXT_PRIVATE_H
#define SMARTHOP_DROP_TEXT_PRIVATE_H

#include "plugins/drop/mime/text.h"

/* Combining diacritical marks. */
enum { TEXT_MARK_FIRST = 0x300, TEXT_MARK_LAST = 0x36f };

/* The one character that the two are; 0 where there is none. */
uint32_t text_compose(uint32_t base, uint32_t mark);

#endif
