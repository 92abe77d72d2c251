/*
 * session: one client's dialogue, and the transaction under way in it. Shared by the files of
 * receive/ only.
 *
 * A session lives and dies on one loop. A transaction may outlive its session: once a message is
 * being committed it is ours, and if the client has gone meanwhile it is accepted all the same.
 */
#ifndef SMARTHOP_RECEIVE_SESSION_H
#define SMARTHOP_RECEIVE_SESSION_H

#include "auth/users.h"
#include "proto/bdat.h"
#include "proto/dot.h"
#include "proto/esmtp.h"
#include "proto/header.h"
#include "proto/ip.h"
#include "proto/smtp_command.h"
#include "proto/smtp_path.h"
#include "receive/content.h"
#include "receive/receive.h"
#include "receive/roster.h"
#include "receive/screen.h"
#include "route/route.h"

enum session_state {
    SESSION_NEW,       /* accepted; nothing said yet */
    SESSION_PROXY,     /* a PROXY header is awaited */
    SESSION_HANDSHAKE, /* TLS is being negotiated */
    SESSION_SCREEN,    /* the greeting waits: a delay, or what is being looked up of the client */
    SESSION_HOOK,      /* plugins are asked about what has been said so far */
    SESSION_COMMAND,   /* between commands */
    SESSION_ROUTE,     /* RCPT: the route is being asked for */
    SESSION_AUTH,      /* AUTH: the client's next response is awaited */
    SESSION_VERIFY,    /* AUTH: a password is being checked */
    SESSION_DATA,      /* the message is arriving */
    SESSION_CHUNK,     /* a chunk of it is arriving, or one that was refused */
    SESSION_STAGE,     /* it arrives faster than the store takes it: input waits */
    SESSION_COMMIT,    /* the end of data has come; the 250 waits for the disk */
    SESSION_CLOSED,    /* said goodbye or cut; waiting for the conn to go */
};

enum { STAGES = 2 }; /* pieces of a large body on their way to the store at the same time */

struct stage {
    struct queue_stage op;
    struct buf piece;
    struct transaction *tx;
    bool busy;
};

struct tx_recipient {
    struct span address;
    struct span domain; /* in ASCII form; of ROUTE_LATER only */
    struct span destination;
    struct span next_hop;
    unsigned notify;               /* bits of enum esmtp_notify */
    struct span original;          /* ORCPT as written */
    struct span reverse_path;      /* its own; empty = the message's */
    struct span routed_by;         /* as in struct queue_group */
    struct span wishes;            /* likewise */
    unsigned told;                 /* bits of enum route_told */
    struct status status;          /* of a held one */
    bool is_refused;               /* with `status`, after it was accepted */
    enum route_verdict verdict;    /* ROUTE_LATER until the message is there */
    const struct queue_group *was; /* of an imported one: the group that it was exported from */
};

struct transaction {
    struct session *session; /* NULL when the client has gone */
    struct receive_server *server;
    uint64_t sid; /* its session's id, for the log */
    struct conf *conf;
    struct queue_message *message;
    struct tx_recipient *recipients;
    unsigned recipient_count;
    unsigned recipient_cap;
    uint64_t declared_size; /* SIZE=, 0 = not told */
    bool priority_lowered;  /* of MT-PRIORITY */

    struct route_query route;
    unsigned placed; /* once the message is there: the recipient that is routed */
    bool is_placing;
    bool keeps_head; /* plugins are to see the header */
    struct buf head;
    struct esmtp_rcpt asked; /* by the parameters of the RCPT that is being routed */
    struct arena asking;     /* what that RCPT needs until it is accepted or refused */
    bool routing;
    struct arena facts;                    /* what plugins are told alike of all recipients */
    const struct smarthop_session *client; /* in it; NULL = not told yet */
    struct dot_decoder dot;                /* with BDAT only its line checker is used */
    struct header_scanner header;
    bool in_chunks; /* a BDAT has come */
    struct bdat_counter chunks;
    struct stage *stages; /* STAGES of them, once the body has outgrown memory */
    unsigned stages_busy;
    uint32_t chunks_staged;
    size_t accounted; /* of the server's arriving_bytes */
    bool too_large;
    bool stage_failed; /* the store took no more: answered at the end of data */
    struct err stage_error;
    bool complete; /* the end of data has come */

