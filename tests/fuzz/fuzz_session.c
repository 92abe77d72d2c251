/*
 * A whole SMTP session: our server over a pair of sockets, with the queue's twin behind it. The
 * first byte says how the client's bytes are cut, its highest bit that LMTP is spoken, the next
 * that bare line ends are normalized, its lowest that the client is one of this machine, which may
 * do more; a byte of 0xff makes the client wait for what it has said so far to be answered.
 * Whatever a client says, replies are replies, only what is in the store is called queued, and no
 * accepted body holds what could be taken for another line end, but behind the header of one that
 * was declared binary.
 */
#include "net/conn_private.h"
#include "queue/queue_memory.h"
#include "receive/receive.h"
#include "tests/support/conf_text.h"
#include "tests/support/fuzz.h"

#include <errno.h>
#include <sys/socket.h>
#include <uv.h>

enum {
    PAUSE = 0xff,
    ROUNDS = 12,
    DAY_MS = 86400000,
    LMTP = 0x80,
    NORMALIZES = 0x40,
    LOCAL = 0x01,
};

/* Bounds that an input can reach, and routes of each kind. */
#define CONF                                                                                       \
    "memory_body_max = 4KiB\nmessage_size_max = 32KiB\n"                                           \
    "text_line_max = 1000\nheader_size_max = 4KiB\ncommand_line_max = 512\n"                       \
    "header_fields_max = 20\nhops_max = 3\nerrors_max = 50\n"                                      \
    "relay_domains = gate.test\npostmaster_address = \"p@gate.test\"\n"                            \
    "route \"no.test\" { reject = \"5.7.1 no\" }\n"                                                \
    "route \"gone.test\" { discard = yes }\n"                                                      \
    "route \"held.test\" { hold = \"wait\" }\n"

static struct {
    struct loop *loop;
    struct conf *conf;
    struct conf *normalizing;
    struct queue *queue;
    struct receive_limits *limits;
    struct receive_server *server;
    struct call stopped;
    bool has_stopped;
    unsigned accepted;
    uint64_t taken; /* with those whose recipients were all discarded */
} rig;

static struct {
    int fd;
    bool lmtp;
    bool eof;
    struct buf replies;
} client;

/* ---- the server --------------------------------------------------------------------------- */

static void check_lines(struct span body)
{
    for (size_t i = 0; i < body.len; i++) {
        MUST(body.ptr[i] != '\0');
        MUST(body.ptr[i] != '\n' || (i > 0 && body.ptr[i - 1] == '\r'));
        MUST(body.ptr[i] != '\r' || (i + 1 < body.len && body.ptr[i + 1] == '\n'));
    }
}

static void check_body(const struct queue_message *message, struct span body)
{
    const char *end = body.len ? memmem(body.ptr, body.len, "\r\n\r\n", 4) : NULL;
    bool empty_header = body.len >= 2 && memcmp(body.ptr, "\r\n", 2) == 0;

    if ((message->flags & QUEUE_BODY_BINARY) == 0)
        check_lines(body);
    else if (!empty_header)
        check_lines(end ? span_head(body, (size_t)(end - body.ptr) + 4) : body);
}

/* What nobody could have asked for here, or not for so long. */
static void check_envelope(const struct queue_message *message)
{
    MUST((message->flags & (QUEUE_REQUIRE_TLS | QUEUE_HAS_AUTH)) == 0);
    MUST(message->priority >= -9 && message->priority <= 9);
    MUST(message->release == 0 || (message->release > message->arrival &&
                                   message->release <= message->arrival + 8 * DAY_MS));
    MUST((message->by == ESMTP_BY_NONE) == (message->deliver_by == 0));
    MUST(message->by != ESMTP_BY_RETURN || message->deliver_by > message->arrival);
    for (unsigned i = 0; i < message->group_count; i++)
        MUST(message->groups[i].state != QUEUE_GROUP_FUTURE ||
             message->groups[i].due == message->release);
}

static void on_accepted(struct queue_message *message, void *context)
{
    struct buf body;

    (void)context;
    buf_init(&body, 0);
    MUST(!err_is(queue_read_body(rig.queue, message->id, 0, UINT32_MAX, &body)));
    MUST(buf_len(&body) == message->size);
    check_body(message, buf_span(&body));
    check_envelope(message);
    buf_fini(&body);
    MUST(message->group_count > 0 && message->groups[0].recipient_count > 0);
    rig.accepted++;
}

