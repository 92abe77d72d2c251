#include "resolver_rig.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <uv.h>

#include <cmocka.h>

struct resolver_options rig_options(void)
{
    return (struct resolver_options){
        .timeout_ms = RIG_TRY_MS,
        .tries = 2,
        .cache_max = 100,
        .ttl_max_ms = 3600000,
        .negative_ttl_max_ms = 60000,
        .preference = RESOLVER_ANY,
        .seed = 42,
    };
}

void rig_open_with(struct rig *rig, struct resolver_options options, const char *zone)
{
    const struct sockaddr *servers[2] = {0};

    assert_false(err_is(loop_create(&rig->loop)));
    rig->server = dns_server_start();
    dns_server_set_zone(rig->server, zone);
    servers[options.server_count++] = dns_server_address(rig->server);
    if (rig->second != NULL)
        servers[options.server_count++] = dns_server_address(rig->second);
    options.servers = servers;
    assert_false(err_is(resolver_create(rig->loop, &options, &rig->resolver)));
}

void rig_open(struct rig *rig, const char *zone)
{
    rig_open_with(rig, rig_options(), zone);
}

/* One round; what it was waiting for ends it by uv_stop, wherever in the round that happens. */
static void turn(struct rig *rig)
{
    uv_run(loop_uv(rig->loop), UV_RUN_ONCE);
}

void rig_close(struct rig *rig)
{
    if (rig->resolver != NULL) {
        resolver_close(rig->resolver);
        uv_run(loop_uv(rig->loop), UV_RUN_NOWAIT);
    }
    loop_free(rig->loop);
    dns_server_stop(rig->server);
    if (rig->second != NULL)
        dns_server_stop(rig->second);
}

static void on_done(struct call *call)
{
    struct asked *asked =
        container_of(container_of(call, struct resolver_query, call), struct asked, query);

    assert_non_null(asked->query.answer);
    asked->completions++;
    asked->rig->done++;
    uv_stop(loop_uv(asked->rig->loop));
    if (asked->then != NULL)
        asked->then(asked);
}

static void start(struct rig *rig, struct asked *asked, const char *name,
                  void (*function)(struct resolver *, struct resolver_query *, struct span))
{
    asked->rig = rig;
    asked->query.call.done = on_done;
    function(rig->resolver, &asked->query, span_cstr(name));
    assert_int_equal(asked->completions, 0);
}

void asked_start(struct rig *rig, struct asked *asked, const char *domain)
{
    start(rig, asked, domain, resolver_mail_hosts);
}

void asked_start_addresses(struct rig *rig, struct asked *asked, const char *host)
{
    start(rig, asked, host, resolver_addresses);
}

void asked_start_ipv4(struct rig *rig, struct asked *asked, const char *name)
{
    start(rig, asked, name, resolver_ipv4);
}

void asked_start_text(struct rig *rig, struct asked *asked, const char *name)
{
    start(rig, asked, name, resolver_text);
}

void rig_address(const char *text, union resolver_address *out)
{
    *out = (union resolver_address){0};
    if (inet_pton(AF_INET, text, &out->in4.sin_addr) == 1)
        out->any.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1)
        out->any.sa_family = AF_INET6;
}

void asked_start_name(struct rig *rig, struct asked *asked, const char *address)
{
    union resolver_address parsed;

    rig_address(address, &parsed);
    asked->rig = rig;
    asked->query.call.done = on_done;
    resolver_name(rig->resolver, &asked->query, &parsed.any);
    assert_int_equal(asked->completions, 0);
}

void rig_wait_for(struct rig *rig, unsigned done)
{
    while (rig->done < done)
        turn(rig);
}

void asked_let_go(struct asked *asked)
{
    assert_int_equal(asked->completions, 1);
    resolver_answer_unref(asked->query.answer);
}

enum resolver_outcome rig_ask(struct rig *rig, const char *domain)
{
    struct asked asked = {0};

    asked_start(rig, &asked, domain);
    rig_wait_for(rig, rig->done + 1);
    enum resolver_outcome outcome = asked.query.answer->outcome;
    asked_let_go(&asked);
    return outcome;
}

static void on_alarm(struct timer *timer)
{
    uv_stop(loop_uv(container_of(timer, struct rig, alarm)->loop));
}

void rig_pass_time(struct rig *rig, uint64_t ms)
{
    timer_start(rig->loop, &rig->alarm, ms, on_alarm);
    while (timer_is_active(&rig->alarm))
        turn(rig);
}
