/*
 * mailstore_model: what a mailstore is to hold, kept in plain arrays. Each operation here says what
 * the store must answer, and changes the model as the store must have changed. For tests; it ends
 * the program where it is asked for too much.
 */
#ifndef SMARTHOP_TESTS_MAILSTORE_MODEL_H
#define SMARTHOP_TESTS_MAILSTORE_MODEL_H

#include "plugins/drop/mailstore/mailstore.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MODEL_USERS = 2,
    MODEL_BOXES = 64,
    MODEL_BOX_MAX = 12,      /* of a user */
    MODEL_MESSAGES_MAX = 80, /* his quota */
    MODEL_ENTRIES = 256,
    MODEL_UIDS = 8192,
    MODEL_NAME = 96,
};

struct model_entry {
    uint32_t uid;
    uint32_t flags;
    uint32_t words; /* keywords, as the test numbers them */
    uint64_t modseq;
    unsigned body;
    size_t prefix;
};

struct model_box {
    unsigned user;
    char name[MODEL_NAME];
    uint32_t id; /* 0 = not found out yet */
    uint32_t uid_validity;
    uint32_t uid_next;
    uint64_t modseq;
    uint32_t recent_from;
    unsigned count;
    struct model_entry entries[MODEL_ENTRIES];
    uint64_t gone[MODEL_UIDS]; /* by UID: when it was expunged */
};

struct model {
    bool is_known[MODEL_USERS];
    struct model_box *boxes[MODEL_BOXES];
};

static inline void model_clear(struct model *model)
{
    for (unsigned i = 0; i < MODEL_BOXES; i++)
        free(model->boxes[i]);
    *model = (struct model){.is_known = {false}};
}

/* As it is now; model_clear ends it. */
static inline struct model model_save(const struct model *model)
{
    struct model saved = *model;

    for (unsigned i = 0; i < MODEL_BOXES; i++) {
        if (model->boxes[i] == NULL)
            continue;
        saved.boxes[i] = mem_alloc(sizeof *saved.boxes[i]);
        *saved.boxes[i] = *model->boxes[i];
    }
    return saved;
}

static inline struct model_box *model_find(struct model *model, unsigned user, const char *name)
{
    for (unsigned i = 0; i < MODEL_BOXES; i++)
        if (model->boxes[i] != NULL && model->boxes[i]->user == user &&
            strcmp(model->boxes[i]->name, name) == 0)
            return model->boxes[i];
    return NULL;
}

static inline unsigned model_count_boxes(const struct model *model, unsigned user)
{
    unsigned count = 0;

    for (unsigned i = 0; i < MODEL_BOXES; i++)
        count += model->boxes[i] != NULL && model->boxes[i]->user == user;
    return count;
}

static inline unsigned model_count_messages(const struct model *model, unsigned user)
{
    unsigned count = 0;

    for (unsigned i = 0; i < MODEL_BOXES; i++)
        if (model->boxes[i] != NULL && model->boxes[i]->user == user)
            count += model->boxes[i]->count;
    return count;
}

static inline struct model_box *model_add_box(struct model *model, unsigned user, const char *name)
{
    for (unsigned i = 0; i < MODEL_BOXES; i++) {
        if (model->boxes[i] != NULL)
            continue;
        struct model_box *box = mem_zalloc(sizeof *box);
        box->user = user;
        snprintf(box->name, sizeof box->name, "%s", name);
        box->uid_next = box->recent_from = 1;
        box->modseq = 1;
        model->boxes[i] = box;
        return box;
    }
    abort();
}

static inline void model_need_user(struct model *model, unsigned user)
{
    if (model->is_known[user])
        return;
    model->is_known[user] = true;
    model_add_box(model, user, "INBOX");
}

static inline struct model_entry *model_add_entry(struct model_box *box)
{
    if (box->count == MODEL_ENTRIES || box->uid_next == MODEL_UIDS)
        abort();
    struct model_entry *entry = &box->entries[box->count++];
    *entry = (struct model_entry){.uid = box->uid_next++, .modseq = box->modseq};
    return entry;
}

/* The mailbox and those above it. */
static inline enum mailstore_refusal model_make(struct model *model, unsigned user,
                                                const char *name)
{
    char head[MODEL_NAME];
    unsigned missing = 0;

    for (unsigned pass = 0; pass < 2; pass++) {
        if (pass == 1 && model_count_boxes(model, user) + missing > MODEL_BOX_MAX)
            return MAILSTORE_TOO_MANY;
        for (size_t len = 1; len <= strlen(name); len++) {
            if (name[len] != '/' && name[len] != '\0')
                continue;
            snprintf(head, sizeof head, "%.*s", (int)len, name);
            if (model_find(model, user, head) != NULL)
                continue;
            missing++;
            if (pass == 1)
                model_add_box(model, user, head);
        }
    }
    return MAILSTORE_FINE;
}

