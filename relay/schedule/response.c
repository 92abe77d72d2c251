/* What the reply of a next hop means for its recipients and for its site: the one place where the
 * rules are asked. */
#include "schedule/private.h"

static struct rules *current_rules(const struct scheduler *s)
{
    const char *which = s->conf->response_rules;

    if (strcmp(which, "builtin") == 0)
        return rules_ref(s->builtin);
    if (strcmp(which, "none") == 0 || s->rules == NULL)
        return NULL;
    return follow_get(s->rules);
}

void response_read(const struct scheduler *s, struct span domain, const struct status *status,
                   struct response *out)
{
    *out = (struct response){.action = RULE_DEFAULT};
    if (!status->said || status_is_success(status))
        return;
    struct rules *rules = current_rules(s);
    if (rules == NULL)
        return;
    const struct rule *rule = rules_match(rules, rules_host(status->by), domain, status);
    if (rule != NULL) {
        out->action = rule->action;
        out->duration_ms = rule->duration_ms;
        memcpy(out->klass, rule->klass, strlen(rule->klass) + 1);
    }
    rules_unref(rules);
}

bool response_is_final(const struct response *response, const struct status *status)
{
    return response->action == RULE_BOUNCE ||
           (response->action == RULE_DEFAULT && status_is_permanent(status));
}

static struct span domain_of(const struct job *job)
{
    return job->destination->next_hop.hosts[0].name;
}

bool responses_bounce(const struct job *job)
{
    struct response response;

    for (unsigned i = 0; i < job->attempt.recipient_count; i++) {
        response_read(job->owner, domain_of(job), &job->statuses[i], &response);
        if (response.action == RULE_BOUNCE)
            return true;
    }
    return false;
}

void responses_heed(struct job *job, struct connection *c, struct response *out)
{
    const struct status *why = NULL, *elsewhere = NULL;
    uint64_t longest = 0;

    for (unsigned i = 0; i < job->attempt.recipient_count; i++) {
        response_read(job->owner, domain_of(job), &job->statuses[i], &out[i]);
        if (out[i].action == RULE_NEXT_HOST)
            elsewhere = &job->statuses[i];
        if (out[i].action == RULE_BACK_OFF && out[i].duration_ms > longest) {
            longest = out[i].duration_ms;
            why = &job->statuses[i];
        }
    }
    if (elsewhere != NULL && site_pass_over(job->site, &c->address, elsewhere))
        c->passed_over = true;
    for (unsigned i = 0; i < job->attempt.recipient_count; i++)
        if (out[i].action == RULE_NEXT_HOST && !c->passed_over)
            out[i].action = RULE_DEFAULT;
    if (why != NULL)
        site_leave(job->site, job->destination, longest, why);
}
