/* Lists that the workers tell a page at a time: sessions, and destinations. */
#include "pages.h"

#include <stdlib.h>

/* A page on its way to a worker and back. */
struct relayed_page {
    struct call call;
    struct actions *actions;
    struct control_page *page;
    bool (*describe)(struct worker *worker, struct control_page *page); /* true: more are there */
    bool more_here;
};

static struct span keep(struct control_page *page, const char *text)
{
    return arena_dup(&page->arena, span_cstr(text));
}

static void add_session(const struct receive_session *seen, void *context)
{
    struct control_page *page = context;

    page->sessions[page->count++] = (struct control_session){
        .id = seen->id,
        .listener = keep(page, seen->listener),
        .client = keep(page, seen->client),
        .hello = keep(page, seen->hello),
        .user = keep(page, seen->user),
        .state = keep(page, seen->state),
        .tls = keep(page, seen->tls),
        .state_ms = seen->state_ms,
        .ms = seen->ms,
        .bytes = seen->bytes,
        .messages = seen->messages,
        .recipients = seen->recipients,
        .errors = seen->errors,
    };
}
_Static_assert((int)RECEIVE_STEP <= (int)CONTROL_PAGE, "what a worker tells at a time fits a page");

static void add_destination(const struct schedule_destination *seen, void *context)
{
    struct control_page *page = context;
    struct control_host *hosts = arena_alloc(&page->arena, seen->host_count * sizeof *hosts);

    for (unsigned i = 0; i < seen->host_count; i++)
        hosts[i] = (struct control_host){
            .name = keep(page, seen->hosts[i].name),
            .address = keep(page, seen->hosts[i].address),
            .health = span_cstr(seen->hosts[i].health),
            .connections = seen->hosts[i].connections,
        };
    page->destinations[page->count++] = (struct control_destination){
        .key = arena_dup(&page->arena, seen->key),
        .next_hop = arena_dup(&page->arena, seen->next_hop),
        .tenant = arena_dup(&page->arena, seen->tenant),
        .site = arena_dup(&page->arena, seen->site),
        .state = span_cstr(seen->state),
        .why = keep(page, seen->why),
        .ready = seen->ready,
        .under_way = seen->under_way,
        .store_due = seen->store_due,
        .connections = seen->connections,
        .connections_allowed = seen->connections_allowed,
        .connections_most = seen->connections_most,
        .failures = seen->failures,
        .back_off_until = seen->back_off_until,
        .rate_until = seen->rate_until,
        .suspended_until = seen->suspended_until,
        .hosts = hosts,
        .host_count = seen->host_count,
    };
}
_Static_assert((int)SCHEDULE_STEP <= (int)CONTROL_PAGE, "likewise");

static void fill_page(struct relayed_page *r);

static void on_page_filled(struct call *call)
{
    struct relayed_page *r = container_of(call, struct relayed_page, call);
    struct control_page *page = r->page;

    if (!r->more_here) {
        page->worker++;
        page->place = 0;
    }
    page->more = page->worker < r->actions->worker_count && !r->actions->is_over;
    if (page->more && page->count == 0) {
        fill_page(r);
        return;
    }
    free(r);
    page->call.done(&page->call);
}

static void on_fill_page(struct call *call)
{
    struct relayed_page *r = container_of(call, struct relayed_page, call);
    struct worker *worker = &r->actions->workers[r->page->worker];

    r->more_here = r->describe(worker, r->page);
    r->call.done = on_page_filled;
    loop_post(r->actions->loop, &r->call);
}

static void fill_page(struct relayed_page *r)
{
    r->call.done = on_fill_page;
    loop_post(r->actions->workers[r->page->worker].loop, &r->call);
}

static void start(struct actions *actions, struct control_page *page,
                  bool (*describe)(struct worker *worker, struct control_page *page))
{
    struct relayed_page *r = mem_zalloc(sizeof *r);

    r->actions = actions;
    r->page = page;
    r->describe = describe;
    list_init(&r->call.link);
    fill_page(r);
}

static bool describe_sessions(struct worker *worker, struct control_page *page)
{
    return receive_server_describe(worker->receive, &page->place, add_session, page);
}

static bool describe_destinations(struct worker *worker, struct control_page *page)
{
    return schedule_describe(worker->scheduler, &page->place, add_destination, page);
}

void pages_tell_sessions(void *context, struct control_page *page)
{
    start(context, page, describe_sessions);
}

void pages_tell_destinations(void *context, struct control_page *page)
{
    start(context, page, describe_destinations);
}
