/* Mailboxes by name: made, renamed, removed; and what hangs on a user. */
#include "plugins/drop/mailstore/mailstore_private.h"

#include "base/clock.h"
#include "proto/utf8.h"

#include <stdlib.h>

#define INBOX SPAN("INBOX")

enum { BOXES_MOST = UINT32_MAX - 1 };

/* ---- names -------------------------------------------------------------------------------- */

bool store_user_is_valid(struct span user)
{
    return user.len > 0 && user.len <= MAILSTORE_USER_MAX && span_index(user, '\0') == user.len;
}

/* C0 and DEL, C1, and the separators of lines and paragraphs (RFC 9051 5.1). */
static bool has_control(struct span name)
{
    const unsigned char *at = (const unsigned char *)name.ptr;

    for (size_t i = 0; i < name.len; i++) {
        if (at[i] < 0x20 || at[i] == 0x7f)
            return true;
        if (at[i] == 0xc2 && i + 1 < name.len && at[i + 1] < 0xa0)
            return true;
        if (at[i] == 0xe2 && i + 2 < name.len && at[i + 1] == 0x80 &&
            (at[i + 2] == 0xa8 || at[i + 2] == 0xa9))
            return true;
    }
    return false;
}

bool mailstore_name_is_valid(struct span name)
{
    unsigned depth = 0;

    if (name.len == 0 || name.len > MAILSTORE_NAME_MAX || name.ptr[name.len - 1] == '/' ||
        !utf8_is_valid(name) || has_control(name))
        return false;
    for (struct span rest = name; rest.len > 0; depth++)
        if (span_split(rest, '/', &rest).len == 0)
            return false;
    return depth <= MAILSTORE_DEPTH_MAX;
}

bool store_is_inbox(struct span name)
{
    return span_equal_nocase(name, INBOX);
}

struct span store_name(struct span name, char *room)
{
    struct span first = span_head(name, span_index(name, '/'));

    if (!store_is_inbox(first))
        return name;
    memcpy(room, name.ptr, name.len);
    memcpy(room, INBOX.ptr, INBOX.len);
    return span_of(room, name.len);
}

/* What lies above the name, with `levels` levels; the name itself where it has no more. */
static struct span name_head(struct span name, unsigned levels)
{
    size_t end = 0;

    for (; levels > 0 && end < name.len; levels--)
        end += span_index(span_from(name, end), '/') + (levels > 1);
    return span_head(name, end);
}

static unsigned name_depth(struct span name)
{
    unsigned depth = 1;

    for (size_t i = 0; i < name.len; i++)
        depth += name.ptr[i] == '/';
    return depth;
}

/* ---- making ------------------------------------------------------------------------------- */

static struct err put_name(struct kv_txn *txn, struct span user, struct span name, uint32_t box)
{
    struct name_key key = key_of_name(user, name);
    char value[sizeof box];

    wire_put32(value, box);
    return kv_put(txn, TABLE_NAME, name_key_span(&key), span_of(value, sizeof value));
}

/* A UIDVALIDITY is near the time, so that a store which is made anew goes on above the old one. */
static struct err make_one(struct kv_txn *txn, struct user_row *user_row, struct span user,
                           struct span name, enum mailstore_use use, uint32_t *box_out)
{
    uint64_t now = clock_wall_ms() / 1000;
    struct store_meta meta;
    struct err e = store_get_meta(txn, &meta);

    if (!err_is(e) && (meta.boxes_used >= BOXES_MOST || meta.uid_validity == UINT32_MAX))
        e = err_make(ERR_NO_SPACE, "numbers of mailboxes");
    if (err_is(e))
        return e;
    meta.boxes_used++;
    meta.uid_validity++;
    if (meta.uid_validity < now && now < UINT32_MAX)
        meta.uid_validity = (uint32_t)now;
    struct box_row row = {.box = {.id = meta.boxes_used,
                                  .user = user,
                                  .name = name,
                                  .uid_validity = meta.uid_validity,
                                  .uid_next = 1,
                                  .highest_modseq = 1,
                                  .recent_from = 1,
                                  .vanished_from = 1,
                                  .use = use}};
    e = store_put_meta(txn, &meta);
    if (!err_is(e))
        e = store_save_box(txn, &row);
    if (!err_is(e))
        e = put_name(txn, user, name, row.box.id);
    user_row->boxes++;
    *box_out = row.box.id;
    return e;
}