/* A pair of sockets rather than a connection: those would use up the machine's ports. */
static void accept_client(int fd, bool local)
{
    const struct receive_listener kind = {.tls = CONF_TLS_STARTTLS,
                                          .role = client.lmtp ? CONF_ROLE_LMTP
                                                  : local     ? CONF_ROLE_LOCAL
                                                              : CONF_ROLE_RELAY};
    static const struct sockaddr_in peer = {.sin_family = AF_INET,
                                            .sin_addr.s_addr = 0x0100007f}; /* 127.0.0.1 */
    struct conn *conn = conn_accept(rig.loop, fd);

    MUST(conn != NULL);
    memcpy(&conn->peer, &peer, sizeof peer);
    receive_server_accept(rig.server, conn, &kind);
}

static void on_stopped(struct call *call)
{
    (void)call;
    rig.has_stopped = true;
}

static void make_rig(void)
{
    MUST(!err_is(log_open("stderr", LOG_ERROR)));
    MUST(!err_is(loop_create(&rig.loop)));
    rig.conf = conf_from_text(CONF);
    rig.normalizing = conf_from_text("bare_line_ends = normalize\n" CONF);
    rig.stopped.done = on_stopped;
    list_init(&rig.stopped.link);
}

static void open_server(struct conf *conf)
{
    rig.has_stopped = false;
    rig.accepted = 0;
    rig.limits = receive_limits_create();
    MUST(!err_is(queue_open(&(struct queue_options){.path = "twin"}, &rig.queue)));
    rig.server = receive_server_create(&(struct receive_options){
        .loop = rig.loop, .queue = rig.queue, .limits = rig.limits, .accepted = on_accepted});
    receive_server_configure(rig.server, conf, NULL);
}

static void close_server(void)
{
    receive_server_stop(rig.server, &rig.stopped);
    while (!rig.has_stopped)
        uv_run(loop_uv(rig.loop), UV_RUN_NOWAIT);
    MUST(receive_limits_sessions(rig.limits) == 0);
    MUST(queue_memory_rows(rig.queue) == rig.accepted); /* nothing staged is left behind */
    rig.taken = atomic_load(&receive_server_counters(rig.server)->accepted);
    MUST(rig.taken >= rig.accepted);
    receive_server_free(rig.server);
    receive_limits_free(rig.limits);
    queue_close(rig.queue);
}

/* ---- the client --------------------------------------------------------------------------- */

static void connect_client(bool local)
{
    int ends[2];

    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    client.fd = ends[0];
    client.eof = false;
    buf_init(&client.replies, 0);
    accept_client(ends[1], local);
}

static void read_replies(void)
{
    char bytes[4096];
    ssize_t len;

    while ((len = recv(client.fd, bytes, sizeof bytes, 0)) > 0)
        buf_add(&client.replies, span_of(bytes, (size_t)len));
    client.eof = len == 0 || (errno != EAGAIN && errno != EINTR);
}

static void turn(int rounds)
{
    for (int i = 0; i < rounds; i++)
        uv_run(loop_uv(rig.loop), UV_RUN_NOWAIT);
    read_replies();
}

static void send_all(struct span bytes)
{
    while (bytes.len > 0 && !client.eof) {
        ssize_t len = send(client.fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (len > 0)
            bytes = span_from(bytes, (size_t)len);
        turn(1);
    }
}

static void speak(uint32_t seed, struct span input)
{
    while (input.len > 0) {
        struct span section = span_split(input, (char)PAUSE, &input);
        while (section.len > 0) {
            size_t len = fuzz_piece(&seed, section.len);
            send_all(span_head(section, len));
            section = span_from(section, len);
        }
        turn(ROUNDS);
    }
}

static void hang_up(void)
{
    shutdown(client.fd, SHUT_WR);
    while (!client.eof)
        turn(1);
    close(client.fd);
}

/* Whole lines of the form "250-text" or "250 text". */
static void check_replies(void)
{
    struct span rest = buf_span(&client.replies);
    unsigned queued = 0;

    MUST(rest.len > 0);
    while (rest.len > 0) {
        MUST(span_index(rest, '\n') < rest.len);
        struct span line = span_split(rest, '\n', &rest);
        MUST(line.len >= 5 && line.ptr[line.len - 1] == '\r');
        MUST(line.ptr[0] >= '2' && line.ptr[0] <= '5');
        MUST(ascii_is_digit(line.ptr[1]) && ascii_is_digit(line.ptr[2]));
        MUST(line.ptr[3] == ' ' || line.ptr[3] == '-');
        queued += span_starts_nocase(line, SPAN("250 2.0.0 OK queued as ")) ? 1 : 0;
    }
    MUST(queued <= rig.taken && (queued == 0 || !client.lmtp));
    buf_fini(&client.replies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (rig.loop == NULL)
        make_rig();
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    client.lmtp = (seed & LMTP) != 0;
    open_server((seed & NORMALIZES) != 0 ? rig.normalizing : rig.conf);
    connect_client((seed & LOCAL) != 0);
    speak(seed, input);
    hang_up();
    close_server();
    check_replies();
    return 0;
}
