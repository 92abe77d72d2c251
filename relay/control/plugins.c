/* What is asked of plugins, and what they would do with a recipient. */
#include "control/private.h"

#include <stdlib.h>

/* ---- list --------------------------------------------------------------------------------- */

static json_t *counts(const struct plugin_view *view)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "asked",
                     answer_number(view->asked), "promised", answer_number(view->pending),
                     "timed_out", answer_number(view->timed_out), "late", answer_number(view->late),
                     "twice", answer_number(view->twice), "broken", answer_number(view->broken),
                     "invalid", answer_number(view->invalid), "slow", answer_number(view->slow),
                     "bypassed", answer_number(view->bypassed), "differs",
                     answer_number(view->differs));
}

static json_t *actions(const struct plugin_view *view)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < SMARTHOP_ACTIONS; i++)
        if (view->actions[i] > 0)
            json_object_set_new(object, plugin_action_name((enum smarthop_action)i),
                                answer_number(view->actions[i]));
    return object;
}

static json_t *hooks(const struct plugin_view *view)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < SMARTHOP_HOOKS; i++)
        if ((view->hooks & 1u << i) != 0)
            json_array_append_new(list, json_string(plugin_hook_name((enum smarthop_hook)i)));
    return list;
}

/* Of answers in less than 1, 2, 4, .. microseconds. */
static json_t *latencies(const struct plugin_view *view)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < PLUGIN_LATENCIES; i++)
        json_array_append_new(list, answer_number(view->latencies[i]));
    return list;
}

static json_t *plugin(const struct plugin_chain *chain, unsigned index)
{
    struct plugin_view view;

    plugin_chain_view(chain, index, &view);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:o, s:o, s:o, s:o}", "name", view.name,
        "version", view.version, "summary", view.summary, "file", view.file, "shadow",
        view.is_shadow, "process", view.is_process, "bypassed_now", view.is_bypassed, "fail",
        view.fail_mode == SMARTHOP_FAIL_OPEN ? "open" : "defer", "hooks", hooks(&view), "counts",
        counts(&view), "actions", actions(&view), "latencies_us", latencies(&view));
}

static void add_metric(void *context, const struct plugin_metric *metric)
{
    json_array_append_new(
        context, json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "plugin", metric->plugin, "name",
                           metric->name, "help", metric->help, "kind",
                           metric->kind == SMARTHOP_COUNTER ? "counter" : "histogram", "value",
                           answer_number(metric->value), "count", answer_number(metric->count)));
}

void control_list_plugins(struct control *control, struct local_peer *peer, const json_t *command)
{
    struct plugin_chain *chain = control->actions.plugins(control->actions.context);
    json_t *answer = answer_ok();
    json_t *list = json_array(), *metrics = json_array();

    (void)command;
    for (unsigned i = 0; i < plugin_chain_count(chain); i++)
        json_array_append_new(list, plugin(chain, i));
    plugin_chain_metrics(chain, add_metric, metrics);
    plugin_chain_unref(chain);
    json_object_set_new(answer, "plugins", list);
    json_object_set_new(answer, "metrics", metrics);
    control_answer(peer, answer);
}

void control_plugins_back(struct control *control, struct local_peer *peer, const json_t *command)
{
    (void)command;
    if (control->actions.plugins_back(control->actions.context))
        control_answer(peer, answer_ok());
    else
        control_answer(peer, answer_error("there has been no reload to go back behind"));
}

/* ---- commands ----------------------------------------------------------------------------- */

struct plugin_order {
    struct work work;
    struct local_peer *peer;
    struct plugin_chain *chain;
    struct arena arena;
    const char *name;
    struct smarthop_span *words;
    unsigned count;
    struct buf output;
    int code;
};

static void run_order(struct work *work)
{
    struct plugin_order *order = container_of(work, struct plugin_order, work);

    order->code =
        plugin_chain_command(order->chain, order->name, order->words, order->count, &order->output);
}

static void on_ordered(struct call *call)
{
    struct plugin_order *order = container_of(call, struct plugin_order, work.call);

    if (order->code < 0) {
        control_answer(order->peer, answer_error("there is no such plugin, or it has no commands"));
    } else {
        json_t *answer = answer_ok();
        json_object_set_new(answer, "code", json_integer(order->code));
        json_object_set_new(answer, "output", answer_text(buf_span(&order->output)));
        control_answer(order->peer, answer);
    }
    plugin_chain_unref(order->chain);
    buf_fini(&order->output);
    arena_fini(&order->arena);
    free(order);
}

