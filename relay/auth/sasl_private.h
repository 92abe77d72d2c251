/*
 * sasl_private: the server's state, as the mechanisms see it.
 */
#ifndef SMARTHOP_AUTH_SASL_PRIVATE_H
#define SMARTHOP_AUTH_SASL_PRIVATE_H

#include "auth/prepare.h"
#include "auth/sasl.h"

enum {
    SCRAM_FIRST_MAX = 1024, /* bytes of a client's first message */
    SCRAM_GS2_MAX = 512,    /* of its GS2 header */
    SCRAM_FINAL_WITHOUT_PROOF_MAX = 2048,
    SCRAM_MESSAGE_MAX = SCRAM_FIRST_MAX + SASL_CHALLENGE_MAX + SCRAM_FINAL_WITHOUT_PROOF_MAX + 2,
};

/* What the next response is. */
enum sasl_state {
    SASL_STATE_NEW,            /* nothing has happened */
    SASL_STATE_INITIAL,        /* the response that might have come with the command */
    SASL_STATE_LOGIN_PASSWORD, /* LOGIN: the user is known */
    SASL_STATE_SCRAM_FINAL,    /* SCRAM: the proof */
    SASL_STATE_SCRAM_EMPTY,    /* SCRAM: the client has seen our signature */
    SASL_STATE_VERIFY,         /* none: the password is being checked */
    SASL_STATE_OVER
};

struct sasl_scram {
    char gs2[SCRAM_GS2_MAX]; /* the GS2 header as it came */
    size_t gs2_len;
    bool is_bound; /* by setting.bindings[binding] */
    enum sasl_binding binding;
    char nonce[SCRAM_NONCE_MAX]; /* both sides' */
    size_t nonce_len;
    struct scram_keys keys;
    bool has_user;                   /* else the keys are made up */
    char message[SCRAM_MESSAGE_MAX]; /* the AuthMessage, as far as it goes */
    size_t message_len;
};

struct sasl_server {
    struct sasl_setting setting;
    enum sasl_mechanism mechanism;
    enum sasl_state state;
    enum sasl_failure failure;
    size_t user_len;
    size_t password_len;
    size_t challenge_len;
    char user[AUTH_NAME_MAX];
    char password[AUTH_PASSWORD_MAX];
    char identity[AUTH_NAME_MAX];
    char bindings[SASL_BINDINGS][SASL_BINDING_MAX];
    char challenge[SASL_CHALLENGE_MAX];
    struct sasl_scram scram;
};

enum sasl_result sasl_fail(struct sasl_server *server, enum sasl_failure failure);
enum sasl_result sasl_succeed(struct sasl_server *server);
/* Prepares the name into server->user; false where it is none. */
bool sasl_take_user(struct sasl_server *server, struct span name);
/* Empty, or the name of the user taken before. */
bool sasl_is_own_identity(const struct sasl_server *server, struct span authzid);

enum sasl_result sasl_scram_first(struct sasl_server *server, struct span response);
enum sasl_result sasl_scram_final(struct sasl_server *server, struct span response);

#endif