    /* What plugins have said of the message. */
    struct route_wishes wishes; /* of all its recipients; in the message's arena */
    bool headers_due;           /* they are still to be asked about its header */
    bool head_edited;           /* `head` is not what has come */
    bool is_whole;              /* its end has come, and it is fit */
    struct content *content;    /* what they make of it; NULL = nothing */
    bool is_discarded;          /* it is taken, and dropped */
    struct status refusal;      /* code 0 = it goes on; else its end is waited for */
    struct status held;         /* code 0 = it is not to be held */

    struct queue_insert insert;
    struct queue_discard discard;
};

/* What a session takes of the limits. */
struct receive_seat {
    struct receive_client *client; /* NULL = none */
    bool is_exempt;                /* from what binds single clients */
};

struct session {
    unsigned place; /* in the server's roster */
    struct receive_server *server;
    struct conn *conn;
    struct conf *conf;
    struct tls_server *tls;
    struct list idle; /* the server's, while it may be ended to make room */
    enum session_state state;
    struct receive_listener listener;
    struct receive_seat seat;
    struct sockaddr_in6 peer; /* the client, maybe behind a proxy; AF_UNSPEC = not known, AF_UNIX */
    struct smtp_command_parser parser;
    struct transaction *tx;
    struct session_auth *auth;    /* an AUTH under way */
    struct tls_peer *certificate; /* the client's, where it counts; else NULL */
    struct screen *screen;        /* look-ups of the client under way */
    struct hook *hook;            /* plugins that are being asked */
    char *tenant;                 /* as plugins say, of all its messages; NULL = they do not */
    char *tags;                   /* likewise */
    char *wishes;                 /* likewise, for where they go: in route's text form */
    struct screen_facts facts;    /* of the client */
    char *user;                   /* who has logged in; NULL = nobody */
    const char *mechanism;        /* by which; NULL = told by a proxy, or nobody */
    struct status chunk_refusal;  /* of the chunk that is arriving; code 0 = it is taken */
    uint64_t chunk_left;          /* of a refused one */
    bool chunk_last;              /* likewise */
    struct timer lifetime;
    uint64_t id;
    uint64_t began;  /* loop time */
    uint64_t since;  /* loop time: of the present state */
    uint64_t active; /* loop time: when it began to wait as it does now */
    char *hello;     /* NULL before EHLO or HELO */
    const char *close_reason;
    bool esmtp;
    bool secured;
    bool has_certificate; /* one that counts was shown on this connection */
    bool may_relay;       /* to any domain */
    const struct conf_networks
        *relay_networks;                      /* the listener's, in conf; NULL = it is gone there */
    const struct conf_domains *relay_domains; /* likewise: to where anybody may send */
    bool may_xclient;
    bool is_proxied;  /* XCLIENT has told who the client is: TLS is its proxy's */
    bool stopping;    /* 421 at the next chance */
    bool dismissed;   /* by an operator; 421 as soon as the message under way is settled */
    bool overdue;     /* its lifetime has passed, and it was busy then */
    bool client_gone; /* it has sent its last byte */
    bool is_tapped;
    uint64_t tapped_bytes;  /* of data that a tap has not been told of */
    uint64_t user_messages; /* what the user may send in an hour; 0 = no bound */
    uint64_t user_recipients;
    unsigned rates_told; /* bits of enum guard_kind: told in the log */
    unsigned messages;
    unsigned recipients_total;
    unsigned recipients_refused;
    unsigned refusals_told; /* in the log */
    unsigned errors;
    uint16_t error_code; /* of the last reply that refused something, 0 = none */
    struct enhanced_code error_enhanced;
    unsigned idle_commands; /* since the last message */
    char client[IP_LITERAL_MAX];
};

