#include "proto/base32.h"
#include "report/parts.h"
#include "report/text.h"

enum { ANY_DETAIL = UINT16_MAX };

/* RFC 3463 in plain words; a subject's ANY_DETAIL row comes behind its others. */
static const struct explanation {
    uint16_t subject;
    uint16_t detail;
    const char *text;
} explanations[] = {
    {1, 1, "There is no mailbox of that name there."},
    {1, 2, "The domain of that address does not exist or takes no mail."},
    {1, 3, "That is not a valid address."},
    {1, 4, "The address is ambiguous there."},
    {1, 6, "That mailbox has moved, and its new address is not known."},
    {1, 7, "Your own address was found to be invalid."},
    {1, 8, "Your own address was refused."},
    {1, 10, "The domain of that address declares that it takes no mail."},
    {1, ANY_DETAIL, "There is a problem with that address."},
    {2, 1, "That mailbox takes no mail now."},
    {2, 2, "That mailbox is full."},
    {2, 3, "Your message is larger than that mailbox takes."},
    {2, ANY_DETAIL, "There is a problem with that mailbox."},
    {3, 4, "Your message is larger than the server takes."},
    {3, ANY_DETAIL, "The server has a problem of its own, or lacks what your message needs."},
    {4, 1, "The server did not answer."},
    {4, 2, "The connection to the server broke off."},
    {4, 3, "The server for that address could not be looked up."},
    {4, 4, "No way to a server for that address was found."},
    {4, 6, "Your message went round in a circle between servers."},
    {4, 7, "Your message was too long on its way."},
    {4, ANY_DETAIL, "There is a problem with the network or with routing."},
    {5, 3, "There were more recipients than the server takes at once."},
    {5, ANY_DETAIL, "The servers did not understand each other."},
    {6, 7, "The server cannot take an address or header with letters beyond ASCII."},
    {6, ANY_DETAIL, "The server cannot take this form of content."},
    {7, 1, "The server does not permit this message from you to that address."},
    {7, 25, "The server does not trust the network address that it was sent from."},
    {7, ANY_DETAIL, "The server refused it for reasons of security or policy."},
};

static const char *explain(const struct status *status, enum report_action action)
{
    if (action == REPORT_RELAYED || action == REPORT_DELIVERED)
        return "The server has taken it.";
    for (size_t i = 0; i < sizeof explanations / sizeof explanations[0]; i++) {
        const struct explanation *row = &explanations[i];
        if (row->subject == status->enhanced.subject &&
            (row->detail == status->enhanced.detail || row->detail == ANY_DETAIL))
            return row->text;
    }
    return action == REPORT_FAILED ? "The server did not accept it."
                                   : "The server could not take it for the moment.";
}

static void write_paragraph(struct buf *out, struct span text)
{
    text_wrap(out, 0, "", text);
    buf_add(out, SPAN("\r\n"));
}

static void write_indented(struct buf *out, struct span text)
{
    buf_add(out, SPAN("    "));
    text_wrap(out, 4, "    ", text);
}

/* The server's own words, or ours where no server has said anything. */
static void write_reason(struct dsn *dsn, const struct status *last, enum report_action action)
{
    struct span text = text_clean(&dsn->scratch, last->text, true);
    struct span by = text_clean(&dsn->scratch, last->by, true);
    char code[ENHANCED_CODE_TEXT_MAX];

    enhanced_code_format(last->enhanced, code);
    write_indented(&dsn->human, span_cstr(explain(last, action)));
    if (last->said)
        write_indented(&dsn->human,
                       arena_printf(&dsn->scratch, "%.*s said: %u %s%s%.*s", SPAN_ARG(by),
                                    last->code, code, code[0] ? " " : "", SPAN_ARG(text)));
    else
        write_indented(&dsn->human, arena_printf(&dsn->scratch, "In detail%s%.*s: %.*s (%s)",
                                                 by.len ? ", of " : "", SPAN_ARG(by),
                                                 SPAN_ARG(text), code[0] ? code : "no code"));
}

static void write_recipient(struct dsn *dsn, const struct report_recipient *recipient)
{
    const struct status *last = &recipient->recipient->last;
    struct span address = text_clean(&dsn->scratch, recipient->recipient->address, true);
    struct span given_up = text_clean(&dsn->scratch, recipient->final_text, true);

    buf_addf(&dsn->human, "<%.*s>\r\n", SPAN_ARG(address));
    if (given_up.len > 0)
        write_indented(&dsn->human,
                       arena_printf(&dsn->scratch, "Given up: %.*s", SPAN_ARG(given_up)));
    else if (recipient->is_late)
        write_indented(&dsn->human, SPAN("The time by which it was to be delivered has passed."));
    if (given_up.len > 0 && last->code != 0)
        write_indented(&dsn->human, SPAN("What stood in the way at the last try:"));
    if (last->code != 0)
        write_reason(dsn, last, recipient->action);
    else if (given_up.len == 0)
        write_indented(&dsn->human, SPAN("It has not been tried yet."));
    buf_add(&dsn->human, SPAN("\r\n"));
}

