/*
 * imap_print: a parsed IMAP command as a line of text, so that a case of a table is one line; and
 * what a session would make of input that arrives in pieces, one event a line.
 */
#ifndef SMARTHOP_TESTS_SUPPORT_IMAP_PRINT_H
#define SMARTHOP_TESTS_SUPPORT_IMAP_PRINT_H

#include "base/buf.h"
#include "plugins/drop/imap/command.h"

#include <inttypes.h>
#include <limits.h>

static inline void print_text(struct buf *out, struct span text)
{
    buf_addf(out, " '%.*s'", SPAN_ARG(text));
}

static inline void print_set_number(struct buf *out, uint32_t number)
{
    if (number == UINT32_MAX)
        buf_addf(out, "*");
    else
        buf_addf(out, "%u", number);
}

static inline void print_set(struct buf *out, const struct imap_set *set)
{
    buf_add_text(out, set->is_saved ? " $" : " ");
    for (unsigned i = 0; i < set->count; i++) {
        if (i > 0)
            buf_add_text(out, ",");
        print_set_number(out, set->ranges[i].first);
        if (set->ranges[i].last == set->ranges[i].first)
            continue;
        buf_add_text(out, ":");
        print_set_number(out, set->ranges[i].last);
    }
}

/* The names of the bits that are set, each behind a space. */
static inline void print_bits(struct buf *out, unsigned bits, const char *const *names)
{
    for (unsigned bit = 0; names[bit] != NULL; bit++)
        if ((bits & (1u << bit)) != 0)
            buf_addf(out, " %s", names[bit]);
}

static inline void print_flags(struct buf *out, const struct imap_flags *flags)
{
    static const char *const names[] = {"\\Seen",    "\\Answered", "\\Flagged",
                                        "\\Deleted", "\\Draft",    NULL};

    buf_add_text(out, " (");
    print_bits(out, flags->flags, names);
    for (unsigned i = 0; i < flags->keyword_count; i++)
        buf_addf(out, " %.*s", SPAN_ARG(flags->keywords[i]));
    buf_add_text(out, " )");
}

/* ---- FETCH -------------------------------------------------------------------------------- */

static inline void print_section(struct buf *out, const struct imap_fetch_item *item)
{
    static const char *const forms[] = {"BODY",   "BINARY",        "BINARY.SIZE",
                                        "RFC822", "RFC822.HEADER", "RFC822.TEXT"};
    static const char *const sections[] = {"", "HEADER", "FIELDS", "FIELDS.NOT", "TEXT", "MIME"};

    buf_addf(out, " %s%s[", forms[item->form], item->is_peek ? ".PEEK" : "");
    for (unsigned i = 0; i < item->depth; i++)
        buf_addf(out, "%u.", item->path[i]);
    buf_add_text(out, sections[item->section]);
    for (unsigned i = 0; i < item->field_count; i++)
        print_text(out, item->fields[i]);
    buf_add_text(out, "]");
    if (item->is_partial)
        buf_addf(out, "<%" PRIu64 ".%" PRIu64 ">", item->from, item->len);
}

static inline void print_fetch(struct buf *out, const struct imap_fetch *fetch)
{
    static const char *const names[] = {
        "UID", "FLAGS",  "INTERNALDATE", "SIZE",     "ENVELOPE", "STRUCTURE", "BODY",
        "",    "MODSEQ", "EMAILID",      "THREADID", "SAVEDATE", "PREVIEW"};

    print_set(out, &fetch->set);
    for (unsigned i = 0; i < fetch->item_count; i++) {
        const struct imap_fetch_item *item = &fetch->items[i];
        if (item->item == IMAP_ITEM_SECTION)
            print_section(out, item);
        else
            buf_addf(out, " %s%s", names[item->item], item->is_lazy ? ".LAZY" : "");
    }
    if (fetch->changed_since != UINT64_MAX)
        buf_addf(out, " since %" PRIu64, fetch->changed_since);
    if (fetch->vanished)
        buf_add_text(out, " vanished");
}

static inline void print_store(struct buf *out, const struct imap_store *store)
{
    static const char *const changes[] = {" =", " +", " -"};

    print_set(out, &store->set);
    buf_add_text(out, changes[store->change]);
    print_flags(out, &store->flags);
    if (store->is_silent)
        buf_add_text(out, " silent");
    if (store->unchanged_since != UINT64_MAX)
        buf_addf(out, " unless since %" PRIu64, store->unchanged_since);
}

/* ---- SEARCH ------------------------------------------------------------------------------- */

