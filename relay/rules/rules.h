/*
 * rules: what the replies of next hops mean. A table of patterns on who said it, the code, the
 * enhanced code and the text, each with what is to be done and a class for statistics. The first
 * rule that fits holds; where none does the reply means what RFC 5321 says.
 *
 * One rule a line, six words, texts with blanks in double quotes, "#" begins a comment:
 *
 *   destination  code  enhanced-code  text  action  class
 *   .outlook.com 4xx   4.7.*          "*throttl*"   back-off:15m  throttled
 *
 * destination: "*", a host or domain, ".domain" for it and its subdomains. code: "421", "4xx",
 * "5xx", "*". enhanced-code: "5.7.1", "4.7.*", "*". text: as in fnmatch(3), without regard to
 * case, against all of the reply's text. action:
 *
 *   default          as RFC 5321 has it; only the class counts
 *   retry            later, even where the reply was final
 *   bounce           never again, even where the reply was not final
 *   back-off:TIME    later, and the whole site is left alone for that time
 *   next-host        another host of the next hop is tried
 *
 * A table is immutable and counts its references: any thread.
 */
#ifndef SMARTHOP_RULES_RULES_H
#define SMARTHOP_RULES_RULES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/follow.h"
#include "proto/status.h"

enum {
    RULES_MAX = 10000,
    RULES_LINE_MAX = 1024,
    RULES_TEXT_MAX = 1000, /* of a reply's text: what is behind it is not looked at */
    RULES_CLASS_MAX = 32,
};

enum rule_action { RULE_DEFAULT, RULE_RETRY, RULE_BOUNCE, RULE_BACK_OFF, RULE_NEXT_HOST };

struct rule {
    enum rule_action action;
    uint64_t duration_ms; /* of RULE_BACK_OFF */
    const char *klass;    /* letters, digits, hyphens */
    unsigned line;
};

struct rules;

/* The table of a text. On failure NULL, and `messages` has a line for each problem:
 * "file:line: what is wrong". */
struct rules *rules_parse(struct span text, const char *file, struct buf *messages);
/* The table that comes with the program. */
struct rules *rules_builtin(void);
struct rules *rules_ref(struct rules *rules);
void rules_unref(struct rules *rules);
unsigned rules_count(const struct rules *rules);

/* The rule for a reply of this host, which is a next hop of that domain (either may be empty); NULL
 * where none fits. The rule is the table's. */
const struct rule *rules_match(const struct rules *rules, struct span host, struct span domain,
                               const struct status *status);

/* The host in "host [address]:port", as statuses tell by whom they were said; empty where there is
 * only an address. */
struct span rules_host(struct span by);

/* The table that a configuration names: "builtin", "none" (NULL), or a file. Blocks. */
struct err rules_open(const char *which, struct buf *messages, struct rules **out);
/* For a table in a file that is followed. */
extern const struct follow_kind rules_follow;

#endif