static struct span failed_text(const struct report_options *options, struct arena *arena)
{
    uint64_t now = options->now, arrival = options->message->arrival;
    uint64_t age = now > arrival ? now - arrival : 0;

    return arena_printf(arena,
                        "Your message of %.*s could not be delivered to the recipients named below."
                        " It was with us for %.*s, and it will not be tried again.",
                        SPAN_ARG(text_date(arena, arrival)), SPAN_ARG(text_duration(arena, age)));
}

static struct span delayed_text(const struct report_options *options, struct arena *arena)
{
    uint64_t now = options->now, arrival = options->message->arrival, until = options->retry_until;
    uint64_t age = now > arrival ? now - arrival : 0;
    uint64_t left = until > now ? until - now : 0;

    return arena_printf(arena,
                        "Your message of %.*s has not reached the recipients named below in %.*s."
                        " You need not send it again: it will be tried for another %.*s, until"
                        " %.*s.",
                        SPAN_ARG(text_date(arena, arrival)), SPAN_ARG(text_duration(arena, age)),
                        SPAN_ARG(text_duration(arena, left)), SPAN_ARG(text_date(arena, until)));
}

static struct span relayed_text(const struct report_options *options, struct arena *arena)
{
    return arena_printf(arena,
                        "Your message of %.*s was passed on to the next mail system for the"
                        " recipients named below. %s",
                        SPAN_ARG(text_date(arena, options->message->arrival)),
                        (options->message->flags & QUEUE_BY_TRACE) != 0
                            ? "You asked to be told of each such step."
                            : "That system does not tell of success: no news from it is good"
                              " news.");
}

static struct span delivered_text(const struct report_options *options, struct arena *arena)
{
    return arena_printf(arena,
                        "Your message of %.*s was delivered to the mailboxes of the recipients"
                        " named below.",
                        SPAN_ARG(text_date(arena, options->message->arrival)));
}

/* The subject tells people which message it is; an encoded one tells them nothing. */
static void write_subject(struct dsn *dsn)
{
    struct span subject = text_clean(&dsn->scratch, dsn->options->message->subject, true);

    if (subject.len == 0 || memmem(subject.ptr, subject.len, "=?", 2) != NULL)
        return;
    write_paragraph(&dsn->human,
                    arena_printf(&dsn->scratch, "Its subject was: %.*s", SPAN_ARG(subject)));
}

static void write_closing(struct dsn *dsn)
{
    const struct report_options *options = dsn->options;
    const struct returned *returned = &dsn->returned;
    char id[ID_TEXT_SIZE];

    if (returned->incomplete)
        write_paragraph(&dsn->human, SPAN("The message could not be read back in full; what there"
                                          " is of its header is attached."));
    else if (returned->whole)
        write_paragraph(&dsn->human, SPAN("The message is attached."));
    else
        write_paragraph(&dsn->human, returned->cut
                                         ? SPAN("The beginning of its header is attached.")
                                         : SPAN("Its header is attached."));
    text_wrap(&dsn->human, 0, "",
              arena_printf(&dsn->scratch,
                           "For help, write to postmaster@%s and quote the number %s.",
                           options->conf->hostname, id_format(options->message->id, id)));
}

static void write_copy_note(struct dsn *dsn)
{
    struct span sender = text_clean(&dsn->scratch, dsn->options->message->reverse_path, true);

    write_paragraph(&dsn->human,
                    arena_printf(&dsn->scratch,
                                 "This is a copy for the postmaster of what <%.*s> is told:",
                                 SPAN_ARG(sender)));
}

static void write_recipients(struct dsn *dsn, enum report_action action)
{
    const struct report_options *options = dsn->options;

    for (unsigned i = 0; i < options->recipient_count; i++)
        if (options->recipients[i].action == action)
            write_recipient(dsn, &options->recipients[i]);
}

void dsn_write_human(struct dsn *dsn)
{
    static struct span (*const texts[])(const struct report_options *, struct arena *) = {
        [REPORT_FAILED] = failed_text,
        [REPORT_DELAYED] = delayed_text,
        [REPORT_RELAYED] = relayed_text,
        [REPORT_DELIVERED] = delivered_text,
    };
    bool first = true;

    write_paragraph(&dsn->human, arena_printf(&dsn->scratch, "This is the mail system at %s.",
                                              dsn->options->conf->hostname));
    if (dsn->options->is_copy)
        write_copy_note(dsn);
    for (enum report_action action = 0; action < REPORT_ACTION_COUNT; action++) {
        if (dsn->counts[action] == 0)
            continue;
        write_paragraph(&dsn->human, texts[action](dsn->options, &dsn->scratch));
        if (first)
            write_subject(dsn);
        first = false;
        write_recipients(dsn, action);
    }
    write_closing(dsn);
}