struct receive_server {
    struct loop *loop;
    struct queue *queue;
    struct receive_limits *limits;
    void (*accepted)(struct queue_message *message, void *context);
    void *context;
    struct conf *conf;
    struct tls_server *tls;
    struct auth *auth;             /* NULL = nobody can log in */
    struct guard *guard;           /* NULL = nothing is remembered */
    struct resolver *resolver;     /* NULL = nothing is looked up */
    unsigned lists_warned;         /* of conf->block_lists, as bits */
    struct follow *recipients;     /* NULL = they are not checked */
    struct plugin_worker *plugins; /* NULL = there are none */
    struct roster sessions;
    struct list idle; /* sessions that have done nothing and wait; the longest first */
    struct timer watch;
    struct timer patrol; /* goes from session to session where all have to be looked at */
    unsigned patrol_place;
    bool is_stressed; /* as it was seen last */
    struct tap *taps[RECEIVE_TAPS_MAX];
    unsigned tap_count;
    unsigned workers;
    _Atomic uint64_t arriving_bytes; /* held by bodies that arrive, and that plugins write */
    unsigned detached; /* commits, password checks and look-ups that nobody waits for any more */
    struct call *stopped;
    bool is_stopping;
    struct list imports; /* under way */
    unsigned import_count;
    void (*imported)(struct queue_message *message, void *context);
    struct receive_counters counters;
};

/* server.c */
void server_add_session(struct session *s);
void server_forget_session(struct session *s);
void server_check_stopped(struct receive_server *server);

/* stress.c */
/* Looks now and then how the process is, for as long as there are sessions. */
void stress_watch(struct receive_server *server);
/* Looks now. */
void stress_notice(struct receive_server *server);
/* Goes round all sessions, some at a time: their deadlines, and who is to be tapped. */
void patrol_start(struct receive_server *server);

/* session.c; takes `seat` over. */
void session_start(struct receive_server *server, struct conn *conn,
                   const struct receive_listener *listener, const struct receive_seat *seat);
/* Its time for what it waits for has become shorter or longer. */
void session_hurry(struct session *s);
/* Ends one that waits, to make room: its seat is free at once. */
void session_give_way(struct session *s);
void session_enter(struct session *s, enum session_state state);
/* "receiving data" */
const char *session_state_text(enum session_state state);
/* The first words, once it is known whose connection it is: the TLS handshake or the greeting. */
void session_begin(struct session *s);
void session_greet(struct session *s);
/* Counts it. */
bool session_may_handshake(struct session *s);
const struct sockaddr *session_peer(const struct session *s);
void session_set_peer(struct session *s, const struct sockaddr *peer);
/* Closes at once. `reason` is static, for the log. */
void session_cut(struct session *s, const char *reason);
/* Goes on with what has arrived, as far as the state allows. */
void session_run(struct session *s);
/* Appends a reply; `enhanced` all zero leaves it out (greeting, EHLO, 354; RFC 2034 section 4). */
void session_reply(struct session *s, uint16_t code, struct enhanced_code enhanced,
                   const char *text);
void session_reply_span(struct session *s, uint16_t code, struct enhanced_code enhanced,
                        struct span text);
/* A reply that counts as the client's error; ends the session when there are too many. */
void session_refuse(struct session *s, uint16_t code, struct enhanced_code enhanced,
                    const char *text);
void session_refuse_span(struct session *s, uint16_t code, struct enhanced_code enhanced,
                         struct span text);
/* The second half of session_refuse, for what has been replied to already. */
void session_count_error(struct session *s);
/* Sends what was gathered and closes. `reason` is static, for the log. */
void session_end(struct session *s, const char *reason);
/* Ends it with 421, or without a word where none can be said. A message that is being committed is
 * answered first, as it is ours by then. */
