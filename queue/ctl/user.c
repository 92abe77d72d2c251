/* user: the users file; smarthop-users(5). */
#include "auth/certificate.h"
#include "auth/password.h"
#include "auth/prepare.h"
#include "auth/users_edit.h"
#include "base/memory.h"
#include "queue/ctl/ctl.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"
#include "queue/ctl/prompt.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* NULL, with a complaint, where none is configured. */
static const char *file_of(const struct ctl *ctl)
{
    const char *file = ctl->users != NULL ? ctl->users : ctl->conf->users_file;

    if (file == NULL)
        ctl_complain("%s has no users_file; set it, or name the file by --users", ctl->config);
    return file;
}

static bool prepare_name(const struct ctl *ctl, char out[AUTH_NAME_MAX], struct span *name_out)
{
    struct span name = span_cstr(ctl->operands[0]);

    if (!auth_name_prepare(name, out)) {
        ctl_complain("this cannot be a user's name: UTF-8 without blanks and colons is expected, "
                     "%d bytes at most",
                     AUTH_NAME_MAX);
        return false;
    }
    *name_out = span_of(out, name.len);
    return true;
}

static bool get_password(const struct ctl *ctl, bool twice, struct prompt_password *out)
{
    bool got = (ctl->options & CTL_PASSWORD_STDIN) != 0 ? prompt_read(out)
                                                        : prompt_ask(ctl->operands[0], twice, out);

    if (got && !auth_password_is_valid(prompt_span(out))) {
        ctl_complain("a password is 1 to %d bytes of UTF-8 without control characters",
                     AUTH_PASSWORD_MAX);
        got = false;
    }
    return got;
}

static void complain_of_file(const struct buf *messages)
{
    fprintf(stderr, "%.*s", SPAN_ARG(buf_span(messages)));
}

static enum ctl_exit edit(const struct ctl *ctl, const char *file, const struct users_edit *wanted)
{
    char text[ERR_TEXT_MAX];
    struct buf messages;

    buf_init(&messages, 0);
    struct err e = users_edit(file, wanted, &messages);
    complain_of_file(&messages);
    if (e.kind == ERR_CONFLICT)
        ctl_complain("%s is there already; `user passwd` changes the password", ctl->operands[0]);
    else if (e.kind == ERR_NOT_FOUND && buf_len(&messages) == 0)
        ctl_complain("there is no user %s in %s", ctl->operands[0], file);
    else if (err_is(e))
        ctl_complain("%s is as it was: %s", file, err_text(e, text));
    buf_fini(&messages);
    return err_is(e) ? CTL_FAILED : CTL_OK;
}

static bool read_certificates(const struct ctl *ctl, struct fingerprint *out)
{
    char text[ERR_TEXT_MAX];

    for (unsigned i = 0; i < ctl->certificates.count; i++) {
        const char *file = ctl->certificates.items[i];
        struct err e = certificate_fingerprint(file, &out[i]);
        if (err_is(e)) {
            ctl_complain("%s: %s", file,
                         e.kind == ERR_INVALID ? "there is no certificate (PEM) in it"
                                               : err_text(e, text));
            return false;
        }
    }
    return true;
}

/* With what the options let the user use. */
static enum ctl_exit edit_with_grants(const struct ctl *ctl, const char *file,
                                      struct users_edit *wanted)
{
    unsigned senders = ctl->send_as.count, certificates = ctl->certificates.count;
    struct span *send_as = mem_zalloc(senders * sizeof *send_as);
    struct fingerprint *fingerprints = mem_zalloc(certificates * sizeof *fingerprints);
    enum ctl_exit result = CTL_FAILED;

    for (unsigned i = 0; i < senders; i++)
        send_as[i] = span_cstr(ctl->send_as.items[i]);
    wanted->send_as = send_as;
    wanted->send_as_count = senders;
    wanted->certificates = fingerprints;
    wanted->certificate_count = certificates;
    if (read_certificates(ctl, fingerprints))
        result = edit(ctl, file, wanted);
    free(send_as);
    free(fingerprints);
    return result;
}

