/*
 * private: one client's dialogue in POP3 (RFC 1939). For the files of pop3/ only.
 *
 * Commands are executed one after the other; what has to be waited for is a state, and input waits
 * meanwhile. A session that waits for its client holds its message list, and nothing else.
 */
#ifndef SMARTHOP_DROP_POP3_PRIVATE_H
#define SMARTHOP_DROP_POP3_PRIVATE_H

#include "plugins/drop/pop3/command.h"
#include "plugins/drop/server/login.h"
#include "plugins/drop/server/server.h"
#include "proto/dot.h"
#include "proto/smtp_command.h"

enum pop3_state {
    POP3_COMMAND,   /* between commands */
    POP3_HANDSHAKE, /* STLS: TLS is being negotiated */
    POP3_LOGIN,     /* who it is is being checked */
    POP3_RESPONSE,  /* AUTH: the client's next response is awaited */
    POP3_OPEN,      /* the mailbox is being read */
    POP3_SEND,      /* an answer leaves as fast as the client reads */
    POP3_TOUCH,     /* bytes of a message are brought to memory */
    POP3_UPDATE,    /* QUIT: messages are being removed */
    POP3_CLOSED,    /* said goodbye or cut; waiting for the conn to go */
};

enum { POP3_LINE_MAX = 512 }; /* RFC 2449 4 asks for 255, with CRLF */

struct pop3_entry {
    uint64_t size;
    uint32_t uid;
    bool is_deleted;
};

/* A user's INBOX as it was when he logged in. */
struct pop3_drop {
    uint32_t box; /* 0 = he has none yet */
    uint32_t uid_validity;
    struct pop3_entry *entries; /* by UID */
    uint32_t count;
    uint32_t cap;
    uint32_t left; /* those that are not deleted */
    uint64_t bytes;
    struct err error;
};

/* A list, or a message, that is leaving. */
struct pop3_answer {
    enum pop3_verb verb;
    uint32_t next; /* of a list: the entry */
    uint32_t uid;
    uint64_t offset; /* into the message, with its prefix */
    uint64_t lines;  /* of the body that are still to be sent; UINT64_MAX = all */
    bool is_begun;   /* "+OK" has been said */
    bool is_body;
    size_t line_len; /* of the header's line, so far */
    struct dot_encoder dot;
};

/* Work off the loop; the session waits for it, even without its client. */
struct pop3_job {
    struct work work;
    struct pop3_session *session;
    struct mailstore *store;
    struct span user;
    struct pop3_drop drop;
    uint64_t message;
    uint64_t offset;
    uint64_t len;
};

struct pop3_session {
    struct drop_session base;
    enum pop3_state state;
    bool client_gone; /* it has sent its last byte */
    bool is_stopping;
    bool is_followed; /* by more input, the line that is executed */
    bool is_touched;  /* the next slice is in memory as far as can be done */
    unsigned errors;
    unsigned pending; /* things under way that have to complete before it is freed */
    char *name;       /* of USER */
    struct login *login;
    struct smtp_command_parser lines;
    struct pop3_drop drop;
    struct pop3_answer *answer;
};

/* session.c */
void pop3_enter(struct pop3_session *s, enum pop3_state state);
/* Goes on with what has arrived, as far as the state allows. */
void pop3_run(struct pop3_session *s);
void pop3_write(struct pop3_session *s, struct span bytes);
/* A line; `text` is static. */
void pop3_say(struct pop3_session *s, const char *text);
/* "-ERR text"; counts as the client's error, and ends the session when there are too many. */
void pop3_refuse(struct pop3_session *s, const char *text);
/* Sends what was gathered and closes. `reason` is static, for the log. */
void pop3_end(struct pop3_session *s, const char *reason);
/* Closes at once. */
void pop3_cut(struct pop3_session *s, const char *reason);
/* Frees it, where its conn is gone and nothing is under way any more. */
void pop3_release(struct pop3_session *s);
static inline bool pop3_is_logged_in(const struct pop3_session *s)
{
    return s->base.user[0] != '\0';
}

/* login.c */
void pop3_user(struct pop3_session *s, const struct pop3_command *command);
void pop3_pass(struct pop3_session *s, const struct pop3_command *command);
void pop3_auth(struct pop3_session *s, const struct pop3_command *command);
void pop3_response(struct pop3_session *s, struct span line);
/* Those that can be used now. */
void pop3_list_mechanisms(const struct pop3_session *s, const char *before, const char *behind,
                          struct buf *out);
/* The session's end. */
void pop3_login_end(struct pop3_session *s);

/* drop.c */
void pop3_open(struct pop3_session *s);
void pop3_stat(struct pop3_session *s, const struct pop3_command *command);
/* LIST and UIDL. */
void pop3_list(struct pop3_session *s, const struct pop3_command *command);
void pop3_dele(struct pop3_session *s, const struct pop3_command *command);
void pop3_rset(struct pop3_session *s, const struct pop3_command *command);
void pop3_quit(struct pop3_session *s, const struct pop3_command *command);
/* By number; NULL, and it has been said, where there is none. */
struct pop3_entry *pop3_entry(struct pop3_session *s, uint32_t number);
void pop3_list_line(const struct pop3_drop *drop, enum pop3_verb verb, uint32_t index,
                    struct buf *out);

/* send.c */
/* RETR and TOP. */
void pop3_retr(struct pop3_session *s, const struct pop3_command *command);
/* In POP3_SEND: more of the answer, as much as the conn takes. False: it has to wait. */
bool pop3_send(struct pop3_session *s);
struct pop3_answer *pop3_answer_begin(struct pop3_session *s, enum pop3_verb verb);

#endif