void session_dismiss(struct session *s);

#define ESC(klass_, subject_, detail_) ((struct enhanced_code){(klass_), (subject_), (detail_)})
#define ESC_NONE                       ((struct enhanced_code){0, 0, 0})

/* commands.c */
void command_execute(struct session *s, const struct smtp_command *command);

/* envelope.c: MAIL and RCPT */
void envelope_mail(struct session *s, struct span args);
void envelope_rcpt(struct session *s, struct span args);
/* The route of tx->route's recipient is known. */
void envelope_routed(struct session *s);
/* While the store is full or broken; the other says so to the client. */
bool envelope_store_refuses(const struct session *s, struct status *why);
bool envelope_store_takes_mail(struct session *s);

/* recipient.c: the rights of clients, and to whom they may send */
/* Of the listener, once. */
void session_find_rights(struct session *s);
/* The rights that a client has by its address alone. */
void session_judge_peer(struct session *s);
/* Local part `postmaster`, however that is written (RFC 5321 4.5.1: everybody may reach it). */
bool recipient_is_postmaster(const struct address *path);
/* Whether the client may send to this recipient, and there is one; if not, it has been refused.
 * Postmaster's address is put in the place of our own Postmaster; it lives as long as s->conf. */
bool recipient_admit(struct session *s, struct address *path);
/* Replies, and counts what is refused for good. `to` is for the log. */
void recipient_refuse(struct session *s, struct span to, struct status why);

/* lmtp.c */
static inline bool session_is_lmtp(const struct session *s)
{
    return s->listener.role == CONF_ROLE_LMTP;
}
/* What DATA and BDAT get without an accepted recipient. */
struct status lmtp_no_recipients(const struct session *s);
/* The reply to the end of a message; in LMTP one for each recipient, with its address. */
void lmtp_answer(struct session *s, struct transaction *tx, uint16_t code,
                 struct enhanced_code enhanced, struct span text);

/* data.c: takes input while in SESSION_DATA; false when it has to wait. */
bool data_take(struct session *s);
void data_begin(struct session *s);
/* The header fields that are looked at. */
enum data_field {
    DATA_FIELD_MESSAGE_ID,
    DATA_FIELD_SUBJECT,
    DATA_FIELD_FROM,
    DATA_FIELD_DATE,
    DATA_FIELD_COUNT
};
bool data_has_field(const struct transaction *tx, enum data_field field);
/* The same for DATA and BDAT: before the first byte of the message, and after the last. */
void data_prepare(struct transaction *tx);
void data_end(struct session *s);
/* The header section is another one now. */
void data_scan_again(struct transaction *tx, struct span head);
/* While the body is arriving: true where the session waits for what plugins say of the header. */
bool data_asks_headers(struct session *s);

/* chunk.c: BDAT; chunk_take as data_take, in SESSION_CHUNK. */
void chunk_begin(struct session *s, struct span args);
bool chunk_take(struct session *s);

/* proxy.c; proxy_take as data_take, in SESSION_PROXY. */
bool proxy_is_trusted(const struct session *s);
bool proxy_take(struct session *s);
bool xclient_is_trusted(const struct session *s);
/* Appends "\nXCLIENT NAME ...", for the reply to EHLO. */
void xclient_list_attributes(struct buf *out);
void xclient_execute(struct session *s, struct span args);

/* auth.c */
bool auth_is_offered(const struct session *s);
/* Appends "\nAUTH PLAIN ...", for the reply to EHLO. */
void auth_list_mechanisms(const struct session *s, struct buf *out);
void auth_begin(struct session *s, struct span args);
/* A line while in SESSION_AUTH. */
void auth_take_line(struct session *s, const struct smtp_command *command);
/* The session ends: lets go of an exchange under way. */
void auth_abandon(struct session *s);
bool auth_may_send_as(const struct session *s, const struct address *sender);

