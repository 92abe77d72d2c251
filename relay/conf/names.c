#include "conf/names.h"

#include "base/memory.h"

#include <stdlib.h>

enum { NAME_MAX_LENGTH = 64, LETTERS_PER_SLIP = 4 };

struct cursor {
    struct conf_scanner scanner;
    struct conf_token token; /* the one to look at next */
};

struct names {
    struct conf_source *source;
    struct conf_places *places;
    struct cursor at;
    const struct conf_section *section; /* the table that names are looked up in */
    unsigned section_line;
    unsigned seen[CONF_KEYS_MAX]; /* the line of each key of that table */
    unsigned seen_globals[CONF_KEYS_MAX];
    unsigned seen_extra[CONF_EXTRA_MAX]; /* likewise of places->extra, in the present section */
};

static void advance(struct names *n)
{
    n->at.token = conf_scan(&n->at.scanner);
}

/* How many letters must be added, dropped or changed to make one out of the other. */
static unsigned distance(struct span a, struct span b)
{
    unsigned row[NAME_MAX_LENGTH + 1];

    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 0; i < a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < b.len; j++) {
            unsigned best = diagonal + (ascii_lower(a.ptr[i]) != b.ptr[j]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j + 1] + 1 < best)
                best = row[j + 1] + 1;
            diagonal = row[j + 1];
            row[j + 1] = best;
        }
    }
    return row[b.len];
}

static void consider(struct span name, const char *candidate, const char **best, unsigned *least)
{
    unsigned d = distance(name, span_cstr(candidate));

    if (d < *least) {
        *least = d;
        *best = candidate;
    }
}

/* The nearest name of the present table, or NULL where none is near. */
static const char *nearest(const struct names *n, struct span name)
{
    const char *best = NULL;

    if (name.len > NAME_MAX_LENGTH)
        return NULL;
    unsigned least = (unsigned)name.len / LETTERS_PER_SLIP + 2;
    for (unsigned i = 0; i < n->section->key_count; i++)
        consider(name, n->section->keys[i].name, &best, &least);
    for (unsigned i = 0; n->section == &conf_globals && i < CONF_SECTIONS; i++)
        consider(name, conf_sections[i].name, &best, &least);
    return best;
}

/* The section that a key belongs in which is not known here, or NULL. */
static const char *home_of(struct span name)
{
    for (unsigned i = 0; i < CONF_SECTIONS; i++) {
        if (conf_key_find(&conf_sections[i], name) != NULL)
            return conf_sections[i].name;
    }
    return NULL;
}

static void report_unknown(struct names *n, const struct conf_token *name)
{
    struct span shown = span_head(name->text, NAME_MAX_LENGTH);
    const char *near = nearest(n, name->text);
    const char *home = home_of(name->text);
    bool top = n->section == &conf_globals;

    if (!top && conf_key_find(&conf_globals, name->text) != NULL)
        conf_source_problem(n->source, name->line, "%.*s does not belong in a %s section",
                            SPAN_ARG(shown), n->section->name);
    else if (top && home != NULL)
        conf_source_problem(n->source, name->line, "%.*s belongs in a %s section", SPAN_ARG(shown),
                            home);
    else
        conf_source_problem(n->source, name->line, "unknown key %.*s%s%s%s%s", SPAN_ARG(shown),
                            top ? "" : " in ", top ? "" : n->section->name,
                            near ? "; the nearest known one is " : "", near ? near : "");
}

/* Blanks the text from `name` up to the token that comes next. */
static void blank(struct names *n, const struct conf_token *name)
{
    struct span text = buf_span(&n->source->text);
    size_t from = (size_t)(name->text.ptr - text.ptr);
    size_t to =
        n->at.token.kind == CONF_TOKEN_END ? text.len : (size_t)(n->at.token.text.ptr - text.ptr);
    char *bytes = n->source->text.data + n->source->text.start;

    for (size_t i = from; i < to; i++) {
        if (bytes[i] != '\n')
            bytes[i] = ' ';
    }
}

