#include "receive/roster.h"

#include "base/memory.h"

#include <stdlib.h>

enum { FIRST_PLACES = 64 };

static void grow(struct roster *roster)
{
    roster->place_cap = roster->place_cap ? roster->place_cap * 2 : FIRST_PLACES;
    roster->places = mem_realloc(roster->places, roster->place_cap * sizeof *roster->places);
}

unsigned roster_add(struct roster *roster, struct session *session, uint64_t id)
{
    unsigned place = roster->first_free;

    if (place == roster->place_count) {
        if (place == roster->place_cap)
            grow(roster);
        roster->first_free = ++roster->place_count;
    } else {
        roster->first_free = roster->places[place].next_free;
    }
    roster->places[place] = (struct roster_place){.session = session, .id = id};
    roster->count++;
    return place;
}

void roster_remove(struct roster *roster, unsigned place)
{
    roster->places[place] = (struct roster_place){.next_free = roster->first_free};
    roster->first_free = place;
    roster->count--;
}

void roster_fini(struct roster *roster)
{
    free(roster->places);
}

struct session *roster_find(const struct roster *roster, uint64_t id)
{
    for (unsigned i = 0; i < roster->place_count; i++)
        if (roster->places[i].id == id)
            return roster->places[i].session;
    return NULL;
}

struct session *roster_next(const struct roster *roster, unsigned *place, unsigned end)
{
    while (*place < end && *place < roster->place_count) {
        struct session *session = roster->places[(*place)++].session;
        if (session != NULL)
            return session;
    }
    return NULL;
}
