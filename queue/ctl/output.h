/*
 * output: what people read on stdout. Texts from the store were written by strangers: nothing in
 * them may steer a terminal.
 */
#ifndef SMARTHOP_QUEUE_CTL_OUTPUT_H
#define SMARTHOP_QUEUE_CTL_OUTPUT_H

#include "base/span.h"

#include <stdio.h>

enum { OUTPUT_DURATION_MAX = 24, OUTPUT_TIME_MAX = 40, OUTPUT_SIZE_MAX = 16 };

enum output_style { OUTPUT_PLAIN, OUTPUT_BOLD, OUTPUT_GOOD, OUTPUT_WARN, OUTPUT_BAD };

/* Looks at the terminal; before anything is written. */
void output_start(void);
/* False where not everything could be written. */
bool output_end(void);
/* Of the terminal as it is now, however small; 80 and 24 where it does not tell. */
void output_screen(unsigned short *columns_out, unsigned short *lines_out);
/* Columns of the terminal when it began, 60 at least; 0 where stdout is none. */
size_t output_width(void);

/* Control bytes and what is no UTF-8 become "?". */
void output_text(struct span text);
/* Like output_text, but lines stay lines: for a message on a terminal; exact where it is none. */
void output_raw(struct span text);
/* A column: padded to `width` and, on a terminal, cut to it; a space follows. Width 0: as it is. */
void output_cell(struct span text, size_t width, enum output_style style);
void output_number(uint64_t number, size_t width);

/* "4m 10s", "2h 3m", "5d 11h": two units at most. */
size_t output_duration(uint64_t ms, char text[OUTPUT_DURATION_MAX]);
/* "2024-03-05 11:11:12 +0100". */
size_t output_time(uint64_t wall_ms, char text[OUTPUT_TIME_MAX]);
/* "512", "3.4K", "12M". */
size_t output_size(uint64_t bytes, char text[OUTPUT_SIZE_MAX]);

#endif
