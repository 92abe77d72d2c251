/* SEARCH, SORT and THREAD (RFC 9051 6.4.4, RFC 5256, RFC 5957, and what else has search keys). */
#include "plugins/drop/imap/parse.h"

struct searching {
    struct imap_parser *p;
    unsigned depth;
    unsigned keys;
};

static struct imap_search_key *make_key(struct searching *s, enum imap_key kind)
{
    if (++s->keys > IMAP_SEARCH_KEYS_MAX) {
        parse_no(s->p, "LIMIT", "Too many search keys");
        return NULL;
    }
    struct imap_search_key *key = arena_alloc(&s->p->command->arena, sizeof *key);
    key->key = kind;
    return key;
}

static struct imap_search_key *search_key(struct searching *s);

/* ---- keys with arguments ------------------------------------------------------------------- */

static bool take_set(struct searching *s, struct imap_search_key *key)
{
    return parse_set(s->p, &key->set);
}

static bool take_text(struct searching *s, struct imap_search_key *key)
{
    return parse_astring(s->p, &key->text);
}

static bool take_keyword(struct searching *s, struct imap_search_key *key)
{
    return parse_atom(s->p, &key->text);
}

static bool take_header(struct searching *s, struct imap_search_key *key)
{
    return parse_astring(s->p, &key->name) && parse_space(s->p) && parse_astring(s->p, &key->text);
}

static bool take_date(struct searching *s, struct imap_search_key *key)
{
    int64_t days;

    if (!parse_date(s->p, &days))
        return false;
    key->number = (uint64_t)days;
    return true;
}

static bool take_number(struct searching *s, struct imap_search_key *key)
{
    return parse_number64(s->p, &key->number);
}

static bool take_seconds(struct searching *s, struct imap_search_key *key)
{
    return parse_number64(s->p, &key->number) &&
           (key->number > 0 || parse_bad(s->p, "OLDER and YOUNGER take at least a second"));
}

/* A number, or "/flags/\\draft" all 620162338 (RFC 7162 3.1.5), whose entry says nothing here:
 * flags have no modification sequence of their own. */
static bool take_modseq(struct searching *s, struct imap_search_key *key)
{
    struct span entry;

    if (parse_is_at(s->p, '"')) {
        if (!parse_string(s->p, &entry) || !parse_space(s->p))
            return false;
        struct span type = parse_word(s->p);
        if (!parse_is_word(type, "all") && !parse_is_word(type, "priv") &&
            !parse_is_word(type, "shared"))
            return parse_unknown(s->p, type, "MODSEQ is of all, priv or shared flags");
        if (!parse_space(s->p))
            return false;
    }
    s->p->command->search.wants_modseq = true;
    return parse_number64(s->p, &key->number);
}

static bool take_child(struct searching *s, struct imap_search_key *key)
{
    key->child = search_key(s);
    return key->child != NULL;
}

static bool take_two(struct searching *s, struct imap_search_key *key)
{
    if (!take_child(s, key) || !parse_space(s->p))
        return false;
    key->child->next = search_key(s);
    return key->child->next != NULL;
}

/* ---- the names ----------------------------------------------------------------------------- */

