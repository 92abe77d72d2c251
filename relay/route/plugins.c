/*
 * What plugins say of a recipient. A recipient that is rewritten is replaced by others, each of
 * which is asked about anew. For one that stays among them the plugin that rewrote it is asked once
 * more, and told so; if it says the same the next one is asked, so that "me: me, you" ends.
 */
#include "route/private.h"

#include "base/log.h"
#include "proto/address.h"
#include "proto/domain.h"
#include "proto/ip.h"

#include <stdlib.h>

enum {
    DEPTH_MOST = 16,     /* rewritings of what has been rewritten */
    ANSWERS_MOST = 1000, /* of one recipient */
    SMTP_PORT = 25,
    SMTPS_PORT = 465,
    LMTP_PORT = 24,
};

/* A recipient that is still to be asked about. */
struct candidate {
    struct candidate *next;
    struct address address;
    struct span domain;
    unsigned from;                       /* the first plugin to ask */
    const struct smarthop_verdict *said; /* by those before it; NULL = nothing */
    bool stays;                          /* the first has rewritten it to itself */
    unsigned depth;
};

struct route_asking {
    struct loop *loop;
    struct route_query *query;
    struct plugin_run run;
    struct smarthop_recipient recipient;
    struct smarthop_recipient staying; /* for the first plugin alone */
    struct candidate *left;
    struct candidate *now;
    struct route_answer **end; /* where the next answer goes */
    struct span tags;          /* that came with rewritings */
    unsigned answers;
    bool failed; /* the first answer is the only one */
};

static void finish(struct route_asking *a)
{
    loop_defer(a->loop, &a->query->call);
}

static void fail(struct route_asking *a, enum route_verdict verdict, struct status status)
{
    a->query->answer = (struct route_answer){
        .verdict = verdict, .recipient = a->query->recipient, .status = status};
    a->failed = true;
}

/* ---- answers ------------------------------------------------------------------------------ */

/* "smtps:" before a name, or an address in brackets or without. */
static bool take_smtps(struct span *host)
{
    static const struct span mark = {"smtps:", 6};

    if (!span_starts_nocase(*host, mark))
        return false;
    *host = span_from(*host, mark.len);
    if (host->len > 2 && host->ptr[0] == '[' && host->ptr[host->len - 1] == ']')
        *host = span_of(host->ptr + 1, host->len - 2);
    return true;
}

static bool take_host(const struct smarthop_next_hop *given, bool lmtp, struct route_host *out)
{
    struct span host = plugin_span(given->host);
    bool implicit_tls = take_smtps(&host);
    uint16_t port = lmtp ? LMTP_PORT : implicit_tls ? SMTPS_PORT : SMTP_PORT;
    struct ip_address ip;

    *out = (struct route_host){
        .name = host,
        .port = given->port != 0 ? given->port : port,
        .implicit_tls = implicit_tls,
        .weight = given->weight != 0 ? given->weight : 1,
    };
    if (host.len == 0 || (implicit_tls && lmtp))
        return false;
    if (out->weight > UINT16_MAX)
        return false;
    out->is_path = !implicit_tls && host.ptr[0] == '/';
    if (out->is_path)
        return span_index(out->name, ',') == out->name.len &&
               span_index(out->name, ';') == out->name.len;
    out->is_address = ip_parse(out->name, &ip);
    return out->is_address || domain_is_valid_with(out->name, DOMAIN_ALLOW_UNDERSCORE);
}

/* By priority; those of one priority as they came. */
static void sort_hops(struct smarthop_next_hop *hops, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        struct smarthop_next_hop one = hops[i];
        unsigned k = i;
        for (; k > 0 && hops[k - 1].priority > one.priority; k--)
            hops[k] = hops[k - 1];
        hops[k] = one;
    }
}

static uint64_t weight_of(const struct smarthop_next_hop *hop)
{
    return hop->weight != 0 ? hop->weight : 1;
}

/* Draws the order within each priority by the weights (RFC 2782), from `seed`: who has a tenth of
 * the weight comes first in a tenth of all cases. */
