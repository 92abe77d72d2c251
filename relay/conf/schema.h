/*
 * schema: the one table of relay.conf's keys. Everything that knows a key by name gets it here:
 * the loader, the checks, conf_print, relay.conf(5) and the sample's reference.
 */
#ifndef SMARTHOP_CONF_SCHEMA_H
#define SMARTHOP_CONF_SCHEMA_H

#include "conf/conf.h"

enum conf_type {
    CONF_NUMBER, /* unsigned, uint16_t or uint64_t, told by `width` */
    CONF_SIZE,
    CONF_DURATION,
    CONF_BOOL,
    CONF_ENUM,
    CONF_STRING,
    CONF_DOMAIN,
    CONF_PATH,
    CONF_NETWORKS,
    CONF_ADDRESSES,
    CONF_HOPS,
    CONF_DOMAINS, /* or ".domain" */
    CONF_BLOCK_LISTS,
    CONF_IDENTITIES,
    CONF_ORIGINS,
    CONF_WORDS, /* a set of `words`: the bits 1, 2, 4, .. of an unsigned */
    CONF_MARK,  /* yes or no, kept only as the route's action */
};

struct conf_key {
    const char *name;
    const char *standard; /* the default as written in a file, lists with commas */
    const char *unit;     /* what a CONF_NUMBER counts */
    const char *help;
    const char *example;      /* shown where there is no default */
    const char *const *words; /* ENUM: the values 0, 1, ..; STRING, WORDS: all that is allowed;
                                 PATH: not paths. Ends with NULL. */
    uint64_t min;             /* of a value, of a text's length, of a list's length */
    uint64_t max;
    size_t offset;       /* of the field in struct conf or in the section's item */
    size_t width;        /* of the field */
    size_t count_offset; /* lists: of the number of items */
    size_t given_offset; /* where `inherits`: of a bool in the item, that it has the key */
    enum conf_type type;
    enum conf_route_action choice; /* what the key makes of its route, where is_choice */
    uint16_t default_port;         /* ADDRESSES: 0 = the port must be written */
    bool is_choice;
    bool is_required;
    bool inherits;  /* absent, the global key of this name holds */
    bool is_secret; /* never shown, and erased at the end */
    bool reloadable;
};

struct conf_section {
    const char *name;
    const char *title; /* what the title stands for */
    const char *help;
    const struct conf_key *keys;
    unsigned key_count;
    size_t item_size;
    size_t title_offset; /* of char * in the item */
    size_t items_offset; /* in struct conf */
    size_t count_offset;
    size_t options_offset;      /* where `is_open`: of a struct conf_option *, ... */
    size_t option_count_offset; /* ... and of their number, in the item */
    bool is_open;               /* other keys than those of the table are kept as options */
};

enum { CONF_KEYS_MAX = 192 }; /* of one table */

/* The globals: a section without title and items. */
extern const struct conf_section conf_globals;

enum {
    CONF_LISTENER,
    CONF_CERTIFICATE,
    CONF_CREDENTIALS,
    CONF_ORIGIN,
    CONF_ROUTE,
    CONF_DESTINATION,
    CONF_TENANT,
    CONF_PLUGIN,
    CONF_SECTIONS
};
extern const struct conf_section conf_sections[CONF_SECTIONS];

static inline bool conf_key_is_list(const struct conf_key *key)
{
    return key->type == CONF_NETWORKS || key->type == CONF_ADDRESSES || key->type == CONF_HOPS ||
           key->type == CONF_DOMAINS || key->type == CONF_BLOCK_LISTS || key->type == CONF_WORDS ||
           key->type == CONF_IDENTITIES || key->type == CONF_ORIGINS;
}

static inline void *conf_key_field(const struct conf_key *key, const void *item)
{
    return (char *)item + key->offset;
}

static inline bool *conf_key_given(const struct conf_key *key, const void *item)
{
    return (bool *)(void *)((char *)item + key->given_offset);
}

/* NULL where the table has no such key. */
const struct conf_key *conf_key_find(const struct conf_section *section, struct span name);
const struct conf_section *conf_section_find(struct span name);

unsigned conf_section_count(const struct conf *conf, const struct conf_section *section);
void *conf_section_item(const struct conf *conf, const struct conf_section *section, unsigned i);

/* For a section that is open; the other returns the number of them. */
static inline struct conf_option **conf_item_options(const struct conf_section *section, void *item)
{
    return (struct conf_option **)(void *)((char *)item + section->options_offset);
}

static inline unsigned *conf_item_option_count(const struct conf_section *section, void *item)
{
    return (unsigned *)(void *)((char *)item + section->option_count_offset);
}

#endif
