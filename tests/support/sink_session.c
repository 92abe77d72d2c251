/*
 * sink_session: commands, messages and canned replies of the sink.
 */
#include "sink_session.h"

#include <stdatomic.h>
#include <strings.h>

struct text {
    const char *ptr;
    size_t len;
};

static const struct text nobody = {"", 0};
static atomic_ullong record_number;

/* ---- replies ---- */

static void reply(struct session *s, const char *line)
{
    s->counts->refused_4xx += line[0] == '4';
    s->counts->refused_5xx += line[0] == '5';
    bytes_text(&s->out, line);
    bytes_text(&s->out, "\r\n");
    s->replied = true;
}

/* True where the rule lets the step be accepted. */
static bool apply_rule(struct session *s, const struct rule *rule)
{
    switch (rule->action) {
    case RULE_REPLY:
        reply(s, rule->reply);
        return rule->reply[0] < '4';
    case RULE_STALL:
        s->phase = PHASE_STALLED;
        return false;
    case RULE_DROP:
        break;
    }
    s->phase = PHASE_CLOSING;
    return false;
}

/* Answers at this stage: the usual way, or as a rule says. True where the step was accepted. */
static bool answer(struct session *s, enum stage stage, struct text address, const char *usual)
{
    const struct rule *rule = sink_rule_find(s->options, stage, address.ptr, address.len);

    if (rule)
        return apply_rule(s, rule);
    if (usual)
        reply(s, usual);
    return true;
}

static struct text sender_of(const struct session *s)
{
    return (struct text){s->sender.data, s->sender.end};
}

/* ---- messages ---- */

static void transaction_reset(struct session *s)
{
    s->mail.end = s->rcpts.end = s->sender.end = s->body.end = 0;
    s->rcpt_count = 0;
    s->scanned = 0;
    s->body_started = false;
}

/* The number in this header field, or false. Only the header section is searched. */
static bool header_number(struct text message, const char *field, uint64_t *value_out)
{
    const char *headers_end = memmem(message.ptr, message.len, "\r\n\r\n", 4);
    size_t len = headers_end ? (size_t)(headers_end - message.ptr) : message.len;
    const char *at = memmem(message.ptr, len, field, strlen(field));

    if (!at)
        return false;
    *value_out = strtoull(at + strlen(field), NULL, 10);
    return true;
}

/* Without the path's brackets and without parameters. */
static struct text address_in(const char *arguments, size_t len)
{
    const char *open = memchr(arguments, '<', len);
    const char *start = open ? open + 1 : arguments;
    size_t left = len - (size_t)(start - arguments);
    const char *end = memchr(start, '>', left);

    return (struct text){start, end ? (size_t)(end - start) : left};
}

static void count_recipients(const struct session *s, uint64_t id)
{
    const char *line = s->rcpts.data;
    const char *end = line + s->rcpts.end;

    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        struct text address = address_in(line, (size_t)(newline - line));
        if (!sink_seen_add(id, address.ptr, address.len))
            s->counts->duplicates++;
        line = newline + 1;
    }
}

static void count_message(const struct session *s, struct text message)
{
    uint64_t now = rig_now_ns();
    uint64_t id;
    uint64_t sent_ns;

    s->counts->messages++;
    s->counts->recipients += s->rcpt_count;
    s->counts->bytes += message.len;
    s->counts->last_ns = now;
    if (!s->counts->first_ns)
        s->counts->first_ns = now;
    if (header_number(message, "\r\nX-Load-Id: ", &id))
        count_recipients(s, id);
    else
        s->counts->unnumbered++;
    if (header_number(message, "\r\nX-Load-Time: ", &sent_ns) && sent_ns <= now)
        histogram_add(&s->counts->latency, now - sent_ns);
}

static FILE *record_open(const char *directory, unsigned long long number, const char *suffix)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%06llu.%s", directory, number, suffix);
    FILE *out = fopen(path, "w");
    if (!out)
        rig_die("%s: %s", path, strerror(errno));
    return out;
}

static void record_rename(const char *directory, unsigned long long number, const char *from,
                          const char *to)
{
    char old[4096], new[4096];

    snprintf(old, sizeof old, "%s/%06llu.%s", directory, number, from);
    snprintf(new, sizeof new, "%s/%06llu.%s", directory, number, to);
    if (rename(old, new) != 0)
        rig_die("%s: %s", new, strerror(errno));
}

static void write_unstuffed(FILE *out, struct text message)
{
    const char *at = message.ptr;
    const char *end = at + message.len;

    while (at < end) {
        if (*at == '.')
            at++;
        const char *stuffed = memmem(at, (size_t)(end - at), "\r\n.", 3);
        const char *stop = stuffed ? stuffed + 2 : end;
        fwrite(at, 1, (size_t)(stop - at), out);
        at = stop;
    }
}