static void draw_order(struct smarthop_next_hop *hops, unsigned count, uint64_t seed)
{
    for (unsigned first = 0; first < count; first++) {
        uint64_t sum = 0;
        unsigned end = first, drawn = first;
        for (; end < count && hops[end].priority == hops[first].priority; end++)
            sum += weight_of(&hops[end]);
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        uint64_t at = (seed >> 33) % sum;
        while (at >= weight_of(&hops[drawn]))
            at -= weight_of(&hops[drawn++]);
        struct smarthop_next_hop chosen = hops[drawn];
        memmove(&hops[first + 1], &hops[first], (drawn - first) * sizeof *hops);
        hops[first] = chosen;
    }
}

static uint64_t seed_of(const struct route_asking *a)
{
    uint64_t id = a->query->message != NULL ? a->query->message->id : 0;

    return span_hash(a->now->address.text) ^ id;
}

/* Of one priority alone the scheduler keeps the shares; with several the order is drawn here. */
static bool take_hosts(const struct route_asking *a, const struct smarthop_verdict *v,
                       struct route_next_hop *hop)
{
    struct smarthop_next_hop hops[SMARTHOP_NEXT_HOPS_MAX];
    bool is_weighted = false;

    memcpy(hops, v->next_hops, v->next_hop_count * sizeof *hops);
    sort_hops(hops, v->next_hop_count);
    if (hops[0].priority != hops[v->next_hop_count - 1].priority)
        draw_order(hops, v->next_hop_count, seed_of(a));
    for (unsigned i = 0; i < v->next_hop_count; i++) {
        if (!take_host(&hops[i], hop->lmtp, &hop->hosts[i]))
            return false;
        is_weighted |= hops[i].weight > 1;
    }
    hop->host_count = v->next_hop_count;
    if (is_weighted && hops[0].priority == hops[hop->host_count - 1].priority)
        hop->balance = CONF_BALANCE_WEIGHTED;
    for (unsigned i = 0; hop->balance == CONF_BALANCE_ORDERED && i < hop->host_count; i++)
        hop->hosts[i].weight = 1;
    return true;
}

static bool take_mx(const struct smarthop_verdict *v, struct route_next_hop *hop)
{
    struct span domain = plugin_span(v->mx);

    hop->use_mx = true;
    hop->host_count = 1;
    hop->hosts[0] = (struct route_host){.name = domain, .port = SMTP_PORT, .weight = 1};
    return domain_is_valid_with(domain, DOMAIN_ALLOW_UNDERSCORE);
}

static bool wishes_are_sound(const struct route_query *query, const struct smarthop_verdict *v)
{
    struct route_wishes own = route_wishes_of(v);

    return route_wishes_are_sound(&query->wishes, query->conf) &&
           route_wishes_are_sound(&own, query->conf);
}

static void warn(const struct route_asking *a, const char *text)
{
    struct log_line line;

    if (!log_begin(&line, LOG_WARN, "plugin-next-hop-refused"))
        return;
    log_text(&line, "plugin", a->run.by != NULL ? a->run.by : "");
    log_span(&line, "recipient", a->now->address.text);
    log_text(&line, "text", text);
    log_end(&line);
}

static void send_it(struct route_asking *a, struct routing *r)
{
    const struct smarthop_verdict *v = r->verdict;
    struct route_next_hop hop = {.tls = v->tls == SMARTHOP_TLS_NONE ? CONF_ROUTE_TLS_NONE
                                                                    : CONF_ROUTE_TLS_OPPORTUNISTIC,
                                 .lmtp = v->transport != SMARTHOP_SMTP};
    const char *wrong = NULL;

    if (v->mx.len > 0 ? !take_mx(v, &hop) : !take_hosts(a, v, &hop))
        wrong = "a host that is no name, address or socket";
    if (wrong == NULL) {
        routing_send(r, &hop);
        return;
    }
    warn(a, wrong);
    r->answer->verdict = ROUTE_DEFER;
    r->answer->status = STATUS(451, 4, 3, 5, "The next hop cannot be used, try again later");
}

enum { MAILBOX = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_LONG_LOCAL | ADDRESS_ALLOW_UNDERSCORE };

