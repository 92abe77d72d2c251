/*
 * THREADID (RFC 8474 5.2): a thread is named after the message that it began with, as far as the
 * header of each message in it tells: the first of its References, else what it is a reply to, else
 * the message itself. So the name is the same wherever and whenever a message is looked at, and
 * nothing of it is stored. One without any message id is a thread of its own.
 */
#include "plugins/drop/imap/fetch.h"
#include "plugins/drop/imap/search_private.h"
#include "plugins/drop/imap/thread_private.h"

#include "base/hash.h"

#include <stdio.h>

static bool first_id(struct span header, struct span field, uint64_t *hash_out)
{
    struct span whole, name, value;
    char id[THREAD_ID_MAX];
    size_t len;

    while (mime_next_field(&header, &whole, &name, &value))
        if (span_equal_nocase(name, field) && thread_next_id(&value, id, &len)) {
            *hash_out = hash64(span_of(id, len), 0);
            return true;
        }
    return false;
}

struct span imap_thread_id(struct span header, uint64_t message, char text[IMAP_THREAD_ID_MAX])
{
    uint64_t hash;
    int len;

    if (first_id(header, SPAN("References"), &hash) ||
        first_id(header, SPAN("In-Reply-To"), &hash) || first_id(header, SPAN("Message-ID"), &hash))
        len = snprintf(text, IMAP_THREAD_ID_MAX, "T%016llx", (unsigned long long)hash);
    else
        len = snprintf(text, IMAP_THREAD_ID_MAX, "TM%llu", (unsigned long long)message);
    return span_of(text, (size_t)len);
}

enum fetch_result fetch_thread_id(struct imap_session *s, struct fetch_message *m)
{
    struct fetch_range range = {0, 0};
    char id[IMAP_THREAD_ID_MAX];
    struct buf header;

    if (fetch_digest(m))
        range = fetch_range_of(
            m, 0, m->digest.header_len < MIME_HEADER_MAX ? m->digest.header_len : MIME_HEADER_MAX);
    if (!fetch_is_at_hand(s, m, range, range.end))
        return FETCH_DISK;
    buf_init(&header, 0);
    bool is_read = fetch_read_range(m, range, &header) && m->has_digest;
    if (is_read)
        buf_addf(imap_out(s), "THREADID (%.*s)",
                 SPAN_ARG(imap_thread_id(buf_span(&header), m->entry.message, id)));
    else
        buf_add(imap_out(s), SPAN("THREADID NIL"));
    buf_fini(&header);
    return is_read ? FETCH_DONE : FETCH_BROKEN;
}
