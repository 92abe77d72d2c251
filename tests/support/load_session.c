/*
 * load_session: the client's state machine, one handler for the reply in each state.
 */
#include "load_session.h"

#define LINE_WIDTH      72
#define REPLY_ROOM      4096
#define COPIED_BODY_MAX (64u << 10)

/* ---- the message ---- */

/* Equally long for all messages: the numbers in it have a fixed width. */
static size_t header_write(const struct load *l, uint64_t id, uint64_t now, char *out, size_t room)
{
    int len = snprintf(out, room,
                       "From: Load Generator <%s>\r\n"
                       "To: Recipients <rcpt@%s>\r\n"
                       "Subject: Quarterly figures, message %010llu\r\n"
                       "Date: Mon, 02 Jun 2025 10:00:00 +0000\r\n"
                       "Message-ID: <load.%016llu@client.test>\r\n"
                       "MIME-Version: 1.0\r\n"
                       "Content-Type: text/plain; charset=us-ascii\r\n"
                       "X-Load-Id: %016llu\r\n"
                       "X-Load-Time: %020llu\r\n"
                       "\r\n",
                       l->opt.from, l->opt.rcpt_domain, (unsigned long long)id,
                       (unsigned long long)id, (unsigned long long)id, (unsigned long long)now);

    if (len < 0 || (size_t)len >= room)
        rig_die("the sender address or the domain is too long");
    return (size_t)len;
}

void load_body_build(struct load *l)
{
    static const char end[] = ".\r\n";
    char header[REPLY_ROOM];
    size_t header_len = header_write(l, 0, 0, header, sizeof header);
    size_t text = l->opt.size > header_len + 2 ? l->opt.size - header_len : 2;

    l->body = malloc(text + sizeof end);
    if (!l->body)
        rig_die("out of memory");
    for (size_t i = 0; i < text; i++)
        l->body[i] = (char)('a' + (i * 7 + i / LINE_WIDTH) % 26);
    /* From the back, so that the last line ends exactly at the wanted size. */
    for (size_t behind = text; behind >= 2;) {
        memcpy(l->body + behind - 2, "\r\n", 2);
        behind = behind > LINE_WIDTH + 2 ? behind - (LINE_WIDTH + 2) : 0;
    }
    memcpy(l->body + text, end, sizeof end - 1);
    l->body_len = text + sizeof end - 1;
}

/* ---- taking messages ---- */

uint64_t load_messages_due(const struct load *l)
{
    if (l->opt.rate <= 0)
        return l->opt.messages;
    double elapsed_s = (double)(rig_now_ns() - l->stats.start_ns) / (double)RIG_NS_PER_SECOND;
    uint64_t due = (uint64_t)(elapsed_s * l->opt.rate) + 1;
    return due < l->opt.messages ? due : l->opt.messages;
}

static bool take_message(struct load *l, uint64_t *id_out)
{
    if (l->stopping || l->started >= load_messages_due(l))
        return false;
    *id_out = l->opt.first_id + l->started++;
    return true;
}

/* ---- output ---- */

/* False where the connection broke. */
static bool write_part(struct session *s, const char *data, size_t len, bool more, size_t *done_out)
{
    *done_out = 0;
    while (*done_out < len) {
        long count = stream_write(&s->stream, data + *done_out, len - *done_out, more);
        if (count == STREAM_AGAIN)
            return true;
        if (count <= 0)
            return false;
        *done_out += (size_t)count;
    }
    return true;
}

bool session_flush(struct session *s)
{
    size_t done;

    if (bytes_len(&s->out) > 0) {
        if (!write_part(s, bytes_head(&s->out), bytes_len(&s->out), s->tail_len > 0, &done))
            return false;
        bytes_consume(&s->out, done);
    }
    if (bytes_len(&s->out) == 0 && s->tail_len > 0) {
        if (!write_part(s, s->tail, s->tail_len, false, &done))
            return false;
        s->tail += done;
        s->tail_len -= done;
    }
    return true;
}

static void send_rcpt(struct load *l, struct session *s, uint64_t id, unsigned index)
{
    unsigned long long domain = (id + index) % l->opt.domains;

    if (l->opt.domains > 1)
        bytes_printf(&s->out, "RCPT TO:<rcpt%u@d%llu.%s>\r\n", index, domain, l->opt.rcpt_domain);
    else
        bytes_printf(&s->out, "RCPT TO:<rcpt%u@%s>\r\n", index, l->opt.rcpt_domain);
}

