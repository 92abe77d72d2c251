#include "queue/codec.h"

#include "queue/keys.h"

#include <xxhash.h>

enum { RECORD_VERSION = 2 };

/* Any odd constant spreads the parts of a key over the seed. */
static uint64_t seed_of(uint64_t id, uint32_t part)
{
    return id + (uint64_t)part * 0x9e3779b97f4a7c15u;
}

uint64_t codec_destination_number(uint64_t seed, struct span key)
{
    return XXH3_64bits_withSeed(key.ptr, key.len, seed);
}

/* ---- writing ---------------------------------------------------------------------------- */

struct writer {
    char *room; /* NULL = measure only */
    size_t len;
};

static void put_bytes(struct writer *w, const void *bytes, size_t len)
{
    if (w->room != NULL && len > 0)
        memcpy(w->room + w->len, bytes, len);
    w->len += len;
}

static void put8(struct writer *w, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    put_bytes(w, &byte, 1);
}

static void put16(struct writer *w, unsigned value)
{
    put8(w, value >> 8 & 0xff);
    put8(w, value & 0xff);
}

static void put32(struct writer *w, uint32_t value)
{
    char bytes[sizeof value];

    wire_put32(bytes, value);
    put_bytes(w, bytes, sizeof bytes);
}

static void put64(struct writer *w, uint64_t value)
{
    char bytes[sizeof value];

    wire_put64(bytes, value);
    put_bytes(w, bytes, sizeof bytes);
}

static void put_text(struct writer *w, struct span text, size_t most)
{
    text = span_head(text, most);
    put16(w, (unsigned)text.len);
    put_bytes(w, text.ptr, text.len);
}

enum { STATUS_SAID = 0x80 }; /* shares a byte with the scope */

static void put_status(struct writer *w, const struct status *status)
{
    put16(w, status->code);
    if (status->code == 0)
        return;
    put8(w, status->enhanced.klass);
    put16(w, status->enhanced.subject);
    put16(w, status->enhanced.detail);
    put8(w, (unsigned)status->scope | (status->said ? STATUS_SAID : 0));
    put_text(w, status->text, CODEC_STATUS_TEXT_MAX);
    put_text(w, status->by, CODEC_STATUS_BY_MAX);
}

static struct writer open_record(char *room)
{
    struct writer w = {.room = room};

    put8(&w, RECORD_VERSION);
    return w;
}

static size_t seal_record(struct writer *w, uint64_t seed)
{
    put64(w, w->room ? XXH3_64bits_withSeed(w->room, w->len, seed) : 0);
    return w->len;
}

/* ---- reading ---------------------------------------------------------------------------- */

/* After the first read past the end everything reads as zero and `bad` stays set, so that callers
 * need to look only once. */
struct reader {
    struct span rest;
    bool bad;
};

static const char *take(struct reader *r, size_t len)
{
    if (r->bad || r->rest.len < len) {
        r->bad = true;
        return NULL;
    }
    const char *at = r->rest.ptr;
    r->rest = span_from(r->rest, len);
    return at;
}

static unsigned get8(struct reader *r)
{
    const char *at = take(r, 1);

    return at ? (unsigned char)*at : 0;
}

static uint16_t get16(struct reader *r)
{
    unsigned high = get8(r);

    return (uint16_t)(high << 8 | get8(r));
}

static uint32_t get32(struct reader *r)
{
    const char *at = take(r, sizeof(uint32_t));

    return at ? wire_get32(at) : 0;
}

static uint64_t get64(struct reader *r)
{
    const char *at = take(r, sizeof(uint64_t));

    return at ? wire_get64(at) : 0;
}

static struct span get_text(struct reader *r, size_t most)
{
    size_t len = get16(r);

    if (len > most)
        r->bad = true;
    const char *at = take(r, len);
    return at ? span_of(at, len) : SPAN_NONE;
}

static unsigned get_at_most(struct reader *r, unsigned most)
{
    unsigned value = get8(r);

    if (value > most)
        r->bad = true;
    return value;
}

static struct status get_status(struct reader *r)
{
    struct status status = {.code = get16(r)};

    if (status.code == 0)
        return status;
    status.enhanced.klass = (uint8_t)get8(r);
    status.enhanced.subject = get16(r);
    status.enhanced.detail = get16(r);
    unsigned scope = get8(r);
    status.said = (scope & STATUS_SAID) != 0;
    status.scope = scope & ~(unsigned)STATUS_SAID;
    if (status.scope > STATUS_SCOPE_SESSION)
        r->bad = true;
    status.text = get_text(r, CODEC_STATUS_TEXT_MAX);
    status.by = get_text(r, CODEC_STATUS_BY_MAX);
    return status;
}

