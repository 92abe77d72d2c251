/*
 * private: one client's dialogue in LMTP (RFC 2033), and the message under way in it. For the files
 * of lmtp/ only.
 *
 * A message that is being put into mailboxes is ours: where the client has gone meanwhile, it is
 * delivered all the same, and the session's memory stays until that is done.
 */
#ifndef SMARTHOP_DROP_LMTP_PRIVATE_H
#define SMARTHOP_DROP_LMTP_PRIVATE_H

#include "plugins/drop/lmtp/hops.h"
#include "plugins/drop/server/server.h"
#include "proto/bdat.h"
#include "proto/dot.h"
#include "proto/esmtp.h"
#include "proto/smtp_command.h"
#include "proto/smtp_path.h"
#include "proto/status.h"

enum lmtp_state {
    LMTP_COMMAND, /* between commands */
    LMTP_DATA,    /* the message is arriving */
    LMTP_CHUNK,   /* a chunk of it is arriving, or one that was refused */
    LMTP_ROOM,    /* it arrives faster than the store takes it: input waits */
    LMTP_APPEND,  /* the end of data has come; the replies wait for the disk */
    LMTP_CLOSED,  /* said goodbye or cut; waiting for the conn to go */
};

/* A mailbox that the message goes to, once however many recipients lead there. */
struct lmtp_target {
    struct span user;
    struct span folder;
    struct span address; /* the recipient that named it first: Delivered-To */
    bool is_shared;      /* an alias has named it with others */
    bool is_wanted;      /* by a recipient that is no loop */
    unsigned place;      /* in the append's targets */
};

struct lmtp_recipient {
    struct span address;
    unsigned *targets; /* indexes */
    unsigned target_count;
    bool is_loop;
};

struct lmtp_message {
    struct arena arena; /* of what belongs to it */
    struct addresses *addresses;
    struct users *users;
    struct span reverse_path;
    bool is_utf8;
    uint64_t size;                     /* as MAIL has told it; 0 = not told */
    struct lmtp_recipient *recipients; /* on the heap */
    unsigned recipient_count;
    unsigned recipient_cap;
    struct lmtp_target *targets; /* on the heap */
    unsigned target_count;
    unsigned target_cap;

    struct lmtp_session *session; /* while its append is under way */
    struct mailstore_draft *draft;
    struct dot_decoder dot; /* with BDAT only its line checker is used */
    struct bdat_counter chunks;
    struct hops hops;
    bool in_chunks;
    bool is_too_large;
    uint64_t size_taken;
    struct mailstore_append append;
};

struct lmtp_session {
    struct drop_session base;
    enum lmtp_state state;
    bool client_gone;  /* it has sent its last byte */
    bool is_stopping;  /* 421 at the next chance */
    bool is_followed;  /* by more input, the line that is executed */
    bool is_appending; /* whether or not the client is still there */
    unsigned errors;   /* of the client */
    unsigned messages;
    char *hello; /* NULL before LHLO */
    struct smtp_command_parser parser;
    struct lmtp_message *message; /* NULL = no transaction */
    struct status chunk_refusal;  /* of the chunk that is arriving; code 0 = it is taken */
    uint64_t chunk_left;          /* of a refused one */
    bool chunk_last;              /* likewise */
};

/* session.c */
void lmtp_enter(struct lmtp_session *s, enum lmtp_state state);
/* Goes on with what has arrived, as far as the state allows. */
void lmtp_run(struct lmtp_session *s);
/* `enhanced` all zero leaves it out (greeting, LHLO, 354). */
void lmtp_reply(struct lmtp_session *s, uint16_t code, struct enhanced_code enhanced,
                struct span text);
/* A reply that counts as the client's error; ends the session when there are too many. */
void lmtp_refuse(struct lmtp_session *s, struct status why);
/* Sends what was gathered and closes. `reason` is static, for the log. */
void lmtp_end(struct lmtp_session *s, const char *reason);
/* Frees it, where nothing of it is under way any more. */
void lmtp_release(struct lmtp_session *s);

#define ESC(klass_, subject_, detail_) ((struct enhanced_code){(klass_), (subject_), (detail_)})
#define ESC_NONE                       ((struct enhanced_code){0, 0, 0})

/* commands.c */
void lmtp_execute(struct lmtp_session *s, const struct smtp_command *command);

/* envelope.c */
enum {
    LMTP_EXTENSIONS = SMTP_EXT_PIPELINING | SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 |
                      SMTP_EXT_CHUNKING | SMTP_EXT_DSN | SMTP_EXT_ENHANCEDSTATUSCODES
};
void lmtp_mail(struct lmtp_session *s, struct span args);
void lmtp_rcpt(struct lmtp_session *s, struct span args);
/* The transaction ends; NULL is let be. Not while its append is under way. */
void lmtp_message_drop(struct lmtp_session *s);

/* data.c: the takers take input and return false when they have to wait. */
void lmtp_data_begin(struct lmtp_session *s);
bool lmtp_data_take(struct lmtp_session *s);
/* BDAT (RFC 3030). */
void lmtp_chunk_begin(struct lmtp_session *s, struct span args);
bool lmtp_chunk_take(struct lmtp_session *s);

/* deliver.c */
/* The end of data has come: puts the message into its mailboxes, and answers. */
void lmtp_deliver(struct lmtp_session *s);
/* One answer for each recipient. */
void lmtp_answer_all(struct lmtp_session *s, struct status why);
struct status lmtp_over_quota(const struct lmtp_session *s);

#endif
