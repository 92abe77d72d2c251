/* Opens a digest; no byte of it is trusted. */
#include "base/wire.h"
#include "plugins/drop/mime/digest.h"
#include "plugins/drop/mime/digest_private.h"

static bool take(struct span *rest_inout, uint64_t len, struct span *out)
{
    if (len > rest_inout->len)
        return false;
    *out = span_head(*rest_inout, len);
    *rest_inout = span_from(*rest_inout, len);
    return true;
}

bool digest_open(struct span bytes, struct digest *out)
{
    struct span head;

    *out = (struct digest){0};
    if (!take(&bytes, DIGEST_HEAD, &head) || head.ptr[0] != DIGEST_VERSION)
        return false;
    out->header_len = wire_get64(head.ptr + 17);
    out->part_count = wire_get32(head.ptr + 25);
    return out->part_count >= 1 && out->part_count <= MIME_PARTS_MAX &&
           take(&bytes, wire_get32(head.ptr + 1), &out->envelope) &&
           take(&bytes, wire_get32(head.ptr + 5), &out->body) &&
           take(&bytes, wire_get32(head.ptr + 9), &out->body_structure) &&
           take(&bytes, (uint64_t)out->part_count * DIGEST_PART, &out->parts) &&
           take(&bytes, wire_get32(head.ptr + 13), &out->charsets) && bytes.len == 0;
}

static unsigned byte_at(const char *record, size_t at)
{
    return (unsigned char)record[at];
}

bool digest_part_at(const struct digest *digest, unsigned index, struct digest_part *out)
{
    *out = (struct digest_part){0};
    if (index >= digest->part_count)
        return false;
    const char *record = digest->parts.ptr + (size_t)index * DIGEST_PART;
    unsigned kind = byte_at(record, 0), encoding = byte_at(record, 1), flags = byte_at(record, 2);
    uint32_t charset = wire_get32(record + 28);
    uint64_t body_at = wire_get64(record + 12);
    uint64_t header_at = wire_get64(record + 4);
    uint64_t body_len = wire_get64(record + 20);
    if (kind > MIME_MESSAGE || encoding > MIME_OTHER || flags > DIGEST_FLAGS ||
        byte_at(record, 3) > MIME_DEPTH_MAX || header_at > body_at ||
        body_len > UINT64_MAX - body_at || (charset >> 8) + (charset & 0xff) > digest->charsets.len)
        return false;
    out->kind = (enum mime_kind)kind;
    out->encoding = (enum mime_encoding)encoding;
    out->header_at = header_at;
    out->header_len = body_at - header_at;
    out->body_at = body_at;
    out->body_len = body_len;
    out->is_text = (flags & DIGEST_TEXT) != 0;
    out->is_html = (flags & DIGEST_HTML) != 0;
    out->has_nul = (flags & DIGEST_NUL) != 0;
    out->charset = span_head(span_from(digest->charsets, charset >> 8), charset & 0xff);
    out->depth = byte_at(record, 3);
    out->index = index;
    return true;
}

/* Of `number`, from 1, among those that lie directly in `*part_inout`. */
static bool find_child(const struct digest *digest, uint32_t number, struct digest_part *part_inout)
{
    unsigned depth = part_inout->depth;
    unsigned index = part_inout->index;

    while (digest_part_at(digest, ++index, part_inout) && part_inout->depth > depth)
        if (part_inout->depth == depth + 1 && --number == 0)
            return true;
    return false;
}

bool digest_find(const struct digest *digest, const uint32_t *path, unsigned depth,
                 struct digest_part *out, struct digest_part *within_out)
{
    struct digest_part none = {.kind = MIME_LEAF};
    bool is_found = digest_part_at(digest, 0, out);
    bool is_message = true; /* not a part, but a whole message: the root, or one within a part */

    for (unsigned i = 0; i < depth && is_found; i++) {
        if (!is_message && out->kind == MIME_MESSAGE)
            is_message = find_child(digest, 1, out);
        if (out->kind == MIME_MULTIPART)
            is_found = path[i] > 0 && find_child(digest, path[i], out);
        else
            is_found = is_message && path[i] == 1;
        is_message = false;
    }
    if (within_out != NULL) {
        *within_out = is_found ? *out : none;
        if (!is_found || out->kind != MIME_MESSAGE || !find_child(digest, 1, within_out))
            *within_out = none;
    }
    return is_found;
}
