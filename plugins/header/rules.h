/*
 * rules: what a rules file says, and which of its rules holds for a recipient. A rule is
 *
 *     CONDITION [and CONDITION]... -> ACTION [MODIFIER]...
 *
 * as smarthop-header(7) has it. The first one whose conditions all hold is the answer. Rules do not
 * change once they are there, and are counted by their users, on any thread.
 */
#ifndef SMARTHOP_HEADER_RULES_H
#define SMARTHOP_HEADER_RULES_H

#include "pattern.h"

struct rules;

enum { RULES_BYTES_MAX = 16 << 20, RULES_PROBLEM_MAX = 512 };

/* `text` is copied; `file` is for the problem, "file:line: text". NULL where it is wrong. */
struct rules *rules_parse(const char *text, size_t len, const char *file,
                          const struct pattern_limits *limits, char problem[RULES_PROBLEM_MAX]);
struct rules *rules_ref(struct rules *rules);
void rules_unref(struct rules *rules);

/* What is asked, and of whom: the event's memory and the clock are the host's. */
struct rules_asking {
    const struct smarthop_host *host;
    struct smarthop_self *self;
    const struct smarthop_event *event;
    bool is_utc;      /* times of day are those of UTC, not local ones */
    unsigned gave_up; /* out: patterns that met a limit */
};

/* The answer, in the event's memory; false where no rule holds. A condition that met a limit does
 * not hold, and neither does its negation. */
bool rules_match(const struct rules *rules, struct rules_asking *asking,
                 struct smarthop_verdict *verdict);

#endif
