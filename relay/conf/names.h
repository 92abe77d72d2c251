/*
 * names: which keys and sections a source has, before libConfuse reads it. libConfuse stops at the
 * first unknown key and lets a repeated one win in silence; here each is a problem of its own, and
 * unknown ones are blanked out of the text so that the rest is still checked.
 */
#ifndef SMARTHOP_CONF_NAMES_H
#define SMARTHOP_CONF_NAMES_H

#include "conf/schema.h"
#include "conf/source.h"

enum { CONF_EXTRA_MAX = 256 };

struct conf_place {
    unsigned line;
    struct span title; /* without its quotes, escapes as written; as long as the source's text */
};

/* Where the sections of each type begin, in the order of the text. */
struct conf_places {
    struct conf_place *items[CONF_SECTIONS];
    unsigned count[CONF_SECTIONS];
    /* Names in open sections that the table does not have, each once. */
    char *extra[CONF_EXTRA_MAX];
    unsigned extra_count;
};

void conf_names_check(struct conf_source *source, struct conf_places *places_out);
void conf_places_fini(struct conf_places *places);

#endif
