/*
 * value: one key's value between its text and its field, for every type of the schema.
 */
#ifndef SMARTHOP_CONF_VALUE_H
#define SMARTHOP_CONF_VALUE_H

#include "conf/schema.h"

/* Sets a scalar, or appends to a list. On failure `why` says what is wrong and what was expected,
 * and the field is as before. Relative paths are put behind `folder` unless it is NULL. */
bool conf_value_add(const struct conf_key *key, void *item, struct span text, const char *folder,
                    struct buf *why);
void conf_value_set_default(const struct conf_key *key, void *item, const char *folder);
void conf_value_free(const struct conf_key *key, void *item);

/* The folder of a configuration file, as an absolute path, so that a later chdir changes nothing.
 * The caller frees it. */
char *conf_folder_of(const char *file);

/* A text in quotes. */
void conf_print_quoted(const char *text, struct buf *out);
/* As it is written in a file, with quotes and braces where the type has them. */
void conf_value_print(const struct conf_key *key, const void *item, struct buf *out);
/* "a duration from 10ms to 1d" */
void conf_value_print_expected(const struct conf_key *key, struct buf *out);

#endif
