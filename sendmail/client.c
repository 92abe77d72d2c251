#include "sendmail/client.h"

#include "sendmail/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    WAIT_S = 600, /* RFC 5321 4.5.3.2.6: the longest that a server may take for a reply */
    QUIT_WAIT_S = 5,
    READ_MOST = 4096,
};

static bool set_deadline(int fd, int option, time_t seconds)
{
    struct timeval wait = {.tv_sec = seconds};

    return setsockopt(fd, SOL_SOCKET, option, &wait, sizeof wait) == 0;
}

int client_connect(const char *path, int *exit_out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path) {
        *exit_out = say(EX_CONFIG, "%s: too long for the path of a socket", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && set_deadline(fd, SO_RCVTIMEO, WAIT_S) && set_deadline(fd, SO_SNDTIMEO, WAIT_S) &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int status = errno == EACCES ? EX_NOPERM : EX_TEMPFAIL;
    *exit_out = say(status, "the mail server cannot be reached at %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int client_open(struct client *c, const char *path, bool verbose)
{
    int result = EX_OK;

    *c = (struct client){.verbose = verbose};
    buf_init(&c->input, READ_MOST);
    buf_init(&c->text, SMTP_REPLY_TEXT_MAX);
    smtp_reply_parser_init(&c->parser, &c->text, 0);
    c->fd = client_connect(path, &result);
    if (result == EX_OK)
        result = client_reply(c);
    return result == EX_OK ? client_expect(c, 2, "greeting") : result;
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    buf_fini(&c->input);
    buf_fini(&c->text);
}

int client_send(struct client *c, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (sent >= 0)
            bytes = span_from(bytes, (size_t)sent);
        else if (errno == EPIPE || errno == ECONNRESET)
            return EX_OK;
        else if (errno != EINTR)
            return say(EX_TEMPFAIL, "the mail server does not take the message: %s",
                       strerror(errno));
    }
    return EX_OK;
}

static int fill(struct client *c)
{
    ssize_t len;

    do {
        len = recv(c->fd, buf_reserve(&c->input, READ_MOST), READ_MOST, 0);
    } while (len < 0 && errno == EINTR);
    if (len < 0)
        return say(EX_TEMPFAIL, "the mail server does not answer: %s", strerror(errno));
    if (len == 0)
        return say(EX_TEMPFAIL, "the mail server has closed the connection");
    buf_commit(&c->input, (size_t)len);
    return EX_OK;
}

static void show_reply(const struct client *c)
{
    struct smtp_reply_lines lines = smtp_reply_lines(&c->reply);
    char mark[16];
    struct span line;

    snprintf(mark, sizeof mark, "<<< %u ", c->reply.code);
    while (smtp_reply_lines_next(&lines, &line))
        say_dialogue(mark, line);
}

int client_reply(struct client *c)
{
    enum parse_result result = PARSE_MORE;
    size_t consumed;

    while (result == PARSE_MORE) {
        if (buf_len(&c->input) == 0) {
            int failed = fill(c);
            if (failed != EX_OK)
                return failed;
        }
        result = smtp_reply_parse(&c->parser, buf_span(&c->input), &consumed, &c->reply);
        buf_consume(&c->input, consumed);
    }
    if (result == PARSE_BAD)
        return say(EX_PROTOCOL, "the mail server does not speak SMTP: %s",
                   smtp_reply_error_text(c->parser.error));
    if (c->verbose)
        show_reply(c);
    return EX_OK;
}

int client_command(struct client *c, const char *format, ...)
{
    struct buf line;
    va_list args;
    char *text;

    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        return say(EX_OSERR, "out of memory");
    if (c->verbose)
        say_dialogue(">>> ", span_of(text, (size_t)len));
    buf_init(&line, 0);
    buf_addf(&line, "%s\r\n", text);
    free(text);
    int result = client_send(c, buf_span(&line));
    buf_fini(&line);
    return result == EX_OK ? client_reply(c) : result;
}

void client_quit(struct client *c)
{
    char reply[SMTP_REPLY_LINE_MAX];

    if (set_deadline(c->fd, SO_RCVTIMEO, QUIT_WAIT_S) && client_send(c, SPAN("QUIT\r\n")) == EX_OK)
        recv(c->fd, reply, sizeof reply, 0);
}

/* What a permanent refusal means to the caller; the first row that fits. */
static int exit_status_of(const struct smtp_reply *reply)
{
    enum { ANY = 0xffff };
    static const struct {
        uint16_t code;
        uint16_t subject;
        uint16_t detail;
        int exit_status;
    } rows[] = {
        {ANY, 1, ANY, EX_NOUSER},   {ANY, 7, ANY, EX_NOPERM},    {ANY, 3, 4, EX_DATAERR},
        {ANY, 2, 3, EX_DATAERR},    {ANY, 6, ANY, EX_DATAERR},   {530, ANY, ANY, EX_NOPERM},
        {535, ANY, ANY, EX_NOPERM}, {552, ANY, ANY, EX_DATAERR}, {553, 0, 0, EX_NOUSER},
        {550, 0, 0, EX_NOUSER},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if ((rows[i].code == ANY || rows[i].code == reply->code) &&
            (rows[i].subject == ANY || rows[i].subject == reply->enhanced.subject) &&
            (rows[i].detail == ANY || rows[i].detail == reply->enhanced.detail))
            return rows[i].exit_status;
    return EX_UNAVAILABLE;
}

int client_expect(const struct client *c, unsigned hundred, const char *what)
{
    const struct smtp_reply *reply = &c->reply;
    char enhanced[ENHANCED_CODE_TEXT_MAX];

    if (reply->code / 100 == hundred)
        return EX_OK;
    int status = EX_PROTOCOL;
    if (reply->code / 100 == 4)
        status = EX_TEMPFAIL;
    else if (reply->code / 100 == 5)
        status = exit_status_of(reply);
    size_t len = enhanced_code_format(reply->enhanced, enhanced);
    return say(status, "%s: %u %s%s%.*s", what, reply->code, enhanced, len > 0 ? " " : "",
               SPAN_ARG(span_head(reply->text, span_index(reply->text, '\n'))));
}