/* Passes "{ .. }" with what is nested in it. */
static void pass_braces(struct names *n)
{
    unsigned depth = 0;

    do {
        depth += conf_token_is(&n->at.token, "{");
        depth -= conf_token_is(&n->at.token, "}");
        advance(n);
    } while (depth > 0 && n->at.token.kind != CONF_TOKEN_END && n->at.token.kind != CONF_TOKEN_BAD);
}

static void pass_value(struct names *n)
{
    if (conf_token_is(&n->at.token, "{"))
        pass_braces(n);
    else if (conf_token_is_text(&n->at.token))
        advance(n);
}

static void report_second(struct names *n, unsigned line, unsigned first, const char *what,
                          struct span title)
{
    struct buf place;

    title = span_head(title, NAME_MAX_LENGTH);
    buf_init(&place, 0);
    conf_source_print_place(n->source, first, &place);
    conf_source_problem(n->source, line, "%s%s%.*s%s is given twice; first in %.*s", what,
                        title.len > 0 ? " \"" : "", SPAN_ARG(title), title.len > 0 ? "\"" : "",
                        SPAN_ARG(buf_span(&place)));
    buf_fini(&place);
}

static void check_known(struct names *n, const struct conf_key *key, const struct conf_token *name)
{
    unsigned *first = &n->seen[key - n->section->keys];

    if (*first != 0)
        report_second(n, name->line, *first, key->name, SPAN_NONE);
    else
        *first = name->line;
}

static bool is_option_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(i > 0 && ascii_is_digit(c)) && c != '_')
            return false;
    }
    return name.len > 0 && name.len <= NAME_MAX_LENGTH;
}