static const struct search_name {
    const char *name;
    enum imap_key key;
    bool (*take)(struct searching *s, struct imap_search_key *key); /* NULL = no argument */
    uint32_t flag;
    struct span header;
    bool is_not;
} names[] = {
#define FLAG(name, bit)                                                                            \
    {name, IMAP_KEY_FLAG, NULL, bit, {NULL, 0}, false},                                            \
    {                                                                                              \
        "UN" name, IMAP_KEY_FLAG, NULL, bit, {NULL, 0}, true                                       \
    }
#define HEADER(name)                                                                               \
    {                                                                                              \
        name, IMAP_KEY_HEADER, take_text, 0, {name, sizeof(name) - 1}, false                       \
    }
#define KEY(name, key, take)                                                                       \
    {                                                                                              \
        name, key, take, 0, {NULL, 0}, false                                                       \
    }
#define NOT_KEY(name, key, take)                                                                   \
    {                                                                                              \
        name, key, take, 0, {NULL, 0}, true                                                        \
    }
    FLAG("SEEN", MAILSTORE_SEEN),
    FLAG("DELETED", MAILSTORE_DELETED),
    FLAG("FLAGGED", MAILSTORE_FLAGGED),
    FLAG("ANSWERED", MAILSTORE_ANSWERED),
    FLAG("DRAFT", MAILSTORE_DRAFT),
    HEADER("FROM"),
    HEADER("TO"),
    HEADER("CC"),
    HEADER("BCC"),
    HEADER("SUBJECT"),
    KEY("ALL", IMAP_KEY_ALL, NULL),
    KEY("RECENT", IMAP_KEY_RECENT, NULL),
    NOT_KEY("OLD", IMAP_KEY_RECENT, NULL),
    KEY("KEYWORD", IMAP_KEY_KEYWORD, take_keyword),
    NOT_KEY("UNKEYWORD", IMAP_KEY_KEYWORD, take_keyword),
    KEY("UID", IMAP_KEY_UID, take_set),
    KEY("HEADER", IMAP_KEY_HEADER, take_header),
    KEY("BODY", IMAP_KEY_BODY, take_text),
    KEY("TEXT", IMAP_KEY_TEXT, take_text),
    KEY("BEFORE", IMAP_KEY_BEFORE, take_date),
    KEY("ON", IMAP_KEY_ON, take_date),
    KEY("SINCE", IMAP_KEY_SINCE, take_date),
    KEY("SENTBEFORE", IMAP_KEY_SENT_BEFORE, take_date),
    KEY("SENTON", IMAP_KEY_SENT_ON, take_date),
    KEY("SENTSINCE", IMAP_KEY_SENT_SINCE, take_date),
    KEY("SAVEDBEFORE", IMAP_KEY_SAVED_BEFORE, take_date),
    KEY("SAVEDON", IMAP_KEY_SAVED_ON, take_date),
    KEY("SAVEDSINCE", IMAP_KEY_SAVED_SINCE, take_date),
    KEY("SAVEDATESUPPORTED", IMAP_KEY_SAVE_DATE_SUPPORTED, NULL),
    KEY("LARGER", IMAP_KEY_LARGER, take_number),
    KEY("SMALLER", IMAP_KEY_SMALLER, take_number),
    KEY("OLDER", IMAP_KEY_OLDER, take_seconds),
    KEY("YOUNGER", IMAP_KEY_YOUNGER, take_seconds),
    KEY("MODSEQ", IMAP_KEY_MODSEQ, take_modseq),
    KEY("EMAILID", IMAP_KEY_EMAILID, take_text),
    KEY("THREADID", IMAP_KEY_THREADID, take_text),
    KEY("NOT", IMAP_KEY_NOT, take_child),
    KEY("OR", IMAP_KEY_OR, take_two),
#undef FLAG
#undef HEADER
#undef KEY
#undef NOT_KEY
};

static struct imap_search_key *negate(struct searching *s, struct imap_search_key *child)
{
    struct imap_search_key *key = make_key(s, IMAP_KEY_NOT);

    if (key != NULL)
        key->child = child;
    return key;
}

/* NEW is RECENT UNSEEN. */
static struct imap_search_key *make_new(struct searching *s)
{
    struct imap_search_key *both = make_key(s, IMAP_KEY_AND);
    struct imap_search_key *recent = make_key(s, IMAP_KEY_RECENT);
    struct imap_search_key *seen = make_key(s, IMAP_KEY_FLAG);

    if (both == NULL || recent == NULL || seen == NULL)
        return NULL;
    seen->flag = MAILSTORE_SEEN;
    both->child = recent;
    recent->next = negate(s, seen);
    return recent->next == NULL ? NULL : both;
}

static struct imap_search_key *named_key(struct searching *s, const struct search_name *name)
{
    struct imap_search_key *key = make_key(s, name->key);

    if (key == NULL)
        return NULL;
    key->flag = name->flag;
    key->name = name->header;
    if (name->take != NULL && (!parse_space(s->p) || !name->take(s, key)))
        return NULL;
    return name->is_not ? negate(s, key) : key;
}

/* One key or more, up to the end or a closing parenthesis. */
static struct imap_search_key *key_list(struct searching *s)
{
    struct imap_search_key *all = make_key(s, IMAP_KEY_AND);

    if (all == NULL)
        return NULL;
    struct imap_search_key **next = &all->child;
    do {
        *next = search_key(s);
        if (*next == NULL)
            return NULL;
        next = &(*next)->next;
    } while (parse_take(s->p, ' '));
    return all;
}

static struct imap_search_key *sequence_key(struct searching *s)
{
    struct imap_search_key *key = make_key(s, IMAP_KEY_SEQUENCE);

    return key != NULL && parse_set(s->p, &key->set) ? key : NULL;
}

static struct imap_search_key *one_key(struct searching *s)
{
    struct imap_parser *p = s->p;

    if (parse_take(p, '(')) {
        struct imap_search_key *all = key_list(s);
        return all != NULL && parse_expect(p, ')', "There is no such search key") ? all : NULL;
    }
    if (p->at < p->end && (ascii_is_digit(*p->at) || *p->at == '*' || *p->at == '$'))
        return sequence_key(s);
    struct span word = parse_word(p);
    for (size_t i = 0; i < COUNT(names); i++)
        if (parse_is_word(word, names[i].name))
            return named_key(s, &names[i]);
    if (parse_is_word(word, "NEW"))
        return make_new(s);
    parse_unknown(p, word, "There is no such search key");
    return NULL;
}

