/* queue reroute: the daemon routes undelivered recipients again, by its configuration as it is now,
 * or tells what that would change. By ids each recipient is told, by filters how many go which way.
 */
#include "queue/ctl/change.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"
#include "route/route.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    NAMING_BATCH = 10, /* groups: what is told of all their recipients is one line */
    WIDTH_COUNT = 8,
};

static const struct change_verb reroute = {.name = "reroute", .done = "rerouted", .is_final = true};

struct rerouting {
    struct ctl *ctl;
    bool names_recipients;
    json_t *rows;
};

static bool is_alike(const json_t *a, const json_t *b)
{
    static const char *const names[] = {"from", "to", "route", "fate"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!json_equal(json_object_get(a, names[i]), json_object_get(b, names[i])))
            return false;
    return true;
}

static json_t *find_row(const struct rerouting *r, const json_t *like)
{
    json_t *row;
    size_t i;

    if (r->names_recipients)
        return NULL;
    json_array_foreach(r->rows, i, row)
    {
        if (is_alike(row, like))
            return row;
    }
    return NULL;
}

static void take(void *context, const json_t *answer)
{
    struct rerouting *r = context;
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(answer, "routes"), i, row)
    {
        json_t *known = find_row(r, row);
        json_int_t count = json_integer_value(json_object_get(row, "recipients"));
        if (known == NULL)
            json_array_append(r->rows, row);
        else
            json_object_set_new(
                known, "recipients",
                json_integer(count + json_integer_value(json_object_get(known, "recipients"))));
    }
}

static void print_row(const struct rerouting *r, const json_t *row)
{
    struct span route = client_text(row, "route");
    char count[24];

    if (r->names_recipients) {
        putchar('<');
        output_text(client_text(row, "recipient"));
        fputs("> ", stdout);
    } else {
        int len = snprintf(count, sizeof count, "%" JSON_INTEGER_FORMAT,
                           json_integer_value(json_object_get(row, "recipients")));
        output_cell(span_of(count, (size_t)len), WIDTH_COUNT, OUTPUT_PLAIN);
    }
    output_cell(client_text(row, "fate"), 0, OUTPUT_BOLD);
    fputs("\n    from ", stdout);
    output_text(client_text(row, "from"));
    fputs("\n    to   ", stdout);
    output_text(client_text(row, "to"));
    if (r->ctl->options & CTL_NEXT_HOP)
        fputs("\n    by   --next-hop\n", stdout);
    else if (route.len == 0)
        fputs("\n    by   no route: the MX of its domain\n", stdout);
    else
        printf("\n    by   route \"%.*s\"\n", SPAN_ARG(route));
}

static void write_json(const json_t *row)
{
    json_open(NULL, '{');
    if (json_object_get(row, "recipient") != NULL)
        json_text("recipient", client_text(row, "recipient"));
    json_number("recipients", (uint64_t)json_integer_value(json_object_get(row, "recipients")));
    json_text("fate", client_text(row, "fate"));
    json_text("from", client_text(row, "from"));
    json_text("to", client_text(row, "to"));
    if (json_is_string(json_object_get(row, "route")))
        json_text("route", client_text(row, "route"));
    else
        json_none("route");
    json_close('}');
}

static void tell(void *context)
{
    struct rerouting *r = context;
    const json_t *row;
    size_t i;

    if (r->ctl->json)
        json_open("routes", '[');
    json_array_foreach(r->rows, i, row)
    {
        if (r->ctl->json)
            write_json(row);
        else
            print_row(r, row);
    }
    if (r->ctl->json)
        json_close(']');
}

static json_t *fields_of(const struct rerouting *r)
{
    const struct ctl *ctl = r->ctl;
    json_t *fields = json_pack("{s:b, s:b}", "dry_run", (ctl->options & CTL_DRY_RUN) != 0,
                               "recipients", r->names_recipients);

    if (ctl->options & CTL_NEXT_HOP)
        json_object_set_new(fields, "next_hop", json_string(ctl->next_hop));
    return fields;
}

static bool take_ids(struct ctl *ctl)
{
    uint64_t id;
    struct buf why;

    buf_init(&why, 0);
    for (unsigned i = 0; i < ctl->operand_count; i++) {
        if (!ctl_parse_id(ctl->operands[i], &id))
            return false;
        filter_take(&ctl->filter, FILTER_ID, ctl->operands[i], &why);
    }
    return true;
}

enum ctl_exit ctl_reroute(struct ctl *ctl)
{
    bool all = ctl->options & CTL_ALL, filtered = ctl->options & CTL_FILTER;
    bool by_id = ctl->operand_count > 0;
    struct route_next_hop hop;
    uint64_t groups;

    if (all + filtered + by_id != 1) {
        ctl_complain("`queue reroute` takes either message ids, or filters, or --all");
        return CTL_USAGE;
    }
    if ((ctl->options & CTL_NEXT_HOP) && !route_next_hop_parse(span_cstr(ctl->next_hop), &hop)) {
        ctl_complain("--next-hop takes a next hop as `queue show` writes it, as in"
                     " hosts:mx.example.net:25;tls=opportunistic");
        return CTL_USAGE;
    }
    if (!take_ids(ctl))
        return CTL_USAGE;
    struct rerouting r = {.ctl = ctl, .names_recipients = by_id, .rows = json_array()};
    json_t *fields = fields_of(&r);
    enum ctl_exit result = bulk_change(ctl,
                                       &(struct change_order){
                                           .verb = &reroute,
                                           .fields = fields,
                                           .batch = by_id ? NAMING_BATCH : 0,
                                           .context = &r,
                                           .take = take,
                                           .tell = tell,
                                       },
                                       &groups);
    json_decref(fields);
    json_decref(r.rows);
    if (result == CTL_OK && by_id && groups == 0) {
        ctl_complain("there is no such message in the queue");
        return CTL_FAILED;
    }
    return result;
}
