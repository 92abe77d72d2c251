/*
 * Reads everything and compares. Rows are looked at in one read transaction, so that their counts
 * fit; bytes, which take long, in many: what is gone by then is passed over.
 */
#include "plugins/drop/mailstore/mailstore_private.h"

#include <stdarg.h>
#include <stdio.h>

enum { MESSAGES_A_LOOK = 500 };

struct checking {
    struct mailstore *store;
    struct kv_txn *txn;
    void (*tell)(void *context, const char *line);
    void (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;
    struct mailstore_check *out;

    struct references references;
};

__attribute__((format(printf, 2, 3))) static void problem(struct checking *checking,
                                                          const char *format, ...)
{
    char line[1024];
    va_list args;

    checking->out->problems++;
    if (checking->tell == NULL)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    checking->tell(checking->context, line);
}

static void compare(struct checking *checking, const char *whose, uint64_t id, const char *what,
                    uint64_t found, uint64_t noted)
{
    if (found != noted)
        problem(checking, "%s %llu: %s: %llu found, %llu noted", whose, (unsigned long long)id,
                what, (unsigned long long)found, (unsigned long long)noted);
}

static bool is_there(struct checking *checking, enum store_table table, const struct key *key)
{
    struct span value;

    return !err_is(kv_get(checking->txn, table, key_span(key), &value));
}

/* ---- mailboxes ---------------------------------------------------------------------------- */

struct counting {
    struct checking *checking;
    uint32_t id;
    const struct mailstore_box *box; /* NULL = it is deleted, and its entries are still going */
    struct mailstore_box found;
    uint64_t changes;
    uint64_t vanished;
};

static void check_entry(struct counting *counting, const struct mailstore_entry *entry)
{
    const struct mailstore_box *box = counting->box;
    struct key change = key_of_change(box->id, entry->modseq, entry->uid);

    if (entry->uid >= box->uid_next || entry->modseq > box->highest_modseq ||
        (box->keyword_count < 64 && entry->keywords >> box->keyword_count != 0))
        problem(counting->checking, "mailbox %u: entry %u is beyond what was given", box->id,
                entry->uid);
    if (!is_there(counting->checking, TABLE_CHANGE, &change))
        problem(counting->checking, "mailbox %u: entry %u has no change", box->id, entry->uid);
    counting->found.exists++;
    counting->found.bytes += entry->size;
    store_count_flags(&counting->found, entry->flags, 1);
}

static bool visit_entry(void *context, struct span key, struct span record)
{
    struct counting *counting = context;
    struct mailstore_entry entry;
    uint32_t box, uid;

    if (!key_read_entry(key, &box, &uid) || box != counting->id)
        return false;
    counting->checking->out->entries++;
    if (err_is(store_read_entry(record, box, uid, &entry))) {
        problem(counting->checking, "mailbox %u: entry %u is damaged", box, uid);
        return true;
    }
    references_add(&counting->checking->references, entry.message);
    if (counting->box != NULL)
        check_entry(counting, &entry);
    return true;
}

static bool visit_change(void *context, uint64_t modseq, uint32_t uid)
{
    struct counting *counting = context;

    (void)modseq, (void)uid;
    counting->changes++;
    return true;
}

static bool visit_vanished(void *context, struct span key, struct span value)
{
    struct counting *counting = context;
    uint32_t box, first;
    uint64_t modseq;

    if (!key_read_change(key, &box, &modseq, &first) || box != counting->id)
        return false;
    uint32_t last = value.len == sizeof last ? wire_get32(value.ptr) : 0;
    if (modseq > counting->box->highest_modseq || last < first || last >= counting->box->uid_next)
        problem(counting->checking, "mailbox %u: UIDs %u to %u cannot have vanished", box, first,
                last);
    counting->vanished++;
    return true;
}

static struct err count_entries(struct counting *counting)
{
    struct key from = key_of_box(counting->id);