static struct imap_search_key *search_key(struct searching *s)
{
    if (s->depth == IMAP_SEARCH_DEPTH_MAX) {
        parse_no(s->p, "LIMIT", "Search keys are nested too deeply");
        return NULL;
    }
    s->depth++;
    struct imap_search_key *key = one_key(s);
    s->depth--;
    return key;
}

static bool program(struct imap_parser *p)
{
    struct searching s = {.p = p};
    struct imap_search *search = &p->command->search;

    search->root = key_list(&s);
    return search->root != NULL;
}

/* ---- the commands -------------------------------------------------------------------------- */

/* Behind "RETURN ". */
static bool returns(struct imap_parser *p)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {
        {"MIN", IMAP_RETURN_MIN},     {"MAX", IMAP_RETURN_MAX},   {"ALL", IMAP_RETURN_ALL},
        {"COUNT", IMAP_RETURN_COUNT}, {"SAVE", IMAP_RETURN_SAVE},
    };
    struct imap_search *search = &p->command->search;

    search->is_extended = true;
    if (!parse_expect(p, '(', "RETURN takes options in parentheses"))
        return false;
    if (parse_take(p, ')')) {
        search->returns = IMAP_RETURN_ALL;
        return true;
    }
    do {
        struct span word = parse_word(p);
        unsigned bit = 0;
        for (size_t i = 0; i < COUNT(known); i++)
            if (parse_is_word(word, known[i].name))
                bit = known[i].bit;
        if (bit == 0)
            return parse_unknown(p, word, "There is no such option of RETURN");
        search->returns |= bit;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', "There is no such option of RETURN");
}

/* Goes behind "WORD " where it stands here. */
static bool take_word(struct imap_parser *p, const char *text)
{
    char *start = p->at;

    if (parse_is_word(parse_word(p), text) && parse_take(p, ' '))
        return true;
    p->at = start;
    return false;
}

/* These need no conversion. */
static bool charset(struct imap_parser *p)
{
    struct span *name = &p->command->search.charset;

    if (!parse_astring(p, name))
        return false;
    if (parse_is_word(*name, "US-ASCII") || parse_is_word(*name, "UTF-8"))
        *name = SPAN_NONE;
    return parse_space(p);
}

bool imap_parse_search(struct imap_parser *p)
{
    if (!parse_space(p))
        return false;
    if (take_word(p, "RETURN") && (!returns(p) || !parse_space(p)))
        return false;
    if (take_word(p, "CHARSET") && !charset(p))
        return false;
    return program(p);
}

static bool sort_key(struct imap_parser *p)
{
    static const struct {
        const char *name;
        enum imap_sort_key key;
    } known[] = {
        {"ARRIVAL", IMAP_SORT_ARRIVAL},
        {"CC", IMAP_SORT_CC},
        {"DATE", IMAP_SORT_DATE},
        {"FROM", IMAP_SORT_FROM},
        {"SIZE", IMAP_SORT_SIZE},
        {"SUBJECT", IMAP_SORT_SUBJECT},
        {"TO", IMAP_SORT_TO},
        {"DISPLAYFROM", IMAP_SORT_DISPLAYFROM},
        {"DISPLAYTO", IMAP_SORT_DISPLAYTO},
    };
    struct imap_search *search = &p->command->search;
    bool is_reverse = take_word(p, "REVERSE");
    struct span word = parse_word(p);

    for (size_t i = 0; i < COUNT(known); i++) {
        if (!parse_is_word(word, known[i].name))
            continue;
        if (search->sort_count == IMAP_SORT_KEYS_MAX)
            return parse_no(p, "LIMIT", "Too many sort keys");
        search->sort[search->sort_count].key = known[i].key;
        search->sort[search->sort_count++].is_reverse = is_reverse;
        return true;
    }
    return parse_unknown(p, word, "There is no such sort key");
}

bool imap_parse_sort(struct imap_parser *p)
{
    const char *problem = "SORT takes sort keys in parentheses";

    if (!parse_space(p) || !parse_expect(p, '(', problem))
        return false;
    do {
        if (!sort_key(p))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', problem) && parse_space(p) && charset(p) && program(p);
}

bool imap_parse_thread(struct imap_parser *p)
{
    if (!parse_space(p))
        return false;
    if (take_word(p, "ORDEREDSUBJECT"))
        p->command->search.thread = IMAP_THREAD_ORDEREDSUBJECT;
    else if (take_word(p, "REFERENCES"))
        p->command->search.thread = IMAP_THREAD_REFERENCES;
    else
        return parse_bad(p, "There is no such threading algorithm");
    return charset(p) && program(p);
}
