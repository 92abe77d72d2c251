#include "queue/codec.h"

#include "base/hash.h"
#include "base/record.h"
#include "queue/keys.h"

/* That of meta stays, since it tells which the others have. */
enum { RECORD_VERSION = 5, META_VERSION = 2 };

/* Any odd constant spreads the parts of a key over the seed. */

uint64_t codec_destination_number(uint64_t seed, struct span key)
{
    return hash64(key, seed);
}

/* ---- status ----------------------------------------------------------------------------- */

enum { STATUS_SAID = 0x80 }; /* shares a byte with the scope */

static void put_status(struct record_writer *w, const struct status *status)
{
    record_put16(w, status->code);
    if (status->code == 0)
        return;
    record_put8(w, status->enhanced.klass);
    record_put16(w, status->enhanced.subject);
    record_put16(w, status->enhanced.detail);
    record_put8(w, (unsigned)status->scope | (status->said ? STATUS_SAID : 0));
    record_put_text(w, status->text, CODEC_STATUS_TEXT_MAX);
    record_put_text(w, status->by, CODEC_STATUS_BY_MAX);
}

static struct status get_status(struct record_reader *r)
{
    struct status status = {.code = record_get16(r)};

    if (status.code == 0)
        return status;
    status.enhanced.klass = (uint8_t)record_get8(r);
    status.enhanced.subject = record_get16(r);
    status.enhanced.detail = record_get16(r);
    unsigned scope = record_get8(r);
    status.said = (scope & STATUS_SAID) != 0;
    status.scope = scope & ~(unsigned)STATUS_SAID;
    if (status.scope > STATUS_SCOPE_SESSION)
        r->bad = true;
    status.text = record_get_text(r, CODEC_STATUS_TEXT_MAX);
    status.by = record_get_text(r, CODEC_STATUS_BY_MAX);
    return status;
}

/* ---- meta ------------------------------------------------------------------------------- */

size_t codec_write_meta(const struct codec_meta *meta, char *room)
{
    struct record_writer w = record_begin(room, META_VERSION);

    record_put32(&w, meta->format);
    record_put64(&w, meta->seed);
    record_put64(&w, meta->ids_used);
    return record_seal(&w, 0);
}

struct err codec_read_meta(struct span record, struct codec_meta *out)
{
    struct record_reader r = record_open(record, META_VERSION, 0);

    out->format = record_get32(&r);
    out->seed = record_get64(&r);
    out->ids_used = record_get64(&r);
    return record_close(&r, "meta record");
}

/* ---- message ---------------------------------------------------------------------------- */

size_t codec_write_message(const struct queue_message *m, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put64(&w, m->arrival);
    record_put32(&w, m->flags);
    record_put64(&w, m->size);
    record_put32(&w, m->chunk_count);
    record_put8(&w, m->ret);
    record_put_text(&w, m->envelope_id, ESMTP_ENVID_MAX);
    record_put8(&w, (unsigned)(m->priority + ESMTP_PRIORITY_MAX));
    record_put64(&w, m->release);
    record_put8(&w, m->by);
    record_put64(&w, m->deliver_by);
    record_put_text(&w, m->auth, ESMTP_AUTH_MAX);
    record_put_text(&w, m->reverse_path, CODEC_TEXT_MAX);
    record_put_text(&w, m->trace, CODEC_TEXT_MAX);
    record_put_text(&w, m->client, CODEC_TEXT_MAX);
    record_put_text(&w, m->client_name, CODEC_TEXT_MAX);
    record_put16(&w, m->client_port);
    record_put_text(&w, m->protocol, CODEC_TEXT_MAX);
    record_put_text(&w, m->hello, CODEC_TEXT_MAX);
    record_put_text(&w, m->tenant, CODEC_TEXT_MAX);
    record_put_text(&w, m->tags, CODEC_TAGS_MAX);
    record_put_text(&w, m->message_id, CODEC_TEXT_MAX);
    record_put_text(&w, m->subject, CODEC_TEXT_MAX);
    record_put_text(&w, m->from, CODEC_TEXT_MAX);
    return record_seal(&w, m->id);
}

