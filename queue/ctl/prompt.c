#include "queue/ctl/prompt.h"

#include "queue/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
enum { DEADLY = sizeof deadly / sizeof *deadly };

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

/* One line, without its end; false where there is none, or not in full. Read byte by byte: what
 * follows it is not ours, and stdio would keep a copy. */
static bool read_line(int fd, struct prompt_password *out)
{
    out->len = 0;
    while (caught == 0) {
        char c;
        ssize_t n = read(fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 && out->len > 0;
        if (c == '\n')
            return true;
        if (out->len == PROMPT_MAX)
            return false;
        out->bytes[out->len++] = c;
    }
    return false;
}

bool prompt_read(struct prompt_password *out)
{
    if (read_line(STDIN_FILENO, out))
        return true;
    ctl_complain("a password is expected on standard input, in a line of its own");
    return false;
}

static void tell(int terminal, const char *text)
{
    (void)!write(terminal, text, strlen(text));
}

static bool ask(int terminal, const char *before, const char *name, struct prompt_password *out)
{
    tell(terminal, before);
    tell(terminal, name);
    tell(terminal, ": ");
    bool got = read_line(terminal, out);
    tell(terminal, "\n");
    return got;
}

static bool ask_quietly(int terminal, const char *name, bool twice, struct prompt_password *out)
{
    struct prompt_password again;

    if (!ask(terminal, "Password of ", name, out))
        return false;
    if (!twice)
        return true;
    bool same = ask(terminal, "Once more, password of ", name, &again) &&
                span_equal(prompt_span(out), prompt_span(&again));
    explicit_bzero(&again, sizeof again);
    if (!same && caught == 0)
        ctl_complain("the two differ; nothing is changed");
    return same;
}

/* Signals only end a read while echo is off; they take effect when it is on again. */
static bool ask_without_echo(int terminal, const char *name, bool twice,
                             struct prompt_password *out)
{
    struct termios before, quiet;
    struct sigaction old[DEADLY];
    struct sigaction note = {.sa_handler = on_signal};

    if (tcgetattr(terminal, &before) != 0)
        return false;
    for (unsigned i = 0; i < DEADLY; i++)
        sigaction(deadly[i], &note, &old[i]);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    tcsetattr(terminal, TCSAFLUSH, &quiet);
    bool got = ask_quietly(terminal, name, twice, out);
    tcsetattr(terminal, TCSAFLUSH, &before);
    for (unsigned i = 0; i < DEADLY; i++)
        sigaction(deadly[i], &old[i], NULL);
    if (caught != 0)
        raise(caught);
    return got;
}

bool prompt_ask(const char *name, bool twice, struct prompt_password *out)
{
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);

    if (terminal < 0) {
        ctl_complain("there is no terminal to ask at; --password-stdin reads standard input");
        return false;
    }
    bool got = ask_without_echo(terminal, name, twice, out);
    close(terminal);
    return got;
}
