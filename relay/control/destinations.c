/* What is told of destinations. */
#include "control/answer.h"

/* A site that has failed is open for a time; then one try decides. */
static const char *breaker_of(const struct control_destination *d)
{
    if (d->back_off_until != 0)
        return "open";
    return d->failures > 0 ? "half-open" : "closed";
}

static json_t *hosts_of(const struct control_destination *d)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < d->host_count; i++) {
        const struct control_host *host = &d->hosts[i];
        json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:i}", "name", answer_text(host->name), "address",
                            answer_text(host->address), "health", answer_text(host->health),
                            "connections", (int)host->connections));
    }
    return list;
}

static json_t *destination(const struct control_destination *d)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, "
        "s:o}",
        "key", answer_text(d->key), "next_hop", answer_text(d->next_hop), "tenant",
        answer_text(d->tenant), "site", answer_text(d->site), "state", answer_text(d->state),
        "ready", answer_number(d->ready), "sending", answer_number(d->under_way), "connections",
        answer_number(d->connections), "connections_allowed", answer_number(d->connections_allowed),
        "connections_most", answer_number(d->connections_most), "failures",
        answer_number(d->failures), "breaker", breaker_of(d), "backoff_until",
        answer_time(d->back_off_until), "rate_until", answer_time(d->rate_until), "suspended_until",
        answer_time(d->suspended_until), "store_due", answer_time(d->store_due), "why",
        answer_text(d->why), "hosts", hosts_of(d));
}

json_t *answer_destinations(const struct control_page *page)
{
    json_t *answer = answer_ok();
    json_t *list = json_array();

    for (unsigned i = 0; i < page->count; i++)
        json_array_append_new(list, destination(&page->destinations[i]));
    json_object_set_new(answer, "destinations", list);
    json_object_set_new(answer, "more", json_boolean(page->more));
    return answer;
}
