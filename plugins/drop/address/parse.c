/* The text of an aliases file becomes a snapshot. */
#include "plugins/drop/address/private.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/problems.h"
#include "proto/address.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEXT_SHOWN_MAX = 80 };

struct parsing {
    struct addresses *addresses;
    struct problems problems;
};

static void refuse(struct parsing *p, struct span text, const char *why)
{
    problems_add(&p->problems, "\"%.*s\": %s", SPAN_ARG(span_head(text, TEXT_SHOWN_MAX)), why);
}

/* ---- a line ------------------------------------------------------------------------------- */

/* The first `byte` outside quotes, or the end. */
static size_t index_outside(struct span text, char byte)
{
    bool is_quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == byte && !is_quoted)
            return i;
        if (c == '\\' && is_quoted)
            i++;
        else if (c == '"')
            is_quoted = !is_quoted;
    }
    return text.len;
}

/* A # may be part of a name: it begins a comment only behind a blank, or at the start. */
static struct span strip(struct span line)
{
    for (size_t at = 0;;) {
        at += index_outside(span_from(line, at), '#');
        if (at >= line.len)
            return span_trim(line);
        if (at == 0 || line.ptr[at - 1] == ' ' || line.ptr[at - 1] == '\t')
            return span_trim(span_head(line, at));
        at++;
    }
}

/* What other servers' files have, and this one does not take. */
static bool is_command(struct span text)
{
    size_t at = text.len > 0 && text.ptr[0] == '"' ? 1 : 0;

    return at < text.len && strchr("|/:", text.ptr[at]) != NULL && text.ptr[at] != '\0';
}

/* A name without a domain has an empty one. False, and told, where it is no address. */
static bool take_address(struct parsing *p, struct span text, struct alias_target *out)
{
    const unsigned flags = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_LONG_LOCAL;
    struct arena *arena = &p->addresses->arena;
    bool has_domain = index_outside(text, '@') < text.len;
    struct span whole =
        has_domain ? arena_dup(arena, text) : arena_printf(arena, "%.*s@x", SPAN_ARG(text));
    struct address address;
    enum address_error error = address_parse(whole, flags, &address);

    *out = (struct alias_target){0};
    if (error == ADDRESS_OK && address.literal)
        error = ADDRESS_DOMAIN_SYNTAX;
    if (error == ADDRESS_OK && has_domain && !domain_to_ascii(address.domain, arena, &out->domain))
        error = ADDRESS_DOMAIN_SYNTAX;
    if (error != ADDRESS_OK) {
        refuse(p, text, address_error_text(error));
        return false;
    }
    out->local = address_canonical_local(&address, arena);
    return true;
}

/* "@domain". */
static bool take_domain(struct parsing *p, struct span text, struct span *out)
{
    if (domain_to_ascii(span_from(text, 1), &p->addresses->arena, out))
        return true;
    refuse(p, text, "this is no domain");
    return false;
}

/* The left side. */
static bool take_key(struct parsing *p, struct span text, struct span *out)
{
    struct arena *arena = &p->addresses->arena;
    struct alias_target key = {0};
    bool is_everybody = text.len > 0 && text.ptr[0] == '@';

    if (is_everybody ? !take_domain(p, text, &key.domain) : !take_address(p, text, &key))
        return false;
    if (key.domain.len > 0 && !addresses_is_local(p->addresses, key.domain)) {
        refuse(p, text, "its domain is not one of the local domains");
        return false;
    }
    struct span local = address_lower(key.local, arena);
    *out = key.domain.len == 0
               ? local
               : arena_printf(arena, "%.*s@%.*s", SPAN_ARG(local), SPAN_ARG(key.domain));
    return true;
}

static unsigned count_targets(struct span list)
{
    unsigned count = 1;

    for (size_t at; (at = index_outside(list, ',')) < list.len; list = span_from(list, at + 1))
        count++;
    return count;
}

static bool take_targets(struct parsing *p, struct span list, struct alias *alias)
{
    unsigned count = count_targets(list);

    if (count > ADDRESS_RESULTS_MAX) {
        problems_add(&p->problems, "there are more than %d targets", ADDRESS_RESULTS_MAX);
        return false;
    }
    alias->targets = arena_alloc(&p->addresses->arena, count * sizeof *alias->targets);
    for (unsigned i = 0; i < count; i++) {
        size_t end = index_outside(list, ',');
        struct span text = span_trim(span_head(list, end));
        list = span_from(list, end + 1);
        if (is_command(text)) {
            refuse(p, text, "programs, files and lists in files are not taken");
            return false;
        }
        if (!take_address(p, text, &alias->targets[i]))
            return false;
    }
    alias->target_count = count;
    return true;
}

