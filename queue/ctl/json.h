/*
 * json: JSON straight to stdout, value by value, so that a list of a million messages needs no
 * memory. The caller keeps the nesting right; commas are put where they belong.
 */
#ifndef SMARTHOP_QUEUE_CTL_JSON_H
#define SMARTHOP_QUEUE_CTL_JSON_H

#include "base/span.h"

/* Within an object `name` is the value's; within an array it is NULL. */
void json_open(const char *name, char bracket); /* '{' or '[' */
void json_close(char bracket);                  /* '}' or ']' */
/* What is no UTF-8 becomes U+FFFD. */
void json_text(const char *name, struct span text);
void json_signed(const char *name, int number);
void json_number(const char *name, uint64_t number);
void json_bool(const char *name, bool value);
void json_none(const char *name);
/* Before each element of a long array. */
void json_next_line(void);
/* Behind the last of them, and at the end of all. */
void json_end_line(void);

#endif
