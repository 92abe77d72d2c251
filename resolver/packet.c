#include "packet.h"

#include <ares.h>

enum { HEADER_SIZE = 12, QUESTION_FIXED = 4, RECORD_FIXED = 10, CLASS_IN = 1, SOA_FIXED = 20 };
/* ares_expand_name takes int lengths; no DNS message is longer. */
enum { MESSAGE_MAX = 65535 };

static const unsigned char *byte_at(const struct packet *packet, size_t at)
{
    return (const unsigned char *)packet->bytes.ptr + at;
}

static uint16_t get16(const struct packet *packet, size_t at)
{
    const unsigned char *p = byte_at(packet, at);

    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const struct packet *packet, size_t at)
{
    return (uint32_t)get16(packet, at) << 16 | get16(packet, at + 2);
}

/* Reads the name at *at, which must end at or before `end`, and moves behind it. */
static bool take_name(const struct packet *packet, size_t *at, size_t end, char *name_out)
{
    char *text;
    long used;

    if (*at >= end || ares_expand_name(byte_at(packet, *at), byte_at(packet, 0),
                                       (int)packet->bytes.len, &text, &used) != ARES_SUCCESS)
        return false;
    size_t size = strlen(text) + 1;
    bool fits = size <= PACKET_NAME_SIZE && (size_t)used <= end - *at;
    if (fits) {
        memcpy(name_out, text, size);
        *at += (size_t)used;
    }
    ares_free_string(text);
    return fits;
}

bool packet_open(struct packet *packet, struct span bytes)
{
    char name[PACKET_NAME_SIZE];

    *packet = (struct packet){.bytes = bytes};
    if (bytes.len < HEADER_SIZE || bytes.len > MESSAGE_MAX)
        return false;
    packet->truncated = (*byte_at(packet, 2) & 0x02) != 0;
    packet->rcode = *byte_at(packet, 3) & 0x0f;
    packet->answers = get16(packet, 6);
    packet->authorities = get16(packet, 8);
    size_t at = HEADER_SIZE;
    for (unsigned left = get16(packet, 4); left > 0; left--) {
        if (!take_name(packet, &at, bytes.len, name) || bytes.len - at < QUESTION_FIXED)
            return false;
        at += QUESTION_FIXED;
    }
    packet->records_at = at;
    packet_rewind(packet);
    return true;
}

void packet_rewind(struct packet *packet)
{
    packet->at = packet->records_at;
    packet->done = 0;
}

static bool take_soa(const struct packet *packet, size_t at, size_t end,
                     struct packet_record *record)
{
    char name[PACKET_NAME_SIZE];

    if (!take_name(packet, &at, end, name) || !take_name(packet, &at, end, name) ||
        end - at != SOA_FIXED)
        return false;
    uint32_t minimum = get32(packet, end - 4);
    if (minimum < record->ttl)
        record->ttl = minimum;
    return true;
}

/* RFC 1035 section 3.3.14: strings with a byte of length before each. */
static bool take_text(const struct packet *packet, size_t at, size_t end,
                      struct packet_record *record)
{
    record->text_len = 0;
    if (at == end)
        return false;
    while (at < end) {
        size_t size = *byte_at(packet, at++);
        size_t room = PACKET_TEXT_MAX - record->text_len;
        if (size > end - at)
            return false;
        size_t kept = size < room ? size : room;
        memcpy(record->text + record->text_len, byte_at(packet, at), kept);
        record->text_len += kept;
        at += size;
    }
    return true;
}

static bool take_data(const struct packet *packet, size_t at, size_t end,
                      struct packet_record *record)
{
    size_t size = end - at;

    switch (record->type) {
    case PACKET_A:
        if (size != sizeof record->in4)
            return false;
        memcpy(&record->in4, byte_at(packet, at), size);
        return true;
    case PACKET_AAAA:
        if (size != sizeof record->in6)
            return false;
        memcpy(&record->in6, byte_at(packet, at), size);
        return true;
    case PACKET_CNAME:
    case PACKET_PTR:
        return take_name(packet, &at, end, record->target) && at == end;
    case PACKET_MX:
        if (size < 2)
            return false;
        record->preference = get16(packet, at);
        at += 2;
        return take_name(packet, &at, end, record->target) && at == end;
    case PACKET_TXT:
        return take_text(packet, at, end, record);
    case PACKET_SOA:
        return take_soa(packet, at, end, record);
    case PACKET_NS:
        return true;
    default:
        record->type = PACKET_OTHER;
        return true;
    }
}

enum packet_step packet_next(struct packet *packet, struct packet_record *record_out)
{
    size_t size = packet->bytes.len;
    size_t at = packet->at;

    if (packet->done == packet->answers + packet->authorities || packet->done == PACKET_RECORDS_MAX)
        return PACKET_END;
    if (!take_name(packet, &at, size, record_out->owner) || size - at < RECORD_FIXED)
        return PACKET_BAD;
    record_out->is_authority = packet->done >= packet->answers;
    record_out->type =
        get16(packet, at + 2) == CLASS_IN ? (enum packet_type)get16(packet, at) : PACKET_OTHER;
    record_out->ttl = get32(packet, at + 4);
    if (record_out->ttl > INT32_MAX)
        record_out->ttl = 0; /* RFC 2181 section 8 */
    size_t data_size = get16(packet, at + 8);
    at += RECORD_FIXED;
    if (size - at < data_size || !take_data(packet, at, at + data_size, record_out))
        return PACKET_BAD;
    packet->at = at + data_size;
    packet->done++;
    return PACKET_RECORD;
}