static inline void print_key(struct buf *out, const struct imap_search_key *key)
{
    static const char *const names[] = {
        "all",          "and",      "or",          "not",         "seq",     "uid",
        "flag",         "keyword",  "recent",      "header",      "body",    "text",
        "before",       "on",       "since",       "sent-before", "sent-on", "sent-since",
        "saved-before", "saved-on", "saved-since", "dated",       "larger",  "smaller",
        "older",        "younger",  "modseq",      "emailid",     "threadid"};
    const struct span none = SPAN_NONE;

    buf_addf(out, " (%s", names[key->key]);
    if (key->set.count > 0 || key->set.is_saved)
        print_set(out, &key->set);
    if (key->flag != 0)
        buf_addf(out, " %u", key->flag);
    if (key->name.ptr != none.ptr)
        print_text(out, key->name);
    if (key->text.ptr != none.ptr)
        print_text(out, key->text);
    if (key->key >= IMAP_KEY_BEFORE && key->key <= IMAP_KEY_MODSEQ)
        buf_addf(out, " %" PRId64, (int64_t)key->number);
    for (const struct imap_search_key *child = key->child; child != NULL; child = child->next)
        print_key(out, child);
    buf_add_text(out, ")");
}

static inline void print_search(struct buf *out, enum imap_verb verb,
                                const struct imap_search *search)
{
    static const char *const returns[] = {"MIN", "MAX", "ALL", "COUNT", "SAVE", NULL};
    static const char *const keys[] = {"ARRIVAL", "CC", "DATE",        "FROM",     "SIZE",
                                       "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"};

    if (verb == IMAP_THREAD)
        buf_add_text(out, search->thread == IMAP_THREAD_REFERENCES ? " REFERENCES" : " SUBJECT");
    for (unsigned i = 0; i < search->sort_count; i++)
        buf_addf(out, " %s%s", search->sort[i].is_reverse ? "-" : "", keys[search->sort[i].key]);
    if (search->is_extended)
        buf_add_text(out, " return:");
    print_bits(out, search->returns, returns);
    if (search->charset.len > 0)
        print_text(out, search->charset);
    print_key(out, search->root);
    if (search->wants_modseq)
        buf_add_text(out, " modseq");
}

/* ---- the others --------------------------------------------------------------------------- */

static inline void print_status_items(struct buf *out, unsigned items)
{
    static const char *const names[] = {
        "MESSAGES", "RECENT",        "UIDNEXT",     "UIDVALIDITY", "UNSEEN",          "DELETED",
        "SIZE",     "HIGHESTMODSEQ", "APPENDLIMIT", "MAILBOXID",   "DELETED-STORAGE", NULL};

    print_bits(out, items, names);
}

static inline void print_list(struct buf *out, const struct imap_list *list)
{
    static const char *const options[] = {
        "subscribed",      "remote",         "recursive",     "special", "return-subscribed",
        "return-children", "return-special", "return-status", NULL};

    print_text(out, list->reference);
    for (unsigned i = 0; i < list->pattern_count; i++)
        print_text(out, list->patterns[i]);
    if (list->is_extended)
        buf_add_text(out, " extended");
    print_bits(out, list->options, options);
    print_status_items(out, list->status);
}

static inline void print_select(struct buf *out, const struct imap_select *select)
{
    print_text(out, select->name);
    if (select->condstore)
        buf_add_text(out, " condstore");
    if (!select->has_qresync)
        return;
    buf_addf(out, " qresync %u %" PRIu64, select->uid_validity, select->modseq);
    print_set(out, &select->known_uids);
    print_set(out, &select->match_sequences);
    print_set(out, &select->match_uids);
}

static inline void print_authenticate(struct buf *out, const struct imap_command *command)
{
    print_text(out, command->authenticate.mechanism);
    if (command->authenticate.has_initial)
        print_text(out, command->authenticate.initial);
}

static inline void print_quota(struct buf *out, const struct imap_command *command)
{
    print_text(out, command->quota.root);
    if (command->quota.has_storage)
        buf_addf(out, " storage %" PRIu64, command->quota.storage_kib);
    if (command->quota.has_messages)
        buf_addf(out, " messages %" PRIu64, command->quota.messages);
}