/* What is no mailbox must not come into a command. */
static bool sender_is_sound(const struct smarthop_verdict *v)
{
    struct address sender;

    return v->sender.len == 0 ||
           (address_parse(plugin_span(v->sender), MAILBOX, &sender) == ADDRESS_OK &&
            sender.kind == ADDRESS_MAILBOX);
}

/* The answer about the present candidate. */
static void answer(struct route_asking *a, const struct smarthop_verdict *v,
                   struct route_answer *out)
{
    struct routing r = {.query = a->query, .domain = a->now->domain, .answer = out, .verdict = v};

    *out = (struct route_answer){
        .recipient = a->now->address.text,
        .reverse_path = plugin_span(v->sender),
        .by = a->run.by != NULL ? span_cstr(a->run.by) : SPAN_NONE,
        .why = plugin_span(v->why),
        .tags = route_add_tags(a->query->arena, a->tags, v),
        .told = wishes_told(v),
    };
    if (!wishes_are_sound(a->query, v)) {
        routing_refuse_wishes(&r, a->run.spoke);
        return;
    }
    if (!sender_is_sound(v)) {
        warn(a, "a sender that is no address");
        out->reverse_path = SPAN_NONE;
        out->verdict = ROUTE_DEFER;
        out->status = STATUS(451, 4, 3, 5, "The sender cannot be rewritten, try again later");
        return;
    }
    switch (a->query->is_ours && v->action != SMARTHOP_SEND ? SMARTHOP_PASS
                                                            : (enum smarthop_action)v->action) {
    case SMARTHOP_SEND:
        send_it(a, &r);
        break;
    case SMARTHOP_DEFER:
        out->verdict = ROUTE_DEFER;
        out->status = route_verdict_status(v, STATUS(451, 4, 7, 1, "Deferred by local policy"));
        break;
    case SMARTHOP_REJECT:
        out->verdict = ROUTE_REJECT;
        out->status = route_verdict_status(v, STATUS(550, 5, 7, 1, "Refused by local policy"));
        break;
    case SMARTHOP_HOLD:
        routing_hold(&r, route_verdict_status(v, STATUS(450, 4, 7, 1, "Held by local policy")));
        break;
    case SMARTHOP_DISCARD:
        out->verdict = ROUTE_DISCARD;
        break;
    default:
        routing_by_conf(&r);
    }
}

static bool is_answered(const struct route_query *query, struct span recipient)
{
    for (const struct route_answer *one = &query->answer; one != NULL; one = one->next)
        if (span_equal_nocase(one->recipient, recipient))
            return true;
    return false;
}

/* The first answer lies in the query itself. */
static void keep(struct route_asking *a, const struct smarthop_verdict *v)
{
    struct route_answer *out = &a->query->answer;

    if (a->answers > 0 && is_answered(a->query, a->now->address.text))
        return;
    if (a->answers > 0)
        out = arena_alloc(a->query->arena, sizeof *out);
    answer(a, v, out);
    if (out->verdict == ROUTE_REJECT || out->verdict == ROUTE_DEFER) {
        a->query->answer = *out;
        a->query->answer.next = NULL;
        a->failed = true;
        return;
    }
    *a->end = a->answers > 0 ? out : NULL;
    a->end = &out->next;
    if (++a->answers > ANSWERS_MOST)
        fail(a, ROUTE_REJECT, STATUS(550, 5, 3, 0, "The recipient stands for too many others"));
}

/* ---- rewriting ---------------------------------------------------------------------------- */

/* A copy that lives as long as the query. */
static const struct smarthop_verdict *verdict_kept(struct route_asking *a)
{
    struct smarthop_verdict *kept = arena_alloc(a->query->arena, sizeof *kept);

    *kept = a->run.verdict;
    return kept;
}

static bool add_candidate(struct route_asking *a, struct span text)
{
    struct candidate *added = arena_alloc(a->query->arena, sizeof *added);

    if (address_parse(text, MAILBOX, &added->address) != ADDRESS_OK ||
        added->address.kind != ADDRESS_MAILBOX)
        return false;
    added->domain = added->address.domain;
    if (!added->address.literal &&
        !domain_to_ascii(added->address.domain, a->query->arena, &added->domain))
        return false;
    added->depth = a->now->depth + 1;
    if (span_equal_nocase(text, a->now->address.text)) {
        unsigned by = a->run.at - 1;
        bool is_again = a->now->stays && a->now->from == by;
        added->from = is_again ? by + 1 : by;
        added->stays = !is_again;
        added->said = verdict_kept(a);
    }
    added->next = a->left;
    a->left = added;
    return true;
}

