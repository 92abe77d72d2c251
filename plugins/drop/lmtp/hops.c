#include "plugins/drop/lmtp/hops.h"

void hops_init(struct hops *hops, struct arena *arena)
{
    hops->count = 0;
    hops->address_count = 0;
    hops->arena = arena;
    hops->state = HOPS_LINE;
    hops->len = 0;
}

static void keep(struct hops *hops, struct span bytes)
{
    size_t room = sizeof hops->text - hops->len;
    struct span kept = span_head(bytes, room);

    memcpy(hops->text + hops->len, kept.ptr, kept.len);
    hops->len += kept.len;
}

static void begin_line(struct hops *hops)
{
    hops->state = HOPS_LINE;
    hops->len = 0;
}

/* The beginning of a line is there, as much as tells what it is. */
static void judge_line(struct hops *hops)
{
    struct span line = span_of(hops->text, hops->len);
    bool is_delivered = span_starts_nocase(line, SPAN("Delivered-To:"));

    hops->count += is_delivered || span_starts_nocase(line, SPAN("Received:"));
    hops->state = is_delivered ? HOPS_VALUE : HOPS_SKIP;
    hops->len = 0;
}

static void take_address(struct hops *hops)
{
    struct span value = span_of(hops->text, hops->len);

    if (value.len > 0 && value.ptr[value.len - 1] == '\r')
        value.len--;
    value = span_trim(value);
    if (value.len >= 2 && value.ptr[0] == '<' && value.ptr[value.len - 1] == '>')
        value = span_of(value.ptr + 1, value.len - 2);
    if (hops->len < sizeof hops->text && hops->address_count < HOPS_ADDRESSES_MAX)
        hops->addresses[hops->address_count++] = arena_dup(hops->arena, value);
}

/* The first bytes of a line, up to what tells its name; the number that was taken. */
static size_t scan_name(struct hops *hops, struct span bytes)
{
    size_t end = span_index(bytes, '\n');
    size_t wanted = HOPS_NAME_MAX - hops->len;
    size_t len = end < bytes.len && end < wanted ? end + 1 : span_head(bytes, wanted).len;

    keep(hops, span_head(bytes, len));
    if (hops->text[hops->len - 1] == '\n') {
        bool is_empty = hops->len == 2 && hops->text[0] == '\r';
        judge_line(hops);
        begin_line(hops);
        if (is_empty)
            hops->state = HOPS_BODY;
    } else if (hops->len == HOPS_NAME_MAX) {
        judge_line(hops);
    }
    return len;
}

static size_t scan_rest(struct hops *hops, struct span bytes)
{
    size_t end = span_index(bytes, '\n');

    if (hops->state == HOPS_VALUE)
        keep(hops, span_head(bytes, end));
    if (end == bytes.len)
        return end;
    if (hops->state == HOPS_VALUE)
        take_address(hops);
    begin_line(hops);
    return end + 1;
}

bool hops_scan(struct hops *hops, struct span bytes)
{
    while (bytes.len > 0 && hops->state != HOPS_BODY) {
        size_t len = hops->state == HOPS_LINE ? scan_name(hops, bytes) : scan_rest(hops, bytes);
        bytes = span_from(bytes, len);
    }
    return hops->state == HOPS_BODY;
}

bool hops_has(const struct hops *hops, struct span address)
{
    for (unsigned i = 0; i < hops->address_count; i++)
        if (span_equal_nocase(hops->addresses[i], address))
            return true;
    return false;
}
