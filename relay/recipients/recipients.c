#include "recipients/recipients_private.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdlib.h>
#include <unistd.h>

enum { PIECE = 65536 };

struct recipients *recipients_ref(struct recipients *recipients)
{
    atomic_fetch_add(&recipients->references, 1);
    return recipients;
}

void recipients_unref(struct recipients *recipients)
{
    if (recipients == NULL || atomic_fetch_sub(&recipients->references, 1) != 1)
        return;
    table_fini(&recipients->table);
    free(recipients);
}

uint64_t recipients_count(const struct recipients *recipients)
{
    return recipients->count;
}

size_t recipients_size(const struct recipients *recipients)
{
    return sizeof *recipients + table_size(&recipients->table);
}

/* ---- look-up ------------------------------------------------------------------------------ */

struct span recipients_key(struct span local, struct span domain, char *room)
{
    for (size_t i = 0; i < local.len; i++)
        room[i] = ascii_lower(local.ptr[i]);
    room[local.len] = '@';
    memcpy(room + local.len + 1, domain.ptr, domain.len);
    return span_of(room, local.len + 1 + domain.len);
}

static bool has(const struct recipients *recipients, struct span local, struct span domain)
{
    char room[RECIPIENTS_KEY_MAX];

    return table_has(&recipients->table, recipients_key(local, domain, room));
}

/* The local part up to its extension; all of it where it has none. */
static struct span name_of(struct span local, const char *delimiters)
{
    size_t len = 0;

    if (delimiters == NULL || local.ptr[0] == '"')
        return local;
    while (len < local.len && strchr(delimiters, local.ptr[len]) == NULL)
        len++;
    return span_head(local, len);
}

enum recipients_answer recipients_find(const struct recipients *recipients,
                                       const struct address *address, struct span domain,
                                       const char *delimiters, struct arena *scratch)
{
    if (!table_has(&recipients->table, domain))
        return RECIPIENTS_FOREIGN;
    struct span local = address_canonical_local(address, scratch);
    struct span name = name_of(local, delimiters);
    if (has(recipients, SPAN_NONE, domain))
        return RECIPIENTS_KNOWN;
    if (has(recipients, local, domain))
        return RECIPIENTS_KNOWN;
    bool has_extension = name.len > 0 && name.len < local.len;
    return has_extension && has(recipients, name, domain) ? RECIPIENTS_KNOWN : RECIPIENTS_UNKNOWN;
}

/* ---- the file ----------------------------------------------------------------------------- */

static struct err feed_file(int fd, struct recipients_reader *reader)
{
    char *room = mem_alloc(PIECE);
    struct err e = ERR_OK;

    for (size_t len = 1; !err_is(e) && len > 0;) {
        e = file_read(fd, room, PIECE, &len);
        recipients_reader_feed(reader, span_of(room, len));
    }
    free(room);
    return e;
}

static struct err load(const char *file, void *context, struct stat *st_out, struct buf *messages,
                       void **out)
{
    struct recipients *recipients;
    char text[ERR_TEXT_MAX];
    int fd;

    (void)context;
    *out = NULL;
    struct err e = file_open(file, RECIPIENTS_FILE_MAX, &fd, st_out, messages);
    if (err_is(e))
        return e;
    struct recipients_reader *reader = recipients_reader_create(file, messages);
    struct err reading = feed_file(fd, reader);
    close(fd);
    e = recipients_reader_end(reader, &recipients);
    if (err_is(reading)) {
        buf_addf(messages, "%s: %s\n", file, err_text(reading, text));
        recipients_unref(recipients);
        return reading;
    }
    *out = recipients;
    return e;
}

struct err recipients_load(const char *file, struct buf *messages, struct recipients **out)
{
    struct stat st;
    void *loaded;
    struct err e = load(file, NULL, &st, messages, &loaded);

    *out = loaded;
    return e;
}

static void ref(void *recipients)
{
    recipients_ref(recipients);
}

static void unref(void *recipients)
{
    recipients_unref(recipients);
}

static uint64_t count_of(const void *recipients)
{
    return recipients_count(recipients);
}

struct follow *recipients_follow(void)
{
    static const struct follow_kind kind = {
        .loaded = "recipients-loaded",
        .refused = "recipients-refused",
        .count = "recipients",
        .load = load,
        .ref = ref,
        .unref = unref,
        .count_of = count_of,
    };

    return follow_create(&kind, NULL);
}