static void keep(struct parsing *p, struct alias alias)
{
    struct addresses *a = p->addresses;

    if (a->alias_count == a->alias_cap) {
        a->alias_cap = a->alias_cap > 0 ? 2 * a->alias_cap : 16;
        a->aliases = mem_realloc(a->aliases, a->alias_cap * sizeof *a->aliases);
    }
    a->aliases[a->alias_count++] = alias;
}

static void take_line(struct parsing *p, struct span line)
{
    struct alias alias = {.line = p->problems.line};
    struct span text = strip(line);
    size_t colon = index_outside(text, ':');

    if (line.len > ADDRESS_LINE_MAX)
        problems_add(&p->problems, "the line is longer than %d bytes", ADDRESS_LINE_MAX);
    else if (span_has_control(line))
        problems_add(&p->problems,
                     "there is a control character in the line; lines end with a line feed alone");
    else if (text.len > 0 && colon == text.len)
        problems_add(&p->problems, "write \"address: target, target\"");
    else if (text.len > 0 && take_key(p, span_trim(span_head(text, colon)), &alias.key) &&
             take_targets(p, span_trim(span_from(text, colon + 1)), &alias))
        keep(p, alias);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int compare_aliases(const void *left, const void *right)
{
    const struct alias *a = left, *b = right;
    int order = address_compare(a->key, b->key);

    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static void arrange(struct parsing *p)
{
    struct addresses *a = p->addresses;

    if (a->alias_count > 0)
        qsort(a->aliases, a->alias_count, sizeof *a->aliases, compare_aliases);
    for (unsigned i = 1; i < a->alias_count; i++) {
        if (!span_equal(a->aliases[i].key, a->aliases[i - 1].key))
            continue;
        p->problems.line = a->aliases[i].line;
        problems_add(&p->problems,
                     "\"%.*s\" is there already, on line %u; write all its targets in one line",
                     SPAN_ARG(span_head(a->aliases[i].key, TEXT_SHOWN_MAX)),
                     a->aliases[i - 1].line);
    }
}

static void take_domains(struct parsing *p, const char *const *domains, unsigned count)
{
    struct addresses *a = p->addresses;

    a->domains = arena_alloc(&a->arena, count * sizeof *a->domains);
    for (unsigned i = 0; i < count; i++) {
        struct span ascii;
        if (domain_to_ascii(span_cstr(domains[i]), &a->arena, &ascii)) {
            a->domains[a->domain_count++] = ascii;
        } else {
            p->problems.count++;
            buf_addf(p->problems.messages, "\"%s\": this is no domain\n", domains[i]);
        }
    }
    if (a->domain_count > 0)
        a->first_domain = a->domains[0];
}

struct err addresses_parse(struct span text, const char *file, const char *const *domains,
                           unsigned domain_count, const char *separator, struct buf *messages,
                           struct addresses **out)
{
    struct addresses *a = mem_zalloc(sizeof *a);
    struct parsing p = {.addresses = a, .problems = {.file = file, .messages = messages}};

    *out = NULL;
    atomic_init(&a->references, 1);
    arena_init(&a->arena);
    a->separator = arena_dup(&a->arena, span_cstr(separator));
    take_domains(&p, domains, domain_count);
    while (text.len > 0) {
        p.problems.line++;
        take_line(&p, span_split(text, '\n', &text));
    }
    arrange(&p);
    if (p.problems.count == 0) {
        *out = a;
        return ERR_OK;
    }
    problems_end(&p.problems);
    addresses_unref(a);
    return err_make(ERR_INVALID, "aliases file");
}

struct err addresses_load(const char *file, const char *const *domains, unsigned domain_count,
                          const char *separator, struct stat *st_out, struct buf *messages,
                          struct addresses **out)
{
    struct buf text;
    struct err e = ERR_OK;

    *out = NULL;
    buf_init(&text, 0);
    if (file != NULL)
        e = file_read_all(file, ADDRESS_FILE_MAX, st_out, messages, &text);
    if (!err_is(e))
        e = addresses_parse(buf_span(&text), file, domains, domain_count, separator, messages, out);
    buf_fini(&text);
    return e;
}
