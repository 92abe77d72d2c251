/*
 * drop_rig: one worker of the drop, on a loop that the test turns, with a mailstore in a folder of
 * its own: what a session of POP3 or LMTP stands on. server/ is not there; what sessions call of it
 * is here. One file of a program includes it.
 */
#ifndef SMARTHOP_TESTS_DROP_RIG_H
#define SMARTHOP_TESTS_DROP_RIG_H

#include "base/memory.h"
#include "net/conn_private.h"
#include "plugins/drop/server/server.h"
#include "support/mailstore_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

/* Of password "pencil", as in RFC 7677 section 3. */
#define DROP_RIG_HASH "$2b$04$YFDeT72gzOc7.4sKPWpHQ.G262DH1nWQA9xp2BWc1/zrTu7oBA.TO"
#define DROP_RIG_KEYS                                                                              \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

struct drop_rig {
    struct loop *loop;
    struct drop_worker worker;
    struct drop_settings settings;
    struct addresses *addresses;
    struct tls_server *tls; /* NULL = none; the test's own */
    char folder[SCRATCH_PATH];
    unsigned sessions;
    unsigned logged_in;
    char claimed[MAILSTORE_USER_MAX + 1];
    bool is_remote; /* clients come from elsewhere */
};

static struct drop_rig drop_rig;

static const struct drop_settings drop_rig_settings = {
    .host_name = "mx.test",
    .message_size_max = 1 << 20,
    .login_timeout = 60000,
    .idle_timeout = 600000,
    .write_timeout = 60000,
    .lmtp_timeout = 60000,
    .sessions_per_user = 3,
    .recipients_max = 100,
    .errors_max = 10,
    .separator = "+",
    .hops_max = 5,
};

/* ---- what server/ has --------------------------------------------------------------------- */

struct addresses *drop_worker_addresses(struct drop_worker *worker)
{
    (void)worker;
    return addresses_ref(drop_rig.addresses);
}

bool drop_worker_has_tls(const struct drop_worker *worker)
{
    (void)worker;
    return drop_rig.tls != NULL;
}

void drop_session_start_tls(struct drop_session *session)
{
    conn_start_tls_server(session->conn, drop_rig.tls, NULL);
}

bool drop_session_login(struct drop_session *session, struct span user)
{
    if (drop_rig.logged_in == drop_rig.settings.sessions_per_user)
        return false;
    drop_rig.logged_in++;
    session->is_counted_user = true;
    memcpy(session->user, user.ptr, user.len);
    return true;
}

bool drop_session_claim(struct drop_session *session)
{
    session->is_claimed = strcmp(session->user, drop_rig.claimed) != 0;
    if (session->is_claimed)
        memcpy(drop_rig.claimed, session->user, sizeof drop_rig.claimed);
    return session->is_claimed;
}

void drop_session_unclaim(struct drop_session *session)
{
    if (session->is_claimed)
        drop_rig.claimed[0] = '\0';
    session->is_claimed = false;
}

void drop_session_end(struct drop_session *session)
{
    drop_session_unclaim(session);
    drop_rig.logged_in -= session->is_counted_user;
    list_remove(&session->link);
    free(session);
    drop_rig.sessions--;
}

bool drop_session_log(struct drop_session *session, struct log_line *line, enum log_level level,
                      const char *event)
{
    (void)session;
    return log_begin(line, level, event);
}

void drop_session_count(const struct drop_session *session, enum drop_count count)
{
    (void)session;
    (void)count;
}

bool drop_session_may_log_in(const struct drop_session *session)
{
    return session->is_tls || !drop_rig.is_remote || drop_rig.settings.plaintext_login;
}

/* ---- the worker --------------------------------------------------------------------------- */

static inline void drop_rig_must(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "drop_rig: %s\n", what);
    abort();
}

