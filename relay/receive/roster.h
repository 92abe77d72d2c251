/*
 * roster: the sessions of a server, each in a place that stays its own while it lives. So they can
 * be looked at a few at a time while others come and go: each that is there all the while is seen
 * once. The places are as many as there ever were sessions at a time.
 */
#ifndef SMARTHOP_RECEIVE_ROSTER_H
#define SMARTHOP_RECEIVE_ROSTER_H

#include <stdint.h>

struct session;

struct roster_place {
    struct session *session; /* NULL = free */
    uint64_t id;             /* the session's, so that a search does not touch them all */
    unsigned next_free;
};

struct roster {
    struct roster_place *places;
    unsigned place_count;
    unsigned place_cap;
    unsigned first_free; /* place_count = none */
    unsigned count;      /* of sessions */
};

/* Returns the session's place. A zeroed roster is empty. */
unsigned roster_add(struct roster *roster, struct session *session, uint64_t id);
void roster_remove(struct roster *roster, unsigned place);
void roster_fini(struct roster *roster);
/* NULL where there is none. */
struct session *roster_find(const struct roster *roster, uint64_t id);
/* The next session from *place on, which moves on; NULL where there is none before `end`, which may
 * lie behind the last place. */
struct session *roster_next(const struct roster *roster, unsigned *place, unsigned end);

#endif
