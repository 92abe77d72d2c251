/* queue explain: why each recipient of a message is still here. The daemon knows; while it is down
 * the store tells what it can. */
#include "base/clock.h"
#include "proto/base32.h"
#include "queue/ctl/backoffs.h"
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"
#include "queue/ctl/view.h"
#include "route/route.h"

enum { LABEL_WIDTH = 13 };

/* ---- from the store, in the form of the daemon's answer --------------------------------------
 */

static json_t *text_of(struct span text)
{
    json_t *string = json_stringn(text.ptr ? text.ptr : "", text.len);

    return string != NULL ? string : json_string("?"); /* no UTF-8 */
}

static json_t *reply_of(const struct status *status)
{
    char code[ENHANCED_CODE_TEXT_MAX];

    if (status->code == 0)
        return json_null();
    size_t len = enhanced_code_format(status->enhanced, code);
    return json_pack("{s:i, s:o, s:o, s:o}", "code", (int)status->code, "enhanced",
                     text_of(span_of(code, len)), "text", text_of(status->text), "by",
                     text_of(status->by));
}

static const char *gate_of(const struct queue_group *group, enum view_state state)
{
    switch (state) {
    case VIEW_HELD:
    case VIEW_SUSPENDED:
    case VIEW_BACKOFF:
        return view_state_name(state);
    case VIEW_WAITING:
        return group->state == QUEUE_GROUP_FUTURE ? "release" : "retry";
    default:
        return "down";
    }
}

static void add_group(json_t *list, const struct backoffs *backoffs,
                      const struct queue_group *group, uint64_t now)
{
    struct view view;

    view_group(backoffs, group, now, &view);
    bool has_time = view.state != VIEW_HELD && view.state != VIEW_READY;
    struct span why = view.state == VIEW_READY ? SPAN("smarthopd is not running")
                                               : span_of(view.reason, view.reason_len);
    for (unsigned i = 0; i < group->recipient_count; i++)
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:n, s:i, s:o}", "address",
                      text_of(group->recipients[i].address), "destination",
                      text_of(group->destination), "routed_by", text_of(group->routed_by), "state",
                      group->state == QUEUE_GROUP_HELD     ? "held"
                      : group->state == QUEUE_GROUP_FUTURE ? "future"
                                                           : "waiting",
                      "gate", gate_of(group, view.state), "why", text_of(why), "until",
                      has_time ? json_integer((json_int_t)view.next) : json_null(), "since",
                      "tries", (int)group->tries, "status", reply_of(&group->recipients[i].last)));
}

static json_t *describe(const struct conf *conf, const struct backoffs *backoffs,
                        const struct queue_message *message, uint64_t now)
{
    uint64_t age = UINT64_MAX;
    json_t *list = json_array();
    char id[ID_TEXT_SIZE];

    for (unsigned i = 0; i < message->group_count; i++) {
        const struct queue_group *group = &message->groups[i];
        uint64_t one = route_expire_after(conf, message->reverse_path, group->next_hop);
        age = one < age ? one : age;
        add_group(list, backoffs, group, now);
    }
    uint64_t end = queue_message_start(message) + age;
    bool by_deadline = message->by == ESMTP_BY_RETURN && message->deliver_by < end;
    return json_pack("{s:b, s:b, s:s, s:o, s:o, s:I, s:I, s:I, s:s, s:o}", "ok", 1, "down", 1, "id",
                     id_format(message->id, id), "sender", text_of(message->reverse_path), "tags",
                     text_of(message->tags), "arrival", (json_int_t)message->arrival, "now",
                     (json_int_t)now, "expires",
                     (json_int_t)(by_deadline ? message->deliver_by : end), "expires_by",
                     by_deadline ? "deadline" : "age", "recipients", list);
}

static enum ctl_exit ask_store(struct ctl *ctl, uint64_t id, json_t **answer_out)
{
    struct queue_message *message = NULL;
    struct backoffs *backoffs = NULL;
    uint64_t now = clock_wall_ms();
    struct queue *queue;
    enum ctl_exit opened = ctl_open_store(ctl, true, &queue);