/* certificate.c */
/* For the handshake; NULL = nothing is asked of the client. */
const struct tls_clients *certificate_clients(const struct session *s);
/* The handshake is done. */
void certificate_take(struct session *s);
/* It was not the client's own, but that of a proxy. */
void certificate_forget(struct session *s);
/* Adds what of it is to be known to a line. */
void certificate_log(const struct tls_peer *peer, struct log_line *line);
bool certificate_is_missing(const struct session *s);
/* False, and said so, where the listener requires a certificate that has not come. */
bool certificate_lets_in(struct session *s);
/* Whose it is, as the snapshot has the name; empty = nobody's. */
struct span certificate_user(const struct session *s, const struct users *users);

/* transaction.c */
struct transaction *transaction_create(struct session *s);
/* Lets go of it; what is under way in the store ends first. Its session forgets it. */
void transaction_drop(struct transaction *tx);
/* Those that tx->route has found; only what is kept is kept with the message. */
void transaction_add_recipients(struct transaction *tx, unsigned notify, struct span original);
/* Asks tx->route; envelope_routed or place_routed follows, if the session is still there. */
void transaction_route(struct transaction *tx);
/* Makes message->groups of the recipients. */
void transaction_make_groups(struct transaction *tx);
/* Appends to the body; pieces go to the store once it has outgrown memory. */
void transaction_append(struct transaction *tx, struct span run);
bool transaction_must_wait(const struct transaction *tx);
/* Any thread: how much of a body may be held in memory; `has_chunks`: some of it is stored. */
size_t transaction_memory_most(const struct transaction *tx, bool has_chunks);
/* Any thread: keeps the server's sum of what bodies hold; `accounted` is what is in it of this one.
 */
void transaction_account(struct transaction *tx, size_t held, size_t *accounted);
/* Starts committing; session (if it is still there) or nobody is told by data_committed. */
void transaction_commit(struct transaction *tx);
void data_committed(struct session *s, struct transaction *tx);
/* As content.h promises. */
void transaction_content_ended(struct transaction *tx);
/* The message is ours, whether its client is still there or not. */
void data_log_accepted(const struct transaction *tx);
void data_staged(struct session *s);

/* data.c, for import.c, too. At the end: what makes a whole message unfit, in the order in which it
 * is told. `status_out` is what is answered; its text lives in the message's arena. */
bool data_is_unfit(struct transaction *tx, struct status *status_out);
/* What the queue tells of a message, from its header. */
void data_summarize(struct transaction *tx);

/* import.c: gives up what is not being stored yet. */
void imports_stop(struct receive_server *server);

/* place.c: recipients whose route some plugin has to see the message for. */
bool place_is_needed(const struct transaction *tx);
/* At the end of data; data_accept follows, or the message has been refused. */
void place_begin(struct session *s);
void place_routed(struct session *s);
/* The whole message is refused; a 5yz counts as an error. */
void data_refuse(struct session *s, struct status why);
/* A message that is fit, and whose recipients are placed. */
void data_accept(struct session *s);

/*
 * hooks.c: plugins that are asked about a session, while it waits (SESSION_HOOK). `then` goes on
 * behind them in the state in which the session was: from within where there is nobody to ask.
 * What they add with their answers (the tenant) has been kept by then.
 */
/* `refusal`: the client is to be refused so; NULL = it goes on. It lives during the call. */
typedef void hook_then(struct session *s, const struct status *refusal);
void hooks_ask(struct session *s, enum smarthop_hook hook, hook_then *then);
/* SMARTHOP_ON_RCPT, about the recipient of tx->route. */
void hooks_ask_recipient(struct session *s, hook_then *then);
/* Nobody waits for them any more. */
void hooks_abandon(struct session *s);
/* Whether one takes its time, here or with the route. */
bool hooks_are_awaited(const struct session *s);
/* Says so; 421 ends the session, and a 5yz counts as an error. */
void hooks_refuse(struct session *s, const struct status *refusal);