static void read_words(struct plugin_order *order, const json_t *words)
{
    const json_t *word;
    size_t i;

    order->words = arena_alloc(&order->arena, json_array_size(words) * sizeof *order->words);
    json_array_foreach(words, i, word)
    {
        struct span text =
            arena_dup(&order->arena, span_of(json_string_value(word), json_string_length(word)));
        order->words[order->count++] = plugin_text(text);
    }
}

void control_command_plugin(struct control *control, struct local_peer *peer, const json_t *command)
{
    const char *name = json_string_value(json_object_get(command, "plugin"));

    if (name == NULL) {
        control_answer(peer, answer_error("a \"plugin\" is needed"));
        return;
    }
    struct plugin_order *order = mem_zalloc(sizeof *order);
    arena_init(&order->arena);
    buf_init(&order->output, 0);
    order->peer = peer;
    order->name = arena_dup(&order->arena, span_cstr(name)).ptr;
    order->chain = control->actions.plugins(control->actions.context);
    read_words(order, json_object_get(command, "words"));
    order->work.run = run_order;
    order->work.call.done = on_ordered;
    list_init(&order->work.call.link);
    loop_work(control->loop, &order->work);
}

/* ---- routes ------------------------------------------------------------------------------- */

struct route_order {
    struct local_peer *peer;
    struct control_routing routing;
};

static const char *verdict_name(enum route_verdict verdict)
{
    static const char *const names[] = {
        [ROUTE_SEND] = "send",       [ROUTE_DEFER] = "defer", [ROUTE_REJECT] = "reject",
        [ROUTE_DISCARD] = "discard", [ROUTE_HOLD] = "hold",   [ROUTE_LATER] = "later",
    };

    return names[verdict];
}

static json_t *route_answer(const struct route_answer *answer)
{
    char enhanced[ENHANCED_CODE_TEXT_MAX];

    enhanced_code_format(answer->status.enhanced, enhanced);
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:i, s:s, s:o}", "recipient",
                     answer_text(answer->recipient), "verdict", verdict_name(answer->verdict),
                     "next_hop", answer_text(answer->next_hop), "plugin", answer_text(answer->by),
                     "why", answer_text(answer->why), "route", answer_text(answer->route), "sender",
                     answer_text(answer->reverse_path), "code", answer->status.code, "enhanced",
                     enhanced, "text", answer_text(answer->status.text));
}

static json_t *route_step(const struct route_step *step)
{
    return json_pack("{s:o, s:s, s:s, s:o, s:o}", "recipient", answer_text(step->recipient),
                     "plugin", step->plugin, "said", step->said, "why", answer_text(step->why),
                     "ns", answer_number(step->ns));
}

static void on_route_known(struct call *call)
{
    struct control_routing *routing = container_of(call, struct control_routing, call);
    struct route_order *order = container_of(routing, struct route_order, routing);
    json_t *answer, *answers = json_array(), *steps = json_array();

    if (routing->query != NULL) {
        for (const struct route_answer *one = &routing->query->answer; one != NULL; one = one->next)
            json_array_append_new(answers, route_answer(one));
        for (const struct route_step *step = routing->query->steps; step != NULL; step = step->next)
            json_array_append_new(steps, route_step(step));
        answer = answer_ok();
    } else {
        answer = answer_error("that is no address of a mailbox");
    }
    json_object_set_new(answer, "answers", answers);
    json_object_set_new(answer, "steps", steps);
    json_object_set_new(answer, "ns", answer_number(routing->ns));
    control_answer(order->peer, answer);
    arena_fini(&routing->arena);
    free(order);
}

static struct span text_of(struct route_order *order, const json_t *command, const char *name)
{
    const json_t *text = json_object_get(command, name);

    return arena_dup(&order->routing.arena,
                     span_of(json_string_value(text), json_string_length(text)));
}

void control_route(struct control *control, struct local_peer *peer, const json_t *command)
{
    struct route_order *order = mem_zalloc(sizeof *order);
    struct control_routing *routing = &order->routing;

    arena_init(&routing->arena);
    order->peer = peer;
    routing->home = control->loop;
    routing->call.done = on_route_known;
    list_init(&routing->call.link);
    routing->recipient = text_of(order, command, "recipient");
    routing->sender = text_of(order, command, "sender");
    routing->user = text_of(order, command, "user");
    routing->client = text_of(order, command, "client");
    routing->hello = text_of(order, command, "hello");
    routing->header = text_of(order, command, "header");
    control->actions.route(control->actions.context, routing);
}
