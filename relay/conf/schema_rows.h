/*
 * How the rows of the table of keys are written. For the files of the table only.
 */
#ifndef SMARTHOP_CONF_SCHEMA_ROWS_H
#define SMARTHOP_CONF_SCHEMA_ROWS_H

#include "conf/schema.h"

#define MS        1ULL
#define SECONDS   (1000 * MS)
#define MINUTES   (60 * SECONDS)
#define HOURS     (60 * MINUTES)
#define DAYS      (24 * HOURS)
#define KIB       1024ULL
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)
#define TIB       (1024 * GIB)
#define MILLION   1000000ULL
#define COUNT(of) (sizeof(of) / sizeof((of)[0]))

#define FIELD(owner, field)                                                                        \
    .name = #field, .offset = offsetof(struct owner, field),                                       \
    .width = sizeof(((struct owner *)0)->field)
#define LIST(owner, list, length)                                                                  \
    .offset = offsetof(struct owner, list), .count_offset = offsetof(struct owner, length)

enum {
    PATH_LENGTH_MAX = 4095,
    SOCKET_PATH_MAX = 107,
    DOMAIN_MAX = 253,
    LIST_MAX = 65536,
    ADDRESS_MAX = 254,
    DELIMITERS_MAX = 8
};

#endif