static inline enum mailstore_refusal model_create(struct model *model, unsigned user,
                                                  const char *name)
{
    bool is_new = !model->is_known[user];
    bool is_inbox = strcmp(name, "INBOX") == 0;

    model_need_user(model, user);
    if (model_find(model, user, name) != NULL && !is_new)
        return is_inbox ? MAILSTORE_INBOX : MAILSTORE_EXISTS;
    return model_make(model, user, name);
}

static inline void model_remove(struct model *model, struct model_box *box)
{
    for (unsigned i = 0; i < MODEL_BOXES; i++)
        if (model->boxes[i] == box)
            model->boxes[i] = NULL;
    free(box);
}

static inline enum mailstore_refusal model_delete(struct model *model, unsigned user,
                                                  const char *name)
{
    struct model_box *box = model_find(model, user, name);

    if (strcmp(name, "INBOX") == 0)
        return MAILSTORE_INBOX;
    if (box == NULL)
        return MAILSTORE_NO_BOX;
    model_remove(model, box);
    return MAILSTORE_FINE;
}

/* ---- entries ------------------------------------------------------------------------------ */

static inline enum mailstore_refusal model_check(struct model *model, unsigned user,
                                                 const char *name, bool is_created, unsigned more)
{
    if (model_count_messages(model, user) + more >= MODEL_MESSAGES_MAX)
        return MAILSTORE_OVER_QUOTA;
    return is_created || strcmp(name, "INBOX") == 0 || model_find(model, user, name) != NULL
               ? MAILSTORE_FINE
               : MAILSTORE_NO_BOX;
}

/* *entry_out is what was added. */
static inline enum mailstore_refusal model_append(struct model *model, unsigned user,
                                                  const char *name, bool is_created,
                                                  struct model_entry **entry_out)
{
    enum mailstore_refusal refusal = model_check(model, user, name, is_created, 0);

    *entry_out = NULL;
    if (refusal != MAILSTORE_FINE)
        return refusal;
    model_need_user(model, user);
    struct model_box *box = model_find(model, user, name);
    if (box == NULL)
        refusal = model_make(model, user, name);
    if (refusal != MAILSTORE_FINE)
        return refusal;
    box = model_find(model, user, name);
    box->modseq++;
    *entry_out = model_add_entry(box);
    return MAILSTORE_FINE;
}

static inline bool model_is_in(uint32_t uid, const struct mailstore_range *uids, unsigned count)
{
    for (unsigned i = 0; i < count && uids != NULL; i++)
        if (uid >= uids[i].first && uid <= uids[i].last)
            return true;
    return uids == NULL;
}

static inline void model_take_out(struct model_box *box, const bool *is_out)
{
    unsigned kept = 0, count = box->count;

    for (unsigned i = 0; i < count; i++) {
        if (is_out[i])
            box->gone[box->entries[i].uid] = box->modseq;
        else
            box->entries[kept++] = box->entries[i];
    }
    box->count = kept;
}

static inline unsigned model_expunge(struct model_box *box, const struct mailstore_range *uids,
                                     unsigned count, bool is_any)
{
    bool is_out[MODEL_ENTRIES];
    unsigned out = 0;

    for (unsigned i = 0; i < box->count; i++) {
        is_out[i] = model_is_in(box->entries[i].uid, uids, count) &&
                    (is_any || (box->entries[i].flags & MAILSTORE_DELETED) != 0);
        out += is_out[i];
    }
    if (out > 0) {
        box->modseq++;
        model_take_out(box, is_out);
    }
    return out;
}

/* Entries that were changed; *modified_out those that had changed since. */
static inline unsigned model_flag(struct model_box *box, const struct mailstore_range *uids,
                                  unsigned count, enum mailstore_change change, uint32_t flags,
                                  uint32_t words, uint64_t unchanged_since, unsigned *modified_out)
{
    unsigned changed = 0;

    *modified_out = 0;
    for (unsigned i = 0; i < box->count; i++) {
        struct model_entry *entry = &box->entries[i];
        struct model_entry old = *entry;
        if (!model_is_in(entry->uid, uids, count))
            continue;
        if (entry->modseq > unchanged_since) {
            ++*modified_out;
            continue;
        }
        if (change == MAILSTORE_SET) {
            entry->flags = flags;
            entry->words = words;
        } else if (change == MAILSTORE_ADD) {
            entry->flags |= flags;
            entry->words |= words;
        } else {
            entry->flags &= ~flags;
            entry->words &= ~words;
        }
        if (entry->flags == old.flags && entry->words == old.words)
            continue;
        entry->modseq = box->modseq + 1;
        changed++;
    }
    box->modseq += changed > 0;
    return changed;
}

