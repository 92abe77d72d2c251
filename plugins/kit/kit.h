/*
 * kit: tries a plugin without a daemon. It loads it as the daemon does, in a process of its own,
 * and asks it what the daemon would ask in the course of one message, in SMTP's order. Time is made
 * up: where a plugin waits, the clock goes on to what it waits for. Names are looked up in a
 * script.
 *
 * What the plugin must not do is looked for: crashes, endless loops, answers that were promised and
 * never come, or come twice, answers that make no sense, and events that are used after their end.
 */
#ifndef SMARTHOP_PLUGINS_KIT_KIT_H
#define SMARTHOP_PLUGINS_KIT_KIT_H

#include "base/buf.h"
#include "conf/conf.h"
#include "plugins/smarthop_plugin.h"

enum kit_race {
    KIT_NO_RACE,
    KIT_RACE_CANCEL, /* promised answers are given up before they come */
    KIT_RACE_LATE,   /* ... when they have just come */
    KIT_RACE_DOUBLE, /* the same is asked twice before either is answered */
};

struct kit_texts {
    const char **items;
    unsigned count;
};

/* What is to be tried. Texts are the caller's. */
struct kit_order {
    const char *file;            /* or the name of a section of conf */
    const struct conf *conf;     /* its section is the plugin's; NULL = none */
    struct kit_texts options;    /* "NAME=VALUE"; over those of the section */
    struct kit_texts dns;        /* "TYPE NAME [delay=DURATION] [secure] none|retry|VALUE" */
    struct kit_texts recipients; /* none = it is started, and asked nothing */
    struct kit_texts commands;   /* of its own, each with its words, behind all askings */
    const char *sender;
    const char *client; /* address */
    const char *helo;
    const char *user;    /* NULL = does not log in */
    const char *message; /* file; NULL = a short one */
    enum smarthop_outcome outcome;
    enum kit_race race;
    bool reload;      /* once, before it is asked */
    uint64_t timeout; /* real milliseconds for all of it */
};

enum kit_result {
    KIT_GOOD,
    KIT_MISBEHAVED,
    KIT_REFUSED, /* it does not load, start, reload or know commands */
    KIT_USAGE,   /* the order makes no sense */
};

/* One thing that has happened, as a JSON object; its member "record" says what. */
typedef void (*kit_tell)(void *context, struct span record);

/* Blocks, at most for order->timeout. For KIT_USAGE `messages` says what is wrong. */
enum kit_result kit_run(const struct kit_order *order, struct buf *messages, kit_tell tell,
                        void *context);

#endif
