/*
 * load: what the steps of one conf_load hand to each other.
 */
#ifndef SMARTHOP_CONF_LOAD_H
#define SMARTHOP_CONF_LOAD_H

#include "conf/names.h"

struct conf_loading {
    struct conf_source source;
    struct conf_places places;
    struct conf *conf;
    bool with_passwords;               /* files of them are read */
    char *folder;                      /* of the file; relative paths start here */
    unsigned key_lines[CONF_KEYS_MAX]; /* of the globals that the file gives; 0 = it does not */
};

/* Has libConfuse read the source's text into the conf; false where that failed, with a problem. */
bool conf_fill(struct conf_loading *loading);

/* What no single row of the schema can tell. */
void conf_check(struct conf_loading *loading);

/* Checks the credentials, reads their passwords, and checks what routes say of them. */
void conf_credentials_load(struct conf_loading *loading);
/* Erases the passwords that were read. */
void conf_credentials_erase(struct conf *conf);

/* Up to 64 letters, digits and -_. */
bool conf_is_plain_name(struct span name);

/* The machine's own name, fully qualified where it has such a name; the caller frees it. NULL
 * where it is not a domain name. May ask the name server. */
char *conf_own_hostname(void);

/* Sorts the routes and the lists of domains, which are searched by their patterns. */
void conf_sort(struct conf *conf);

#endif
