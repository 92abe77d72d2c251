/* What is looked up of an address, and hashes of it. */
#include "key.h"

/* The lower case of what a local part says, without its quotes. SIZE_MAX = there is no room. */
static size_t fold_local(struct smarthop_span written, char *room)
{
    bool quoted = written.len > 1 && written.ptr[0] == '"';
    size_t end = quoted ? written.len - 1 : written.len;
    size_t len = 0;

    for (size_t i = quoted; i < end; i++) {
        if (quoted && written.ptr[i] == '\\' && i + 1 < end)
            i++;
        if (len == KEY_MAX)
            return SIZE_MAX;
        room[len++] = text_lower(written.ptr[i]);
    }
    return len;
}

static size_t fold_rest(struct smarthop_span written, char *room, size_t len)
{
    if (len == SIZE_MAX || written.len > KEY_MAX - len)
        return SIZE_MAX;
    for (size_t i = 0; i < written.len; i++)
        room[len + i] = text_lower(written.ptr[i]);
    return len + written.len;
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

static uint64_t load(const char *bytes, size_t len)
{
    uint64_t value = 0;

    memcpy(&value, bytes, len);
    return value;
}

uint64_t key_hash(struct smarthop_span key)
{
    static const uint64_t odd[] = {0x9e3779b97f4a7c15u, 0xd1b54a32d192ed03u, 0x8cb92ba72f3d8dd7u};
    uint64_t hash = key.len * odd[2];

    for (; key.len >= 16; key = text_from(key, 16))
        hash = mix(load(key.ptr, 8) ^ odd[0], load(key.ptr + 8, 8) ^ hash ^ odd[1]);
    size_t half = key.len < 8 ? key.len : 8;
    hash = mix(load(key.ptr, half) ^ odd[0], load(key.ptr + half, key.len - half) ^ hash ^ odd[1]);
    return mix(hash ^ odd[2], odd[0]);
}