static inline void model_copy_entries(struct model_box *from, struct model_box *to,
                                      const struct mailstore_range *uids, unsigned count,
                                      bool is_move)
{
    bool is_out[MODEL_ENTRIES] = {false};
    unsigned all = from->count;

    to->modseq++;
    if (is_move && from != to)
        from->modseq++;
    for (unsigned i = 0; i < all; i++) {
        struct model_entry source = from->entries[i];
        is_out[i] = model_is_in(source.uid, uids, count);
        if (!is_out[i])
            continue;
        struct model_entry *copy = model_add_entry(to);
        source.uid = copy->uid;
        source.modseq = copy->modseq;
        *copy = source;
    }
    if (is_move)
        model_take_out(from, is_out);
}

static inline enum mailstore_refusal model_copy(struct model *model, struct model_box *from,
                                                const struct mailstore_range *uids, unsigned count,
                                                unsigned user, const char *name, bool is_move,
                                                unsigned *copied_out)
{
    struct model_box *to = model_find(model, user, name);
    unsigned out = 0;

    *copied_out = 0;
    if (to == NULL)
        return MAILSTORE_NO_BOX;
    for (unsigned i = 0; i < from->count; i++)
        out += model_is_in(from->entries[i].uid, uids, count);
    if (out == 0)
        return MAILSTORE_FINE;
    if (!(is_move && from->user == user) &&
        model_count_messages(model, user) + out > MODEL_MESSAGES_MAX)
        return MAILSTORE_OVER_QUOTA;
    *copied_out = out;
    model_copy_entries(from, to, uids, count, is_move);
    return MAILSTORE_FINE;
}

/* ---- renaming ----------------------------------------------------------------------------- */

static inline bool model_is_below(const char *name, const char *above)
{
    size_t len = strlen(above);

    return strncmp(name, above, len) == 0 && name[len] == '/';
}

static inline enum mailstore_refusal model_rename_inbox(struct model *model, unsigned user,
                                                        const char *to)
{
    struct model_box *inbox = model_find(model, user, "INBOX");

    if (inbox == NULL)
        return MAILSTORE_NO_BOX;
    if (model_find(model, user, to) != NULL)
        return MAILSTORE_EXISTS;
    enum mailstore_refusal refusal = model_make(model, user, to);
    if (refusal == MAILSTORE_FINE && inbox->count > 0)
        model_copy_entries(inbox, model_find(model, user, to), NULL, 0, true);
    return refusal;
}

static inline enum mailstore_refusal model_rename(struct model *model, unsigned user,
                                                  const char *from, const char *to)
{
    struct model_box *moved[MODEL_BOXES];
    char name[2 * MODEL_NAME], *slash;
    unsigned count = 0;

    if (strcmp(from, "INBOX") == 0)
        return model_rename_inbox(model, user, to);
    if (model_is_below(to, from))
        return MAILSTORE_BAD_NAME;
    for (unsigned i = 0; i < MODEL_BOXES; i++) {
        struct model_box *box = model->boxes[i];
        if (box != NULL && box->user == user &&
            (strcmp(box->name, from) == 0 || model_is_below(box->name, from)))
            moved[count++] = box;
    }
    if (count == 0)
        return MAILSTORE_NO_BOX;
    if (model_find(model, user, to) != NULL)
        return MAILSTORE_EXISTS;
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%s", to, moved[i]->name + strlen(from));
        if (model_find(model, user, name) != NULL)
            return MAILSTORE_EXISTS;
    }
    snprintf(name, sizeof name, "%s", to);
    slash = strrchr(name, '/');
    if (slash != NULL) {
        *slash = '\0';
        if (model_make(model, user, name) != MAILSTORE_FINE)
            return MAILSTORE_TOO_MANY;
    }
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%s", to, moved[i]->name + strlen(from));
        if (strlen(name) >= MODEL_NAME)
            abort();
        memcpy(moved[i]->name, name, strlen(name) + 1);
    }
    return MAILSTORE_FINE;
}

#endif
