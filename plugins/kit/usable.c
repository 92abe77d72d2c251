/* What the daemon cannot use of an answer to `route` although it is well-formed; there relay/route
 * says so, and the recipient is deferred. */
#include "plugins/kit/private.h"

#include "proto/address.h"
#include "proto/domain.h"
#include "proto/ip.h"

enum { MAILBOX = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_LONG_LOCAL | ADDRESS_ALLOW_UNDERSCORE };

static bool is_mailbox(struct smarthop_span text)
{
    struct address address;

    return address_parse(plugin_span(text), MAILBOX, &address) == ADDRESS_OK &&
           address.kind == ADDRESS_MAILBOX;
}

static bool is_domain(struct smarthop_span text)
{
    return domain_is_valid_with(plugin_span(text), DOMAIN_ALLOW_UNDERSCORE);
}

static bool is_host(const struct smarthop_next_hop *hop)
{
    struct ip_address ip;

    return hop->weight <= UINT16_MAX && (hop->host.ptr[0] == '/' || is_domain(hop->host) ||
                                         ip_parse(plugin_span(hop->host), &ip));
}

const char *usable_problem(const struct smarthop_verdict *v)
{
    if (v->action == SMARTHOP_SEND && v->mx.len > 0 && !is_domain(v->mx))
        return "mx is no domain";
    for (uint32_t i = 0; v->action == SMARTHOP_SEND && v->mx.len == 0 && i < v->next_hop_count; i++)
        if (!is_host(&v->next_hops[i]))
            return "a next hop whose host is no name, address or socket, or whose weight is above "
                   "65535";
    for (uint32_t i = 0; v->action == SMARTHOP_REWRITE && i < v->recipient_count; i++)
        if (!is_mailbox(v->recipients[i]))
            return "a recipient that is no address";
    return v->sender.len == 0 || is_mailbox(v->sender) ? NULL : "a sender that is no address";
}
