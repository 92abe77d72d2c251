#include "plugins/drop/imap/parse.h"

/* ---- commands that have little to say ------------------------------------------------------ */

static bool parse_nothing(struct imap_parser *p)
{
    (void)p;
    return true;
}

/* ID NIL, or ("name" "value" ...); a value may be NIL (RFC 2971). */
static bool id_pair(struct imap_parser *p)
{
    struct span name, value;

    if (!parse_string(p, &name) || !parse_space(p))
        return false;
    if (!parse_is_at(p, '"') && !parse_is_at(p, '{'))
        return parse_is_word(parse_word(p), "NIL") || parse_unexpected(p, "A value was expected");
    if (!parse_string(p, &value))
        return false;
    if (parse_is_word(name, "name"))
        p->command->id.name = value;
    else if (parse_is_word(name, "version"))
        p->command->id.version = value;
    return true;
}

static bool parse_id(struct imap_parser *p)
{
    const unsigned pairs_max = 30; /* RFC 2971 3.3 */
    unsigned count = 0;

    if (!parse_space(p))
        return false;
    if (!parse_take(p, '(')) {
        struct span nil = parse_word(p);
        return parse_is_word(nil, "NIL") || parse_bad(p, "ID takes NIL, or a list in parentheses");
    }
    if (parse_take(p, ')'))
        return true;
    do {
        if (++count > pairs_max)
            return parse_bad(p, "ID takes no more than 30 pairs");
        if (!id_pair(p))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', "A list of ID has no end");
}

static bool parse_authenticate(struct imap_parser *p)
{
    struct imap_command *command = p->command;

    if (!parse_space(p) || !parse_atom(p, &command->authenticate.mechanism))
        return false;
    if (p->at == p->end)
        return true;
    if (!parse_space(p) || !parse_atom(p, &command->authenticate.initial))
        return false;
    command->authenticate.has_initial = true;
    if (span_equal(command->authenticate.initial, SPAN("="))) /* it is empty (RFC 4959 3) */
        command->authenticate.initial.len = 0;
    return true;
}

static bool parse_login(struct imap_parser *p)
{
    return parse_space(p) && parse_astring(p, &p->command->login.user) && parse_space(p) &&
           parse_astring(p, &p->command->login.password);
}

static bool parse_enable(struct imap_parser *p)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {
        {"CONDSTORE", IMAP_ENABLE_CONDSTORE},
        {"QRESYNC", IMAP_ENABLE_QRESYNC},
        {"UTF8=ACCEPT", IMAP_ENABLE_UTF8},
        {"IMAP4rev2", IMAP_ENABLE_REV2},
    };
    struct span name;

    if (!parse_space(p))
        return false;
    do { /* what is not known is let be (RFC 5161 3.1) */
        if (!parse_atom(p, &name))
            return false;
        for (size_t i = 0; i < COUNT(known); i++)
            if (parse_is_word(name, known[i].name))
                p->command->enable.known |= known[i].bit;
    } while (parse_take(p, ' '));
    return true;
}

/* (USE (\Sent)), RFC 6154 3. */
static bool parse_use(struct imap_parser *p)
{
    static const struct {
        const char *name;
        enum mailstore_use use;
    } known[] = {
        {"Archive", MAILSTORE_USE_ARCHIVE}, {"Drafts", MAILSTORE_USE_DRAFTS},
        {"Flagged", MAILSTORE_USE_FLAGGED}, {"Junk", MAILSTORE_USE_JUNK},
        {"Sent", MAILSTORE_USE_SENT},       {"Trash", MAILSTORE_USE_TRASH},
    };
    const char *problem = "CREATE takes (USE (\\Attribute))";

    if (!parse_expect(p, '(', problem) || !parse_is_word(parse_word(p), "USE") ||
        !parse_take(p, ' ') || !parse_take(p, '('))
        return parse_bad(p, problem);
    if (parse_take(p, ')'))
        return parse_expect(p, ')', problem);
    if (!parse_take(p, '\\'))
        return parse_bad(p, problem);
    struct span name = parse_word(p);
    for (size_t i = 0; i < COUNT(known); i++)
        if (parse_is_word(name, known[i].name))
            p->command->create.use = known[i].use;
    if (p->command->create.use == MAILSTORE_USE_NONE)
        return parse_no(p, "USEATTR", "There is no such use of a mailbox here");
    if (parse_is_at(p, ' '))
        return parse_no(p, "USEATTR", "A mailbox has one use at most");
    return parse_expect(p, ')', problem) && parse_expect(p, ')', problem);
}