    if (opened != CTL_OK)
        return opened;
    struct err e = queue_load(queue, id, QUEUE_ALL_GROUPS, &message);
    if (!err_is(e))
        e = backoffs_load(queue, now, &backoffs);
    if (!err_is(e))
        *answer_out = describe(ctl->conf, backoffs, message, now);
    backoffs_free(backoffs);
    queue_message_unref(message);
    queue_close(queue);
    return err_is(e) ? ctl_store_failed(id, e) : CTL_OK;
}

/* ---- for people -------------------------------------------------------------------------------
 */

static void print_label(const char *label)
{
    output_cell(span_cstr(label), LABEL_WIDTH, OUTPUT_BOLD);
}

static void print_time(const char *label, uint64_t at, uint64_t now)
{
    char date[OUTPUT_TIME_MAX], distance[OUTPUT_DURATION_MAX];

    if (at == 0)
        return;
    output_time(at, date);
    output_duration(at > now ? at - now : now - at, distance);
    print_label(label);
    printf(at > now ? "%s (in %s)\n" : "%s (%s ago)\n", date, distance);
}

static void print_reply(const json_t *status)
{
    struct span enhanced = client_text(status, "enhanced"), by = client_text(status, "by");

    if (!json_is_object(status))
        return;
    print_label("  last said");
    printf("%llu %.*s%s", (unsigned long long)client_number(status, "code"), SPAN_ARG(enhanced),
           enhanced.len ? " " : "");
    output_text(client_text(status, "text"));
    if (by.len > 0) {
        fputs(" (", stdout);
        output_text(by);
        putchar(')');
    }
    putchar('\n');
}

static void print_recipient(const json_t *recipient, uint64_t now)
{
    putchar('\n');
    print_label("Recipient");
    putchar('<');
    output_text(client_text(recipient, "address"));
    puts(">");
    print_label("  waits for");
    output_text(client_text(recipient, "gate"));
    fputs(": ", stdout);
    output_text(client_text(recipient, "why"));
    putchar('\n');
    print_time("  since", client_number(recipient, "since"), now);
    print_time("  until", client_number(recipient, "until"), now);
    print_label("  tries");
    printf("%llu\n", (unsigned long long)client_number(recipient, "tries"));
    print_reply(json_object_get(recipient, "status"));
    print_label("  to");
    output_text(client_text(recipient, "destination"));
    putchar('\n');
    if (client_text(recipient, "routed_by").len == 0)
        return;
    print_label("  routed by");
    output_text(client_text(recipient, "routed_by"));
    putchar('\n');
}

static void print_people(const json_t *answer)
{
    uint64_t now = client_number(answer, "now");
    const json_t *recipient;
    size_t i;

    if (json_is_true(json_object_get(answer, "down")))
        puts("smarthopd is not running: nothing is sent. This is what the store tells.");
    print_label("Message");
    output_text(client_text(answer, "id"));
    putchar('\n');
    if (client_text(answer, "tags").len > 0) {
        print_label("Tags");
        output_text(client_text(answer, "tags"));
        putchar('\n');
    }
    print_time("Arrived", client_number(answer, "arrival"), now);
    print_time("Given up", client_number(answer, "expires"), now);
    json_array_foreach(json_object_get(answer, "recipients"), i, recipient)
        print_recipient(recipient, now);
}

enum ctl_exit ctl_explain(struct ctl *ctl)
{
    json_t *answer = NULL;
    uint64_t id;

    if (!ctl_parse_id(ctl->operands[0], &id))
        return CTL_USAGE;
    enum ctl_exit asked = client_ask(
        ctl, json_pack("{s:s, s:s}", "command", "explain", "id", ctl->operands[0]), &answer);
    if (asked == CTL_NO_DAEMON)
        asked = ask_store(ctl, id, &answer);
    if (asked != CTL_OK)
        return asked;
    if (!json_is_true(json_object_get(answer, "ok")))
        asked = client_refused(answer, ctl->operands[0]);
    else if (ctl->json)
        client_print(answer);
    else
        print_people(answer);
    json_decref(answer);
    return asked;
}
