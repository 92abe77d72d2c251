/*
 * store: a table as an LMDB file. It is written once, beside the old one, and switched to by
 * renaming; nobody changes it afterwards, so it is read without locks, and what is mapped of it is
 * the page cache's, shared by all processes that read it.
 *
 * Key 0 is the stamp, key 1 the filter, all others are the hashes of the keys; where two keys have
 * one hash, the second takes the next number. A value is its line in the source, the length of the
 * key, the key, and the rule as bytes.
 */
#ifndef SMARTHOP_TABLE_STORE_H
#define SMARTHOP_TABLE_STORE_H

#include "filter.h"
#include "key.h"

#include <sys/types.h>

enum { STORE_FORMAT = 1 };

/* What a table was made from. */
struct stamp {
    uint32_t format;
    uint32_t kinds;       /* enum key_kind */
    uint64_t fingerprint; /* of how the file is read */
    uint64_t count;
    uint64_t size;
    int64_t changed; /* mtime and ctime, in nanoseconds */
    int64_t status_changed;
    uint64_t inode;
    uint64_t checksum;
};

/* ---- writing ------------------------------------------------------------------------------ */

struct store_writer; /* one thread */

/* `path` is emptied; `bytes` bounds the values, `entries` their number. NULL, and *error is LMDB's.
 */
struct store_writer *store_writer_open(const char *path, uint64_t bytes, uint64_t entries,
                                       int *error);
/* Hashes ascend. 0, or LMDB's error. */
int store_writer_add(struct store_writer *writer, uint64_t hash, struct smarthop_span value);
/* The filter is to know this hash, too: there are addresses of the domain. */
void store_writer_hint(struct store_writer *writer, uint64_t hash);
/* Durable when it returns 0; closes it in any case. stamp NULL = it is given up. */
int store_writer_close(struct store_writer *writer, const struct stamp *stamp);

/* Into `bytes`; the key and the record behind `head` are the caller's to append. */
enum { STORE_VALUE_HEAD = 6 };
void store_value_head(char *bytes, uint32_t line, size_t key_len);
/* The parts of a value; false where it is damaged. */
bool store_value_split(struct smarthop_span value, uint32_t *line, struct smarthop_span *key,
                       struct smarthop_span *record);

/* Text of an error of LMDB's or the system's. */
const char *store_error(int error);

/* ---- reading ------------------------------------------------------------------------------ */

struct store; /* immutable; any thread */

/* What tells quickly whether it is worth looking for. */
struct store_hint {
    uint32_t kinds; /* enum key_kind */
    const char *filter;
    uint64_t words;
};

static inline bool store_hint_may_have(const struct store_hint *hint, enum key_kind kind,
                                       uint64_t hash)
{
    return (hint->kinds & kind) != 0 && filter_may_have(hint->filter, hint->words, hash);
}

/* NULL: there is none that can be read; *error says why. */
struct store *store_open(const char *path, int *error);
/* Nobody reads it any more, and all its readers are closed. NULL is let be. */
void store_close(struct store *store);
const struct stamp *store_stamp(const struct store *store);
/* As long as the store. */
const struct store_hint *store_hint(const struct store *store);

/* One thread's at a time. */
struct store_reader {
    const struct store *store; /* NULL = none yet */
    void *transaction;
    bool is_active;
};

enum store_found { STORE_NONE, STORE_FOUND, STORE_DAMAGED };

/* The record lasts until the reader rests or closes. */
enum store_found store_find(struct store_reader *reader, const struct store *store,
                            struct smarthop_span key, uint64_t hash, uint32_t *line,
                            struct smarthop_span *record);
/* It holds no snapshot any more, and is as good as new. */
void store_reader_rest(struct store_reader *reader);
void store_reader_close(struct store_reader *reader);

#endif