static void record_message(const struct session *s, struct text message, bool stuffed)
{
    unsigned long long number = atomic_fetch_add(&record_number, 1) + 1;
    FILE *body = record_open(s->options->record, number, "eml");

    if (stuffed)
        write_unstuffed(body, message);
    else
        fwrite(message.ptr, 1, message.len, body);
    fclose(body);
    /* The envelope comes last and whole: who sees it finds the message complete. */
    FILE *envelope = record_open(s->options->record, number, "env.new");
    fprintf(envelope, "%.*s\n%.*s", (int)s->mail.end, s->mail.data, (int)s->rcpts.end,
            s->rcpts.data);
    fclose(envelope);
    record_rename(s->options->record, number, "env.new", "env");
}

/* `stuffed`: it came by DATA, so that lines may carry an extra dot. */
static void message_complete(struct session *s, struct text message, bool stuffed)
{
    s->phase = PHASE_COMMAND;
    if (answer(s, STAGE_FINAL, sender_of(s), "250 2.0.0 taken")) {
        if (s->options->record)
            record_message(s, message, stuffed);
        count_message(s, message);
    }
    transaction_reset(s);
}

/* ---- commands ---- */

static bool starts_with(const char *line, size_t len, const char *word)
{
    size_t word_len = strlen(word);

    return len >= word_len && strncasecmp(line, word, word_len) == 0;
}

static void on_ehlo(struct session *s)
{
    const struct rule *rule = sink_rule_find(s->options, STAGE_EHLO, "", 0);

    transaction_reset(s);
    if (rule) {
        apply_rule(s, rule);
        return;
    }
    bytes_text(&s->out, "250-sink.test\r\n");
    if (s->options->pipelining)
        bytes_text(&s->out, "250-PIPELINING\r\n");
    if (s->options->tls == TLS_STARTTLS && !s->in_tls)
        bytes_text(&s->out, "250-STARTTLS\r\n");
    if (s->options->chunking)
        bytes_text(&s->out, "250-CHUNKING\r\n");
    if (s->options->dsn)
        bytes_text(&s->out, "250-DSN\r\n");
    if (s->options->deliver_by)
        bytes_text(&s->out, "250-DELIVERBY\r\n");
    bytes_text(&s->out, "250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n");
    bytes_printf(&s->out, "250-SIZE %u\r\n", SINK_MESSAGE_MAX);
    reply(s, "250 HELP");
}

static void on_starttls(struct session *s)
{

    if (s->options->tls != TLS_STARTTLS || s->in_tls) {
        reply(s, "503 5.5.1 not offered");
        return;
    }
    if (!answer(s, STAGE_STARTTLS, nobody, "220 2.0.0 go ahead"))
        return;
    s->in.at = s->in.end = 0; /* plain text behind STARTTLS is void (RFC 3207) */
    s->phase = PHASE_TLS;
}

static void on_mail(struct session *s, const char *arguments, size_t len)
{
    struct text address = address_in(arguments, len);

    if (!answer(s, STAGE_MAIL, address, "250 2.1.0 sender taken"))
        return;
    transaction_reset(s);
    bytes_add(&s->mail, arguments, len);
    bytes_add(&s->sender, address.ptr, address.len);
}

static void on_rcpt(struct session *s, const char *arguments, size_t len)
{
    struct text address = address_in(arguments, len);

    if (s->mail.end == 0) {
        reply(s, "503 5.5.1 MAIL first");
        return;
    }
    if (!answer(s, STAGE_RCPT, address, "250 2.1.5 recipient taken"))
        return;
    bytes_add(&s->rcpts, arguments, len);
    bytes_add(&s->rcpts, "\n", 1);
    s->rcpt_count++;
}

static void on_data(struct session *s)
{
    if (s->rcpt_count == 0)
        reply(s, "503 5.5.1 no valid recipient");
    else if (answer(s, STAGE_DATA, sender_of(s), "354 go on"))
        s->phase = PHASE_DATA;
}

static void on_bdat(struct session *s, const char *arguments)
{
    char *rest;

    s->chunk_len = strtoull(arguments, &rest, 10);
    s->chunk_last = strcasestr(rest, "LAST") != NULL;
    s->phase = s->chunk_len <= SINK_MESSAGE_MAX ? PHASE_BDAT : PHASE_CLOSING;
}

