#include "plugins/drop/ctl/names.h"

#include "plugins/drop/imap/command.h"

/* ---- mailboxes ---------------------------------------------------------------------------- */

static const struct span dot = {"&AC4-", 5};

static void encode_level(struct span level, struct buf *out)
{
    for (;;) {
        size_t at = span_index(level, '.');

        imap_utf7_encode(span_head(level, at), out);
        if (at == level.len)
            return;
        buf_add(out, dot);
        level = span_from(level, at + 1);
    }
}

void names_encode(struct span name, struct buf *out)
{
    for (;;) {
        size_t at = span_index(name, '/');

        encode_level(span_head(name, at), out);
        if (at == name.len)
            return;
        buf_add(out, SPAN("."));
        name = span_from(name, at + 1);
    }
}

static bool decode_level(struct span level, struct buf *out)
{
    for (;;) {
        const char *found = level.len > 0 ? memmem(level.ptr, level.len, dot.ptr, dot.len) : NULL;
        size_t at = found != NULL ? (size_t)(found - level.ptr) : level.len;

        if (!imap_utf7_decode(span_head(level, at), out))
            return false;
        if (found == NULL)
            return true;
        buf_add(out, SPAN("."));
        level = span_from(level, at + dot.len);
    }
}

static bool decode_levels(struct span file, struct buf *out)
{
    for (;;) {
        size_t at = span_index(file, '.');

        if (!decode_level(span_head(file, at), out))
            return false;
        if (at == file.len)
            return true;
        buf_add(out, SPAN("/"));
        file = span_from(file, at + 1);
    }
}

bool names_decode(struct span file, struct buf *out)
{
    size_t before = buf_len(out);

    if (!decode_levels(file, out)) {
        buf_truncate(out, before);
        for (size_t i = 0; i < file.len; i++)
            buf_add(out, file.ptr[i] == '.' ? SPAN("/") : span_of(file.ptr + i, 1));
    }
    return mailstore_name_is_valid(span_from(buf_span(out), before));
}

/* ---- flags -------------------------------------------------------------------------------- */

static const struct {
    char letter;
    uint32_t flag;
} letters[] = {
    /* in the order in which they have to stand */
    {'D', MAILSTORE_DRAFT},    {'F', MAILSTORE_FLAGGED}, {'P', 0},
    {'R', MAILSTORE_ANSWERED}, {'S', MAILSTORE_SEEN},    {'T', MAILSTORE_DELETED},
};

enum { LETTERS = sizeof letters / sizeof letters[0] };

void names_write_flags(uint32_t flags, bool is_forwarded, uint32_t keywords, struct buf *out)
{
    buf_add(out, SPAN(":2,"));
    for (size_t i = 0; i < LETTERS; i++)
        if ((flags & letters[i].flag) != 0 || (letters[i].letter == 'P' && is_forwarded))
            buf_add(out, span_of(&letters[i].letter, 1));
    for (unsigned i = 0; i < NAMES_KEYWORDS_MAX; i++)
        if ((keywords & 1u << i) != 0)
            buf_addf(out, "%c", 'a' + (int)i);
}

void names_read_flags(struct span file, uint32_t *flags_out, bool *is_forwarded_out,
                      uint32_t *keywords_out)
{
    size_t at = span_rindex(file, ':');
    struct span info = span_from(file, at);

    *flags_out = *keywords_out = 0;
    *is_forwarded_out = false;
    if (!span_starts_nocase(info, SPAN(":2,")))
        return;
    for (size_t k = 3; k < info.len; k++) {
        char letter = info.ptr[k];

        if (letter >= 'a' && letter <= 'z')
            *keywords_out |= 1u << (letter - 'a');
        if (letter == 'P')
            *is_forwarded_out = true;
        for (size_t i = 0; i < LETTERS; i++)
            if (letters[i].letter == letter)
                *flags_out |= letters[i].flag;
    }
}
