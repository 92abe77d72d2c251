#include "plugin_looks.h"

#include "base/clock.h"
#include "proto/address.h"

#include <stdlib.h>

/* On its way to a worker and back. */
struct relayed_route {
    struct call call;
    struct actions *actions;
    struct control_routing *routing;
    struct conf *conf;
    struct route_query query;
    struct smarthop_session session;
    struct smarthop_message message;
    uint64_t began;
};

static void on_home(struct call *call)
{
    struct relayed_route *r = container_of(call, struct relayed_route, call);
    struct control_routing *routing = r->routing;

    routing->call.done(&routing->call);
    conf_unref(r->conf);
    free(r);
}

static void go_home(struct relayed_route *r)
{
    r->call.done = on_home;
    loop_post(r->actions->loop, &r->call);
}

static void on_routed(struct call *call)
{
    struct relayed_route *r = container_of(call, struct relayed_route, query.call);

    r->routing->ns = clock_mono_ns() - r->began;
    r->routing->query = &r->query;
    go_home(r);
}

static void describe(struct relayed_route *r)
{
    const struct control_routing *routing = r->routing;

    r->session = (struct smarthop_session){
        .size = sizeof r->session,
        .flags = routing->user.len > 0 ? SMARTHOP_SESSION_LOGGED_IN : 0,
        .address = plugin_text(routing->client),
        .helo = plugin_text(routing->hello),
        .user = plugin_text(routing->user),
    };
    r->message = (struct smarthop_message){
        .size = sizeof r->message,
        .sender = plugin_text(routing->sender),
        .tenant = plugin_text(r->query.tenant),
        .header = plugin_text(routing->header),
        .arrival = clock_wall_ms(),
        .recipients = 1,
    };
}

static void on_route(struct call *call)
{
    struct relayed_route *r = container_of(call, struct relayed_route, call);
    struct control_routing *routing = r->routing;
    struct worker *worker = &r->actions->workers[0];
    struct address address, sender;
    unsigned flags = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_LONG_LOCAL | ADDRESS_ALLOW_UNDERSCORE;

    if (address_parse(routing->recipient, flags, &address) != ADDRESS_OK ||
        address.kind != ADDRESS_MAILBOX) {
        go_home(r);
        return;
    }
    if (address_parse(routing->sender, flags, &sender) != ADDRESS_OK)
        sender = (struct address){0};
    r->query = (struct route_query){
        .call.done = on_routed,
        .conf = r->conf,
        .reverse_path = routing->sender,
        .recipient = routing->recipient,
        .domain = route_domain(&routing->arena, routing->recipient),
        .tenant = routing->user.len > 0 ? routing->user : sender.domain,
        .arena = &routing->arena,
        .plugins = worker->plugins,
        .session = &r->session,
        .message = &r->message,
        .is_traced = true,
    };
    describe(r);
    list_init(&r->query.call.link);
    r->began = clock_mono_ns();
    route_recipient(worker->loop, &r->query);
}

void looks_route(void *context, struct control_routing *routing)
{
    struct relayed_route *r = mem_zalloc(sizeof *r);

    r->actions = context;
    r->routing = routing;
    r->conf = conf_ref(*r->actions->conf);
    list_init(&r->call.link);
    r->call.done = on_route;
    loop_post(r->actions->workers[0].loop, &r->call);
}