/* The commands before the message; only MAIL where the client does not pipeline. */
static void send_group(struct load *l, struct session *s, uint64_t id)
{
    bytes_printf(&s->out, "MAIL FROM:<%s>\r\n", l->opt.from);
    if (!l->opt.pipeline)
        return;
    for (unsigned i = 0; i < l->opt.recipients; i++)
        send_rcpt(l, s, id, i);
    bytes_text(&s->out, "DATA\r\n");
}

static bool session_spent(const struct load *l, const struct session *s)
{
    return l->opt.per_session > 0 && s->sent >= l->opt.per_session;
}

/* A small body is copied so that the whole step is one write; a large one is not worth it. When
 * pipelining, the next message's commands may follow the body in one group (RFC 2920, 3.1). */
static void send_message(struct load *l, struct session *s)
{
    char header[REPLY_ROOM];
    size_t len = header_write(l, s->id, s->mail_ns, header, sizeof header);

    bytes_add(&s->out, header, len);
    if (l->body_len > COPIED_BODY_MAX) {
        s->tail = l->body;
        s->tail_len = l->body_len;
        return;
    }
    bytes_add(&s->out, l->body, l->body_len);
    if (l->opt.pipeline && !session_spent(l, s) && take_message(l, &s->next_id)) {
        s->owes_next = true;
        s->next_mail_ns = rig_now_ns();
        send_group(l, s, s->next_id);
    }
}

/* ---- messages and their fate ---- */

void load_park(struct load *l, struct session *s)
{
    if (s->parked)
        return; /* a ready session that the peer closed is already there */
    s->parked = true;
    l->parked[l->parked_count++] = (unsigned)(s - l->sessions);
}

static void message_failed(struct load *l, struct session *s)
{
    if (s->owes_message)
        l->stats.failed++;
    s->owes_message = false;
}

/* The connection is gone: nothing that was to go over it will. */
static void messages_lost(struct load *l, struct session *s)
{
    message_failed(l, s);
    s->owes_message = s->owes_next;
    s->owes_next = false;
    message_failed(l, s);
}

static void message_accepted(struct load *l, struct session *s)
{
    uint64_t now = rig_now_ns();

    s->owes_message = false;
    l->stats.accepted++;
    l->stats.last_accept_ns = now;
    l->stats.portion_end_ns[(l->stats.accepted - 1) * LOAD_PORTIONS / l->opt.messages] = now;
    histogram_add(&l->stats.from_mail, now - s->mail_ns);
    histogram_add(&l->stats.from_connect, now - (s->sent == 1 ? s->connect_ns : s->mail_ns));
    if (l->acked)
        fprintf(l->acked, "%llu\n", (unsigned long long)s->id);
}

static void message_expect(struct load *l, struct session *s, uint64_t mail_ns)
{
    s->state = STATE_MAIL;
    s->mail_ns = mail_ns;
    s->sent++;
    s->rcpt_left = l->opt.recipients;
    s->rcpt_taken = 0;
    s->finals = 0;
    s->transaction_refused = false;
}

static void message_begin(struct load *l, struct session *s)
{
    s->owes_message = true;
    message_expect(l, s, rig_now_ns());
    send_group(l, s, s->id);
}

/* ---- a session's life ---- */

static void session_opened(struct load *l, struct session *s)
{
    if (s->opening)
        l->opening--;
    s->opening = false;
}

static void session_close(struct load *l, struct session *s)
{
    if (s->state == STATE_HELD)
        l->held_sessions--;
    session_opened(l, s);
    stream_close(&s->stream);
    s->in.at = s->in.end = s->out.at = s->out.end = 0;
    s->tail_len = 0;
    s->state = STATE_FREE;
    l->open_sessions--;
}

void session_lost(struct load *l, struct session *s)
{
    if (s->state == STATE_GREETING)
        l->stats.connect_failures++;
    else if (s->state != STATE_QUIT) /* closing without a 221 does no harm */
        l->stats.lost_connections++;
    session_close(l, s);
    messages_lost(l, s);
    session_next(l, s);
}

static void session_handshake(struct load *l, struct session *s)
{
    stream_start_tls(&s->stream, l->tls, false);
    if (l->opt.resume && l->ticket)
        SSL_set_session(s->stream.ssl, l->ticket);
    s->state = STATE_HANDSHAKE;
}