static struct reader open_sealed(struct span record, uint64_t seed)
{
    struct reader r = {.bad = true};

    if (record.len < 1 + CODEC_CHECKSUM)
        return r;
    size_t len = record.len - CODEC_CHECKSUM;
    if (wire_get64(record.ptr + len) != XXH3_64bits_withSeed(record.ptr, len, seed))
        return r;
    r = (struct reader){.rest = span_head(record, len)};
    if (get8(&r) != RECORD_VERSION)
        r.bad = true;
    return r;
}

static struct err close_sealed(const struct reader *r, const char *where)
{
    return r->bad || r->rest.len > 0 ? err_make(ERR_CORRUPT, where) : ERR_OK;
}

/* ---- meta ------------------------------------------------------------------------------- */

size_t codec_write_meta(const struct codec_meta *meta, char *room)
{
    struct writer w = open_record(room);

    put32(&w, meta->format);
    put64(&w, meta->seed);
    put64(&w, meta->ids_used);
    return seal_record(&w, 0);
}

struct err codec_read_meta(struct span record, struct codec_meta *out)
{
    struct reader r = open_sealed(record, 0);

    out->format = get32(&r);
    out->seed = get64(&r);
    out->ids_used = get64(&r);
    return close_sealed(&r, "meta record");
}

/* ---- message ---------------------------------------------------------------------------- */

size_t codec_write_message(const struct queue_message *m, char *room)
{
    struct writer w = open_record(room);

    put64(&w, m->arrival);
    put32(&w, m->flags);
    put64(&w, m->size);
    put32(&w, m->chunk_count);
    put8(&w, m->ret);
    put_text(&w, m->envelope_id, ESMTP_ENVID_MAX);
    put8(&w, (unsigned)(m->priority + ESMTP_PRIORITY_MAX));
    put64(&w, m->release);
    put8(&w, m->by);
    put64(&w, m->deliver_by);
    put_text(&w, m->auth, ESMTP_AUTH_MAX);
    put_text(&w, m->reverse_path, CODEC_TEXT_MAX);
    put_text(&w, m->trace, CODEC_TEXT_MAX);
    put_text(&w, m->client, CODEC_TEXT_MAX);
    put_text(&w, m->client_name, CODEC_TEXT_MAX);
    put16(&w, m->client_port);
    put_text(&w, m->protocol, CODEC_TEXT_MAX);
    put_text(&w, m->hello, CODEC_TEXT_MAX);
    put_text(&w, m->tenant, CODEC_TEXT_MAX);
    put_text(&w, m->message_id, CODEC_TEXT_MAX);
    put_text(&w, m->subject, CODEC_TEXT_MAX);
    put_text(&w, m->from, CODEC_TEXT_MAX);
    return seal_record(&w, m->id);
}

struct err codec_read_message(struct span record, uint64_t id, struct queue_message *out)
{
    /* One copy of the whole record is cheaper than one of each text. */
    struct reader r = open_sealed(arena_dup(&out->arena, record), id);

    out->id = id;
    out->arrival = get64(&r);
    out->flags = get32(&r);
    out->size = get64(&r);
    out->chunk_count = get32(&r);
    out->ret = get_at_most(&r, ESMTP_RET_HEADERS);
    out->envelope_id = get_text(&r, ESMTP_ENVID_MAX);
    out->priority = (int)get_at_most(&r, 2 * ESMTP_PRIORITY_MAX) - ESMTP_PRIORITY_MAX;
    out->release = get64(&r);
    out->by = get_at_most(&r, ESMTP_BY_NOTIFY);
    out->deliver_by = get64(&r);
    out->auth = get_text(&r, ESMTP_AUTH_MAX);
    out->reverse_path = get_text(&r, CODEC_TEXT_MAX);
    out->trace = get_text(&r, CODEC_TEXT_MAX);
    out->client = get_text(&r, CODEC_TEXT_MAX);
    out->client_name = get_text(&r, CODEC_TEXT_MAX);
    out->client_port = get16(&r);
    out->protocol = get_text(&r, CODEC_TEXT_MAX);
    out->hello = get_text(&r, CODEC_TEXT_MAX);
    out->tenant = get_text(&r, CODEC_TEXT_MAX);
    out->message_id = get_text(&r, CODEC_TEXT_MAX);
    out->subject = get_text(&r, CODEC_TEXT_MAX);
    out->from = get_text(&r, CODEC_TEXT_MAX);
    return close_sealed(&r, "message record");
}

/* ---- group ------------------------------------------------------------------------------ */

