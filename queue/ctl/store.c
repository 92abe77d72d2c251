#include "queue/ctl/ctl.h"

#include "proto/base32.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void ctl_complain(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs("smarthopctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

bool ctl_parse_id(const char *text, uint64_t *id_out)
{
    if (id_parse(span_cstr(text), id_out) && *id_out != 0)
        return true;
    ctl_complain("\"%s\" is no message id; `smarthopctl queue list` shows them", text);
    return false;
}

static void explain_open_failure(const char *path, struct err e)
{
    char why[ERR_TEXT_MAX];

    err_text(e, why);
    if (e.kind == ERR_NOT_FOUND)
        ctl_complain("there is no store at %s: either smarthopd has not run yet, or the"
                     " configuration (-c) is not the one it runs with",
                     path);
    else if (e.kind == ERR_CONFLICT)
        ctl_complain("the store at %s is in use, but its owner does not answer on the control"
                     " socket: is smarthopd just starting or stopping, or was control_socket"
                     " changed?",
                     path);
    else if (e.sys == EACCES || e.sys == EPERM)
        ctl_complain("the store at %s may not be opened (%s): run this as root or as smarthopd's"
                     " user",
                     path, why);
    else
        ctl_complain("the store at %s cannot be opened: %s", path, why);
}

/* A change is no reason to make a store, least of all one that is root's. */
static struct err find_store(const char *path)
{
    char *file;

    if (asprintf(&file, "%s/data.mdb", path) < 0)
        abort();
    struct err e = access(file, F_OK) == 0 ? ERR_OK : err_system(errno, "find store");
    free(file);
    return e;
}

enum ctl_exit ctl_open_store(const struct ctl *ctl, bool read_only, struct queue **out)
{
    struct queue_options options = {
        .path = ctl->conf->store_path,
        .map_size = ctl->conf->store_map_size,
        .low_water = ctl->conf->store_low_water,
        .low_inodes = ctl->conf->store_low_inodes,
        .reserve = ctl->conf->store_reserve,
        .read_only = read_only,
    };
    struct err e = find_store(options.path);
    if (!err_is(e))
        e = queue_open(&options, out);

    if (!err_is(e))
        return CTL_OK;
    explain_open_failure(options.path, e);
    return e.kind == ERR_CONFLICT ? CTL_NO_DAEMON : CTL_FAILED;
}

enum ctl_exit ctl_store_failed(uint64_t id, struct err e)
{
    char why[ERR_TEXT_MAX];
    char name[ID_TEXT_SIZE];

    err_text(e, why);
    if (id != 0 && e.kind == ERR_NOT_FOUND)
        ctl_complain("%s: there is no such message in the queue", id_format(id, name));
    else if (id != 0)
        ctl_complain("%s: %s", id_format(id, name), why);
    else
        ctl_complain("the store cannot be read: %s", why);
    return CTL_FAILED;
}