struct err store_need_user(struct kv_txn *txn, struct span user, struct user_row *out)
{
    struct err e = store_load_user(txn, user, out);
    uint32_t box;

    if (e.kind != ERR_NOT_FOUND)
        return e;
    *out = (struct user_row){.bytes_max = UINT64_MAX, .messages_max = UINT64_MAX};
    e = make_one(txn, out, user, INBOX, MAILSTORE_USE_NONE, &box);
    return err_is(e) ? e : store_save_user(txn, user, out);
}

static struct err count_missing(struct kv_txn *txn, struct span user, struct span name,
                                unsigned *missing_out)
{
    unsigned depth = name_depth(name);
    uint32_t box;

    *missing_out = 0;
    for (unsigned levels = 1; levels <= depth; levels++) {
        struct err e = store_find_box(txn, user, name_head(name, levels), &box);
        if (err_is(e) && e.kind != ERR_NOT_FOUND)
            return e;
        *missing_out += err_is(e);
    }
    return ERR_OK;
}

struct err store_make_box(struct mailstore *store, struct kv_txn *txn, struct user_row *user_row,
                          struct span user, struct span name, enum mailstore_use use,
                          uint32_t *box_out, enum mailstore_refusal *refusal_out)
{
    unsigned depth = name_depth(name), missing;
    struct err e = count_missing(txn, user, name, &missing);

    if (!err_is(e) && store->box_max > 0 && user_row->boxes + missing > store->box_max) {
        *refusal_out = MAILSTORE_TOO_MANY;
        return ERR_OK;
    }
    for (unsigned levels = 1; levels <= depth && !err_is(e); levels++) {
        struct span head = name_head(name, levels);
        e = store_find_box(txn, user, head, box_out);
        if (e.kind == ERR_NOT_FOUND)
            e = make_one(txn, user_row, user, head, levels == depth ? use : MAILSTORE_USE_NONE,
                         box_out);
    }
    return e;
}

static struct err create(struct mailstore_create *create, struct kv_txn *txn, struct span name)
{
    struct mailstore *store = create->op.store;
    struct user_row user;
    struct err e = store_load_user(txn, create->user, &user);
    bool is_new = e.kind == ERR_NOT_FOUND;

    if (is_new)
        e = store_need_user(txn, create->user, &user);
    if (!err_is(e))
        e = store_find_box(txn, create->user, name, &create->box);
    if (!err_is(e) && !is_new) {
        create->box = 0;
        create->op.refusal = store_is_inbox(name) ? MAILSTORE_INBOX : MAILSTORE_EXISTS;
        return ERR_OK;
    }
    if (e.kind == ERR_NOT_FOUND)
        e = store_make_box(store, txn, &user, create->user, name, create->use, &create->box,
                           &create->op.refusal);
    return err_is(e) ? e : store_save_user(txn, create->user, &user);
}

struct err create_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_create *it = container_of(op, struct mailstore_create, op.kv);
    char room[MAILSTORE_NAME_MAX];
    struct box_row row;

    it->op.refusal = MAILSTORE_FINE;
    it->box = it->uid_validity = 0;
    if (!store_user_is_valid(it->user) || !mailstore_name_is_valid(it->name)) {
        it->op.refusal = MAILSTORE_BAD_NAME;
        return ERR_OK;
    }
    struct err e = create(it, txn, store_name(it->name, room));
    if (err_is(e) || it->op.refusal != MAILSTORE_FINE)
        return e;
    e = store_load_box(txn, it->box, &row);
    it->uid_validity = row.box.uid_validity;
    return e;
}

/* ---- removing ----------------------------------------------------------------------------- */

/* The name and the mailbox's row; its entries go bit by bit (sweep.c). */
static struct err remove_box(struct mailstore *store, struct kv_txn *txn, const struct box_row *row)
{
    struct name_key name = key_of_name(row->box.user, row->box.name);
    struct key key = key_of_box(row->box.id);
    struct err e = kv_delete(txn, TABLE_NAME, name_key_span(&name));

