/* sendmail: what the mode asks for, with the configuration and the caller's own address. */
#include "conf/conf.h"
#include "sendmail/dialogue.h"
#include "sendmail/say.h"
#include "sendmail/submit.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* Not ./relay.conf, as the other programs have it: sendmail is run in folders that others may
 * write to. */
static const char default_config[] = "/etc/smarthop/relay.conf";

static int load(const char *file, struct conf **out)
{
    struct buf messages;

    buf_init(&messages, 0);
    struct err e = conf_load_for_client(file, &messages, out);
    if (err_is(e)) {
        struct span rest, first = span_split(buf_span(&messages), '\n', &rest);
        say(EX_CONFIG, "the configuration cannot be used: %.*s", SPAN_ARG(first));
    }
    buf_fini(&messages);
    return err_is(e) ? EX_CONFIG : EX_OK;
}

/* Runs the program of that name in the folder of this one; returns only where there is none. */
static void exec_beside(const char *name, char **arguments)
{
    char own[PATH_MAX] = "";
    char path[PATH_MAX];

    ssize_t len = readlink("/proc/self/exe", own, sizeof own);
    if (len <= 0)
        return;
    struct span folder = span_of(own, (size_t)len);
    folder.len = span_rindex(folder, '/');
    if (snprintf(path, sizeof path, "%.*s/%s", SPAN_ARG(folder), name) < (int)sizeof path)
        execv(path, arguments);
}

/* Returns only on a failure. */
static int run_smarthopctl(const char *config, const char *verb, const char *option)
{
    const char *const words[] = {"smarthopctl", "-c", config, "queue", verb, option, NULL};
    char **arguments = (char **)(uintptr_t)words; /* exec does not write to them */

    exec_beside(words[0], arguments);
    execvp(words[0], arguments);
    return say(EX_UNAVAILABLE, "smarthopctl cannot be run: %s", strerror(errno));
}

/* -f, or the user's name; an address without a domain gets ours. */
static int find_sender(const struct options *options, const char *hostname,
                       struct address_list *sender)
{
    const char *text = options->sender;

    if (text == NULL) {
        const struct passwd *user = getpwuid(getuid());
        if (user == NULL)
            return say(EX_NOUSER, "user %u has no name; -f gives a sender", (unsigned)getuid());
        text = user->pw_name;
    }
    struct span trimmed = span_trim(span_cstr(text));
    if (trimmed.len == 0 || span_equal(trimmed, SPAN("<>")))
        return EX_OK;
    if (!address_list_add(sender, trimmed, hostname) || sender->count != 1)
        return say(EX_USAGE, "the sender is no address: %s", text);
    return EX_OK;
}

static int add_arguments(const struct options *options, struct submission *s)
{
    for (int i = 0; i < options->recipient_count; i++) {
        const char *text = options->recipients[i];
        if (!address_list_add(&s->recipients, span_cstr(text), s->hostname))
            return say(EX_USAGE, "the recipient is no address: %s", text);
    }
    if (s->recipients.count == 0 && !options->header_recipients)
        return say(EX_USAGE, "no recipients; name them, or use -t");
    return EX_OK;
}

static int read_and_submit(const struct options *options, struct submission *s)
{
    struct message_source source = {
        .fd = STDIN_FILENO,
        .dot_is_text = options->dot_is_text,
        .hostname = s->hostname,
        .full_name = options->full_name,
        .sender = s->sender,
        .recipients = options->header_recipients ? &s->recipients : NULL,
    };
    int result = message_read(&s->message, &source);

    if (result == EX_OK && s->recipients.count == 0)
        result = say(EX_DATAERR, "the header names no recipients");
    if (result == EX_OK) {
        address_list_unique(&s->recipients);
        result = submit(s);
    }
    message_close(&s->message);
    return result;
}

static int run_submission(const struct options *options, const struct conf *conf)
{
    struct submission s = {
        .options = options, .socket = conf->submission_socket, .hostname = conf->hostname};
    struct address_list sender;

    address_list_init(&sender);
    address_list_init(&s.recipients);
    int result = find_sender(options, conf->hostname, &sender);
    if (sender.count > 0)
        s.sender = sender.items[0];
    s.sender_utf8 = sender.utf8;
    if (result == EX_OK)
        result = add_arguments(options, &s);
    if (result == EX_OK)
        result = read_and_submit(options, &s);
    address_list_fini(&sender);
    address_list_fini(&s.recipients);
    return result;
}

int main(int argc, char **argv)
{
    struct options options;
    struct conf *conf;

    signal(SIGPIPE, SIG_IGN);
    int result = options_parse(argc, argv, &options);
    if (result != EX_OK || options.mode == MODE_ALIASES)
        return result;
    const char *config = options.config != NULL ? options.config : default_config;
    if (options.mode == MODE_LIST)
        return run_smarthopctl(config, "list", "--format=mailq");
    if (options.mode == MODE_FLUSH)
        return run_smarthopctl(config, "retry", "--all");
    result = load(config, &conf);
    if (result != EX_OK)
        return result;
    if (conf->submission_socket == NULL) {
        conf_unref(conf);
        return say(EX_CONFIG, "submission_socket is not set in the relay's configuration");
    }
    result = options.mode == MODE_DIALOGUE ? dialogue_run(conf->submission_socket)
                                           : run_submission(&options, conf);
    conf_unref(conf);
    return result;
}