static void rewrite(struct route_asking *a, const struct smarthop_verdict *v)
{
    if (a->now->depth == DEPTH_MOST) {
        fail(a, ROUTE_REJECT, STATUS(550, 5, 4, 6, "The recipient is rewritten without an end"));
        return;
    }
    a->tags = route_add_tags(a->query->arena, a->tags, v);
    for (uint32_t i = v->recipient_count; i > 0; i--) {
        if (add_candidate(a, plugin_span(v->recipients[i - 1])))
            continue;
        warn(a, "a recipient that is no address");
        fail(a, ROUTE_DEFER, STATUS(451, 4, 3, 5, "The recipient cannot be rewritten"));
        return;
    }
}

/* ---- asking ------------------------------------------------------------------------------- */

static void ask_next(struct route_asking *a);

static void keep_steps(struct route_asking *a)
{
    struct route_step **end = &a->query->steps;

    while (*end != NULL)
        end = &(*end)->next;
    for (const struct plugin_step *step = a->run.steps; step != NULL; step = step->next) {
        *end = arena_alloc(a->query->arena, sizeof **end);
        **end = (struct route_step){.recipient = a->now->address.text,
                                    .plugin = step->plugin,
                                    .said = step->said,
                                    .why = step->why,
                                    .ns = step->ns};
        end = &(*end)->next;
    }
}

static void on_asked(struct call *call)
{
    struct route_asking *a = container_of(call, struct route_asking, run.call);

    if (a->query->is_traced)
        keep_steps(a);
    if (a->run.is_cancelled)
        fail(a, ROUTE_DEFER, STATUS(451, 4, 3, 0, "Given up"));
    else if (a->run.is_postponed)
        fail(a, ROUTE_LATER, (struct status){0});
    else if (a->run.verdict.action == SMARTHOP_REWRITE)
        rewrite(a, &a->run.verdict);
    else
        keep(a, &a->run.verdict);
    ask_next(a);
}

static void ask_next(struct route_asking *a)
{
    struct route_query *query = a->query;

    a->now = a->left;
    if (a->now == NULL || a->failed) {
        finish(a);
        return;
    }
    a->left = a->now->next;
    a->recipient =
        route_recipient_facts(query->arena, a->now->address.text, a->now->domain, query->orcpt);
    a->recipient.tries = query->tries;
    a->staying = a->recipient;
    a->staying.flags = SMARTHOP_RECIPIENT_STAYS;
    a->run = (struct plugin_run){
        .call.done = on_asked,
        .hook = SMARTHOP_ON_ROUTE,
        .event = {.session = query->session, .message = query->message, .recipient = &a->recipient},
        .arena = query->arena,
        .is_early = query->is_early,
        .is_traced = query->is_traced,
        .from = a->now->from,
        .said = a->now->said,
        .stays = a->now->stays ? &a->staying : NULL,
    };
    list_init(&a->run.call.link);
    plugin_ask(query->plugins, &a->run);
}

void route_ask_plugins(struct loop *loop, struct route_query *query)
{
    struct route_asking *a = arena_alloc(query->arena, sizeof *a);
    struct candidate *first = arena_alloc(query->arena, sizeof *first);

    query->asking = a;
    a->loop = loop;
    a->query = query;
    a->end = &query->answer.next;
    first->address = (struct address){.kind = ADDRESS_MAILBOX, .text = query->recipient};
    first->domain = query->domain;
    a->left = first;
    ask_next(a);
}

void route_cancel(struct route_query *query)
{
    if (query->asking != NULL)
        plugin_cancel(&query->asking->run);
}

bool route_is_awaited(const struct route_query *query)
{
    return query->asking != NULL && plugin_is_awaited(&query->asking->run);
}