struct err codec_read_message(struct span record, uint64_t id, struct queue_message *out)
{
    /* One copy of the whole record is cheaper than one of each text. */
    struct record_reader r = record_open(arena_dup(&out->arena, record), RECORD_VERSION, id);

    out->id = id;
    out->arrival = record_get64(&r);
    out->flags = record_get32(&r);
    out->size = record_get64(&r);
    out->chunk_count = record_get32(&r);
    out->ret = record_get_at_most(&r, ESMTP_RET_HEADERS);
    out->envelope_id = record_get_text(&r, ESMTP_ENVID_MAX);
    out->priority = (int)record_get_at_most(&r, 2 * ESMTP_PRIORITY_MAX) - ESMTP_PRIORITY_MAX;
    out->release = record_get64(&r);
    out->by = record_get_at_most(&r, ESMTP_BY_NOTIFY);
    out->deliver_by = record_get64(&r);
    out->auth = record_get_text(&r, ESMTP_AUTH_MAX);
    out->reverse_path = record_get_text(&r, CODEC_TEXT_MAX);
    out->trace = record_get_text(&r, CODEC_TEXT_MAX);
    out->client = record_get_text(&r, CODEC_TEXT_MAX);
    out->client_name = record_get_text(&r, CODEC_TEXT_MAX);
    out->client_port = record_get16(&r);
    out->protocol = record_get_text(&r, CODEC_TEXT_MAX);
    out->hello = record_get_text(&r, CODEC_TEXT_MAX);
    out->tenant = record_get_text(&r, CODEC_TEXT_MAX);
    out->tags = record_get_text(&r, CODEC_TAGS_MAX);
    out->message_id = record_get_text(&r, CODEC_TEXT_MAX);
    out->subject = record_get_text(&r, CODEC_TEXT_MAX);
    out->from = record_get_text(&r, CODEC_TEXT_MAX);
    return record_close(&r, "message record");
}

/* ---- group ------------------------------------------------------------------------------ */

enum { GROUP_WARNED = 1 << 0, GROUP_LATE_TOLD = 1 << 1, GROUP_SENDER = 1 << 2 };

size_t codec_write_group(uint64_t id, const struct queue_group *group, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put8(&w, group->state);
    record_put8(&w, (group->delay_warned ? GROUP_WARNED : 0u) |
                        (group->late_told ? GROUP_LATE_TOLD : 0u) |
                        (group->has_sender ? GROUP_SENDER : 0u));
    record_put32(&w, group->tries);
    record_put64(&w, group->due);
    record_put_text(&w, group->destination, CODEC_DESTINATION_MAX);
    record_put_text(&w, group->next_hop, CODEC_NEXT_HOP_MAX);
    record_put_text(&w, group->reverse_path, CODEC_ADDRESS_MAX);
    record_put_text(&w, group->routed_by, CODEC_REASON_MAX);
    record_put_text(&w, group->wishes, CODEC_WISHES_MAX);
    record_put16(&w, group->recipient_count);
    for (unsigned i = 0; i < group->recipient_count; i++) {
        record_put32(&w, group->recipients[i].index);
        record_put_text(&w, group->recipients[i].address, CODEC_ADDRESS_MAX);
        record_put8(&w, group->recipients[i].notify);
        record_put_text(&w, group->recipients[i].original, ESMTP_ORCPT_MAX);
        put_status(&w, &group->recipients[i].last);
    }
    return record_seal(&w, record_seed(id, group->number));
}

