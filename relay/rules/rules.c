#include "rules/rules.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/problems.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANY = -1, WORDS = 6, FILE_MAX = 4 * 1024 * 1024 };

struct line {
    struct rule rule;
    struct span destination; /* lower case; empty = any */
    int code;                /* 421; 4 = all 4xx; ANY */
    int enhanced[3];
    const char *text; /* NULL = any */
};

struct rules {
    atomic_uint references;
    struct arena arena;
    struct line *lines;
    unsigned count;
};

struct reader {
    struct rules *rules;
    struct problems problems;
};

/* ---- reading ------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line, without its quotes; false where there is none. */
static bool take_word(struct reader *r, struct span *rest, struct span *word_out)
{
    while (rest->len > 0 && is_blank(rest->ptr[0]))
        *rest = span_from(*rest, 1);
    if (rest->len == 0 || rest->ptr[0] == '#')
        return false;
    bool quoted = rest->ptr[0] == '"';
    struct span body = span_from(*rest, quoted);
    size_t len = 0;
    while (len < body.len && (quoted ? body.ptr[len] != '"' : !is_blank(body.ptr[len])))
        len++;
    if (quoted && len == body.len)
        problems_add(&r->problems, "the text \"%.*s lacks its closing quote",
                     SPAN_ARG(span_head(body, 60)));
    *word_out = span_head(body, len);
    *rest = span_from(body, len + quoted);
    return true;
}

static bool take_destination(struct line *line, struct span word, struct arena *arena)
{
    if (span_equal(word, SPAN("*")))
        return true;
    line->destination = arena_dup(arena, word);
    return word.len > 0 && span_index(word, '*') == word.len;
}

static bool take_code(struct line *line, struct span word)
{
    uint64_t value;

    line->code = ANY;
    if (span_equal(word, SPAN("*")))
        return true;
    if (word.len != 3 || (word.ptr[0] != '4' && word.ptr[0] != '5'))
        return false;
    line->code = word.ptr[0] - '0';
    if (span_equal_nocase(span_from(word, 1), SPAN("xx")))
        return true;
    if (!span_parse_u64(word, &value))
        return false;
    line->code = (int)value;
    return true;
}

static bool take_enhanced(struct line *line, struct span word)
{
    bool all = span_equal(word, SPAN("*"));

    for (unsigned i = 0; i < 3; i++) {
        struct span part = all ? word : span_split(word, '.', &word);
        uint64_t value;
        line->enhanced[i] = ANY;
        if (span_equal(part, SPAN("*")))
            continue;
        if (!span_parse_u64(part, &value) || value > 999)
            return false;
        line->enhanced[i] = (int)value;
    }
    return all || word.len == 0;
}

static bool take_duration(struct span text, uint64_t *out)
{
    static const struct {
        char letter;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    enum { MOST_DAYS = 30 };

    for (size_t i = 0; text.len > 0 && i < sizeof units / sizeof *units; i++)
        if (text.ptr[text.len - 1] == units[i].letter)
            return span_parse_u64(span_head(text, text.len - 1), out) && *out > 0 &&
                   !__builtin_mul_overflow(*out, units[i].ms, out) &&
                   *out <= MOST_DAYS * units[3].ms;
    return false;
}

static bool take_action(struct line *line, struct span word)
{
    static const struct {
        struct span name;
        enum rule_action action;
    } actions[] = {{{"default", 7}, RULE_DEFAULT},
                   {{"retry", 5}, RULE_RETRY},
                   {{"bounce", 6}, RULE_BOUNCE},
                   {{"back-off", 8}, RULE_BACK_OFF},
                   {{"next-host", 9}, RULE_NEXT_HOST}};
    struct span time, name = span_split(word, ':', &time);

    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (!span_equal(actions[i].name, name))
            continue;
        line->rule.action = actions[i].action;
        if (line->rule.action == RULE_BACK_OFF)
            return take_duration(time, &line->rule.duration_ms);
        return name.len == word.len;
    }
    return false;
}

