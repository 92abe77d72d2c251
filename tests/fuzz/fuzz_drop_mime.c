/*
 * A message has the same structure however it comes in, its parts lie within it, and its digest
 * can be opened and read; so can its preview. The first bytes of the input are read as a digest,
 * too.
 */
#include "plugins/drop/mime/preview.h"
#include "proto/utf8.h"
#include "tests/support/fuzz.h"

static struct mime_part *scan(struct span message, uint32_t seed, bool whole, struct arena *arena)
{
    struct mime_scanner *scanner = mime_scanner_create(arena);

    while (message.len > 0) {
        struct span piece =
            span_head(message, whole ? message.len : fuzz_piece(&seed, message.len));
        mime_scanner_feed(scanner, piece);
        message = span_from(message, piece.len);
    }
    struct mime_part *root = mime_scanner_end(scanner);
    mime_scanner_free(scanner);
    return root;
}

static uint64_t count_lines(struct span text)
{
    uint64_t lines = 0;

    for (size_t i = 0; i + 1 < text.len; i++)
        lines += text.ptr[i] == '\r' && text.ptr[i + 1] == '\n';
    return lines;
}

/* A part's bytes are its own, in order, within those of the part around. */
static void check_part(const struct mime_part *part, struct span message)
{
    struct span body = span_head(span_from(message, part->body_at), part->body_len);
    uint64_t from = part->body_at;

    MUST(part->header_at + part->header_len == part->body_at);
    MUST(part->body_at + part->body_len <= message.len);
    MUST(part->lines == count_lines(body));
    MUST(part->has_nul == (span_index(body, '\0') < body.len));
    MUST((part->kind == MIME_LEAF) == (part->child == NULL));
    MUST(part->kind != MIME_MESSAGE || (part->child->next == NULL && part->child->envelope));
    for (const struct mime_part *child = part->child; child != NULL; child = child->next) {
        MUST(child->parent == part && child->header_at >= from);
        from = child->body_at + child->body_len;
        MUST(from <= part->body_at + part->body_len);
        check_part(child, message);
    }
}

static bool is_balanced(struct span list)
{
    size_t depth = 0;

    for (size_t i = 0; i < list.len; i++) {
        char c = list.ptr[i];
        if (c == '"') {
            for (i++; list.ptr[i] != '"'; i++)
                i += list.ptr[i] == '\\';
        } else if (c == '{') {
            uint64_t len;
            struct span number = span_head(span_from(list, i + 1), 20);
            number.len = span_index(number, '}');
            if (!span_parse_u64(number, &len))
                return false;
            i += number.len + 3 + len;
        } else if (c == '(') {
            depth++;
        } else if (c == ')' && depth-- == 0) {
            return false;
        }
        if (depth == 0 && i + 1 < list.len)
            return false;
    }
    return depth == 0;
}

static void read_digest(struct span bytes)
{
    struct digest digest;
    struct digest_part part, within;

    if (!digest_open(bytes, &digest))
        return;
    for (unsigned i = 0; i <= digest.part_count; i++)
        if (digest_part_at(&digest, i, &part))
            MUST(fuzz_is_inside(part.charset, bytes));
    for (uint32_t a = 0; a < 4; a++)
        for (uint32_t b = 0; b < 4; b++)
            for (unsigned depth = 0; depth < 4; depth++)
                digest_find(&digest, (const uint32_t[]){a, b, 1}, depth, &part, &within);
}

static void check_preview(const struct digest *digest, struct span message)
{
    struct digest_part part;
    struct buf out;

    if (!preview_part(digest, &part))
        return;
    buf_init(&out, 0);
    preview_write(&part, span_head(span_from(message, part.body_at), part.body_len), &out);
    MUST(utf8_is_valid(buf_span(&out)) && buf_len(&out) <= UTF8_MAX * PREVIEW_CHARACTERS);
    MUST(span_index(buf_span(&out), '\0') == buf_len(&out));
    buf_fini(&out);
}

static void check_digest(const struct mime_part *root, struct span message, struct buf *out)
{
    struct digest digest;
    struct digest_part part;
    const struct mime_part *last = root;

    digest_write(root, out);
    MUST(digest_open(buf_span(out), &digest));
    MUST(is_balanced(digest.envelope) && is_balanced(digest.body));
    MUST(is_balanced(digest.body_structure));
    MUST(span_index(digest.body_structure, '\0') == digest.body_structure.len);
    MUST(digest_part_at(&digest, 0, &part) && part.body_len == root->body_len);
    for (unsigned i = 0; i < digest.part_count; i++)
        MUST(digest_part_at(&digest, i, &part));
    while (last->child != NULL || last->next != NULL)
        last = last->next != NULL ? last->next : last->child;
    MUST(part.header_at <= last->body_at + last->body_len);
    read_digest(buf_span(out));
    check_preview(&digest, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of((const char *)data, size);
    uint32_t seed = fuzz_seed(&input);
    struct arena arena;
    struct buf whole, pieces;
    int64_t seconds;
    int zone;

    read_digest(input);
    arena_init(&arena);
    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    const struct mime_part *root = scan(input, seed, true, &arena);
    check_part(root, input);
    MUST(root->header_len + root->body_len == input.len);
    check_digest(root, input, &whole);
    digest_write(scan(input, seed, false, &arena), &pieces);
    MUST(span_equal(buf_span(&whole), buf_span(&pieces)));
    mime_addresses(input, &arena);
    mime_date(input, &seconds, &zone);
    buf_fini(&whole);
    buf_fini(&pieces);
    arena_fini(&arena);
    return 0;
}
