/*
 * ctl: smarthopctl, the command line. It reads the store itself, beside a running daemon or
 * without one; changes go to the daemon over its control socket, or into the store when it is down.
 *
 * Results go to stdout, as JSON or for people; what was wrong, and what to do about it, to stderr.
 */
#ifndef SMARTHOP_QUEUE_CTL_CTL_H
#define SMARTHOP_QUEUE_CTL_CTL_H

#include "conf/conf.h"
#include "plugins/kit/kit.h"
#include "queue/ctl/filter.h"

enum ctl_exit {
    CTL_OK = 0,
    CTL_FAILED = 1, /* also: no such message */
    CTL_USAGE = 2,
    CTL_NO_DAEMON = 3, /* it is not running, and the command needs it */
    CTL_PARTLY = 4,    /* done, but for groups that were being delivered, for too long to wait */
};

enum ctl_option {
    CTL_LIMIT = 1 << 0,
    CTL_FILTER = 1 << 1, /* any of the filter */
    CTL_YES = 1 << 2,
    CTL_DRY_RUN = 1 << 3,
    CTL_FORMAT = 1 << 4,
    CTL_HEADERS = 1 << 5,
    CTL_BODY = 1 << 6,
    CTL_ALL = 1 << 7,
    CTL_USERS = 1 << 8,
    CTL_PASSWORD_STDIN = 1 << 9,
    CTL_NO_PASSWORD = 1 << 10,
    CTL_SEND_AS = 1 << 11,
    CTL_CERTIFICATE = 1 << 12,
    CTL_KIND = 1 << 13,
    CTL_FOR = 1 << 14,
    CTL_ONCE = 1 << 15,
    CTL_UNTIL = 1 << 16,
    CTL_REASON = 1 << 17,
    CTL_NEXT_HOP = 1 << 18,
    CTL_TRIAL = 1 << 19, /* any of the trial of a plugin */
    CTL_CXX = 1 << 20,
    CTL_TO = 1 << 21,
    CTL_REMOVE = 1 << 22,
    CTL_ADD = 1 << 23,
    CTL_DROP = 1 << 24,
};

/* The values of an option that may be given several times. */
struct ctl_values {
    const char **items;
    unsigned count;
};

struct ctl {
    const char *config; /* -c, or NULL */
    bool json;
    unsigned options; /* bits of enum ctl_option that were given */
    uint64_t limit;
    struct filter filter;
    const char *format;
    const char *kind;
    const char *duration;
    const char *until;
    const char *reason;
    const char *next_hop;
    const char *recipient; /* to be added or dropped */
    struct ctl_values to;
    const char *users;      /* the users file, or NULL = the configured one */
    struct kit_order trial; /* of a plugin */
    struct ctl_values send_as;
    struct ctl_values certificates; /* files */
    char **operands;
    unsigned operand_count;
    const char *verb;  /* the last word of the command */
    struct conf *conf; /* for the commands that need it */
};

/* The commands. */
enum ctl_exit ctl_list(struct ctl *ctl);
enum ctl_exit ctl_count(struct ctl *ctl);
enum ctl_exit ctl_group_by(struct ctl *ctl);
enum ctl_exit ctl_ages(struct ctl *ctl);
enum ctl_exit ctl_top(struct ctl *ctl);
enum ctl_exit ctl_show(struct ctl *ctl);
enum ctl_exit ctl_change(struct ctl *ctl);
enum ctl_exit ctl_reroute(struct ctl *ctl);
enum ctl_exit ctl_edit(struct ctl *ctl);
enum ctl_exit ctl_export(struct ctl *ctl);
enum ctl_exit ctl_import(struct ctl *ctl);
enum ctl_exit ctl_explain(struct ctl *ctl);
enum ctl_exit ctl_suspend(struct ctl *ctl);
enum ctl_exit ctl_suspensions(struct ctl *ctl);
enum ctl_exit ctl_status(struct ctl *ctl);
enum ctl_exit ctl_reload(struct ctl *ctl);
enum ctl_exit ctl_reopen_log(struct ctl *ctl);
enum ctl_exit ctl_sessions(struct ctl *ctl);
enum ctl_exit ctl_session_end(struct ctl *ctl);
enum ctl_exit ctl_destinations(struct ctl *ctl);
enum ctl_exit ctl_trace(struct ctl *ctl);
enum ctl_exit ctl_config_check(struct ctl *ctl);
enum ctl_exit ctl_config_show(struct ctl *ctl);
enum ctl_exit ctl_guard_list(struct ctl *ctl);
enum ctl_exit ctl_guard_forget(struct ctl *ctl);
enum ctl_exit ctl_mailbox_list(struct ctl *ctl);
enum ctl_exit ctl_mailbox_change(struct ctl *ctl);
enum ctl_exit ctl_mailbox_quota(struct ctl *ctl);
enum ctl_exit ctl_mailbox_export(struct ctl *ctl);
enum ctl_exit ctl_mailbox_import(struct ctl *ctl);
enum ctl_exit ctl_mailbox_check(struct ctl *ctl);
enum ctl_exit ctl_mailbox_repair(struct ctl *ctl);
enum ctl_exit ctl_mailbox_compact(struct ctl *ctl);
enum ctl_exit ctl_plugins(struct ctl *ctl);
enum ctl_exit ctl_plugin_command(struct ctl *ctl);
enum ctl_exit ctl_plugin_rollback(struct ctl *ctl);
enum ctl_exit ctl_route(struct ctl *ctl);
enum ctl_exit ctl_plugin_test(struct ctl *ctl);
enum ctl_exit ctl_plugin_new(struct ctl *ctl);
enum ctl_exit ctl_user_add(struct ctl *ctl);
enum ctl_exit ctl_user_passwd(struct ctl *ctl);
enum ctl_exit ctl_user_allow(struct ctl *ctl);
enum ctl_exit ctl_user_list(struct ctl *ctl);
enum ctl_exit ctl_user_remove(struct ctl *ctl);
enum ctl_exit ctl_user_test(struct ctl *ctl);

/* "smarthopctl: ..." on stderr. */
__attribute__((format(printf, 1, 2))) void ctl_complain(const char *format, ...);
/* The id of a message; complains where it is none. */
bool ctl_parse_id(const char *text, uint64_t *id_out);
/* Opens the configured store, for reading or (the daemon being down) for changes; complains. */
enum ctl_exit ctl_open_store(const struct ctl *ctl, bool read_only, struct queue **out);
/* Complains of what the store answered, about a message where id is not 0. */
enum ctl_exit ctl_store_failed(uint64_t id, struct err e);

#endif
