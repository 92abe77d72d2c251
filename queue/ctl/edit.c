/* queue edit: one change of the envelope of one message, by the daemon. */
#include "queue/ctl/change.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"

#include <inttypes.h>
#include <stdio.h>

static const struct change_verb verb = {.name = "edit", .done = "edited", .is_final = true};

static bool has_only(const struct ctl *ctl, unsigned options, unsigned terms)
{
    unsigned known = CTL_TO | CTL_ADD | CTL_DROP | CTL_FILTER;

    return (ctl->options & known) == options && ctl->filter.terms == terms;
}

static json_t *text_of(struct span text)
{
    return json_stringn(text.ptr, text.len);
}

/* The command; NULL where the options are none of the four changes. */
static json_t *command_of(const struct ctl *ctl)
{
    const struct span *texts = ctl->filter.texts;
    json_t *command = json_pack("{s:s,s:s}", "command", verb.name, "id", ctl->operands[0]);

    if (has_only(ctl, CTL_FILTER | CTL_TO, 1u << FILTER_RECIPIENT) && ctl->to.count == 1) {
        json_object_set_new(command, "recipient", text_of(texts[FILTER_RECIPIENT]));
        json_object_set_new(command, "to", json_string(ctl->to.items[0]));
    } else if (has_only(ctl, CTL_FILTER, 1u << FILTER_SENDER)) {
        json_object_set_new(command, "sender", text_of(texts[FILTER_SENDER]));
    } else if (has_only(ctl, CTL_ADD, 0)) {
        json_object_set_new(command, "add", json_string(ctl->recipient));
    } else if (has_only(ctl, CTL_DROP, 0)) {
        json_object_set_new(command, "drop", json_string(ctl->recipient));
    } else {
        json_decref(command);
        command = NULL;
    }
    return command;
}

static void print_row(const json_t *row)
{
    putchar('<');
    output_text(client_text(row, "recipient"));
    fputs("> ", stdout);
    output_text(client_text(row, "fate"));
    if (client_text(row, "to").len > 0) {
        fputs("\n    to   ", stdout);
        output_text(client_text(row, "to"));
    }
    putchar('\n');
}

static void print_done(const struct ctl *ctl, const json_t *answer, uint64_t affected)
{
    const json_t *row;
    size_t i;

    if (ctl->json) {
        client_print(answer);
        return;
    }
    json_array_foreach(json_object_get(answer, "routes"), i, row)
    {
        print_row(row);
    }
    if (affected > 0)
        printf("%s: edited (%" PRIu64 " group%s)\n", ctl->operands[0], affected,
               affected == 1 ? "" : "s");
}

static enum ctl_exit tell(const struct ctl *ctl, const json_t *answer)
{
    uint64_t affected = (uint64_t)json_integer_value(json_object_get(answer, "affected"));
    uint64_t busy = (uint64_t)json_integer_value(json_object_get(answer, "busy"));

    print_done(ctl, answer, affected);
    if (busy > 0)
        return change_left_busy(busy);
    if (affected > 0)
        return CTL_OK;
    ctl_complain("%s: nothing was changed, since the new address has no way to go",
                 ctl->operands[0]);
    return CTL_FAILED;
}

enum ctl_exit ctl_edit(struct ctl *ctl)
{
    json_t *answer, *command;
    uint64_t id;

    if (!ctl_parse_id(ctl->operands[0], &id))
        return CTL_USAGE;
    command = command_of(ctl);
    if (command == NULL) {
        ctl_complain("`queue edit` takes one of --recipient OLD --to NEW, --add-recipient A,"
                     " --drop-recipient A and --sender A");
        return CTL_USAGE;
    }
    enum ctl_exit asked = client_ask(ctl, command, &answer);
    if (asked == CTL_NO_DAEMON)
        return change_needs_daemon(&verb);
    if (asked != CTL_OK)
        return asked;
    if (json_is_true(json_object_get(answer, "ok")))
        asked = tell(ctl, answer);
    else
        asked = client_refused(answer, ctl->operands[0]);
    json_decref(answer);
    return asked;
}
