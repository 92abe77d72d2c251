/*
 * mime_rig: a message through the scanner in one of the ways of support/split.h, and its tree as
 * text: a line a part, indented by depth, its header and its body with '$' for CRLF.
 */
#ifndef SMARTHOP_TESTS_SUPPORT_MIME_RIG_H
#define SMARTHOP_TESTS_SUPPORT_MIME_RIG_H

#include "base/buf.h"
#include "plugins/drop/mime/mime.h"
#include "support/split.h"

static inline struct mime_part *mime_rig_scan(struct span message, size_t way, struct arena *arena)
{
    struct mime_scanner *scanner = mime_scanner_create(arena);

    for (size_t at = 0, len; at < message.len; at += len) {
        len = split_piece(way, message.len, at);
        mime_scanner_feed(scanner, span_of(message.ptr + at, len));
    }
    struct mime_part *root = mime_scanner_end(scanner);
    mime_scanner_free(scanner);
    return root;
}

/* Returns the line ends in it. */
static inline uint64_t mime_rig_text(struct span text, struct buf *out)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n') {
            buf_add(out, SPAN("$"));
            i++;
            lines++;
        } else {
            buf_add(out, span_of(text.ptr + i, 1));
        }
    return lines;
}

static inline void mime_rig_dump(const struct mime_part *part, struct span message, unsigned depth,
                                 struct buf *out)
{
    for (; part != NULL; part = part->next) {
        for (unsigned i = 0; i < depth; i++)
            buf_add(out, SPAN(" "));
        buf_addf(out, "%.*s/%.*s [", SPAN_ARG(part->type), SPAN_ARG(part->subtype));
        mime_rig_text(span_of(message.ptr + part->header_at, part->header_len), out);
        buf_add(out, SPAN("] ["));
        uint64_t lines = mime_rig_text(span_of(message.ptr + part->body_at, part->body_len), out);
        buf_addf(out, "]%s%s\n", part->has_nul ? " NUL" : "",
                 lines == part->lines ? "" : " and other lines");
        mime_rig_dump(part->child, message, depth + 1, out);
    }
}

#endif
