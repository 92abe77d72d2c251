#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const kind_texts[] = {
    [ERR_NONE] = "no error",       [ERR_SYSTEM] = "system error",  [ERR_NO_SPACE] = "no space left",
    [ERR_NOT_FOUND] = "not found", [ERR_CORRUPT] = "damaged data", [ERR_INVALID] = "invalid",
    [ERR_TIMEOUT] = "timed out",   [ERR_CANCELLED] = "cancelled",  [ERR_CLOSED] = "closed",
    [ERR_STORE] = "store error",   [ERR_TLS] = "TLS error",        [ERR_CONFLICT] = "conflict",
};

struct err err_system(int sys, const char *where)
{
    enum err_kind kind = ERR_SYSTEM;

    switch (sys) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        kind = ERR_NO_SPACE;
        break;
    case ENOENT:
        kind = ERR_NOT_FOUND;
        break;
    case ETIMEDOUT:
        kind = ERR_TIMEOUT;
        break;
    case ECANCELED:
        kind = ERR_CANCELLED;
        break;
    default:
        break;
    }
    return (struct err){kind, sys, where};
}

const char *err_text(struct err e, char text[ERR_TEXT_MAX])
{
    char why[128];
    const char *reason = kind_texts[e.kind];

    if (e.sys > 0 && e.kind != ERR_STORE && e.kind != ERR_TLS)
        reason = strerror_r(e.sys, why, sizeof why);
    if (e.kind == ERR_STORE)
        snprintf(why, sizeof why, "%s %d", kind_texts[ERR_STORE], e.sys), reason = why;
    if (e.where != NULL)
        snprintf(text, ERR_TEXT_MAX, "%s: %s", e.where, reason);
    else
        snprintf(text, ERR_TEXT_MAX, "%s", reason);
    return text;
}
