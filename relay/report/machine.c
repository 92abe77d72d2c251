#include "proto/rfc3339.h"
#include "proto/utf8.h"
#include "report/parts.h"
#include "report/text.h"

/* RFC 3464 2.3.3 */
static const struct action {
    struct span name;
    uint8_t klass; /* of its status */
    uint8_t other; /* a failure may have a 4.y.z: tried until the time was over */
} actions[REPORT_ACTION_COUNT] = {
    [REPORT_FAILED] = {{"failed", 6}, 5, 4},
    [REPORT_DELAYED] = {{"delayed", 7}, 4, 4},
    [REPORT_RELAYED] = {{"relayed", 7}, 2, 2},
    [REPORT_DELIVERED] = {{"delivered", 9}, 2, 2},
};

/* RFC 3464 2.3.4 */
static struct enhanced_code status_code(const struct report_recipient *recipient,
                                        const struct action *action)
{
    const struct status *last = &recipient->recipient->last;
    uint8_t klass = last->enhanced.klass;

    if (recipient->is_late)
        return (struct enhanced_code){.klass = action->klass, .subject = 4, .detail = 7};
    if (last->code != 0 && (klass == action->klass || klass == action->other))
        return last->enhanced;
    return (struct enhanced_code){.klass = action->klass};
}

/* The host of "host [address]:port", or "[address]" where that is all. */
static struct span remote_host(struct span by)
{
    struct span rest;
    struct span host = span_split(by, ' ', &rest);

    if (host.len > 0 && host.ptr[0] == '[')
        host = span_head(host, span_index(host, ']') + 1);
    return host;
}

/* RFC 3464 2.3.6: "smtp" only for what an SMTP server has said. */
static void write_diagnostic(struct dsn *dsn, const struct status *last)
{
    struct span text = text_clean(&dsn->scratch, last->text, dsn->utf8_recipients);
    struct span by = text_clean(&dsn->scratch, last->by, dsn->utf8_recipients);
    char code[ENHANCED_CODE_TEXT_MAX];

    enhanced_code_format(last->enhanced, code);
    if (by.len > 0)
        text_field(&dsn->machine, "Remote-MTA",
                   arena_printf(&dsn->scratch, "dns; %.*s", SPAN_ARG(remote_host(by))));
    text_field(&dsn->machine, "Diagnostic-Code",
               arena_printf(&dsn->scratch, "%s; %u %s%s%.*s", last->said ? "smtp" : "x-smarthop",
                            last->code, code, code[0] ? " " : "", SPAN_ARG(text)));
}

/* RFC 3464 2.3.1, in the sender's own words. */
static void write_original(struct dsn *dsn, struct span orcpt)
{
    struct span type, address;

    if (esmtp_read_orcpt(orcpt, &dsn->scratch, &type, &address))
        text_field(&dsn->machine, "Original-Recipient",
                   arena_printf(&dsn->scratch, "%.*s; %.*s", SPAN_ARG(type), SPAN_ARG(address)));
}

static void write_recipient(struct dsn *dsn, const struct report_recipient *recipient)
{
    const struct report_options *options = dsn->options;
    const struct action *action = &actions[recipient->action];
    const struct status *last = &recipient->recipient->last;
    struct span address = text_clean(&dsn->scratch, recipient->recipient->address, true);
    struct buf *out = &dsn->machine;
    char code[ENHANCED_CODE_TEXT_MAX];

    buf_add(out, SPAN("\r\n"));
    write_original(dsn, recipient->recipient->original);
    text_field(out, "Final-Recipient",
               arena_printf(&dsn->scratch, "%s; %.*s", utf8_is_ascii(address) ? "rfc822" : "utf-8",
                            SPAN_ARG(address)));
    text_field(out, "Action", action->name);
    size_t len = enhanced_code_format(status_code(recipient, action), code);
    text_field(out, "Status", span_of(code, len));
    if (last->code != 0)
        write_diagnostic(dsn, last);
    /* What was given up for another reason may have been tried long before. */
    if (last->code != 0 && recipient->final_text.len == 0)
        text_field(out, "Last-Attempt-Date", text_date(&dsn->scratch, options->now));
    if (recipient->action == REPORT_DELAYED)
        text_field(out, "Will-Retry-Until", text_date(&dsn->scratch, options->retry_until));
}

/* RFC 4865 and RFC 2852: the times that the sender asked for. */
static void write_times(struct dsn *dsn)
{
    const struct queue_message *message = dsn->options->message;
    char date[RFC3339_MAX];

    if (message->release > 0) {
        rfc3339_format(message->release / 1000, date);
        text_field(&dsn->machine, "Future-Release-Request",
                   arena_printf(&dsn->scratch, "until;%s", date));
    }
    if (message->by != ESMTP_BY_NONE)
        text_field(&dsn->machine, "Deliver-By-Date", text_date(&dsn->scratch, message->deliver_by));
}

void dsn_write_machine(struct dsn *dsn)
{
    const struct report_options *options = dsn->options;

    for (unsigned i = 0; i < options->recipient_count; i++) {
        const struct queue_recipient *recipient = options->recipients[i].recipient;
        if (!utf8_is_ascii(recipient->address) || !utf8_is_ascii(recipient->original))
            dsn->utf8_recipients = true;
    }
    if (options->message->envelope_id.len > 0)
        text_field(&dsn->machine, "Original-Envelope-Id",
                   text_clean(&dsn->scratch, options->message->envelope_id, false));
    text_field(&dsn->machine, "Reporting-MTA",
               arena_printf(&dsn->scratch, "dns; %s", options->conf->hostname));
    text_field(&dsn->machine, "Arrival-Date", text_date(&dsn->scratch, options->message->arrival));
    write_times(dsn);
    for (unsigned i = 0; i < options->recipient_count; i++)
        write_recipient(dsn, &options->recipients[i]);
}
