/* FETCH (RFC 9051 6.4.5, RFC 3516, RFC 7162, RFC 8474, RFC 8514, RFC 8970) and STORE. */
#include "plugins/drop/imap/parse.h"

enum { PATH_MAX_DEPTH = 100 };

static bool is_same_path(const struct imap_fetch_item *a, const struct imap_fetch_item *b)
{
    return a->depth == b->depth &&
           (a->depth == 0 || memcmp(a->path, b->path, a->depth * sizeof *a->path) == 0);
}

static bool is_same_fields(const struct imap_fetch_item *a, const struct imap_fetch_item *b)
{
    bool is_same = a->field_count == b->field_count;

    for (unsigned i = 0; is_same && i < a->field_count; i++)
        is_same = span_equal_nocase(a->fields[i], b->fields[i]);
    return is_same;
}

static bool is_same_item(const struct imap_fetch_item *a, const struct imap_fetch_item *b)
{
    return a->item == b->item && a->form == b->form && a->section == b->section &&
           a->is_peek == b->is_peek && a->is_partial == b->is_partial && a->from == b->from &&
           a->len == b->len && a->is_lazy == b->is_lazy && is_same_path(a, b) &&
           is_same_fields(a, b);
}

static bool add_item(struct imap_parser *p, const struct imap_fetch_item *item)
{
    struct imap_fetch *fetch = &p->command->fetch;
    void *items = fetch->items;

    for (unsigned i = 0; i < fetch->item_count; i++)
        if (is_same_item(&fetch->items[i], item))
            return true;
    if (fetch->item_count == IMAP_FETCH_ITEMS_MAX)
        return parse_no(p, "LIMIT", "Too many items to fetch");
    *(struct imap_fetch_item *)parse_push(p, &items, &fetch->item_count, sizeof *item) = *item;
    fetch->items = items;
    return true;
}

static const struct fetch_name {
    const char *name;
    struct imap_fetch_item item;
} names[] = {
#define SECTION(form_, section_, is_peek_)                                                         \
    {                                                                                              \
        .item = IMAP_ITEM_SECTION, .form = (form_), .section = (section_), .is_peek = (is_peek_)   \
    }
    {"UID", {.item = IMAP_ITEM_UID}},
    {"FLAGS", {.item = IMAP_ITEM_FLAGS}},
    {"INTERNALDATE", {.item = IMAP_ITEM_INTERNALDATE}},
    {"RFC822.SIZE", {.item = IMAP_ITEM_SIZE}},
    {"ENVELOPE", {.item = IMAP_ITEM_ENVELOPE}},
    {"BODYSTRUCTURE", {.item = IMAP_ITEM_BODY_STRUCTURE}},
    {"MODSEQ", {.item = IMAP_ITEM_MODSEQ}},
    {"EMAILID", {.item = IMAP_ITEM_EMAILID}},
    {"THREADID", {.item = IMAP_ITEM_THREADID}},
    {"SAVEDATE", {.item = IMAP_ITEM_SAVEDATE}},
    {"RFC822", SECTION(IMAP_FORM_RFC822, IMAP_SECTION_ALL, false)},
    {"RFC822.HEADER", SECTION(IMAP_FORM_RFC822_HEADER, IMAP_SECTION_HEADER, true)},
    {"RFC822.TEXT", SECTION(IMAP_FORM_RFC822_TEXT, IMAP_SECTION_TEXT, false)},
};

/* Items before whose name a section follows in brackets. */
static const struct fetch_name sections[] = {
    {"BODY", SECTION(IMAP_FORM_BODY, IMAP_SECTION_ALL, false)},
    {"BODY.PEEK", SECTION(IMAP_FORM_BODY, IMAP_SECTION_ALL, true)},
    {"BINARY", SECTION(IMAP_FORM_BINARY, IMAP_SECTION_ALL, false)},
    {"BINARY.PEEK", SECTION(IMAP_FORM_BINARY, IMAP_SECTION_ALL, true)},
    {"BINARY.SIZE", SECTION(IMAP_FORM_BINARY_SIZE, IMAP_SECTION_ALL, true)},
#undef SECTION
};

static const struct fetch_name *find_name(const struct fetch_name *from, size_t count,
                                          struct span word)
{
    for (size_t i = 0; i < count; i++)
        if (parse_is_word(word, from[i].name))
            return &from[i];
    return NULL;
}

/* ---- sections ------------------------------------------------------------------------------ */

