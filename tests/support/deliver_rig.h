/*
 * deliver_rig: runs one client session of deliver/ against a scripted peer and puts what came of
 * it into one line. Stands in for the queue's reads, so that a body can be damaged at will.
 */
#ifndef SMARTHOP_TESTS_DELIVER_RIG_H
#define SMARTHOP_TESTS_DELIVER_RIG_H

#include "deliver/deliver.h"
#include "support/scripted_peer.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { RIG_SCRIPT_MAX = 40, RIG_RECIPIENTS_MAX = 4, RIG_DEADLINE_MS = 20000, RIG_TINY_MS = 250 };

#define RIG_NO_MESSAGES UINT_MAX

#define RIG_TRACE "Received: here\r\n"
#define RIG_BODY  "Subject: x\r\n\r\n.dot\r\n"
/* RIG_TRACE and RIG_BODY are 36 bytes. */

/* What the stand-in holds; the deliver library knows the type by name only. */
struct queue {
    struct span body;
    uint32_t bad_chunk; /* reading it gives `error` */
    struct err error;
};

struct err queue_read_body(struct queue *queue, uint64_t id, uint32_t first, uint32_t count,
                           struct buf *out)
{
    (void)id;
    for (uint32_t chunk = first; chunk < first + count; chunk++) {
        if (err_is(queue->error) && chunk == queue->bad_chunk)
            return queue->error;
        buf_add(out, span_head(span_from(queue->body, (size_t)chunk * QUEUE_CHUNK), QUEUE_CHUNK));
    }
    return ERR_OK;
}

#define RIG_TINY(name) (offsetof(struct deliver_deadlines, name) + 1)

struct rig_case {
    const char *name;
    const char *script[RIG_SCRIPT_MAX]; /* empty: nobody listens */
    const char *want;
    unsigned recipients; /* r1@example.net and so on; 0 = 1 */
    unsigned messages;   /* 0 = 1 */
    unsigned flags;      /* of the message */
    bool dsn;            /* r1 and the message have parameters of RFC 3461 */
    void (*prepare)(struct queue_message *message);
    size_t tiny; /* RIG_TINY(which deadline passes), 0 = none */
    enum deliver_tls tls;
    bool implicit_tls;
    bool trusted; /* the peer's certificate is */
    bool told;    /* its name comes from the operator */
    enum deliver_eight_bit eight_bit;
    bool lmtp;
    bool xforward;
    const char *user, *password; /* to log in with; NULL = not at all */
    bool login_anyway;           /* without TLS, too */
    bool linger;                 /* the owner never closes */
    bool cancel;                 /* it closes at once after sending */
    bool late;                   /* it sends when the connection has just ended */
    bool follow;                 /* it gives the next message as soon as that may go along */
};

struct rig {
    const struct rig_case *test;
    struct scripted_peer peer;
    struct tls_client *tls_client;
    struct ssl_session_st *resume; /* the caller's */
    struct ssl_session_st *kept;   /* of a TLS session that worked; for the caller to free */
    struct queue queue;
    struct queue_message message;
    struct queue_group group;
    struct queue_recipient recipients[RIG_RECIPIENTS_MAX];
    struct loop *loop;
    struct deliver_session *session;
    struct deliver_attempt attempts[2];
    struct status statuses[2][RIG_RECIPIENTS_MAX];
    struct arena arena;
    unsigned begun, finished;
    bool inside; /* a call into deliver/: no event may come */
    struct buf got;
    char by[128]; /* of the first status */
    char text[128];
    char failure[256]; /* text of the session's */
};

static inline unsigned rig_or_one(unsigned n)
{
    return n == 0 ? 1 : n;
}

static inline void rig_note_status(struct rig *rig, const struct status *status)
{
    static const char *const scopes[] = {
        [STATUS_SCOPE_RECIPIENT] = "",
        [STATUS_SCOPE_MESSAGE] = " message",
        [STATUS_SCOPE_HOST] = " host",
        [STATUS_SCOPE_SESSION] = " session",
    };
    char enhanced[ENHANCED_CODE_TEXT_MAX];

    enhanced_code_format(status->enhanced, enhanced);
    buf_addf(&rig->got, "%u %s%s", status->code, enhanced, scopes[status->scope]);
}

