/* Patterns: PCRE2, and its limits. */
#include "pattern.h"

#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { HEAP_MOST_KIB = 4096, WHY_ROOM = 128 };

struct pattern {
    pcre2_code *code;
    pcre2_match_context *context;
};

static bool read_flags(struct smarthop_span flags, uint32_t *options)
{
    *options = PCRE2_NEVER_BACKSLASH_C;
    for (size_t i = 0; i < flags.len; i++)
        if (flags.ptr[i] == 'i')
            *options |= PCRE2_CASELESS;
        else if (flags.ptr[i] == 'u')
            *options |= PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF;
        else
            return false;
    return true;
}

/* Without machine code (a system may forbid it) the same pattern is interpreted. */
static struct pattern *wrap(pcre2_code *code, const struct pattern_limits *limits)
{
    struct pattern *pattern = calloc(1, sizeof *pattern);
    pcre2_match_context *context = pcre2_match_context_create(NULL);

    if (pattern == NULL || context == NULL)
        abort();
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    pcre2_set_match_limit(context, limits->steps);
    pcre2_set_depth_limit(context, limits->depth);
    pcre2_set_heap_limit(context, HEAP_MOST_KIB);
    *pattern = (struct pattern){code, context};
    return pattern;
}

struct pattern *pattern_create(struct smarthop_span text, struct smarthop_span flags,
                               const struct pattern_limits *limits, char *problem, size_t size)
{
    uint32_t options;
    PCRE2_UCHAR why[WHY_ROOM];
    PCRE2_SIZE at;
    int error;

    if (!read_flags(flags, &options)) {
        snprintf(problem, size, "the flags of a pattern are i and u");
        return NULL;
    }
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options, &error, &at, NULL);
    if (code == NULL) {
        pcre2_get_error_message(error, why, sizeof why);
        snprintf(problem, size, "%s, at character %zu of the pattern", (const char *)why, at + 1);
        return NULL;
    }
    return wrap(code, limits);
}

void pattern_free(struct pattern *pattern)
{
    if (pattern == NULL)
        return;
    pcre2_match_context_free(pattern->context);
    pcre2_code_free(pattern->code);
    free(pattern);
}

enum pattern_result pattern_match(const struct pattern *pattern, struct smarthop_span subject)
{
    const char *ptr = subject.len > 0 ? subject.ptr : "";
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);

    if (data == NULL)
        return PATTERN_GIVES_UP;
    int found =
        pcre2_match(pattern->code, (PCRE2_SPTR)ptr, subject.len, 0, 0, data, pattern->context);
    pcre2_match_data_free(data);
    if (found >= 0)
        return PATTERN_MATCHES;
    return found == PCRE2_ERROR_NOMATCH ? PATTERN_DIFFERS : PATTERN_GIVES_UP;
}