    if (!err_is(e))
        e = kv_delete(txn, TABLE_BOX, key_span(&key));
    return err_is(e) ? e : store_put_garbage(store, txn, KEY_GARBAGE_BOX, row->box.id);
}

struct err delete_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_delete *it = container_of(op, struct mailstore_delete, op.kv);
    char room[MAILSTORE_NAME_MAX];
    struct user_row user;
    struct box_row row;

    it->op.refusal = MAILSTORE_FINE;
    it->box = 0;
    if (!store_user_is_valid(it->user) || !mailstore_name_is_valid(it->name)) {
        it->op.refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    if (store_is_inbox(it->name)) {
        it->op.refusal = MAILSTORE_INBOX;
        return ERR_OK;
    }
    struct err e = store_find_box(txn, it->user, store_name(it->name, room), &it->box);
    if (!err_is(e))
        e = store_load_box(txn, it->box, &row);
    if (!err_is(e))
        e = store_load_user(txn, it->user, &user);
    if (e.kind == ERR_NOT_FOUND) {
        it->op.refusal = MAILSTORE_NO_BOX;
        it->box = 0;
        return ERR_OK;
    }
    if (err_is(e))
        return e;
    user.bytes -= row.box.bytes;
    user.messages -= row.box.exists;
    user.boxes--;
    e = remove_box(it->op.store, txn, &row);
    return err_is(e) ? e : store_save_user(txn, it->user, &user);
}

/* ---- lists of a user's names ---------------------------------------------------------------- */

struct named {
    struct span name;
    uint32_t box;
};

struct names {
    struct arena arena;
    struct span user;
    struct span prefix;
    struct named *all;
    unsigned count;
    unsigned room;
};

static bool visit_named(void *context, struct span key, struct span value)
{
    struct names *names = context;
    struct span name;

    if (!key_read_name(key, names->user, &name) || name.len < names->prefix.len ||
        !span_equal(span_head(name, names->prefix.len), names->prefix))
        return false;
    if (names->count == names->room) {
        names->room = names->room ? names->room * 2 : 16;
        names->all = mem_realloc(names->all, names->room * sizeof *names->all);
    }
    names->all[names->count++] =
        (struct named){.name = arena_dup(&names->arena, name),
                       .box = value.len == sizeof(uint32_t) ? wire_get32(value.ptr) : 0};
    return true;
}

/* Names that begin with the prefix. */
static struct err names_collect(struct kv_txn *txn, struct span user, struct span prefix,
                                struct names *out)
{
    struct name_key from = key_of_name(user, prefix);

    out->user = user;
    out->prefix = prefix;
    return kv_walk(txn, TABLE_NAME, name_key_span(&from), visit_named, out);
}

static void names_fini(struct names *names)
{
    arena_fini(&names->arena);
    free(names->all);
}

/* ---- renaming ----------------------------------------------------------------------------- */

struct renaming {
    struct mailstore_rename *op;
    struct kv_txn *txn;
    struct span from;
    struct span to;
    struct user_row user;
    struct names moved; /* all below `from`, without itself */
    uint32_t box;       /* that is called `from`; 0 = none */
};

/* The new name of what is called `name`; false where it would be too long or too deep. */
static bool new_name(const struct renaming *renaming, struct span name, char *room,
                     struct span *out)
{
    struct span tail = span_from(name, renaming->from.len);

    if (renaming->to.len + tail.len > MAILSTORE_NAME_MAX)
        return false;
    memcpy(room, renaming->to.ptr, renaming->to.len);
    memcpy(room + renaming->to.len, tail.ptr, tail.len);
    *out = span_of(room, renaming->to.len + tail.len);
    return mailstore_name_is_valid(*out);
}

static struct err find_conflict(struct renaming *renaming)
{
    enum mailstore_refusal *refusal = &renaming->op->op.refusal;
    char room[MAILSTORE_NAME_MAX];
    struct span name;
    uint32_t box;
    struct err e = store_find_box(renaming->txn, renaming->op->user, renaming->to, &box);

    for (unsigned i = 0; e.kind == ERR_NOT_FOUND && i < renaming->moved.count; i++) {
        if (!new_name(renaming, renaming->moved.all[i].name, room, &name)) {
            *refusal = MAILSTORE_BAD_NAME;
            return ERR_OK;
        }
        e = store_find_box(renaming->txn, renaming->op->user, name, &box);
    }
    if (!err_is(e))
        *refusal = MAILSTORE_EXISTS;
    return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
}