static char *dup_span(struct span text)
{
    char *copy = mem_alloc(text.len + 1);

    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

/* Where `name` is among the extra ones, which it joins; CONF_EXTRA_MAX = there is no room. */
static unsigned place_of_extra(struct conf_places *places, struct span name)
{
    for (unsigned i = 0; i < places->extra_count; i++) {
        if (span_equal(span_cstr(places->extra[i]), name))
            return i;
    }
    if (places->extra_count < CONF_EXTRA_MAX)
        places->extra[places->extra_count++] = dup_span(name);
    return places->extra_count == CONF_EXTRA_MAX ? CONF_EXTRA_MAX : places->extra_count - 1;
}

/* In an open section; false where it cannot be kept, which has been told. */
static bool check_extra(struct names *n, const struct conf_token *name)
{
    unsigned place = CONF_EXTRA_MAX;

    if (is_option_name(name->text))
        place = place_of_extra(n->places, name->text);
    if (place == CONF_EXTRA_MAX) {
        report_unknown(n, name);
        return false;
    }
    if (n->seen_extra[place] != 0)
        report_second(n, name->line, n->seen_extra[place], n->places->extra[place], SPAN_NONE);
    n->seen_extra[place] = name->line;
    return true;
}

/* `name` is followed by = or +=. */
static void check_assignment(struct names *n, const struct conf_token *name)
{
    const struct conf_key *key = conf_key_find(n->section, name->text);
    bool known = key != NULL;

    if (conf_token_is(&n->at.token, "+="))
        conf_source_problem(n->source, n->at.token.line,
                            "+= is not allowed; write the whole list with =");
    advance(n);
    if (key == NULL && n->section->is_open) {
        known = check_extra(n, name);
    } else if (key == NULL) {
        report_unknown(n, name);
    } else {
        check_known(n, key, name);
        if (!conf_key_is_list(key) && conf_token_is(&n->at.token, "{")) {
            conf_source_problem(n->source, name->line, "%s takes one value, not a list", key->name);
            known = false;
        }
    }
    pass_value(n);
    if (!known)
        blank(n, name);
}

static const struct conf_place *find_place(const struct conf_places *places, unsigned type,
                                           struct span title)
{
    for (unsigned i = 0; i < places->count[type]; i++) {
        if (span_equal_nocase(places->items[type][i].title, title))
            return &places->items[type][i];
    }
    return NULL;
}

static void add_place(struct conf_places *places, unsigned type, struct conf_place place)
{
    unsigned *count = &places->count[type];

    if ((*count & (*count - 1)) == 0)
        places->items[type] =
            mem_realloc(places->items[type], (*count ? 2 * *count : 1) * sizeof place);
    places->items[type][(*count)++] = place;
}

/* At the opening brace. */
static void enter_section(struct names *n, const struct conf_section *section,
                          const struct conf_token *name, const struct conf_token *title)
{
    unsigned type = (unsigned)(section - conf_sections);
    struct span inner = title->text;

    if (title->kind == CONF_TOKEN_QUOTED)
        inner = span_of(inner.ptr + 1, inner.len - 2);
    const struct conf_place *first = find_place(n->places, type, inner);
    if (first != NULL) {
        report_second(n, name->line, first->line, section->name, inner);
        pass_braces(n);
        blank(n, name);
        return;
    }
    add_place(n->places, type, (struct conf_place){name->line, inner});
    memcpy(n->seen_globals, n->seen, sizeof n->seen);
    memset(n->seen, 0, sizeof n->seen);
    memset(n->seen_extra, 0, sizeof n->seen_extra);
    n->section = section;
    n->section_line = name->line;
    advance(n);
}

static void leave_section(struct names *n)
{
    memcpy(n->seen, n->seen_globals, sizeof n->seen);
    n->section = &conf_globals;
    advance(n);
}

/* `name` is followed by neither = nor +=. False where that is a syntax error in what is known. */
static bool check_section(struct names *n, const struct conf_token *name)
{
    bool top = n->section == &conf_globals;
    const struct conf_section *section = top ? conf_section_find(name->text) : NULL;
    struct cursor behind_name = n->at;
    struct conf_token title = n->at.token;
    bool titled = conf_token_is_text(&title);

    if (section == NULL && conf_key_find(n->section, name->text) != NULL)
        return false;
    if (titled)
        advance(n);
    bool opens = conf_token_is(&n->at.token, "{");
    if (section != NULL && titled && opens) {
        enter_section(n, section, name, &title);
        return true;
    }
    if (section != NULL)
        return false;
    if (opens)
        pass_braces(n);
    else
        n->at = behind_name;
    report_unknown(n, name);
    blank(n, name);
    return true;
}

/* One key, section or closing brace; false at the end and where libConfuse will find a syntax
 * error. */
static bool check_one(struct names *n)
{
    struct conf_token name = n->at.token;

    if (conf_token_is(&name, "}") && n->section != &conf_globals) {
        leave_section(n);
        return true;
    }
    if (!conf_token_is_text(&name))
        return false;
    advance(n);
    if (!conf_token_is(&n->at.token, "=") && !conf_token_is(&n->at.token, "+="))
        return check_section(n, &name);
    check_assignment(n, &name);
    return true;
}

void conf_names_check(struct conf_source *source, struct conf_places *places_out)
{
    struct names n = {
        .source = source,
        .places = places_out,
        .at = {.scanner = {buf_span(&source->text), 1}},
        .section = &conf_globals,
    };

    *places_out = (struct conf_places){0};
    advance(&n);
    while (check_one(&n)) {
    }
    /* libConfuse takes the end of the text for the missing brace. */
    if (n.at.token.kind == CONF_TOKEN_END && n.section != &conf_globals)
        conf_source_problem(source, n.section_line, "the %s section has no closing brace",
                            n.section->name);
}

void conf_places_fini(struct conf_places *places)
{
    for (unsigned i = 0; i < CONF_SECTIONS; i++)
        free(places->items[i]);
    for (unsigned i = 0; i < places->extra_count; i++)
        free(places->extra[i]);
}