/* `line` is terminated. */
static void command(struct session *s, const char *line, size_t len)
{

    if (starts_with(line, len, "MAIL FROM:")) {
        on_mail(s, line + 10, len - 10);
    } else if (starts_with(line, len, "RCPT TO:")) {
        on_rcpt(s, line + 8, len - 8);
    } else if (starts_with(line, len, "DATA")) {
        on_data(s);
    } else if (s->options->chunking && starts_with(line, len, "BDAT ")) {
        on_bdat(s, line + 5);
    } else if (starts_with(line, len, "EHLO") || starts_with(line, len, "HELO")) {
        on_ehlo(s);
    } else if (starts_with(line, len, "STARTTLS")) {
        on_starttls(s);
    } else if (starts_with(line, len, "RSET")) {
        transaction_reset(s);
        reply(s, "250 2.0.0 reset");
    } else if (starts_with(line, len, "NOOP")) {
        reply(s, "250 2.0.0 ok");
    } else if (starts_with(line, len, "QUIT")) {
        if (answer(s, STAGE_QUIT, nobody, "221 2.0.0 bye"))
            s->phase = PHASE_CLOSING;
    } else {
        reply(s, "502 5.5.1 not known");
    }
}

/* ---- steps: each returns whether it got on ---- */

static bool step_command(struct session *s)
{
    char *line = bytes_head(&s->in);
    char *end = memchr(line, '\n', bytes_len(&s->in));

    if (!end)
        return false;
    size_t taken = (size_t)(end - line) + 1;
    size_t len = taken - 1;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    line[len] = '\0';
    bytes_consume(&s->in, taken); /* the bytes stay where they are until the next read */
    command(s, line, len);
    return true;
}

/* False where a rule lets the connection end as the message begins. */
static bool body_begins(struct session *s)
{
    if (s->body_started)
        return true;
    s->body_started = true;
    return answer(s, STAGE_BODY, sender_of(s), NULL);
}

static bool step_data(struct session *s)
{
    static const char end_mark[] = "\r\n.\r\n";
    const char *start = bytes_head(&s->in);
    size_t have = bytes_len(&s->in);

    if (!body_begins(s))
        return false;
    if (have >= 3 && memcmp(start, end_mark + 2, 3) == 0) {
        bytes_consume(&s->in, 3);
        message_complete(s, (struct text){start, 0}, true);
        return true;
    }
    const char *end = memmem(start + s->scanned, have - s->scanned, end_mark, 5);
    if (!end) {
        s->scanned = have > 4 ? have - 4 : 0;
        return false;
    }
    size_t len = (size_t)(end - start) + 2;
    bytes_consume(&s->in, len + 3);
    message_complete(s, (struct text){start, len}, true);
    return true;
}

static bool step_bdat(struct session *s)
{
    const char *start = bytes_head(&s->in);

    if (!body_begins(s) || bytes_len(&s->in) < s->chunk_len)
        return false;
    bytes_consume(&s->in, s->chunk_len);
    s->phase = PHASE_COMMAND;
    if (s->rcpt_count == 0) {
        reply(s, "503 5.5.1 no valid recipient");
    } else if (s->chunk_last && s->body.end == 0) {
        message_complete(s, (struct text){start, s->chunk_len}, false);
    } else {
        bytes_add(&s->body, start, s->chunk_len);
        if (s->chunk_last)
            message_complete(s, (struct text){s->body.data, s->body.end}, false);
        else
            reply(s, "250 2.0.0 chunk taken");
    }
    return true;
}

bool session_step(struct session *s)
{
    switch (s->phase) {
    case PHASE_COMMAND:
        return bytes_len(&s->in) > 0 && step_command(s);
    case PHASE_DATA:
        return bytes_len(&s->in) > 0 && step_data(s);
    case PHASE_BDAT:
        return step_bdat(s);
    case PHASE_TLS:
    case PHASE_STALLED:
    case PHASE_CLOSING:
        break;
    }
    return false;
}

void session_greet(struct session *s)
{
    if (s->turned_away) {
        reply(s, "421 4.7.0 too many connections");
        s->phase = PHASE_CLOSING;
        return;
    }
    if (!answer(s, STAGE_CONNECT, nobody, "220 sink.test ESMTP") && s->phase == PHASE_COMMAND)
        s->phase = PHASE_CLOSING;
}

void session_secured(struct session *s)
{
    s->in_tls = true;
    s->phase = PHASE_COMMAND;
    s->counts->tls_sessions++;
}

void session_fini(struct session *s)
{
    bytes_free(&s->in);
    bytes_free(&s->out);
    bytes_free(&s->body);
    bytes_free(&s->mail);
    bytes_free(&s->rcpts);
    bytes_free(&s->sender);
}