static struct err rename_one(struct renaming *renaming, struct span old, uint32_t box)
{
    struct name_key key = key_of_name(renaming->op->user, old);
    struct box_row row;
    struct span name;
    char room[MAILSTORE_NAME_MAX];
    struct err e = store_load_box(renaming->txn, box, &row);

    if (err_is(e))
        return e;
    new_name(renaming, old, room, &name);
    row.box.name = name;
    e = kv_delete(renaming->txn, TABLE_NAME, name_key_span(&key));
    if (!err_is(e))
        e = put_name(renaming->txn, renaming->op->user, name, box);
    return err_is(e) ? e : store_save_box(renaming->txn, &row);
}

/* Those above the new name that are missing are made. */
static struct err make_above(struct renaming *renaming)
{
    struct span above = span_head(renaming->to, span_rindex(renaming->to, '/'));
    uint32_t box;

    if (above.len == renaming->to.len)
        return ERR_OK;
    return store_make_box(renaming->op->op.store, renaming->txn, &renaming->user,
                          renaming->op->user, above, MAILSTORE_USE_NONE, &box,
                          &renaming->op->op.refusal);
}

static struct err rename_tree(struct renaming *renaming)
{
    struct err e = make_above(renaming);

    if (err_is(e) || renaming->op->op.refusal != MAILSTORE_FINE)
        return e;
    if (renaming->box != 0)
        e = rename_one(renaming, renaming->from, renaming->box);
    for (unsigned i = 0; i < renaming->moved.count && !err_is(e); i++)
        e = rename_one(renaming, renaming->moved.all[i].name, renaming->moved.all[i].box);
    return e;
}

static struct err rename_inbox(struct renaming *renaming)
{
    struct box_row from, to;
    uint32_t box = 0;
    struct err e =
        store_make_box(renaming->op->op.store, renaming->txn, &renaming->user, renaming->op->user,
                       renaming->to, MAILSTORE_USE_NONE, &box, &renaming->op->op.refusal);

    if (err_is(e) || renaming->op->op.refusal != MAILSTORE_FINE)
        return e;
    renaming->op->inbox = renaming->box;
    e = store_load_box(renaming->txn, renaming->box, &from);
    if (!err_is(e))
        e = store_load_box(renaming->txn, box, &to);
    return err_is(e) ? e : copy_move_all(renaming->txn, &from, &to);
}

static bool is_below(struct span name, struct span above)
{
    return name.len > above.len && name.ptr[above.len] == '/' &&
           span_equal(span_head(name, above.len), above);
}

static struct err rename_names(struct renaming *renaming)
{
    struct mailstore_rename *op = renaming->op;
    char below[MAILSTORE_NAME_MAX + 1];
    bool is_inbox = store_is_inbox(renaming->from);
    struct err e = store_load_user(renaming->txn, op->user, &renaming->user);

    if (!err_is(e))
        e = store_find_box(renaming->txn, op->user, renaming->from, &renaming->box);
    if (e.kind == ERR_NOT_FOUND)
        e = ERR_OK;
    if (!err_is(e) && !is_inbox && renaming->from.len < MAILSTORE_NAME_MAX) {
        memcpy(below, renaming->from.ptr, renaming->from.len);
        below[renaming->from.len] = '/';
        e = names_collect(renaming->txn, op->user, span_of(below, renaming->from.len + 1),
                          &renaming->moved);
    }
    if (!err_is(e) && renaming->box == 0 && renaming->moved.count == 0)
        op->op.refusal = MAILSTORE_NO_BOX;
    else if (!err_is(e))
        e = find_conflict(renaming);
    if (!err_is(e) && op->op.refusal == MAILSTORE_FINE)
        e = is_inbox ? rename_inbox(renaming) : rename_tree(renaming);
    if (err_is(e) || op->op.refusal != MAILSTORE_FINE)
        return e;
    return store_save_user(renaming->txn, op->user, &renaming->user);
}

