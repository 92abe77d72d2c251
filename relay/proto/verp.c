#include "proto/verp.h"

#include "proto/address.h"

enum { FLAGS = ADDRESS_ALLOW_UTF8 | ADDRESS_ALLOW_UNDERSCORE | ADDRESS_ALLOW_LONG_LOCAL };

static bool parse(struct span text, struct address *out)
{
    return address_parse(text, FLAGS, out) == ADDRESS_OK && out->kind == ADDRESS_MAILBOX &&
           !out->quoted;
}

struct span verp_reverse_path(struct span reverse_path, struct span recipient, struct arena *arena)
{
    struct address from, to;
    struct span domain;

    if (!parse(reverse_path, &from) || !parse(recipient, &to) || to.literal)
        return reverse_path;
    /* In a local part nothing is converted later for a next hop without SMTPUTF8. */
    if (!domain_to_ascii(to.domain, arena, &domain))
        return reverse_path;
    struct span path = arena_printf(arena, "%.*s+%.*s=%.*s@%.*s", SPAN_ARG(from.local),
                                    SPAN_ARG(to.local), SPAN_ARG(domain), SPAN_ARG(from.domain));
    return path.len <= ADDRESS_TEXT_MAX ? path : reverse_path;
}