static enum ctl_exit set_password(const struct ctl *ctl, enum users_edit_kind kind)
{
    const char *file = file_of(ctl);
    char room[AUTH_NAME_MAX];
    struct users_edit wanted = {.kind = kind};
    struct prompt_password password;
    enum ctl_exit result = CTL_FAILED;

    if (file == NULL || !prepare_name(ctl, room, &wanted.name))
        return CTL_FAILED;
    if ((ctl->options & CTL_NO_PASSWORD) != 0)
        return edit_with_grants(ctl, file, &wanted);
    if (get_password(ctl, true, &password)) {
        wanted.password = prompt_span(&password);
        result = edit_with_grants(ctl, file, &wanted);
    }
    explicit_bzero(&password, sizeof password);
    return result;
}

/* The group of the daemon that this configuration is of, as far as that can be told. */
static bool find_group(const struct conf *conf, gid_t *out)
{
    const struct passwd *user = conf->user != NULL ? getpwnam(conf->user) : NULL;
    struct stat st;

    if (user != NULL) {
        *out = user->pw_gid;
        return true;
    }
    if (stat(conf->store_path, &st) != 0)
        return false;
    *out = st.st_gid;
    return st.st_uid != 0;
}

/* A new file of root's could not be read by a daemon that is somebody else. */
static void share(const struct ctl *ctl, const char *file)
{
    gid_t group;

    if (geteuid() != 0 || ctl->conf == NULL || !find_group(ctl->conf, &group))
        return;
    if (chown(file, (uid_t)-1, group) != 0 || chmod(file, 0640) != 0)
        ctl_complain("%s: the daemon's group cannot be let read it: %s", file, strerror(errno));
}

enum ctl_exit ctl_user_add(struct ctl *ctl)
{
    const char *file = file_of(ctl);

    if (file == NULL)
        return CTL_FAILED;
    bool is_new = access(file, F_OK) != 0;
    enum ctl_exit result = set_password(ctl, USERS_ADD);
    if (is_new && result == CTL_OK)
        share(ctl, file);
    return result;
}

enum ctl_exit ctl_user_passwd(struct ctl *ctl)
{
    return set_password(ctl, USERS_CHANGE);
}

enum ctl_exit ctl_user_allow(struct ctl *ctl)
{
    const char *file = file_of(ctl);
    char room[AUTH_NAME_MAX];
    struct users_edit wanted = {.kind = USERS_ALLOW};

    if (ctl->send_as.count + ctl->certificates.count == 0) {
        ctl_complain("nothing is to be allowed; --send-as and --certificate tell what");
        return CTL_USAGE;
    }
    if (file == NULL || !prepare_name(ctl, room, &wanted.name))
        return CTL_FAILED;
    return edit_with_grants(ctl, file, &wanted);
}

enum ctl_exit ctl_user_remove(struct ctl *ctl)
{
    const char *file = file_of(ctl);
    char room[AUTH_NAME_MAX];
    struct users_edit wanted = {.kind = USERS_REMOVE};

    if (file == NULL || !prepare_name(ctl, room, &wanted.name))
        return CTL_FAILED;
    return edit(ctl, file, &wanted);
}

/* NULL, with a complaint, where the file is not good. */
static struct users *load(const struct ctl *ctl)
{
    const char *file = file_of(ctl);
    struct users *users = NULL;
    struct buf messages;

    if (file == NULL)
        return NULL;
    buf_init(&messages, 0);
    if (err_is(users_load(file, &messages, &users)))
        complain_of_file(&messages);
    buf_fini(&messages);
    return users;
}

static void rate_as_json(const char *name, uint32_t rate)
{
    if (rate == USERS_NO_RATE)
        json_none(name);
    else
        json_number(name, rate);
}

static void rate_as_text(const char *name, uint32_t rate)
{
    if (rate != USERS_NO_RATE)
        printf(" %s=%u", name, rate);
}

