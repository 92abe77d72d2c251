#include "base/record.h"

#include "base/hash.h"

/* ---- writing ---------------------------------------------------------------------------- */

void record_put_text(struct record_writer *w, struct span text, size_t most)
{
    text = span_head(text, most);
    record_put16(w, (unsigned)text.len);
    record_put_bytes(w, text.ptr, text.len);
}

struct record_writer record_begin(char *room, unsigned version)
{
    struct record_writer w = {.room = room};

    record_put8(&w, version);
    return w;
}

size_t record_seal(struct record_writer *w, uint64_t seed)
{
    record_put64(w, w->room ? hash64(span_of(w->room, w->len), seed) : 0);
    return w->len;
}

/* ---- reading ---------------------------------------------------------------------------- */

static const char *take(struct record_reader *r, size_t len)
{
    if (r->bad || r->rest.len < len) {
        r->bad = true;
        return NULL;
    }
    const char *at = r->rest.ptr;
    r->rest = span_from(r->rest, len);
    return at;
}

unsigned record_get8(struct record_reader *r)
{
    const char *at = take(r, 1);

    return at ? (unsigned char)*at : 0;
}

uint16_t record_get16(struct record_reader *r)
{
    unsigned high = record_get8(r);

    return (uint16_t)(high << 8 | record_get8(r));
}

uint32_t record_get32(struct record_reader *r)
{
    const char *at = take(r, sizeof(uint32_t));

    return at ? wire_get32(at) : 0;
}

uint64_t record_get64(struct record_reader *r)
{
    const char *at = take(r, sizeof(uint64_t));

    return at ? wire_get64(at) : 0;
}

struct span record_get_text(struct record_reader *r, size_t most)
{
    size_t len = record_get16(r);

    if (len > most)
        r->bad = true;
    const char *at = take(r, len);
    return at ? span_of(at, len) : SPAN_NONE;
}

unsigned record_get_at_most(struct record_reader *r, unsigned most)
{
    unsigned value = record_get8(r);

    if (value > most)
        r->bad = true;
    return value;
}

struct record_reader record_open(struct span record, unsigned version, uint64_t seed)
{
    struct record_reader r = {.bad = true};

    if (record.len < 1 + RECORD_CHECKSUM)
        return r;
    size_t len = record.len - RECORD_CHECKSUM;
    if (wire_get64(record.ptr + len) != hash64(span_head(record, len), seed))
        return r;
    r = (struct record_reader){.rest = span_head(record, len)};
    if (record_get8(&r) != version)
        r.bad = true;
    return r;
}

struct err record_close(const struct record_reader *r, const char *where)
{
    return r->bad || r->rest.len > 0 ? err_make(ERR_CORRUPT, where) : ERR_OK;
}
