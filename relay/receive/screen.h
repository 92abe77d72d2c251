/*
 * screen: what is found out about a client before it is let speak (SESSION_SCREEN), and what is
 * made of that: the greeting that waits, clients that do not wait for it or for the offer of
 * PIPELINING, the client's name, and DNS block lists (RFC 5782). For clients of relay listeners,
 * but for pipelining. Shared by the files of receive/ only; on the session's loop.
 *
 * Look-ups go on side by side while the greeting waits, for client_lookup_timeout at the most, and
 * what was not known by then stays unknown: no failure of the DNS refuses anybody.
 */
#ifndef SMARTHOP_RECEIVE_SCREEN_H
#define SMARTHOP_RECEIVE_SCREEN_H

#include "proto/address.h"
#include "proto/smtp_command.h"
#include "proto/xclient.h"

struct session;
struct screen; /* look-ups under way */

enum screen_name_state {
    SCREEN_NAME_UNASKED = 0, /* nobody has asked for it */
    SCREEN_NAME_VERIFIED,    /* the name has the client's address */
    SCREEN_NAME_TOLD,        /* a trusted proxy says so (XCLIENT) */
    SCREEN_NAME_FORGED,      /* the address claims the name, which does not have it */
    SCREEN_NAME_NONE,        /* the address has no name */
    SCREEN_NAME_UNKNOWN,     /* the DNS has failed, or took too long */
};

enum { SCREEN_TEXT_MAX = 200 };

/* One block list that holds the client. */
struct screen_listing {
    const char *zone; /* the session's configuration's */
    struct in_addr answer;
    char text[SCREEN_TEXT_MAX + 1]; /* why, as the list says; printable ASCII, may be empty */
};

/* What is known of a session's client besides its address. Complete when the client is greeted;
 * zeroed and known of nobody where nothing was looked up. */
struct screen_facts {
    enum screen_name_state name_state;
    char *name; /* NULL where there is none; told of an address only where it is VERIFIED or TOLD */
    struct screen_listing *listings;
    unsigned listing_count;
};

/* Greets the client, now or when it has waited and is known; instead of session_greet at the start
 * of a session. */
void screen_begin(struct session *s);
/* Input while in SESSION_SCREEN; as data_take. */
bool screen_take(struct session *s);
/* The deadline of SESSION_SCREEN has passed. */
void screen_on_deadline(struct session *s);
/* The session ends: lets go of look-ups under way and of the facts. */
void screen_abandon(struct session *s);

/* By XCLIENT: it is another client from now on; and its name, as the proxy has it. */
void screen_forget(struct session *s);
void screen_take_name(struct session *s, const struct xclient_value *name);

/* A name that was looked up both ways, or NULL. It lives as long as the facts. */
const char *screen_verified_name(const struct session *s);

/* Whether input behind this command was sent without waiting, before EHLO has offered PIPELINING
 * (RFC 2920 3.1). `behind` is how many bytes have come behind its line. */
bool screen_is_premature(const struct session *s, const struct smtp_command *command,
                         size_t behind);
/* Refuses a client that does not wait, and ends the session. `why` is static, for the log. */
void screen_refuse_early(struct session *s, const char *text, const char *why);
/* Whether this recipient is refused, and said so, because a block list holds the client. */
bool screen_refuses(struct session *s, const struct address *recipient);

#endif