void session_start(struct load *l, struct session *s)
{
    s->connect_ns = rig_now_ns();
    s->sent = 0;
    l->stats.connections++;
    l->open_sessions++;
    s->opening = true;
    l->opening++;
    s->state = STATE_GREETING;
    s->stream.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->stream.fd < 0)
        rig_die("socket: %s", strerror(errno));
    stream_no_delay(s->stream.fd);
    const struct sockaddr *to = (const struct sockaddr *)&l->opt.to;
    if (connect(s->stream.fd, to, sizeof l->opt.to) < 0 && errno != EINPROGRESS) {
        session_close(l, s);
        l->stats.connect_failures++;
        message_failed(l, s);
        if (!l->opt.idle)
            load_park(l, s);
        return;
    }
    stream_watch(&s->stream, l->epoll, s);
    if (l->opt.tls == TLS_IMPLICIT)
        session_handshake(l, s);
}

void session_quit(struct session *s)
{
    bytes_text(&s->out, "QUIT\r\n");
    s->state = STATE_QUIT;
}

static void free_session_next(struct load *l, struct session *s)
{
    if (l->opt.idle)
        return; /* an idle session that was lost is counted, not opened again */
    if (take_message(l, &s->id)) {
        s->owes_message = true;
        session_start(l, s);
    } else {
        load_park(l, s);
    }
}

/* What a free or greeted session does now. */
void session_next(struct load *l, struct session *s)
{
    if (s->state == STATE_FREE) {
        free_session_next(l, s);
        return;
    }
    s->state = STATE_READY;
    if (s->owes_message) {
        message_begin(l, s); /* taken when the connection was started */
    } else if (s->owes_next) {
        s->id = s->next_id;
        s->owes_next = false;
        s->owes_message = true;
        message_expect(l, s, s->next_mail_ns);
    } else if (session_spent(l, s) || l->started == l->opt.messages || l->stopping) {
        session_quit(s);
    } else if (take_message(l, &s->id)) {
        message_begin(l, s);
    } else {
        load_park(l, s);
    }
}

static void session_greeted(struct load *l, struct session *s)
{
    session_opened(l, s);
    if (l->opt.idle) {
        s->state = STATE_HELD;
        l->held_sessions++;
        return;
    }
    session_next(l, s);
}

/* ---- replies ---- */

static void on_ehlo(struct load *l, struct session *s)
{
    if (l->opt.tls == TLS_STARTTLS && !s->stream.ssl) {
        bytes_text(&s->out, "STARTTLS\r\n");
        s->state = STATE_STARTTLS;
        return;
    }
    session_greeted(l, s);
}

static void transaction_abandon(struct load *l, struct session *s)
{
    message_failed(l, s);
    bytes_text(&s->out, "RSET\r\n");
    s->state = STATE_RSET;
}

static void on_mail(struct load *l, struct session *s, bool positive)
{
    if (!positive && !l->opt.pipeline) {
        transaction_abandon(l, s);
        return;
    }
    s->transaction_refused = !positive;
    s->state = STATE_RCPT;
    if (!l->opt.pipeline)
        send_rcpt(l, s, s->id, 0);
}

static void on_rcpt(struct load *l, struct session *s, bool positive)
{
    s->rcpt_taken += positive;
    s->rcpt_left--;
    if (s->rcpt_left > 0) {
        if (!l->opt.pipeline)
            send_rcpt(l, s, s->id, l->opt.recipients - s->rcpt_left);
        return;
    }
    if (s->rcpt_taken == 0 && !l->opt.pipeline) {
        transaction_abandon(l, s);
        return;
    }
    s->state = STATE_DATA;
    if (!l->opt.pipeline)
        bytes_text(&s->out, "DATA\r\n");
}

static void on_data(struct load *l, struct session *s, int code)
{
    if (code != 354) {
        transaction_abandon(l, s);
        return;
    }
    s->state = STATE_FINAL;
    if (s->rcpt_taken == 0 || s->transaction_refused) {
        bytes_text(&s->out, ".\r\n"); /* RFC 2920, 3.1: the server took DATA regardless */
        return;
    }
    send_message(l, s);
}

