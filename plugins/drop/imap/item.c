/*
 * What FETCH tells of a message (RFC 9051 7.5.2).
 */
#include "plugins/drop/imap/fetch.h"
#include "plugins/drop/imap/write.h"

bool fetch_digest(struct fetch_message *m)
{
    struct span bytes;

    if (!m->has_digest && !err_is(mailstore_digest_get(m->txn, m->entry.message, &bytes)))
        m->has_digest = digest_open(bytes, &m->digest);
    return m->has_digest;
}

static void write_path(struct buf *out, const struct imap_fetch_item *item)
{
    for (unsigned i = 0; i < item->depth; i++)
        buf_addf(out, "%s%u", i > 0 ? "." : "", item->path[i]);
}

static void write_fields(struct buf *out, const struct imap_fetch_item *item)
{
    buf_add(out, SPAN(" ("));
    for (unsigned i = 0; i < item->field_count; i++) {
        if (i > 0)
            buf_add(out, SPAN(" "));
        imap_write_astring(out, item->fields[i]);
    }
    buf_add(out, SPAN(")"));
}

void fetch_write_name(struct buf *out, const struct imap_fetch_item *item)
{
    static const char *const forms[] = {
        [IMAP_FORM_BODY] = "BODY[",
        [IMAP_FORM_BINARY] = "BINARY[",
        [IMAP_FORM_BINARY_SIZE] = "BINARY.SIZE[",
        [IMAP_FORM_RFC822] = "RFC822",
        [IMAP_FORM_RFC822_HEADER] = "RFC822.HEADER",
        [IMAP_FORM_RFC822_TEXT] = "RFC822.TEXT",
    };
    static const char *const sections[] = {
        [IMAP_SECTION_ALL] = "",
        [IMAP_SECTION_HEADER] = "HEADER",
        [IMAP_SECTION_FIELDS] = "HEADER.FIELDS",
        [IMAP_SECTION_FIELDS_NOT] = "HEADER.FIELDS.NOT",
        [IMAP_SECTION_TEXT] = "TEXT",
        [IMAP_SECTION_MIME] = "MIME",
    };

    buf_add_text(out, forms[item->form]);
    if (item->form >= IMAP_FORM_RFC822)
        return;
    write_path(out, item);
    if (item->depth > 0 && item->section != IMAP_SECTION_ALL)
        buf_add(out, SPAN("."));
    buf_add_text(out, sections[item->section]);
    if (item->section == IMAP_SECTION_FIELDS || item->section == IMAP_SECTION_FIELDS_NOT)
        write_fields(out, item);
    buf_add(out, SPAN("]"));
    if (item->is_partial && item->form != IMAP_FORM_BINARY_SIZE)
        buf_addf(out, "<%llu>", (unsigned long long)item->from);
}

static enum fetch_result from_digest(struct buf *out, struct fetch_message *m, const char *name,
                                     const struct span *value)
{
    bool is_good = fetch_digest(m);

    buf_addf(out, "%s ", name);
    buf_add(out, is_good ? *value : SPAN("NIL"));
    return is_good ? FETCH_DONE : FETCH_BROKEN;
}

enum fetch_result fetch_item(struct imap_session *s, struct fetch_message *m,
                             const struct imap_fetch_item *item)
{
    const struct mailstore_entry *entry = &m->entry;
    struct buf *out = imap_out(s);
    char id[IMAP_EMAIL_ID_MAX];

    switch (item->item) {
    case IMAP_ITEM_UID:
        buf_addf(out, "UID %u", entry->uid);
        break;
    case IMAP_ITEM_FLAGS:
        buf_add(out, SPAN("FLAGS ("));
        imap_write_flags(out, entry->flags, entry->keywords, m->box,
                         view_is_recent(&s->view, entry->uid));
        buf_add(out, SPAN(")"));
        break;
    case IMAP_ITEM_INTERNALDATE:
        buf_add(out, SPAN("INTERNALDATE "));
        imap_write_date(out, entry->internal_date, entry->internal_zone);
        break;
    case IMAP_ITEM_SIZE:
        buf_addf(out, "RFC822.SIZE %llu", (unsigned long long)entry->size);
        break;
    case IMAP_ITEM_ENVELOPE:
        return from_digest(out, m, "ENVELOPE", &m->digest.envelope);
    case IMAP_ITEM_BODY_STRUCTURE:
        return from_digest(out, m, "BODYSTRUCTURE", &m->digest.body_structure);
    case IMAP_ITEM_BODY_SHORT:
        return from_digest(out, m, "BODY", &m->digest.body);
    case IMAP_ITEM_SECTION:
        return fetch_section(s, m, item);
    case IMAP_ITEM_MODSEQ:
        buf_addf(out, "MODSEQ (%llu)", (unsigned long long)entry->modseq);
        break;
    case IMAP_ITEM_EMAILID:
        buf_addf(out, "EMAILID (%.*s)", SPAN_ARG(imap_email_id(entry->message, id)));
        break;
    case IMAP_ITEM_THREADID:
        return fetch_thread_id(s, m);
    case IMAP_ITEM_SAVEDATE:
        buf_add(out, SPAN("SAVEDATE "));
        imap_write_date(out, entry->save_date, 0);
        break;
    case IMAP_ITEM_PREVIEW:
        return fetch_preview(s, m);
    }
    return FETCH_DONE;
}
