/* describe: a message as the fields that list and show have in common. */
#ifndef SMARTHOP_QUEUE_CTL_DESCRIBE_H
#define SMARTHOP_QUEUE_CTL_DESCRIBE_H

#include "queue/ctl/view.h"

/* How `group` stands; a message without a group that could be read is damaged. */
void describe_message(const struct backoffs *backoffs, const struct queue_message *message,
                      const struct queue_group *group, uint64_t now, struct view *out);
/* The members of its JSON object, up to `reason`, which is the view's. */
void describe_json(const struct backoffs *backoffs, const struct queue_message *message,
                   const struct view *view, uint64_t now);
/* What MAIL called its body: "7BIT" where it called it nothing. */
const char *describe_body(const struct queue_message *message);

#endif