static bool take_class(struct line *line, struct span word, struct arena *arena)
{
    for (size_t i = 0; i < word.len; i++)
        if (!ascii_is_alnum(word.ptr[i]) && word.ptr[i] != '-')
            return false;
    line->rule.klass = arena_printf(arena, "%.*s", SPAN_ARG(word)).ptr;
    return word.len > 0 && word.len <= RULES_CLASS_MAX;
}

static bool take_text(struct line *line, struct span word, struct arena *arena)
{
    if (!span_equal(word, SPAN("*")))
        line->text = arena_printf(arena, "%.*s", SPAN_ARG(word)).ptr;
    return word.len > 0;
}

static bool fill(struct reader *r, struct line *line, const struct span words[WORDS])
{
    struct arena *arena = &r->rules->arena;

    if (!take_destination(line, words[0], arena))
        return problems_add(&r->problems,
                            "\"%.*s\" is no destination; write a domain, .domain or *",
                            SPAN_ARG(span_head(words[0], 60)));
    if (!take_code(line, words[1]))
        return problems_add(&r->problems, "\"%.*s\" is no code; write one like 421, 4xx, 5xx or *",
                            SPAN_ARG(span_head(words[1], 60)));
    if (!take_enhanced(line, words[2]))
        return problems_add(&r->problems,
                            "\"%.*s\" is no enhanced code; write one like 4.7.1, 4.7.* or *",
                            SPAN_ARG(span_head(words[2], 60)));
    if (!take_text(line, words[3], arena))
        return problems_add(&r->problems, "the text is empty; write * for any");
    if (!take_action(line, words[4]))
        return problems_add(&r->problems,
                            "\"%.*s\" is no action; write default, retry, bounce, next-host, or "
                            "back-off:TIME with a time like 15m, up to 30d",
                            SPAN_ARG(span_head(words[4], 60)));
    if (!take_class(line, words[5], arena))
        return problems_add(&r->problems,
                            "\"%.*s\" is no class; write up to %d letters, digits and hyphens",
                            SPAN_ARG(span_head(words[5], 60)), RULES_CLASS_MAX);
    return true;
}

static void take_line(struct reader *r, struct span text)
{
    struct rules *rules = r->rules;
    struct span words[WORDS], more;
    unsigned count = 0;

    if (text.len > RULES_LINE_MAX || span_index(text, '\0') < text.len) {
        problems_add(&r->problems, "the line is longer than %d bytes, or holds a NUL",
                     RULES_LINE_MAX);
        return;
    }
    while (count < WORDS && take_word(r, &text, &words[count]))
        count++;
    if (count == 0)
        return;
    if (count < WORDS || take_word(r, &text, &more)) {
        problems_add(&r->problems,
                     "a rule has six words: destination code enhanced-code text action class");
        return;
    }
    if (rules->count == RULES_MAX) {
        problems_add(&r->problems, "there are more than %d rules", RULES_MAX);
        return;
    }
    struct line line = {.rule.line = r->problems.line};
    if (!fill(r, &line, words))
        return;
    if (rules->count % 64 == 0)
        rules->lines = mem_realloc(rules->lines, (rules->count + 64) * sizeof *rules->lines);
    rules->lines[rules->count++] = line;
}

struct rules *rules_parse(struct span text, const char *file, struct buf *messages)
{
    struct reader r = {.rules = mem_zalloc(sizeof *r.rules),
                       .problems = {.file = file, .messages = messages}};

    atomic_init(&r.rules->references, 1);
    arena_init(&r.rules->arena);
    while (text.len > 0) {
        r.problems.line++;
        take_line(&r, span_split(text, '\n', &text));
    }
    if (problems_end(&r.problems))
        return r.rules;
    rules_unref(r.rules);
    return NULL;
}

/* builtin.rules, as the build makes it a part of the program. */
extern const char rules_builtin_text[];
extern const size_t rules_builtin_size;

struct rules *rules_builtin(void)
{
    struct buf messages;