static bool parse_create(struct imap_parser *p)
{
    struct span *name = &p->command->create.name;

    if (!parse_space(p) || !parse_mailbox(p, name))
        return false;
    /* The client says that there will be mailboxes below it (RFC 9051 6.3.4). */
    if (name->len > 1 && name->ptr[name->len - 1] == '/')
        name->len--;
    return p->at == p->end || (parse_space(p) && parse_use(p));
}

static bool parse_name(struct imap_parser *p)
{
    return parse_space(p) && parse_mailbox(p, &p->command->name);
}

static bool parse_rename(struct imap_parser *p)
{
    return parse_space(p) && parse_mailbox(p, &p->command->rename.from) && parse_space(p) &&
           parse_mailbox(p, &p->command->rename.to);
}

static bool parse_root(struct imap_parser *p)
{
    return parse_space(p) && parse_astring(p, &p->command->name);
}

static bool quota_resource(struct imap_parser *p)
{
    struct imap_command *command = p->command;
    struct span name;
    uint64_t limit;

    if (!parse_atom(p, &name) || !parse_space(p) || !parse_number64(p, &limit))
        return false;
    if (parse_is_word(name, "STORAGE")) {
        command->quota.has_storage = true;
        command->quota.storage_kib = limit;
    } else if (parse_is_word(name, "MESSAGE")) {
        command->quota.has_messages = true;
        command->quota.messages = limit;
    } else {
        return parse_no(p, "CANNOT", "There is no such quota resource here");
    }
    return true;
}