/* LMTP answers for each recipient that was taken; a message is accepted for all of them or not. */
static void on_final(struct load *l, struct session *s, bool positive)
{
    if (l->opt.lmtp && s->rcpt_taken > 0 && ++s->finals < s->rcpt_taken) {
        s->transaction_refused |= !positive;
        return;
    }
    if (positive && s->rcpt_taken > 0 && !s->transaction_refused)
        message_accepted(l, s);
    else
        message_failed(l, s);
    session_next(l, s);
}

static void say_hello(const struct load *l, struct session *s)
{
    bytes_text(&s->out, l->opt.lmtp ? "LHLO client.test\r\n" : "EHLO client.test\r\n");
    s->state = STATE_EHLO;
}

/* False where the session has ended. */
static bool on_reply(struct load *l, struct session *s, int code)
{
    bool positive = code < 400;

    if (!positive)
        l->stats.replies[code]++;
    if (code == 421 || (!positive && s->state < STATE_READY)) {
        session_close(l, s);
        messages_lost(l, s);
        session_next(l, s);
        return false;
    }
    switch (s->state) {
    case STATE_GREETING:
        say_hello(l, s);
        return true;
    case STATE_EHLO:
        on_ehlo(l, s);
        return true;
    case STATE_STARTTLS:
        session_handshake(l, s);
        return true;
    case STATE_MAIL:
        on_mail(l, s, positive);
        return true;
    case STATE_RCPT:
        on_rcpt(l, s, positive);
        return true;
    case STATE_DATA:
        on_data(l, s, code);
        return true;
    case STATE_FINAL:
        on_final(l, s, positive);
        return true;
    case STATE_RSET:
        session_next(l, s);
        return true;
    case STATE_QUIT:
        session_close(l, s);
        session_next(l, s);
        return false;
    case STATE_FREE:
    case STATE_HANDSHAKE:
    case STATE_READY:
    case STATE_HELD:
        break;
    }
    session_lost(l, s); /* a reply nobody asked for */
    return false;
}

/* Each complete line; only the last line of a reply has a space behind its code. */
static bool session_parse(struct load *l, struct session *s)
{
    for (;;) {
        char *line = bytes_head(&s->in);
        char *end = bytes_len(&s->in) ? memchr(line, '\n', bytes_len(&s->in)) : NULL;
        if (!end)
            return true;
        size_t len = (size_t)(end - line) + 1;
        bool last = len < 4 || line[3] != '-';
        int code = len < 4 ? 0 : (int)strtol(line, NULL, 10);
        bytes_consume(&s->in, len);
        if (code < 200 || code > 599) {
            session_lost(l, s);
            return false;
        }
        if (last && !on_reply(l, s, code))
            return false;
    }
}

/* ---- events ---- */

/* False where the session has ended or must wait. */
static bool continue_handshake(struct load *l, struct session *s)
{
    long result = stream_handshake(&s->stream);

    if (result == STREAM_AGAIN)
        return false;
    if (result == STREAM_BROKEN) {
        session_lost(l, s);
        return false;
    }
    l->stats.tls_resumed += SSL_session_reused(s->stream.ssl) ? 1 : 0;
    s->state = STATE_GREETING;
    if (l->opt.tls == TLS_STARTTLS)
        say_hello(l, s);
    return true;
}

/* Reads until nothing is left. False where the session has ended. */
static bool session_read(struct load *l, struct session *s, uint32_t events)
{
    for (;;) {
        bytes_reserve(&s->in, REPLY_ROOM);
        size_t room = s->in.cap - s->in.end;
        long count = stream_read(&s->stream, s->in.data + s->in.end, room);
        if (count == STREAM_AGAIN)
            return true;
        if (count <= 0) {
            session_lost(l, s);
            return false;
        }
        s->in.end += (size_t)count;
        if (!session_parse(l, s))
            return false;
        if (s->stream.handshaking || stream_drained(&s->stream, count, room, events))
            return true;
    }
}

void session_event(struct load *l, struct session *s, uint32_t events)
{
    if (s->state == STATE_FREE)
        return; /* closed earlier in this batch */
    if (s->stream.handshaking && !continue_handshake(l, s))
        return;
    if ((events & ~(uint32_t)EPOLLOUT) && !session_read(l, s, events))
        return;
    if (!session_flush(s)) {
        session_lost(l, s);
        return;
    }
    if (s->stream.handshaking)
        continue_handshake(l, s);
}