static void list_as_json(const struct users_entry *entry)
{
    char text[FINGERPRINT_TEXT_SIZE];

    json_open(NULL, '{');
    json_text("name", entry->name);
    json_bool("plain", entry->hash != NULL);
    json_bool("scram", entry->has_keys);
    json_open("send_as", '[');
    for (unsigned i = 0; i < entry->send_as_count; i++)
        json_text(NULL, entry->send_as[i]);
    json_close(']');
    json_open("certificates", '[');
    for (unsigned i = 0; i < entry->certificate_count; i++)
        json_text(NULL, span_cstr(fingerprint_format(&entry->certificates[i], text)));
    json_close(']');
    rate_as_json("messages_per_hour", entry->messages_per_hour);
    rate_as_json("recipients_per_hour", entry->recipients_per_hour);
    json_close('}');
}

static void list_as_text(const struct users_entry *entry)
{
    char text[FINGERPRINT_TEXT_SIZE];

    output_text(entry->name);
    printf("%s%s%s", entry->hash != NULL ? " plain" : "", entry->has_keys ? " scram" : "",
           entry->hash == NULL && !entry->has_keys ? " no-password" : "");
    for (unsigned i = 0; i < entry->send_as_count; i++) {
        printf(i == 0 ? " send_as=" : ",");
        output_text(entry->send_as[i]);
    }
    for (unsigned i = 0; i < entry->certificate_count; i++)
        printf("%s%s", i == 0 ? " certificate=" : ",",
               fingerprint_format(&entry->certificates[i], text));
    rate_as_text("messages_per_hour", entry->messages_per_hour);
    rate_as_text("recipients_per_hour", entry->recipients_per_hour);
    putchar('\n');
}

enum ctl_exit ctl_user_list(struct ctl *ctl)
{
    struct users *users = load(ctl);

    if (users == NULL)
        return CTL_FAILED;
    if (ctl->json)
        json_open(NULL, '[');
    for (unsigned i = 0; i < users_count(users); i++) {
        if (ctl->json)
            list_as_json(users_at(users, i));
        else
            list_as_text(users_at(users, i));
    }
    if (ctl->json) {
        json_close(']');
        json_end_line();
    }
    users_unref(users);
    return CTL_OK;
}

enum verdict { VERDICT_ABSENT, VERDICT_WRONG, VERDICT_GOOD };

static const char *const verdicts[] = {
    [VERDICT_ABSENT] = "absent", [VERDICT_WRONG] = "wrong", [VERDICT_GOOD] = "good"};

static enum verdict verdict_of(bool is_there, bool is_good)
{
    return !is_there ? VERDICT_ABSENT : is_good ? VERDICT_GOOD : VERDICT_WRONG;
}

/* Both of what is stored: they may have come apart by hand. */
static enum ctl_exit test_password(const struct ctl *ctl, const struct users_entry *entry,
                                   struct span password)
{
    enum verdict plain = verdict_of(entry->hash != NULL,
                                    entry->hash != NULL && password_matches(password, entry->hash));
    enum verdict scram =
        verdict_of(entry->has_keys, entry->has_keys && scram_keys_match(&entry->keys, password));

    if (ctl->json) {
        json_open(NULL, '{');
        json_text("name", entry->name);
        json_text("plain", span_cstr(verdicts[plain]));
        json_text("scram", span_cstr(verdicts[scram]));
        json_close('}');
        json_end_line();
    } else {
        printf("plain: %s\nscram: %s\n", verdicts[plain], verdicts[scram]);
    }
    bool any_wrong = plain == VERDICT_WRONG || scram == VERDICT_WRONG;
    bool any_good = plain == VERDICT_GOOD || scram == VERDICT_GOOD;
    return any_good && !any_wrong ? CTL_OK : CTL_FAILED;
}

enum ctl_exit ctl_user_test(struct ctl *ctl)
{
    struct users *users = load(ctl);
    char room[AUTH_NAME_MAX];
    struct span name;
    struct prompt_password password;
    enum ctl_exit result = CTL_FAILED;

    if (users != NULL && prepare_name(ctl, room, &name)) {
        const struct users_entry *entry = users_find(users, name);
        if (entry == NULL)
            ctl_complain("there is no user %s", ctl->operands[0]);
        else if (get_password(ctl, false, &password))
            result = test_password(ctl, entry, prompt_span(&password));
    }
    explicit_bzero(&password, sizeof password);
    users_unref(users);
    return result;
}