    return kv_walk(counting->checking->txn, TABLE_ENTRY, key_span(&from), visit_entry, counting);
}

static struct err check_box(struct checking *checking, const struct mailstore_box *box,
                            uint32_t vanished)
{
    struct counting counting = {.checking = checking, .id = box->id, .box = box};
    struct key from = key_of_box(box->id);
    struct err e = count_entries(&counting);

    if (!err_is(e))
        e = mailstore_change_walk(checking->txn, box->id, 0, visit_change, &counting);
    if (!err_is(e))
        e = kv_walk(checking->txn, TABLE_VANISHED, key_span(&from), visit_vanished, &counting);
    compare(checking, "mailbox", box->id, "entries", counting.found.exists, box->exists);
    compare(checking, "mailbox", box->id, "unseen", counting.found.unseen, box->unseen);
    compare(checking, "mailbox", box->id, "deleted", counting.found.deleted, box->deleted);
    compare(checking, "mailbox", box->id, "bytes", counting.found.bytes, box->bytes);
    compare(checking, "mailbox", box->id, "changes", counting.changes, box->exists);
    compare(checking, "mailbox", box->id, "vanished ranges", counting.vanished, vanished);
    return e;
}

static bool visit_box(void *context, struct span key, struct span record)
{
    struct checking *checking = context;
    struct mailstore_box box;
    struct user_row user;
    uint32_t vanished, named;
    uint32_t id = key.len == sizeof id ? wire_get32(key.ptr) : 0;

    checking->out->boxes++;
    if (err_is(store_read_box(record, id, &box, &vanished))) {
        problem(checking, "mailbox %u is damaged", id);
        return true;
    }
    if (!store_user_is_valid(box.user) || !mailstore_name_is_valid(box.name) ||
        err_is(store_find_box(checking->txn, box.user, box.name, &named)) || named != id)
        problem(checking, "mailbox %u has no name", id);
    else if (err_is(store_load_user(checking->txn, box.user, &user)))
        problem(checking, "mailbox %u has no user", id);
    struct err e = check_box(checking, &box, vanished);
    if (err_is(e))
        problem(checking, "mailbox %u: %s", id, e.where);
    return true;
}

static bool visit_garbage(void *context, struct span key, struct span value)
{
    struct checking *checking = context;
    enum key_garbage kind;
    uint64_t id;

    (void)value;
    if (!key_read_garbage(key, &kind, &id)) {
        problem(checking, "a row of garbage is damaged");
        return true;
    }
    struct counting counting = {.checking = checking, .id = (uint32_t)id};
    if (kind == KEY_GARBAGE_BOX && err_is(count_entries(&counting)))
        problem(checking, "deleted mailbox %u cannot be read", counting.id);
    return true;
}

static struct err check_boxes(struct checking *checking)
{
    struct kv_txn *txn = checking->txn;
    struct err e = kv_walk(txn, TABLE_BOX, SPAN_NONE, visit_box, checking);

    if (!err_is(e))
        e = kv_walk(txn, TABLE_GARBAGE, SPAN_NONE, visit_garbage, checking);
    compare(checking, "store", 0, "names", kv_count(txn, TABLE_NAME), checking->out->boxes);
    compare(checking, "store", 0, "entries of mailboxes", checking->out->entries,
            kv_count(txn, TABLE_ENTRY));
    return e;
}

/* ---- users -------------------------------------------------------------------------------- */

static bool visit_user(void *context, struct span user, struct span record)
{
    struct checking *checking = context;
    struct user_row row, sum;

    checking->out->users++;
    if (!store_user_is_valid(user) || err_is(store_read_user(record, user, &row))) {
        problem(checking, "user %.*s is damaged", SPAN_ARG(user));
        return true;
    }
    struct err e = store_sum_user(checking->txn, user, &sum);
    if (err_is(e))
        problem(checking, "user %.*s: %s", SPAN_ARG(user), e.where);
    else if (sum.boxes != row.boxes || sum.bytes != row.bytes || sum.messages != row.messages)
        problem(checking,
                "user %.*s: %llu mailboxes, %llu messages, %llu bytes found; noted are %llu, "
                "%llu, %llu",
                SPAN_ARG(user), (unsigned long long)sum.boxes, (unsigned long long)sum.messages,
                (unsigned long long)sum.bytes, (unsigned long long)row.boxes,
                (unsigned long long)row.messages, (unsigned long long)row.bytes);
    return true;
}

/* ---- messages ----------------------------------------------------------------------------- */

static void tell_missing(void *context, uint64_t message)
{
    problem(context, "message %llu is missing", (unsigned long long)message);
}

static bool visit_message(void *context, struct span key, struct span record)
{
    struct checking *checking = context;
    uint64_t id = key.len == sizeof id ? wire_get64(key.ptr) : 0;
    uint32_t references = references_take(&checking->references, id, tell_missing, checking);
    struct message_row row;

    checking->out->messages++;
    if (err_is(store_read_message(record, id, &row))) {
        problem(checking, "message %llu is damaged", (unsigned long long)id);
        return true;
    }
    checking->out->bytes += row.size;
    compare(checking, "message", id, "references", references, row.references);
    return true;
}

/* From body to body: each is a message's, or one that comes in, or garbage. */
static struct err check_owners(struct checking *checking, enum store_table table)
{
    uint64_t next = 0;

