/* What is looked up of an address, and hashes of it. */
#include "key.h"

/* Eight bytes at once: of each the top bit says whether it is one of A to Z. */
static uint64_t lower8(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low = bytes & 0x7f * ones;
    uint64_t from_a = low + (0x80 - 'A') * ones;
    uint64_t above_z = low + (0x80 - 'Z' - 1) * ones;
    uint64_t capital = from_a & ~above_z & ~bytes & 0x80 * ones;

    return bytes | capital >> 2;
}

/* Behind what `room` has already. */
static size_t fold_rest(struct smarthop_span written, char *room, size_t len)
{
    size_t i = 0;
    uint64_t word;

    if (len == SIZE_MAX || written.len > KEY_MAX - len)
        return SIZE_MAX;
    for (; i + sizeof word <= written.len; i += sizeof word) {
        memcpy(&word, written.ptr + i, sizeof word);
        word = lower8(word);
        memcpy(room + len + i, &word, sizeof word);
    }
    for (; i < written.len; i++)
        room[len + i] = text_lower(written.ptr[i]);
    return len + written.len;
}

/* The lower case of what a local part says, without its quotes. SIZE_MAX = there is no room. */
static size_t fold_local(struct smarthop_span written, char *room)
{
    size_t len = 0;

    if (written.len < 2 || written.ptr[0] != '"')
        return fold_rest(written, room, 0);
    for (size_t i = 1; i + 1 < written.len; i++) {
        if (written.ptr[i] == '\\' && i + 2 < written.len)
            i++;
        if (len == KEY_MAX)
            return SIZE_MAX;
        room[len++] = text_lower(written.ptr[i]);
    }
    return len;
}

/* "-" at the very begin is no delimiter: there would be nobody. */
static size_t find_extension(struct smarthop_span local, struct smarthop_span delimiters)
{
    if (local.len == 0 || local.ptr[0] == '"')
        return local.len;
    for (size_t i = 1; i < local.len; i++)
        if (text_index(delimiters, local.ptr[i]) < delimiters.len)
            return i;
    return local.len;
}

bool subject_init(struct subject *s, struct smarthop_span local, struct smarthop_span domain,
                  struct smarthop_span delimiters)
{
    size_t local_len = fold_local(local, s->room);
    size_t at = delimiters.len > 0 ? find_extension(local, delimiters) : local.len;
    size_t len = fold_rest(SMARTHOP_TEXT("@"), s->room, local_len);

    len = fold_rest(domain, s->room, len);
    if (len == SIZE_MAX)
        return false;
    s->address = smarthop_span_of(s->room, len);
    s->local = smarthop_span_of(s->room, local_len);
    s->catchall = text_from(s->address, local_len);
    s->domain = text_from(s->catchall, 1);
    s->extension = text_from(local, at);
    s->base = s->base_local = smarthop_span_of(s->base_room, 0);
    if (at == local.len)
        return true;
    memcpy(s->base_room, s->room, at);
    memcpy(s->base_room + at, s->catchall.ptr, s->catchall.len);
    s->base = smarthop_span_of(s->base_room, at + s->catchall.len);
    s->base_local = smarthop_span_of(s->base_room, at);
    return true;
}

bool subject_parse(struct subject *s, struct smarthop_span mailbox, struct smarthop_span delimiters)
{
    size_t at = text_rindex(mailbox, '@');

    return at < mailbox.len && at > 0 &&
           subject_init(s, smarthop_span_of(mailbox.ptr, at), text_from(mailbox, at + 1),
                        delimiters);
}

struct smarthop_span key_fold(struct smarthop_span written, char *room)
{
    size_t at = text_rindex(written, '@');
    size_t len = fold_local(smarthop_span_of(written.ptr, at), room);

    len = fold_rest(text_from(written, at), room, len);
    return smarthop_span_of(room, len != SIZE_MAX ? len : 0);
}

/* ---- hashes ------------------------------------------------------------------------------- */

/* Both halves of the product: every bit of either side counts. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load8(const char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint64_t load4(const char *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof value);
    return value;
}

/* What is left is read from both ends, which may overlap: no length but those of registers. */
uint64_t key_hash(struct smarthop_span key)
{
    static const uint64_t odd[] = {0x9e3779b97f4a7c15u, 0xd1b54a32d192ed03u, 0x8cb92ba72f3d8dd7u};
    uint64_t hash = key.len * odd[2];
    const char *at = key.ptr;
    const char *end = key.ptr + key.len;
    uint64_t first = 0;
    uint64_t last = 0;

    for (; end - at > 16; at += 16)
        hash = mix(load8(at) ^ odd[0], load8(at + 8) ^ hash ^ odd[1]);
    if (end - at >= 8) {
        first = load8(at);
        last = load8(end - 8);
    } else if (end - at >= 4) {
        first = load4(at);
        last = load4(end - 4);
    } else if (end > at) {
        first = (unsigned char)at[0] | (uint64_t)(unsigned char)at[(end - at) / 2] << 8;
        last = (unsigned char)end[-1];
    }
    hash = mix(first ^ odd[0], last ^ hash ^ odd[1]);
    return mix(hash ^ odd[2], odd[0]);
}
