#include "proto/utf8.h"
#include "report/parts.h"
#include "report/text.h"

/* RFC 3464 2.3.4. A failure may have a 4.y.z: tried until the time was over. */
static struct enhanced_code status_code(const struct status *last, enum report_action action)
{
    bool failed = action == REPORT_FAILED;
    uint8_t klass = last->enhanced.klass;

    if (last->code != 0 && (klass == 4 || (klass == 5 && failed)))
        return last->enhanced;
    return (struct enhanced_code){.klass = failed ? 5 : 4};
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

static void write_recipient(struct dsn *dsn, const struct report_recipient *recipient)
{
    const struct report_options *options = dsn->options;
    const struct status *last = &recipient->recipient->last;
    struct span address = text_clean(&dsn->scratch, recipient->recipient->address, true);
    struct buf *out = &dsn->machine;
    char code[ENHANCED_CODE_TEXT_MAX];

    buf_add(out, SPAN("\r\n"));
    text_field(out, "Final-Recipient",
               arena_printf(&dsn->scratch, "%s; %.*s", utf8_is_ascii(address) ? "rfc822" : "utf-8",
                            SPAN_ARG(address)));
    text_field(out, "Action", options->action == REPORT_FAILED ? SPAN("failed") : SPAN("delayed"));
    size_t len = enhanced_code_format(status_code(last, options->action), code);
    text_field(out, "Status", span_of(code, len));
    if (last->code != 0)
        write_diagnostic(dsn, last);
    /* What was given up for another reason may have been tried long before. */
    if (last->code != 0 && recipient->final_text.len == 0)
        text_field(out, "Last-Attempt-Date", text_date(&dsn->scratch, options->now));
    if (options->action == REPORT_DELAYED)
        text_field(out, "Will-Retry-Until", text_date(&dsn->scratch, options->retry_until));
}

void dsn_write_machine(struct dsn *dsn)
{
    const struct report_options *options = dsn->options;

    for (unsigned i = 0; i < options->recipient_count; i++)
        if (!utf8_is_ascii(options->recipients[i].recipient->address))
            dsn->utf8_recipients = true;
    text_field(&dsn->machine, "Reporting-MTA",
               arena_printf(&dsn->scratch, "dns; %s", options->conf->hostname));
    text_field(&dsn->machine, "Arrival-Date", text_date(&dsn->scratch, options->message->arrival));
    for (unsigned i = 0; i < options->recipient_count; i++)
        write_recipient(dsn, &options->recipients[i]);
}