static bool parse_setquota(struct imap_parser *p)
{
    const char *problem = "SETQUOTA takes a list of resources in parentheses";

    if (!parse_space(p) || !parse_astring(p, &p->command->quota.root) || !parse_space(p) ||
        !parse_expect(p, '(', problem))
        return false;
    if (parse_take(p, ')'))
        return true;
    do {
        if (!quota_resource(p))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', problem);
}

static bool parse_compress(struct imap_parser *p)
{
    return parse_space(p) && (parse_is_word(parse_word(p), "DEFLATE") ||
                              parse_bad(p, "DEFLATE is the one way to compress"));
}

static bool parse_expunge(struct imap_parser *p)
{
    return !p->command->is_uid || (parse_space(p) && parse_set(p, &p->command->expunge.set));
}

static bool parse_copy(struct imap_parser *p)
{
    return parse_space(p) && parse_set(p, &p->command->copy.set) && parse_space(p) &&
           parse_mailbox(p, &p->command->copy.name);
}

/* ---- all of them --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool has_uid; /* UID stands before it, too */
    imap_parse_function *parse;
} verbs[IMAP_VERBS] = {
    [IMAP_INVALID] = {"", false, NULL},
    [IMAP_CAPABILITY] = {"CAPABILITY", false, parse_nothing},
    [IMAP_NOOP] = {"NOOP", false, parse_nothing},
    [IMAP_LOGOUT] = {"LOGOUT", false, parse_nothing},
    [IMAP_ID] = {"ID", false, parse_id},
    [IMAP_STARTTLS] = {"STARTTLS", false, parse_nothing},
    [IMAP_AUTHENTICATE] = {"AUTHENTICATE", false, parse_authenticate},
    [IMAP_LOGIN] = {"LOGIN", false, parse_login},
    [IMAP_ENABLE] = {"ENABLE", false, parse_enable},
    [IMAP_SELECT] = {"SELECT", false, imap_parse_select},
    [IMAP_EXAMINE] = {"EXAMINE", false, imap_parse_select},
    [IMAP_CREATE] = {"CREATE", false, parse_create},
    [IMAP_DELETE] = {"DELETE", false, parse_name},
    [IMAP_RENAME] = {"RENAME", false, parse_rename},
    [IMAP_SUBSCRIBE] = {"SUBSCRIBE", false, parse_name},
    [IMAP_UNSUBSCRIBE] = {"UNSUBSCRIBE", false, parse_name},
    [IMAP_LIST] = {"LIST", false, imap_parse_list},
    [IMAP_LSUB] = {"LSUB", false, imap_parse_lsub},
    [IMAP_NAMESPACE] = {"NAMESPACE", false, parse_nothing},
    [IMAP_STATUS] = {"STATUS", false, imap_parse_status},
    [IMAP_APPEND] = {"APPEND", false, imap_parse_append},
    [IMAP_IDLE] = {"IDLE", false, parse_nothing},
    [IMAP_GETQUOTA] = {"GETQUOTA", false, parse_root},
    [IMAP_GETQUOTAROOT] = {"GETQUOTAROOT", false, parse_name},
    [IMAP_SETQUOTA] = {"SETQUOTA", false, parse_setquota},
    [IMAP_COMPRESS] = {"COMPRESS", false, parse_compress},
    [IMAP_CHECK] = {"CHECK", false, parse_nothing},
    [IMAP_CLOSE] = {"CLOSE", false, parse_nothing},
    [IMAP_UNSELECT] = {"UNSELECT", false, parse_nothing},
    [IMAP_EXPUNGE] = {"EXPUNGE", true, parse_expunge},
    [IMAP_SEARCH] = {"SEARCH", true, imap_parse_search},
    [IMAP_SORT] = {"SORT", true, imap_parse_sort},
    [IMAP_THREAD] = {"THREAD", true, imap_parse_thread},
    [IMAP_FETCH] = {"FETCH", true, imap_parse_fetch},
    [IMAP_STORE] = {"STORE", true, imap_parse_store},
    [IMAP_COPY] = {"COPY", true, parse_copy},
    [IMAP_MOVE] = {"MOVE", true, parse_copy},
};

const char *imap_verb_name(enum imap_verb verb)
{
    return verbs[verb].name;
}

static enum imap_verb find_verb(struct span word)
{
    for (int verb = IMAP_INVALID + 1; verb < IMAP_VERBS; verb++)
        if (parse_is_word(word, verbs[verb].name))
            return (enum imap_verb)verb;
    return IMAP_INVALID;
}

bool imap_parse_verb(struct imap_parser *p)
{
    struct imap_command *command = p->command;

    if (!parse_tag(p, &command->tag) || !parse_space(p))
        return false;
    struct span word = parse_word(p);
    command->is_uid = parse_is_word(word, "UID");
    if (command->is_uid) {
        if (!parse_space(p))
            return false;
        word = parse_word(p);
    }
    if (word.len == 0)
        return parse_unexpected(p, "A verb was expected");
    command->verb = find_verb(word);
    if (command->verb == IMAP_INVALID)
        return parse_bad(p, "There is no such command");
    return !command->is_uid || verbs[command->verb].has_uid ||
           parse_bad(p, "UID does not stand before this command");
}

void imap_command_parse(struct imap_command *command, struct span text, bool utf8)
{
    struct imap_parser p = parse_make(command, text, utf8);

    if (imap_parse_verb(&p) && verbs[command->verb].parse(&p))
        parse_end(&p);
}

struct span imap_tag_of(struct imap_command *command, struct span text)
{
    struct imap_parser p = parse_make(command, span_head(text, IMAP_TAG_MAX + 1), false);
    struct span tag;

    parse_tag(&p, &tag);
    return tag;
}