struct err rename_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_rename *it = container_of(op, struct mailstore_rename, op.kv);
    char from[MAILSTORE_NAME_MAX], to[MAILSTORE_NAME_MAX];
    struct renaming renaming = {.op = it, .txn = txn};

    it->op.refusal = MAILSTORE_FINE;
    it->inbox = 0;
    if (!store_user_is_valid(it->user) || !mailstore_name_is_valid(it->from)) {
        it->op.refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    if (!mailstore_name_is_valid(it->to)) {
        it->op.refusal = MAILSTORE_BAD_NAME;
        return ERR_OK;
    }
    renaming.from = store_name(it->from, from);
    renaming.to = store_name(it->to, to);
    if (is_below(renaming.to, renaming.from) && !store_is_inbox(renaming.from)) {
        it->op.refusal = MAILSTORE_BAD_NAME;
        return ERR_OK;
    }
    arena_init(&renaming.moved.arena);
    struct err e = rename_names(&renaming);
    names_fini(&renaming.moved);
    return e;
}

/* ---- subscriptions, quotas ------------------------------------------------------------------ */

struct err subscribe_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_subscribe *it = container_of(op, struct mailstore_subscribe, op.kv);
    char room[MAILSTORE_NAME_MAX];
    struct user_row user;

    it->op.refusal = MAILSTORE_FINE;
    if (!store_user_is_valid(it->user) || !mailstore_name_is_valid(it->name)) {
        it->op.refusal = MAILSTORE_BAD_NAME;
        return ERR_OK;
    }
    struct name_key key = key_of_name(it->user, store_name(it->name, room));
    if (it->is_off) {
        struct err e = kv_delete(txn, TABLE_SUBSCRIPTION, name_key_span(&key));
        return e.kind == ERR_NOT_FOUND ? ERR_OK : e;
    }
    struct err e = store_need_user(txn, it->user, &user);
    return err_is(e) ? e : kv_put(txn, TABLE_SUBSCRIPTION, name_key_span(&key), SPAN_NONE);
}

struct err set_quota_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_set_quota *it = container_of(op, struct mailstore_set_quota, op.kv);
    struct user_row user;

    it->op.refusal = MAILSTORE_FINE;
    if (!store_user_is_valid(it->user)) {
        it->op.refusal = MAILSTORE_BAD_NAME;
        return ERR_OK;
    }
    struct err e = store_need_user(txn, it->user, &user);
    if (err_is(e))
        return e;
    user.bytes_max = it->bytes;
    user.messages_max = it->messages;
    return store_save_user(txn, it->user, &user);
}

static struct err remove_all(struct mailstore_remove_user *it, struct kv_txn *txn,
                             const struct names *names)
{
    struct name_key prefix = key_of_name(it->user, SPAN_NONE);
    struct box_row row;
    bool more;

    it->boxes = mem_alloc((names->count + 1) * sizeof *it->boxes);
    for (unsigned i = 0; i < names->count; i++) {
        struct err e = store_load_box(txn, names->all[i].box, &row);
        if (!err_is(e))
            e = remove_box(it->op.store, txn, &row);
        if (err_is(e))
            return e;
        it->boxes[it->box_count++] = row.box.id;
    }
    struct err e = kv_delete_range(txn, TABLE_SUBSCRIPTION, name_key_span(&prefix),
                                   name_key_span(&prefix), UINT32_MAX, &more);
    return err_is(e) ? e : kv_delete(txn, TABLE_USER, it->user);
}

struct err remove_user_apply(struct kv_op *op, struct kv_txn *txn)
{
    struct mailstore_remove_user *it = container_of(op, struct mailstore_remove_user, op.kv);
    struct names names = {.count = 0};
    struct user_row user;

    it->op.refusal = MAILSTORE_FINE;
    free(it->boxes);
    it->boxes = NULL;
    it->box_count = 0;
    if (!store_user_is_valid(it->user)) {
        it->op.refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    struct err e = store_load_user(txn, it->user, &user);
    if (e.kind == ERR_NOT_FOUND) {
        it->op.refusal = MAILSTORE_NO_BOX;
        return ERR_OK;
    }
    arena_init(&names.arena);
    if (!err_is(e))
        e = names_collect(txn, it->user, SPAN_NONE, &names);
    if (!err_is(e))
        e = remove_all(it, txn, &names);
    names_fini(&names);
    return e;
}