enum { GROUP_WARNED = 1 << 0, GROUP_LATE_TOLD = 1 << 1 };

size_t codec_write_group(uint64_t id, const struct queue_group *group, char *room)
{
    struct writer w = open_record(room);

    put8(&w, group->state);
    put8(&w, (group->delay_warned ? GROUP_WARNED : 0u) | (group->late_told ? GROUP_LATE_TOLD : 0u));
    put32(&w, group->tries);
    put64(&w, group->due);
    put_text(&w, group->destination, CODEC_DESTINATION_MAX);
    put_text(&w, group->next_hop, CODEC_NEXT_HOP_MAX);
    put16(&w, group->recipient_count);
    for (unsigned i = 0; i < group->recipient_count; i++) {
        put32(&w, group->recipients[i].index);
        put_text(&w, group->recipients[i].address, CODEC_ADDRESS_MAX);
        put8(&w, group->recipients[i].notify);
        put_text(&w, group->recipients[i].original, ESMTP_ORCPT_MAX);
        put_status(&w, &group->recipients[i].last);
    }
    return seal_record(&w, seed_of(id, group->number));
}

static void get_recipients(struct reader *r, struct arena *arena, struct queue_group *out)
{
    unsigned count = get16(r);

    if (count == 0 || count > QUEUE_GROUP_MAX)
        r->bad = true;
    if (r->bad)
        return;
    out->recipient_count = count;
    out->recipients = arena_alloc(arena, count * sizeof *out->recipients);
    for (unsigned i = 0; i < count; i++) {
        out->recipients[i].index = get32(r);
        out->recipients[i].address = get_text(r, CODEC_ADDRESS_MAX);
        out->recipients[i].notify = get_at_most(r, ESMTP_NOTIFY_ALL);
        out->recipients[i].original = get_text(r, ESMTP_ORCPT_MAX);
        out->recipients[i].last = get_status(r);
    }
}

struct err codec_read_group(struct span record, uint64_t id, uint32_t number, struct arena *arena,
                            struct queue_group *out)
{
    struct reader r = open_sealed(arena_dup(arena, record), seed_of(id, number));

    *out = (struct queue_group){.number = number, .state = get8(&r)};
    if (out->state < QUEUE_GROUP_WAITING || out->state > QUEUE_GROUP_FUTURE)
        r.bad = true;
    unsigned flags = get_at_most(&r, GROUP_WARNED | GROUP_LATE_TOLD);
    out->delay_warned = flags & GROUP_WARNED;
    out->late_told = flags & GROUP_LATE_TOLD;
    out->tries = get32(&r);
    out->due = get64(&r);
    out->destination = get_text(&r, CODEC_DESTINATION_MAX);
    out->next_hop = get_text(&r, CODEC_NEXT_HOP_MAX);
    get_recipients(&r, arena, out);
    return close_sealed(&r, "group record");
}

/* ---- destination ------------------------------------------------------------------------ */

size_t codec_write_destination(uint64_t number, const struct queue_destination *d, char *room)
{
    struct writer w = open_record(room);

    put_text(&w, d->key, CODEC_DESTINATION_MAX);
    put64(&w, d->until);
    put32(&w, d->failures);
    put_status(&w, &d->status);
    return seal_record(&w, number);
}

struct err codec_read_destination(struct span record, uint64_t number,
                                  struct queue_destination *out)
{
    struct reader r = open_sealed(record, number);

    *out = (struct queue_destination){.key = get_text(&r, CODEC_DESTINATION_MAX)};
    out->until = get64(&r);
    out->failures = get32(&r);
    out->status = get_status(&r);
    return close_sealed(&r, "destination record");
}

/* ---- chunk ------------------------------------------------------------------------------ */

/* The checksum leads, so that the data's length is the record's but for a fixed number. */
void codec_write_chunk(uint64_t id, uint32_t number, struct span data, char *room)
{
    wire_put64(room, XXH3_64bits_withSeed(data.ptr, data.len, seed_of(id, number)));
    memcpy(room + CODEC_CHECKSUM, data.ptr, data.len);
}

struct err codec_read_chunk(struct span record, uint64_t id, uint32_t number, struct span *data_out)
{
    struct span data = span_from(record, CODEC_CHECKSUM);

    *data_out = SPAN_NONE;
    if (record.len <= CODEC_CHECKSUM || data.len > QUEUE_CHUNK)
        return err_make(ERR_CORRUPT, "body chunk's length");
    if (wire_get64(record.ptr) != XXH3_64bits_withSeed(data.ptr, data.len, seed_of(id, number)))
        return err_make(ERR_CORRUPT, "body chunk's checksum");
    *data_out = data;
    return ERR_OK;
}