static inline void rig_note_finished(struct rig *rig, const struct deliver_attempt *attempt)
{
    enum status_scope scope = STATUS_SCOPE_RECIPIENT;

    for (unsigned i = 0; i < attempt->recipient_count; i++) {
        buf_addf(&rig->got, "%s", i > 0 ? ", " : "");
        rig_note_status(rig, &attempt->statuses[i]);
        if (attempt->statuses[i].scope > scope)
            scope = attempt->statuses[i].scope;
    }
    assert_int_equal(attempt->scope, scope);
    buf_addf(&rig->got, "%s%s%s%s%s%s; ", attempt->untouched ? " untouched" : "",
             attempt->sent ? " sent" : "", attempt->declined ? " declined" : "",
             attempt->dsn_passed ? " dsn" : "", attempt->damaged ? " damaged" : "",
             deliver_session_tls(rig->session)[0] != '\0' ? " tls" : "");
    tls_session_free(rig->kept);
    rig->kept = deliver_session_resume(rig->session);
    if (rig->by[0] != '\0')
        return;
    snprintf(rig->by, sizeof rig->by, "%.*s", SPAN_ARG(attempt->statuses[0].by));
    snprintf(rig->text, sizeof rig->text, "%.*s", SPAN_ARG(attempt->statuses[0].text));
}

static inline void rig_send(struct rig *rig)
{
    static const uint32_t indexes[RIG_RECIPIENTS_MAX] = {0, 1, 2, 3};

    unsigned at = rig->begun++ % 2;
    rig->attempts[at] = (struct deliver_attempt){
        .message = &rig->message,
        .group = &rig->group,
        .recipients = indexes,
        .recipient_count = rig->group.recipient_count,
        .statuses = rig->statuses[at],
        .arena = &rig->arena,
    };
    deliver_send(rig->session, &rig->attempts[at]);
}

static inline void rig_ready(struct rig *rig)
{
    unsigned messages = rig->test->messages;
    bool more = messages != RIG_NO_MESSAGES && rig->begun < rig_or_one(messages);

    rig->inside = true;
    if (rig->test->late) {
        deliver_close(rig->session);
        deliver_close(rig->session);
    }
    if (more)
        rig_send(rig);
    if (more ? rig->test->cancel : !rig->test->linger)
        deliver_close(rig->session);
    rig->inside = false;
}

static inline void rig_follow(struct rig *rig)
{
    assert_true(deliver_can_follow(rig->session));
    if (!rig->test->follow || rig->begun == rig_or_one(rig->test->messages))
        return;
    rig->inside = true;
    rig_send(rig);
    rig->inside = false;
    assert_false(deliver_can_follow(rig->session));
}

static inline void rig_on_event(struct deliver_session *session, enum deliver_event event,
                                struct deliver_attempt *attempt, void *owner)
{
    struct rig *rig = owner;

    assert_false(rig->inside);
    assert_ptr_equal(session, rig->session);
    switch (event) {
    case DELIVER_READY:
        rig_ready(rig);
        break;
    case DELIVER_FINISHED:
        assert_ptr_equal(attempt, &rig->attempts[rig->finished++ % 2]);
        rig_note_finished(rig, attempt);
        break;
    case DELIVER_FOLLOW:
        rig_follow(rig);
        break;
    case DELIVER_CLOSED:
        buf_addf(&rig->got, "closed%s", deliver_session_failure(session)->code != 0 ? " " : "");
        if (deliver_session_failure(session)->code != 0)
            rig_note_status(rig, deliver_session_failure(session));
        snprintf(rig->failure, sizeof rig->failure, "%.*s",
                 SPAN_ARG(deliver_session_failure(session)->text));
        rig->session = NULL;
        loop_stop(rig->loop);
        break;
    }
}