/* wishes.c: what plugins that were asked about the session or its message have said of where it is
 * to go. `refusal` is set where that cannot be had. */
void wishes_keep(struct session *s, const struct plugin_run *run, struct status *refusal);

/* facts.c: what plugins are told. In the arena. */
const struct smarthop_session *facts_session(const struct session *s, struct arena *arena);
const struct smarthop_message *facts_message(const struct transaction *tx, struct arena *arena);
/* Adds them to a query, where a plugin is to be asked. */
void facts_add(const struct session *s, struct route_query *query);

/* view.c: the one line that a session leaves in the log. */
void session_log_close(const struct session *s);
/* A sender (then `to` is empty), a recipient or a message is not taken; told at most errors_max
 * times a session. */
void session_log_refused(struct session *s, struct span from, struct span to,
                         const struct status *why);

/* trace.c: the Received field (RFC 5321 4.4, RFC 3848, RFC 6531 4.3). */
void trace_make(struct session *s, struct transaction *tx);

/* tapped.c: what taps are told. The functions of the inline ones are for tapped sessions only. */
void tapped_judge(struct session *s);
/* The same for one under way, which tells of itself where it is. */
void tapped_join(struct session *s);
void tapped_begin(struct session *s);
void tapped_secured(struct session *s);
/* Before it is executed, in the state in which it came. */
void tapped_command(struct session *s, const struct smtp_command *command);
void tapped_data(struct session *s, size_t len, bool is_end);
/* Whole lines, as they leave. */
void tapped_reply(struct session *s, struct span lines);
/* Of a log-in; its content is not told. */
void tapped_challenge(struct session *s);
void tapped_close(struct session *s);

/* limits.c */
enum limit_result { LIMIT_OK, LIMIT_SESSIONS, LIMIT_CLIENT };
/* Who counts as one client: an IPv4 address, or an IPv6 /64, which one customer usually has. False
 * where it has no IP address. */
bool limits_client_network(const struct sockaddr *address, struct ip_network *out);
enum limit_result receive_limits_enter(struct receive_limits *limits, const struct conf *conf,
                                       const struct sockaddr *address, struct receive_seat *seat);
/* A client that has a session begins a TLS handshake `now` (clock_mono_ms). False: it has had too
 * many of them in this minute. */
bool receive_limits_handshake(struct receive_limits *limits, const struct conf *conf,
                              const struct sockaddr *address, uint64_t now);
/* Does nothing for a seat that was given up already. */
void receive_limits_leave(struct receive_limits *limits, struct receive_seat *seat);
/* Ends the stress where it is over. */
void receive_limits_watch(struct receive_limits *limits, const struct conf *conf);
/* Bytes of bodies arriving from its client network, in all sessions; `change` may be negative. */
void receive_seat_account(const struct receive_seat *seat, int64_t change);
bool receive_seat_is_over(const struct receive_seat *seat, uint64_t most);

/* rates.c: what a client network, or a user who has logged in, may do in a time. Each returns
 * false, having said so, where that is used up. */
/* Of the client that the session is known to be of now; ends it. */
bool rates_admit(struct session *s);
/* At MAIL, where nothing is counted yet. */
bool rates_allow_message(struct session *s);
/* At the end of the message; `why` is still to be said, and lives as long as the message. */
bool rates_take_message(struct session *s, struct status *why);
/* One that was counted could not be stored. */
void rates_give_back_message(struct session *s);
bool rates_take_recipient(struct session *s);
void rates_note_error(struct session *s);
/* s->user has been set: what the users file allows. */
void rates_log_in(struct session *s);

/* greylist.c: true, and said so, where this recipient is put off. */
bool greylist_defers(struct session *s, const struct address *recipient);

static inline void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#endif