static bool field_name(struct imap_parser *p, struct imap_fetch_item *item)
{
    void *fields = item->fields;
    struct span name;

    if (!parse_astring(p, &name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
            return parse_bad(p, "A header field's name has characters that names do not have");
    *(struct span *)parse_push(p, &fields, &item->field_count, sizeof name) = name;
    item->fields = fields;
    return true;
}

static bool field_list(struct imap_parser *p, struct imap_fetch_item *item)
{
    const char *problem = "HEADER.FIELDS takes names in parentheses";

    if (!parse_space(p) || !parse_expect(p, '(', problem))
        return false;
    do {
        if (!field_name(p, item))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', problem);
}

/* "1.2." or "1.2", as far as it goes; *is_dotted_out: something has to follow. */
static bool section_path(struct imap_parser *p, struct imap_fetch_item *item, bool *is_dotted_out)
{
    void *path = NULL;

    *is_dotted_out = false;
    while (p->at < p->end && ascii_is_digit(*p->at)) {
        uint32_t part;
        if (!parse_number(p, &part))
            return false;
        if (part == 0)
            return parse_bad(p, "Parts of a message are counted from 1");
        if (item->depth == PATH_MAX_DEPTH)
            return parse_no(p, "LIMIT", "A section has too many levels");
        *(uint32_t *)parse_push(p, &path, &item->depth, sizeof part) = part;
        *is_dotted_out = parse_take(p, '.');
        if (!*is_dotted_out)
            break;
    }
    item->path = path;
    return true;
}

static bool section_text(struct imap_parser *p, struct imap_fetch_item *item)
{
    struct span word = parse_word(p);

    if (parse_is_word(word, "HEADER")) {
        item->section = IMAP_SECTION_HEADER;
    } else if (parse_is_word(word, "TEXT")) {
        item->section = IMAP_SECTION_TEXT;
    } else if (parse_is_word(word, "MIME") && item->depth > 0) {
        item->section = IMAP_SECTION_MIME;
    } else if (parse_is_word(word, "HEADER.FIELDS")) {
        item->section = IMAP_SECTION_FIELDS;
        return field_list(p, item);
    } else if (parse_is_word(word, "HEADER.FIELDS.NOT")) {
        item->section = IMAP_SECTION_FIELDS_NOT;
        return field_list(p, item);
    } else {
        return parse_bad(p, "There is no such section");
    }
    return true;
}

/* "<0.2048>" */
static bool partial(struct imap_parser *p, struct imap_fetch_item *item)
{
    const char *problem = "A part of a section is written as <first.length>";

    if (item->form == IMAP_FORM_BINARY_SIZE)
        return parse_bad(p, "BINARY.SIZE is of whole parts");
    item->is_partial = true;
    if (!parse_number64(p, &item->from) || !parse_expect(p, '.', problem) ||
        !parse_number64(p, &item->len) || !parse_expect(p, '>', problem))
        return false;
    return item->len > 0 || parse_bad(p, "No bytes at all cannot be fetched");
}

/* Behind the opening bracket. */
static bool section(struct imap_parser *p, struct imap_fetch_item *item)
{
    bool is_dotted;

    if (!section_path(p, item, &is_dotted))
        return false;
    if (is_dotted || (item->depth == 0 && !parse_is_at(p, ']'))) {
        if (item->form != IMAP_FORM_BODY)
            return parse_bad(p, "BINARY takes part numbers alone");
        if (!section_text(p, item))
            return false;
    }
    if (!parse_expect(p, ']', "A section has no end"))
        return false;
    return !parse_take(p, '<') || partial(p, item);
}

/* ---- FETCH --------------------------------------------------------------------------------- */

static bool preview(struct imap_parser *p)
{
    struct imap_fetch_item item = {.item = IMAP_ITEM_PREVIEW};

    if (p->end - p->at > 1 && p->at[0] == ' ' && p->at[1] == '(') {
        const char *problem = "PREVIEW takes (LAZY)";
        /* Behind a lone PREVIEW modifiers of FETCH may stand. */
        char *start = p->at;
        p->at += 2;
        item.is_lazy = parse_is_word(parse_word(p), "LAZY");
        if (!item.is_lazy)
            p->at = start;
        else if (!parse_expect(p, ')', problem))
            return false;
    }
    return add_item(p, &item);
}

static bool fetch_item(struct imap_parser *p)
{
    struct span word = parse_word(p);
    const struct fetch_name *name = find_name(names, COUNT(names), word);
    struct imap_fetch_item item;

    if (name != NULL)
        return add_item(p, &name->item);
    if (parse_is_word(word, "PREVIEW"))
        return preview(p);
    name = find_name(sections, COUNT(sections), word);
    if (name == NULL)
        return parse_unknown(p, word, "There is no such item to fetch");
    item = name->item;
    if (parse_take(p, '['))
        return section(p, &item) && add_item(p, &item);
    if (!parse_is_word(word, "BODY"))
        return parse_unknown(p, word, "A section in brackets was expected");
    item = (struct imap_fetch_item){.item = IMAP_ITEM_BODY_SHORT};
    return add_item(p, &item);
}

/* ALL, FAST, FULL: each goes on where the one before ends. */
static bool macro(struct imap_parser *p, bool *is_macro_out)
{
    static const enum imap_item items[] = {IMAP_ITEM_FLAGS, IMAP_ITEM_INTERNALDATE, IMAP_ITEM_SIZE,
                                           IMAP_ITEM_ENVELOPE, IMAP_ITEM_BODY_SHORT};
    static const struct {
        const char *name;
        size_t count;
    } macros[] = {{"FAST", 3}, {"ALL", 4}, {"FULL", 5}};
    char *start = p->at;
    struct span word = parse_word(p);

    for (size_t i = 0; i < COUNT(macros); i++) {
        *is_macro_out = parse_is_word(word, macros[i].name);
        for (size_t k = 0; *is_macro_out && k < macros[i].count; k++)
            if (!add_item(p, &(struct imap_fetch_item){.item = items[k]}))
                return false;
        if (*is_macro_out)
            return true;
    }
    p->at = start;
    return true;
}

static bool fetch_items(struct imap_parser *p)
{
    bool is_macro;

    if (!parse_take(p, '(')) {
        if (!macro(p, &is_macro))
            return false;
        return is_macro || fetch_item(p);
    }
    do {
        if (!fetch_item(p))
            return false;
    } while (parse_take(p, ' '));
    return parse_expect(p, ')', "There is no such item to fetch");
}

/* "(CHANGEDSINCE 12345 VANISHED)" */
static bool modifiers(struct imap_parser *p)
{
    struct imap_fetch *fetch = &p->command->fetch;
    const char *problem = "FETCH takes (CHANGEDSINCE number VANISHED) behind its items";

    if (!parse_expect(p, '(', problem))
        return false;
    do {
        struct span word = parse_word(p);
        if (parse_is_word(word, "VANISHED"))
            fetch->vanished = true;
        else if (!parse_is_word(word, "CHANGEDSINCE"))
            return parse_unknown(p, word, problem);
        else if (!parse_space(p) || !parse_number64(p, &fetch->changed_since))
            return false;
    } while (parse_take(p, ' '));
    if (fetch->vanished && (!p->command->is_uid || fetch->changed_since == UINT64_MAX))
        return parse_bad(p, "VANISHED is for UID FETCH with CHANGEDSINCE");
    return parse_expect(p, ')', problem);
}

bool imap_parse_fetch(struct imap_parser *p)
{
    struct imap_fetch *fetch = &p->command->fetch;

    fetch->changed_since = UINT64_MAX;
    if (!parse_space(p) || !parse_set(p, &fetch->set) || !parse_space(p) || !fetch_items(p))
        return false;
    return p->at == p->end || (parse_space(p) && modifiers(p));
}

/* ---- STORE --------------------------------------------------------------------------------- */

/* "(UNCHANGEDSINCE 12345) " */
static bool unchanged_since(struct imap_parser *p)
{
    const char *problem = "STORE takes (UNCHANGEDSINCE number)";

    if (!parse_take(p, '('))
        return true;
    if (!parse_is_word(parse_word(p), "UNCHANGEDSINCE"))
        return parse_bad(p, problem);
    return parse_space(p) && parse_number64(p, &p->command->store.unchanged_since) &&
           parse_expect(p, ')', problem) && parse_space(p);
}

static bool store_flags(struct imap_parser *p)
{
    if (parse_is_at(p, '('))
        return parse_flag_list(p, &p->command->store.flags);
    do {
        if (!parse_flag(p, &p->command->store.flags))
            return false;
    } while (parse_take(p, ' '));
    return true;
}

bool imap_parse_store(struct imap_parser *p)
{
    struct imap_store *store = &p->command->store;

    store->unchanged_since = UINT64_MAX;
    if (!parse_space(p) || !parse_set(p, &store->set) || !parse_space(p) || !unchanged_since(p))
        return false;
    store->change = MAILSTORE_SET;
    if (parse_take(p, '+'))
        store->change = MAILSTORE_ADD;
    else if (parse_take(p, '-'))
        store->change = MAILSTORE_REMOVE;
    struct span word = parse_word(p);
    store->is_silent = parse_is_word(word, "FLAGS.SILENT");
    if (!store->is_silent && !parse_is_word(word, "FLAGS"))
        return parse_unknown(p, word,
                             "STORE takes FLAGS, +FLAGS or -FLAGS, each with .SILENT or not");
    return parse_space(p) && store_flags(p);
}