    buf_init(&messages, 0);
    struct rules *rules =
        rules_parse(span_of(rules_builtin_text, rules_builtin_size), "built in", &messages);
    if (rules == NULL)
        abort(); /* tests read it line by line */
    buf_fini(&messages);
    return rules;
}

struct rules *rules_ref(struct rules *rules)
{
    atomic_fetch_add_explicit(&rules->references, 1, memory_order_relaxed);
    return rules;
}

void rules_unref(struct rules *rules)
{
    if (rules == NULL || atomic_fetch_sub_explicit(&rules->references, 1, memory_order_acq_rel) > 1)
        return;
    arena_fini(&rules->arena);
    free(rules->lines);
    free(rules);
}

unsigned rules_count(const struct rules *rules)
{
    return rules->count;
}

/* ---- matching ------------------------------------------------------------------------------ */

static bool covers(struct span pattern, struct span name)
{
    if (pattern.len == 0)
        return true;
    if (pattern.ptr[0] != '.')
        return span_equal_nocase(pattern, name);
    return span_ends_nocase(name, pattern) || span_equal_nocase(span_from(pattern, 1), name);
}

static bool has_code(const struct line *line, const struct status *status)
{
    const struct enhanced_code *e = &status->enhanced;
    const int parts[] = {e->klass, e->subject, e->detail};

    if (line->code != ANY && line->code != status->code && line->code != status->code / 100)
        return false;
    for (unsigned i = 0; i < 3; i++)
        if (line->enhanced[i] != ANY && line->enhanced[i] != parts[i])
            return false;
    return true;
}

const struct rule *rules_match(const struct rules *rules, struct span host, struct span domain,
                               const struct status *status)
{
    char text[RULES_TEXT_MAX + 1];
    struct span head = span_head(status->text, RULES_TEXT_MAX);

    for (size_t i = 0; i < head.len; i++)
        text[i] = head.ptr[i] == '\0' ? ' ' : head.ptr[i];
    text[head.len] = '\0';
    for (unsigned i = 0; i < rules->count; i++) {
        const struct line *line = &rules->lines[i];
        if (has_code(line, status) &&
            (covers(line->destination, host) || covers(line->destination, domain)) &&
            (line->text == NULL || fnmatch(line->text, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0))
            return &line->rule;
    }
    return NULL;
}

struct span rules_host(struct span by)
{
    return by.len > 0 && by.ptr[0] == '[' ? SPAN("") : span_head(by, span_index(by, ' '));
}

/* ---- files --------------------------------------------------------------------------------- */

static struct err load(const char *file, void *context, struct stat *st_out, struct buf *messages,
                       void **out)
{
    struct buf text;

    (void)context;
    *out = NULL;
    buf_init(&text, 0);
    struct err e = file_read_all(file, FILE_MAX, st_out, messages, &text);
    if (!err_is(e)) {
        *out = rules_parse(buf_span(&text), file, messages);
        if (*out == NULL)
            e = err_make(ERR_INVALID, "rules");
    }
    buf_fini(&text);
    return e;
}

struct err rules_open(const char *which, struct buf *messages, struct rules **out)
{
    struct stat st;
    void *loaded;

    *out = NULL;
    if (strcmp(which, "none") == 0)
        return ERR_OK;
    if (strcmp(which, "builtin") == 0) {
        *out = rules_builtin();
        return ERR_OK;
    }
    struct err e = load(which, NULL, &st, messages, &loaded);
    *out = loaded;
    return e;
}

static void ref(void *snapshot)
{
    rules_ref(snapshot);
}

static void unref(void *snapshot)
{
    rules_unref(snapshot);
}

static uint64_t count_of(const void *snapshot)
{
    return rules_count(snapshot);
}

const struct follow_kind rules_follow = {
    .loaded = "rules-loaded",
    .refused = "rules-refused",
    .count = "rules",
    .load = load,
    .ref = ref,
    .unref = unref,
    .count_of = count_of,
};
