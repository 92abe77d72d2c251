/* The base subject (RFC 5256 2.1): what is left of a subject without the marks of replies. */
#include "plugins/drop/mime/text.h"

struct subject {
    struct span text; /* decoded, folded, blanks joined */
    bool is_reply;    /* or a forward */
};

/* (1) Blanks are joined; those around do not matter, as all that follows takes them away. */
static void join_blanks(struct span text, struct buf *out)
{
    bool is_apart = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            is_apart = buf_len(out) > 0;
            continue;
        }
        if (is_apart)
            buf_add(out, SPAN(" "));
        is_apart = false;
        buf_add(out, span_of(&c, 1));
    }
}

static bool starts(struct span text, struct span prefix)
{
    return span_equal(span_head(text, prefix.len), prefix);
}

static bool ends(struct span text, struct span suffix)
{
    return text.len >= suffix.len && span_equal(span_from(text, text.len - suffix.len), suffix);
}

/* (2) */
static void strip_trailers(struct subject *s)
{
    for (;;) {
        s->text = span_trim(s->text);
        if (!ends(s->text, SPAN("(fwd)")))
            return;
        s->text.len -= 5;
        s->is_reply = true;
    }
}

/* subj-blob: "[...] ", of which there is none within another; 0 = here is none. */
static size_t blob_len(struct span text)
{
    size_t len = 1;

    if (text.len == 0 || text.ptr[0] != '[')
        return 0;
    while (len < text.len && text.ptr[len] != '[' && text.ptr[len] != ']')
        len++;
    if (len == text.len || text.ptr[len] != ']')
        return 0;
    for (len++; len < text.len && text.ptr[len] == ' ';)
        len++;
    return len;
}

/* subj-refwd: "re:", "fw [x]:", "fwd:"; 0 = here is none. */
static size_t mark_len(struct span text)
{
    size_t len = starts(text, SPAN("re")) ? 2 : starts(text, SPAN("fwd")) ? 3 : 2;

    if (!starts(text, SPAN("re")) && !starts(text, SPAN("fw")))
        return 0;
    while (len < text.len && text.ptr[len] == ' ')
        len++;
    len += blob_len(span_from(text, len));
    return len < text.len && text.ptr[len] == ':' ? len + 1 : 0;
}

/* (3), (4), (5): marks with the blobs before them; then blobs, if they are not all there is. */
static void strip_leaders(struct subject *s)
{
    for (;;) {
        size_t blobs = 0, last = 0, mark;
        for (size_t len; (len = blob_len(span_from(s->text, blobs))) > 0; blobs += len)
            last = blobs;
        mark = mark_len(span_from(s->text, blobs));
        if (mark == 0) {
            s->text = span_from(s->text, blobs < s->text.len ? blobs : last);
            return;
        }
        s->text = span_trim(span_from(s->text, blobs + mark));
        s->is_reply = true;
    }
}

bool text_base_subject(struct span subject, struct buf *out)
{
    struct buf decoded, joined, folded;
    struct subject s = {.is_reply = false};

    buf_init(&decoded, 0);
    buf_init(&joined, 0);
    buf_init(&folded, 0);
    text_words(subject, &decoded);
    join_blanks(buf_span(&decoded), &joined);
    text_fold(buf_span(&joined), &folded);
    s.text = buf_span(&folded);
    for (bool is_wrapped = true; is_wrapped;) {
        strip_trailers(&s);
        strip_leaders(&s);
        is_wrapped = starts(s.text, SPAN("[fwd:")) && ends(s.text, SPAN("]")); /* (6) */
        if (is_wrapped) {
            s.text = span_from(span_head(s.text, s.text.len - 1), 5);
            s.is_reply = true;
        }
    }
    buf_add(out, s.text);
    buf_fini(&decoded);
    buf_fini(&joined);
    buf_fini(&folded);
    return s.is_reply;
}