static void get_recipients(struct record_reader *r, struct arena *arena, struct queue_group *out)
{
    unsigned count = record_get16(r);

    if (count == 0 || count > QUEUE_GROUP_MAX)
        r->bad = true;
    if (r->bad)
        return;
    out->recipient_count = count;
    out->recipients = arena_alloc(arena, count * sizeof *out->recipients);
    for (unsigned i = 0; i < count; i++) {
        out->recipients[i].index = record_get32(r);
        out->recipients[i].address = record_get_text(r, CODEC_ADDRESS_MAX);
        out->recipients[i].notify = record_get_at_most(r, ESMTP_NOTIFY_ALL);
        out->recipients[i].original = record_get_text(r, ESMTP_ORCPT_MAX);
        out->recipients[i].last = get_status(r);
    }
}

struct err codec_read_group(struct span record, uint64_t id, uint32_t number, struct arena *arena,
                            struct queue_group *out)
{
    struct record_reader r =
        record_open(arena_dup(arena, record), RECORD_VERSION, record_seed(id, number));

    *out = (struct queue_group){.number = number, .state = record_get8(&r)};
    if (out->state < QUEUE_GROUP_WAITING || out->state > QUEUE_GROUP_FUTURE)
        r.bad = true;
    unsigned flags = record_get_at_most(&r, GROUP_WARNED | GROUP_LATE_TOLD | GROUP_SENDER);
    out->delay_warned = flags & GROUP_WARNED;
    out->late_told = flags & GROUP_LATE_TOLD;
    out->has_sender = flags & GROUP_SENDER;
    out->tries = record_get32(&r);
    out->due = record_get64(&r);
    out->destination = record_get_text(&r, CODEC_DESTINATION_MAX);
    out->next_hop = record_get_text(&r, CODEC_NEXT_HOP_MAX);
    out->reverse_path = record_get_text(&r, CODEC_ADDRESS_MAX);
    out->routed_by = record_get_text(&r, CODEC_REASON_MAX);
    out->wishes = record_get_text(&r, CODEC_WISHES_MAX);
    get_recipients(&r, arena, out);
    return record_close(&r, "group record");
}

/* ---- destination ------------------------------------------------------------------------ */

size_t codec_write_destination(uint64_t number, const struct queue_destination *d, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put_text(&w, d->key, CODEC_DESTINATION_MAX);
    record_put64(&w, d->until);
    record_put32(&w, d->failures);
    put_status(&w, &d->status);
    return record_seal(&w, number);
}

struct err codec_read_destination(struct span record, uint64_t number,
                                  struct queue_destination *out)
{
    struct record_reader r = record_open(record, RECORD_VERSION, number);

    *out = (struct queue_destination){.key = record_get_text(&r, CODEC_DESTINATION_MAX)};
    out->until = record_get64(&r);
    out->failures = record_get32(&r);
    out->status = get_status(&r);
    return record_close(&r, "destination record");
}

/* ---- suspension ------------------------------------------------------------------------- */

size_t codec_write_suspension(const struct queue_suspension *suspension, char *room)
{
    struct record_writer w = record_begin(room, RECORD_VERSION);

    record_put64(&w, suspension->since);
    record_put64(&w, suspension->until);
    record_put_text(&w, suspension->reason, CODEC_REASON_MAX);
    return record_seal(&w, hash64(suspension->pattern, 0));
}

struct err codec_read_suspension(struct span record, struct span pattern,
                                 struct queue_suspension *out)
{
    struct record_reader r = record_open(record, RECORD_VERSION, hash64(pattern, 0));

    *out = (struct queue_suspension){.pattern = pattern, .since = record_get64(&r)};
    out->until = record_get64(&r);
    out->reason = record_get_text(&r, CODEC_REASON_MAX);
    return record_close(&r, "suspension record");
}

/* ---- chunk ------------------------------------------------------------------------------ */

/* The checksum leads, so that the data's length is the record's but for a fixed number. */

struct err codec_read_chunk(struct span record, uint64_t id, uint32_t number, struct span *data_out)
{
    *data_out = SPAN_NONE;
    if (record.len <= CHUNK_CHECKSUM || record.len > CHUNK_SIZE)
        return err_make(ERR_CORRUPT, "body chunk's length");
    return chunk_read(record, id, number, data_out);
}
