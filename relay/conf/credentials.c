/* The passwords for next hops: where they come from, and who names them. */
#include "conf/load.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct credentials_check {
    struct conf_loading *loading;
    struct conf_credentials *credentials;
    unsigned line;
};

static void report(const struct credentials_check *check, const char *what, const char *file,
                   const char *why)
{
    conf_source_problem(&check->loading->source, check->line, "credentials \"%s\": %s%s%s%s%s",
                        check->credentials->name, what, file != NULL ? " " : "",
                        file != NULL ? file : "", why != NULL ? ": " : "", why != NULL ? why : "");
}

/* The first line; false where it is none. */
static bool take_password(struct conf_credentials *credentials, struct span text)
{
    struct span line = span_head(text, span_index(text, '\n'));

    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0 || line.len > CONF_PASSWORD_MAX || span_index(line, '\0') < line.len)
        return false;
    credentials->secret = span_to_text(line);
    return true;
}

static void read_password(const struct credentials_check *check, int fd)
{
    const char *file = check->credentials->password_file;
    char text[CONF_PASSWORD_MAX + 2 + 1];
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        report(check, "not a file:", file, NULL);
        return;
    }
    if ((st.st_mode & S_IROTH) != 0) {
        report(check, "everybody may read", file, "take that right away (chmod o-r)");
        return;
    }
    ssize_t len = read(fd, text, sizeof text);
    if (len < 0)
        report(check, "cannot read", file, strerror(errno));
    else if (!take_password(check->credentials, span_of(text, (size_t)len)))
        report(check, "the first line is no password in", file, NULL);
    explicit_bzero(text, sizeof text);
}

static void open_password(const struct credentials_check *check)
{
    const char *file = check->credentials->password_file;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        report(check, "cannot read", file, strerror(errno));
        return;
    }
    read_password(check, fd);
    close(fd);
}

static void load_one(const struct credentials_check *check)
{
    struct conf_credentials *credentials = check->credentials;

    if (!conf_is_plain_name(span_cstr(credentials->name)))
        report(check, "the name may have up to 64 letters, digits and -_.", NULL, NULL);
    if ((credentials->password == NULL) == (credentials->password_file == NULL))
        report(check, "either password or password_file is needed", NULL, NULL);
    else if (credentials->password != NULL)
        credentials->secret = mem_strdup(credentials->password);
    else if (check->loading->with_passwords)
        open_password(check);
}

/* Whoever answers for a name that DNS has given could show a certificate for it: the password
 * would go to anybody. */
static void check_route(struct conf_loading *loading, unsigned i)
{
    const struct conf_route *route = &loading->conf->routes[i];
    unsigned line = loading->places.items[CONF_ROUTE][i].line;

    if (route->credentials == NULL)
        return;
    if (conf_credentials_find(loading->conf, span_cstr(route->credentials)) == NULL)
        conf_source_problem(&loading->source, line, "route \"%s\": there are no credentials \"%s\"",
                            route->pattern, route->credentials);
    if (route->action != CONF_ROUTE_HOSTS)
        conf_source_problem(&loading->source, line, "route \"%s\": credentials go with hosts only",
                            route->pattern);
}

void conf_credentials_load(struct conf_loading *loading)
{
    struct conf *conf = loading->conf;

    for (unsigned i = 0; i < conf->credentials_count; i++)
        load_one(&(struct credentials_check){
            .loading = loading,
            .credentials = &conf->credentials[i],
            .line = loading->places.items[CONF_CREDENTIALS][i].line,
        });
    for (unsigned i = 0; i < conf->route_count; i++)
        check_route(loading, i);
}

void conf_credentials_erase(struct conf *conf)
{
    for (unsigned i = 0; i < conf->credentials_count; i++) {
        char *secret = conf->credentials[i].secret;
        if (secret != NULL)
            explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

const struct conf_credentials *conf_credentials_find(const struct conf *conf, struct span name)
{
    for (unsigned i = 0; i < conf->credentials_count; i++)
        if (span_equal(span_cstr(conf->credentials[i].name), name))
            return &conf->credentials[i];
    return NULL;
}