static inline void print_arguments(struct buf *out, const struct imap_command *command)
{
    static const char *const capabilities[] = {"CONDSTORE", "QRESYNC", "UTF8", "REV2", NULL};

    switch (command->verb) {
    case IMAP_ID:
        print_text(out, command->id.name);
        print_text(out, command->id.version);
        break;
    case IMAP_AUTHENTICATE:
        print_authenticate(out, command);
        break;
    case IMAP_LOGIN:
        print_text(out, command->login.user);
        print_text(out, command->login.password);
        break;
    case IMAP_ENABLE:
        print_bits(out, command->enable.known, capabilities);
        break;
    case IMAP_SELECT:
    case IMAP_EXAMINE:
        print_select(out, &command->select);
        break;
    case IMAP_CREATE:
        print_text(out, command->create.name);
        if (command->create.use != MAILSTORE_USE_NONE)
            buf_addf(out, " use %d", (int)command->create.use);
        break;
    case IMAP_RENAME:
        print_text(out, command->rename.from);
        print_text(out, command->rename.to);
        break;
    case IMAP_DELETE:
    case IMAP_SUBSCRIBE:
    case IMAP_UNSUBSCRIBE:
    case IMAP_GETQUOTA:
    case IMAP_GETQUOTAROOT:
        print_text(out, command->name);
        break;
    case IMAP_LIST:
    case IMAP_LSUB:
        print_list(out, &command->list);
        break;
    case IMAP_STATUS:
        print_text(out, command->status.name);
        print_status_items(out, command->status.items);
        break;
    case IMAP_APPEND:
        print_text(out, command->append.name);
        buf_addf(out, " %u", command->append.messages);
        break;
    case IMAP_SETQUOTA:
        print_quota(out, command);
        break;
    case IMAP_EXPUNGE:
        if (command->is_uid)
            print_set(out, &command->expunge.set);
        break;
    case IMAP_SEARCH:
    case IMAP_SORT:
    case IMAP_THREAD:
        print_search(out, command->verb, &command->search);
        break;
    case IMAP_FETCH:
        print_fetch(out, &command->fetch);
        break;
    case IMAP_STORE:
        print_store(out, &command->store);
        break;
    case IMAP_COPY:
    case IMAP_MOVE:
        print_set(out, &command->copy.set);
        print_text(out, command->copy.name);
        break;
    default:
        break;
    }
}

/* "a1 UID FETCH 1:* FLAGS", "a1 BAD why", "a1 NO [CODE] why"; "*" for a tag that there is not. */
static inline void print_command(struct buf *out, const struct imap_command *command)
{
    if (command->tag.len > 0)
        buf_add(out, command->tag);
    else
        buf_add_text(out, "*");
    if (command->verb == IMAP_INVALID) {
        buf_add_text(out, command->is_no ? " NO " : " BAD ");
        if (command->code != NULL)
            buf_addf(out, "[%s] ", command->code);
        buf_addf(out, "%s%s\n", command->problem, command->is_endless ? " (endless)" : "");
        return;
    }
    buf_addf(out, " %s%s", command->is_uid ? "UID " : "", imap_verb_name(command->verb));
    print_arguments(out, command);
    buf_add_text(out, "\n");
}

static inline void print_literal(struct buf *out, const struct imap_append_literal *literal)
{
    buf_addf(out, "message %u of %" PRIu64, literal->index, literal->size);
    print_text(out, literal->name);
    print_flags(out, &literal->flags);
    if (literal->has_date)
        buf_addf(out, " date %" PRId64 " %d", literal->date, literal->zone);
    buf_addf(out, "%s%s\n", literal->is_utf8 ? " utf8" : "",
             literal->is_synchronizing ? " sync" : "");
}

/* ---- a session ---------------------------------------------------------------------------- */

/* `refuses_from`: the first message of a command that is not taken; `drops`: only behind its bytes,
 * though it could be refused before. */
struct imap_dialogue {
    struct imap_reader *reader;
    unsigned refuses_from;
    bool drops;
    uint64_t left; /* bytes of a message that still come */
    bool is_within_message;
    bool is_thrown_away;
    bool is_over; /* the command before has no end */
};

static inline void dialogue_end_message(struct imap_dialogue *d)
{
    d->is_within_message = false;
    if (d->is_thrown_away)
        imap_reader_dropped(d->reader);
    else
        imap_reader_taken(d->reader);
}

static inline void dialogue_begin_message(struct imap_dialogue *d,
                                          const struct imap_append_literal *literal)
{
    d->is_thrown_away = literal->index >= d->refuses_from;
    d->is_within_message = !d->is_thrown_away || d->drops || !literal->is_synchronizing;
    d->left = literal->size;
    if (!d->is_within_message)
        imap_reader_refuse(d->reader);
}

/* Takes a piece of input; what comes of it is added to `events`. */
static inline void dialogue_feed(struct imap_dialogue *d, struct span input, struct buf *events)
{
    struct imap_command *command;
    struct imap_append_literal *literal;

    while (!d->is_over) {
        if (d->is_within_message) {
            struct span bytes = span_head(input, d->left);
            input = span_from(input, bytes.len);
            d->left -= bytes.len;
            if (d->left > 0)
                return;
            dialogue_end_message(d);
        }
        switch (imap_read(d->reader, &input, &command, &literal)) {
        case IMAP_READ_MORE:
            return;
        case IMAP_READ_CONTINUE:
            buf_add_text(events, "+\n");
            break;
        case IMAP_READ_APPEND:
            print_literal(events, literal);
            dialogue_begin_message(d, literal);
            break;
        case IMAP_READ_COMMAND:
            print_command(events, command);
            d->is_over = command->is_endless;
            break;
        }
    }
}

#endif