static inline void drop_rig_make_auth(void)
{
    static const char users[] = "alice:" DROP_RIG_HASH ":scram=" DROP_RIG_KEYS "\nbob:*\ncarol:*\n";
    char path[SCRATCH_PATH + 8];
    struct buf messages;

    snprintf(path, sizeof path, "%s/users", drop_rig.folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    drop_rig_must(fd >= 0 && write(fd, users, sizeof users - 1) == sizeof users - 1, "users");
    close(fd);
    buf_init(&messages, 0);
    struct auth_options options = {.users_file = path};
    drop_rig_must(!err_is(auth_create(&options, &messages, &drop_rig.worker.auth)), "auth");
    buf_fini(&messages);
}

static inline void drop_rig_open(const char *aliases)
{
    static const char *const domains[] = {"example.org"};
    struct buf messages;

    drop_rig = (struct drop_rig){.settings = drop_rig_settings};
    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    scratch_make(drop_rig.folder);
    struct mailstore_options options = rig_options(drop_rig.folder);
    drop_rig_must(!err_is(loop_create(&drop_rig.loop)), "loop");
    buf_init(&messages, 0);
    drop_rig_must(!err_is(addresses_parse(span_cstr(aliases), "aliases", domains, 1, "+", &messages,
                                          &drop_rig.addresses)),
                  "addresses");
    buf_fini(&messages);
    drop_rig.worker.loop = drop_rig.loop;
    drop_rig.worker.settings = &drop_rig.settings;
    drop_rig.worker.store = rig_open(&options);
    list_init(&drop_rig.worker.sessions);
    drop_rig_make_auth();
}

static inline void drop_rig_turn(void)
{
    uv_run(loop_uv(drop_rig.loop), UV_RUN_NOWAIT);
}

/* Clients that are still there lose their connection. */
static inline void drop_rig_close(void)
{
    struct list *sessions = &drop_rig.worker.sessions;

    for (struct list *l = sessions->next; l != sessions; l = l->next) {
        struct drop_session *session = container_of(l, struct drop_session, link);
        if (session->conn != NULL)
            conn_close(session->conn);
    }
    while (drop_rig.sessions > 0)
        drop_rig_turn();
    drop_rig_turn();
    mailstore_close(drop_rig.worker.store);
    drop_rig_turn();
    loop_free(drop_rig.loop);
    auth_free(drop_rig.worker.auth);
    addresses_unref(drop_rig.addresses);
    scratch_remove(drop_rig.folder);
}

/* A session of a client whose end of the stream is returned, non-blocking. */
static inline int drop_rig_connect(const struct drop_protocol *protocol)
{
    struct drop_session *session = mem_zalloc(protocol->session_size);
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int ends[2];

    drop_rig_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
                  "socketpair");
    session->conn = conn_accept(drop_rig.loop, ends[1]);
    drop_rig_must(session->conn != NULL, "conn_accept");
    memcpy(&session->peer, &peer, sizeof peer);
    session->worker = &drop_rig.worker;
    session->began = loop_now(drop_rig.loop);
    session->id = ++drop_rig.sessions;
    list_init(&session->link);
    list_append(&drop_rig.worker.sessions, &session->link);
    protocol->open(session);
    return ends[0];
}

/* All that is in a mailbox: each message, and behind it "|". */
static inline bool drop_rig_add_entry(void *context, const struct mailstore_entry *entry)
{
    struct buf *text = context;

    buf_add(text, entry->prefix);
    drop_rig_must(!err_is(rig_content(drop_rig.worker.store, entry->message, 0, UINT64_MAX, text)),
                  "content");
    buf_add_text(text, "|");
    return true;
}

static inline void drop_rig_read(const char *user, const char *box, struct buf *text)
{
    struct mailstore_box found = rig_box(drop_rig.worker.store, user, box);
    struct err e = ERR_OK;

    if (found.id != 0)
        RIG_READ(drop_rig.worker.store, txn)
    e = mailstore_entry_walk(txn, found.id, 0, drop_rig_add_entry, text);
    drop_rig_must(!err_is(e), "walk");
}

#endif
