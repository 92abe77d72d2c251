#include "proto/smtp_ehlo.h"

struct name_bit {
    struct span name;
    unsigned bit;
};

static const struct name_bit extensions[] = {
    {{"PIPELINING", 10}, SMTP_EXT_PIPELINING},
    {{"SIZE", 4}, SMTP_EXT_SIZE},
    {{"8BITMIME", 8}, SMTP_EXT_8BITMIME},
    {{"SMTPUTF8", 8}, SMTP_EXT_SMTPUTF8},
    {{"STARTTLS", 8}, SMTP_EXT_STARTTLS},
    {{"CHUNKING", 8}, SMTP_EXT_CHUNKING},
    {{"BINARYMIME", 10}, SMTP_EXT_BINARYMIME},
    {{"DSN", 3}, SMTP_EXT_DSN},
    {{"ENHANCEDSTATUSCODES", 19}, SMTP_EXT_ENHANCEDSTATUSCODES},
    {{"AUTH", 4}, SMTP_EXT_AUTH},
    {{"LIMITS", 6}, SMTP_EXT_LIMITS},
    {{"REQUIRETLS", 10}, SMTP_EXT_REQUIRETLS},
    {{"MT-PRIORITY", 11}, SMTP_EXT_MT_PRIORITY},
    {{"DELIVERBY", 9}, SMTP_EXT_DELIVERBY},
    {{"FUTURERELEASE", 13}, SMTP_EXT_FUTURERELEASE},
    {{"ETRN", 4}, SMTP_EXT_ETRN},
    {{"XCLIENT", 7}, SMTP_EXT_XCLIENT},
    {{"XFORWARD", 8}, SMTP_EXT_XFORWARD},
};

static const struct name_bit mechanisms[] = {
    {{"PLAIN", 5}, SMTP_AUTH_PLAIN},
    {{"LOGIN", 5}, SMTP_AUTH_LOGIN},
    {{"CRAM-MD5", 8}, SMTP_AUTH_CRAM_MD5},
    {{"EXTERNAL", 8}, SMTP_AUTH_EXTERNAL},
    {{"XOAUTH2", 7}, SMTP_AUTH_XOAUTH2},
    {{"OAUTHBEARER", 11}, SMTP_AUTH_OAUTHBEARER},
    {{"SCRAM-SHA-1", 11}, SMTP_AUTH_SCRAM_SHA_1},
    {{"SCRAM-SHA-1-PLUS", 16}, SMTP_AUTH_SCRAM_SHA_1_PLUS},
    {{"SCRAM-SHA-256", 13}, SMTP_AUTH_SCRAM_SHA_256},
    {{"SCRAM-SHA-256-PLUS", 18}, SMTP_AUTH_SCRAM_SHA_256_PLUS},
};

static unsigned lookup(const struct name_bit *table, size_t count, struct span name)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal_nocase(table[i].name, name))
            return table[i].bit;
    return 0;
}

unsigned smtp_auth_mechanism_parse(struct span name)
{
    return lookup(mechanisms, sizeof mechanisms / sizeof mechanisms[0], name);
}

/* The next word of *rest; empty at the end. */
static struct span next_word(struct span *rest)
{
    *rest = span_trim(*rest);
    return span_split(*rest, ' ', rest);
}

static uint64_t number_or_none(struct span text)
{
    uint64_t value;

    return span_parse_u64(text, &value) ? value : 0;
}

static void parse_auth(struct span args, struct smtp_ehlo *out)
{
    out->auth_text = args;
    for (struct span word; (word = next_word(&args)).len > 0;)
        out->auth |= smtp_auth_mechanism_parse(word);
}

/* RFC 9422 4: NAME=VALUE pairs; names that are not known are passed over. */
static void parse_limits(struct span args, struct smtp_ehlo *out)
{
    for (struct span word; (word = next_word(&args)).len > 0;) {
        struct span value;
        struct span name = span_split(word, '=', &value);
        if (span_equal_nocase(name, SPAN("RCPTMAX")))
            out->rcpt_max = number_or_none(value);
        else if (span_equal_nocase(name, SPAN("MAILMAX")))
            out->mail_max = number_or_none(value);
        else if (span_equal_nocase(name, SPAN("RCPTDOMAINMAX")))
            out->rcpt_domain_max = number_or_none(value);
    }
}

static void parse_args(unsigned extension, struct span args, struct smtp_ehlo *out)
{
    switch (extension) {
    case SMTP_EXT_SIZE:
        out->size_max = number_or_none(next_word(&args));
        break;
    case SMTP_EXT_AUTH:
        parse_auth(args, out);
        break;
    case SMTP_EXT_LIMITS:
        parse_limits(args, out);
        break;
    case SMTP_EXT_DELIVERBY:
        out->deliverby_min = number_or_none(next_word(&args));
        break;
    case SMTP_EXT_FUTURERELEASE:
        out->hold_for_max = number_or_none(next_word(&args));
        break;
    case SMTP_EXT_XCLIENT:
        out->xclient = args;
        break;
    case SMTP_EXT_XFORWARD:
        out->xforward = args;
        break;
    default:
        break;
    }
}

static void parse_line(struct span line, struct smtp_ehlo *out)
{
    struct span args = line;
    struct span keyword = next_word(&args);
    unsigned extension;

    if (span_starts_nocase(keyword, SPAN("AUTH="))) {
        extension = SMTP_EXT_AUTH;
        args = span_from(span_trim(line), strlen("AUTH="));
    } else {
        extension = lookup(extensions, sizeof extensions / sizeof extensions[0], keyword);
    }
    if (extension == 0 || (out->extensions & extension) != 0)
        return;
    out->extensions |= extension;
    parse_args(extension, span_trim(args), out);
}

void smtp_ehlo_parse(const struct smtp_reply *reply, struct smtp_ehlo *out)
{
    struct smtp_reply_lines lines = smtp_reply_lines(reply);
    struct span line;

    *out = (struct smtp_ehlo){0};
    if (smtp_reply_lines_next(&lines, &line))
        out->domain = next_word(&line);
    while (smtp_reply_lines_next(&lines, &line))
        parse_line(line, out);
}