    for (;;) {
        struct key from = key_of(next);
        struct span key, value;
        struct err e = kv_seek(checking->txn, table, key_span(&from), &key, &value);
        if (err_is(e))
            return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
        uint64_t id = key.len >= sizeof id ? wire_get64(key.ptr) : 0;
        struct key message = key_of(id);
        struct key garbage = key_of_garbage(KEY_GARBAGE_MESSAGE, id);
        if (!is_there(checking, TABLE_MESSAGE, &message) &&
            !is_there(checking, TABLE_STAGED, &message) &&
            !is_there(checking, TABLE_GARBAGE, &garbage))
            problem(checking, "bytes of %llu are no message's", (unsigned long long)id);
        if (id < next || id == UINT64_MAX)
            return err_make(ERR_CORRUPT, "body key");
        next = id + 1;
    }
}

static struct err check_messages(struct checking *checking)
{
    references_sort(&checking->references);
    struct err e = kv_walk(checking->txn, TABLE_MESSAGE, SPAN_NONE, visit_message, checking);
    references_take(&checking->references, UINT64_MAX, tell_missing, checking);
    if (!err_is(e))
        e = check_owners(checking, TABLE_BODY);
    return err_is(e) ? e : check_owners(checking, TABLE_DIGEST);
}

/* ---- bytes -------------------------------------------------------------------------------- */

struct reading {
    struct checking *checking;
    uint64_t next;
    unsigned looked;
};

static bool visit_bytes(void *context, struct span bytes)
{
    (void)context, (void)bytes;
    return true;
}

static bool visit_content(void *context, struct span key, struct span record)
{
    struct reading *reading = context;
    struct checking *checking = reading->checking;
    uint64_t id = key.len == sizeof id ? wire_get64(key.ptr) : 0;
    struct message_row row;
    struct span digest;

    if (reading->looked++ == MESSAGES_A_LOOK)
        return false;
    reading->next = id + 1;
    if (err_is(store_read_message(record, id, &row)))
        return true; /* was told */
    struct err e = mailstore_content_walk(checking->txn, id, 0, UINT64_MAX, visit_bytes, NULL);
    if (err_is(e))
        problem(checking, "message %llu: %s", (unsigned long long)id, e.where);
    e = mailstore_digest_get(checking->txn, id, &digest);
    if (err_is(e))
        problem(checking, "message %llu: digest: %s", (unsigned long long)id, e.where);
    return true;
}

static struct err read_bytes(struct checking *checking)
{
    struct reading reading = {.checking = checking};
    uint64_t done = 0;
    struct err e;

    do {
        struct key from = key_of(reading.next);
        reading.looked = 0;
        e = mailstore_read_begin(checking->store, &checking->txn);
        if (err_is(e))
            return e;
        e = kv_walk(checking->txn, TABLE_MESSAGE, key_span(&from), visit_content, &reading);
        mailstore_read_end(checking->txn);
        done += reading.looked > MESSAGES_A_LOOK ? MESSAGES_A_LOOK : reading.looked;
        if (checking->progress != NULL)
            checking->progress(checking->context, done, checking->out->messages);
    } while (!err_is(e) && reading.looked > MESSAGES_A_LOOK);
    return e;
}

struct err mailstore_check(struct mailstore *store, void (*tell)(void *context, const char *line),
                           void (*progress)(void *context, uint64_t done, uint64_t all),
                           void *context, struct mailstore_check *out)
{
    struct checking checking = {
        .store = store, .tell = tell, .progress = progress, .context = context, .out = out};
    struct err e = mailstore_read_begin(store, &checking.txn);

    *out = (struct mailstore_check){.users = 0};
    if (err_is(e))
        return e;
    e = kv_walk(checking.txn, TABLE_USER, SPAN_NONE, visit_user, &checking);
    if (!err_is(e))
        e = check_boxes(&checking);
    if (!err_is(e))
        e = check_messages(&checking);
    mailstore_read_end(checking.txn);
    references_fini(&checking.references);
    return err_is(e) ? e : read_bytes(&checking);
}