static inline struct deliver_deadlines rig_deadlines(const struct rig_case *test)
{
    struct deliver_deadlines deadlines;
    uint64_t *all = (uint64_t *)&deadlines;

    for (size_t i = 0; i < sizeof deadlines / sizeof *all; i++)
        all[i] = RIG_DEADLINE_MS;
    if (test->tiny != 0)
        all[(test->tiny - 1) / sizeof *all] = RIG_TINY_MS;
    return deadlines;
}

static inline void rig_set_dsn(struct rig *rig)
{
    rig->message.ret = ESMTP_RET_HEADERS;
    rig->message.envelope_id = SPAN("a+b c");
    rig->recipients[0].notify = ESMTP_NOTIFY_SUCCESS | ESMTP_NOTIFY_DELAY;
    rig->recipients[0].original = SPAN("rfc822;R+2B1@example.org");
}

static inline void rig_init(struct rig *rig, const struct rig_case *test)
{
    static const char *const addresses[RIG_RECIPIENTS_MAX] = {"r1@example.net", "r2@example.net",
                                                              "r3@example.net", "r4@example.net"};

    *rig = (struct rig){.test = test};
    rig->peer.script = test->script[0] != NULL ? test->script : NULL;
    buf_init(&rig->got, 0);
    arena_init(&rig->arena);
    for (unsigned i = 0; i < RIG_RECIPIENTS_MAX; i++)
        rig->recipients[i].address = span_cstr(addresses[i]);
    rig->group.recipients = rig->recipients;
    rig->group.recipient_count = rig_or_one(test->recipients);
    rig->message.id = 1;
    rig->message.flags = test->flags;
    rig->message.reverse_path = SPAN("a@example.com");
    rig->message.trace = SPAN(RIG_TRACE);
    rig->message.groups = &rig->group;
    if (test->dsn)
        rig_set_dsn(rig);
    if (test->prepare != NULL)
        test->prepare(&rig->message);
    buf_init(&rig->message.body, 0);
}

/* The message's body, in memory or only in the queue; stays the caller's. */
static inline void rig_set_body(struct rig *rig, struct span body, bool in_memory)
{
    rig->message.size = body.len;
    rig->message.body_in_memory = in_memory;
    rig->queue.body = body;
    if (in_memory)
        buf_add(&rig->message.body, body);
}

/* Runs the session to its end and compares. */
static inline void rig_run(struct rig *rig)
{
    assert_false(err_is(loop_create(&rig->loop)));
    scripted_peer_start(&rig->peer);
    struct deliver_credentials credentials = {.name = SPAN("provider"),
                                              .user = span_cstr(rig->test->user),
                                              .password = span_cstr(rig->test->password),
                                              .without_tls = rig->test->login_anyway};
    struct deliver_options options = {
        .loop = rig->loop,
        .queue = &rig->queue,
        .hello = "me.example",
        .peer = (const struct sockaddr *)&rig->peer.address,
        .host = "peer.example",
        .is_told = rig->test->told,
        .eight_bit = rig->test->eight_bit,
        .lmtp = rig->test->lmtp,
        .xforward = rig->test->xforward,
        .credentials = rig->test->user != NULL ? &credentials : NULL,
        .tls = rig->test->tls,
        .implicit_tls = rig->test->implicit_tls,
        .tls_client = rig->tls_client,
        .resume = rig->resume,
        .deadlines = rig_deadlines(rig->test),
    };
    rig->inside = true;
    rig->session = deliver_open(&options, rig_on_event, rig);
    rig->inside = false;
    loop_run(rig->loop);
    loop_free(rig->loop);
    const char *problem = scripted_peer_join(&rig->peer);
    buf_add(&rig->got, span_of("", 1));
    assert_string_equal(problem, "");
    assert_string_equal(buf_span(&rig->got).ptr, rig->test->want);
    buf_fini(&rig->got);
    buf_fini(&rig->message.body);
    arena_fini(&rig->arena);
}

#endif
