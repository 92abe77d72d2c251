/* LIST and LSUB (RFC 5258, RFC 5819, RFC 6154), STATUS, SELECT and EXAMINE (RFC 7162). */
#include "plugins/drop/imap/parse.h"

struct option {
    const char *name;
    unsigned bit;
};

static unsigned find_option(const struct option *known, size_t count, struct span word)
{
    for (size_t i = 0; i < count; i++)
        if (parse_is_word(word, known[i].name))
            return known[i].bit;
    return 0;
}

bool parse_status_items(struct imap_parser *p, unsigned *out)
{
    static const struct option known[] = {
        {"MESSAGES", IMAP_STATUS_MESSAGES},
        {"RECENT", IMAP_STATUS_RECENT},
        {"UIDNEXT", IMAP_STATUS_UIDNEXT},
        {"UIDVALIDITY", IMAP_STATUS_UIDVALIDITY},
        {"UNSEEN", IMAP_STATUS_UNSEEN},
        {"DELETED", IMAP_STATUS_DELETED},
        {"SIZE", IMAP_STATUS_SIZE},
        {"HIGHESTMODSEQ", IMAP_STATUS_HIGHESTMODSEQ},
        {"APPENDLIMIT", IMAP_STATUS_APPENDLIMIT},
        {"MAILBOXID", IMAP_STATUS_MAILBOXID},
        {"DELETED-STORAGE", IMAP_STATUS_DELETED_STORAGE},
    };

    if (!parse_expect(p, '(', "STATUS items in parentheses were expected"))
        return false;
    do {
        struct span word = parse_word(p);
        unsigned bit = find_option(known, COUNT(known), word);
        if (bit == 0)
            return parse_unknown(p, word, "There is no such STATUS item");
        *out |= bit;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', "There is no such STATUS item");
}

bool imap_parse_status(struct imap_parser *p)
{
    struct imap_command *command = p->command;

    return parse_space(p) && parse_mailbox(p, &command->status.name) && parse_space(p) &&
           parse_status_items(p, &command->status.items);
}

/* Behind the opening parenthesis. */
static bool selection_options(struct imap_parser *p, struct imap_list *list)
{
    static const struct option known[] = {
        {"SUBSCRIBED", IMAP_LIST_SUBSCRIBED},
        {"REMOTE", IMAP_LIST_REMOTE},
        {"RECURSIVEMATCH", IMAP_LIST_RECURSIVEMATCH},
        {"SPECIAL-USE", IMAP_LIST_SPECIAL_USE},
    };
    const unsigned bases = IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE;

    if (parse_take(p, ')'))
        return true;
    do {
        struct span word = parse_word(p);
        unsigned bit = find_option(known, COUNT(known), word);
        if (bit == 0)
            return parse_unknown(p, word, "There is no such selection option");
        list->options |= bit;
    } while (parse_take(p, ' '));
    if ((list->options & IMAP_LIST_RECURSIVEMATCH) != 0 && (list->options & bases) == 0)
        return parse_bad(p, "RECURSIVEMATCH needs another selection option");
    return parse_expect(p, ')', "There is no such selection option");
}

static bool return_options(struct imap_parser *p, struct imap_list *list)
{
    static const struct option known[] = {
        {"SUBSCRIBED", IMAP_LIST_RETURN_SUBSCRIBED},
        {"CHILDREN", IMAP_LIST_RETURN_CHILDREN},
        {"SPECIAL-USE", IMAP_LIST_RETURN_SPECIAL_USE},
        {"STATUS", IMAP_LIST_RETURN_STATUS},
    };
    const char *problem = "There is no such return option";

    if (!parse_is_word(parse_word(p), "RETURN") || !parse_take(p, ' ') || !parse_take(p, '('))
        return parse_bad(p, "RETURN (...) was expected");
    if (parse_take(p, ')'))
        return true;
    do {
        struct span word = parse_word(p);
        unsigned bit = find_option(known, COUNT(known), word);
        if (bit == 0)
            return parse_unknown(p, word, problem);
        list->options |= bit;
        if (bit == IMAP_LIST_RETURN_STATUS &&
            (!parse_space(p) || !parse_status_items(p, &list->status)))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', problem);
}

/* One of those that begin at `start`. */
static bool pattern(struct imap_parser *p, struct imap_list *list, const char *start)
{
    void *patterns = list->patterns;
    struct span text;

    if (!parse_pattern(p, &text))
        return false;
    if (p->at - start > IMAP_PATTERNS_MAX)
        return parse_no(p, "LIMIT", "The patterns are too long");
    *(struct span *)parse_push(p, &patterns, &list->pattern_count, sizeof text) = text;
    list->patterns = patterns;
    return true;
}

static bool patterns_of(struct imap_parser *p, struct imap_list *list)
{
    if (!parse_take(p, '('))
        return pattern(p, list, p->at);
    const char *start = p->at;
    list->is_extended = true;
    do {
        if (!pattern(p, list, start))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', "A list of patterns has no end");
}

bool imap_parse_list(struct imap_parser *p)
{
    struct imap_list *list = &p->command->list;

    if (!parse_space(p))
        return false;
    if (parse_take(p, '(')) {
        list->is_extended = true;
        if (!selection_options(p, list) || !parse_space(p))
            return false;
    }
    if (!parse_pattern(p, &list->reference) || !parse_space(p) || !patterns_of(p, list))
        return false;
    if (p->at == p->end)
        return true;
    list->is_extended = true;
    return parse_space(p) && return_options(p, list);
}

bool imap_parse_lsub(struct imap_parser *p)
{
    struct imap_list *list = &p->command->list;

    return parse_space(p) && parse_pattern(p, &list->reference) && parse_space(p) &&
           pattern(p, list, p->at);
}

/* ---- SELECT -------------------------------------------------------------------------------- */

/* A set of numbers that are known: neither "*" nor "$" is in it (RFC 7162 3.2.5). */
static bool known_set(struct imap_parser *p, struct imap_set *out)
{
    if (!parse_set(p, out))
        return false;
    bool is_known = !out->is_saved;
    for (unsigned i = 0; i < out->count; i++)
        is_known =
            is_known && out->ranges[i].first != UINT32_MAX && out->ranges[i].last != UINT32_MAX;
    return is_known || parse_bad(p, "QRESYNC takes sets without * and $");
}

/* "(67890007 20050715194045000 41:211,214 (1:3 41,43,45))" */
static bool qresync(struct imap_parser *p, struct imap_select *select)
{
    const char *problem = "A list of QRESYNC has no end";

    if (!parse_space(p) || !parse_expect(p, '(', "QRESYNC (...) was expected") ||
        !parse_number(p, &select->uid_validity) || !parse_space(p) ||
        !parse_number64(p, &select->modseq))
        return false;
    select->has_qresync = true;
    if (select->uid_validity == 0 || select->modseq == 0)
        return parse_bad(p, "UIDVALIDITY and modification sequences begin at 1");
    if (parse_is_at(p, ' ') && (p->end - p->at < 2 || p->at[1] != '(') &&
        (!parse_space(p) || !known_set(p, &select->known_uids)))
        return false;
    if (parse_take(p, ' ') &&
        (!parse_expect(p, '(', problem) || !known_set(p, &select->match_sequences) ||
         !parse_space(p) || !known_set(p, &select->match_uids) || !parse_expect(p, ')', problem)))
        return false;
    return parse_expect(p, ')', problem);
}

bool imap_parse_select(struct imap_parser *p)
{
    struct imap_select *select = &p->command->select;

    if (!parse_space(p) || !parse_mailbox(p, &select->name))
        return false;
    if (p->at == p->end)
        return true;
    if (!parse_space(p) || !parse_expect(p, '(', "Parameters in parentheses were expected"))
        return false;
    do {
        struct span word = parse_word(p);
        if (parse_is_word(word, "CONDSTORE"))
            select->condstore = true;
        else if (!parse_is_word(word, "QRESYNC"))
            return parse_unknown(p, word, "There is no such parameter of SELECT");
        else if (select->has_qresync)
            return parse_bad(p, "QRESYNC stands twice");
        else if (!qresync(p, select))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', "There is no such parameter of SELECT");
}
