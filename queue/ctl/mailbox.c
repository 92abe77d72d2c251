/* mailbox: who has what in the drop, and changes of it. What only reads is read here, beside a
 * running daemon; changes are the daemon's to do where one runs. */
#include "queue/ctl/mailbox.h"

#include "base/memory.h"
#include "conf/value.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH_NAME = 32, WIDTH_COUNT = 9 };

/* ---- the store ---------------------------------------------------------------------------- */

static const struct conf_plugin *section_of(const struct ctl *ctl)
{
    for (unsigned i = 0; i < ctl->conf->plugin_count; i++) {
        const struct conf_plugin *plugin = &ctl->conf->plugins[i];
        struct span file = span_cstr(plugin->file);

        if (strcmp(plugin->name, "drop") == 0 || span_ends_nocase(file, SPAN("/drop.so")))
            return plugin;
    }
    ctl_complain("%s has no section plugin \"drop\": there are no mailboxes", ctl->config);
    return NULL;
}

const char *mailbox_plugin(const struct ctl *ctl)
{
    const struct conf_plugin *plugin = section_of(ctl);

    return plugin != NULL ? plugin->name : NULL;
}

static const char *option_of(const struct conf_plugin *plugin, const char *name,
                             const char *otherwise)
{
    for (unsigned i = 0; i < plugin->option_count; i++)
        if (strcmp(plugin->options[i].name, name) == 0 && plugin->options[i].count > 0)
            return plugin->options[i].values[0];
    return otherwise;
}

/* Which the plugin reads by its own schema; here by the same reader of values. */
struct store_place {
    char *path;
    uint64_t map_size;
    uint64_t quota_bytes;
    uint64_t quota_messages;
};

static const struct place_key {
    struct conf_key key;
    const char *otherwise;
} place_keys[] = {
    {{.name = "mailboxes",
      .type = CONF_PATH,
      .offset = offsetof(struct store_place, path),
      .width = sizeof(char *),
      .min = 1,
      .max = 4000},
     "/var/lib/smarthop/mail"},
    {{.name = "store_map_size",
      .type = CONF_SIZE,
      .offset = offsetof(struct store_place, map_size),
      .width = sizeof(uint64_t),
      .max = UINT64_MAX},
     "1TiB"},
    {{.name = "quota_bytes",
      .type = CONF_SIZE,
      .offset = offsetof(struct store_place, quota_bytes),
      .width = sizeof(uint64_t),
      .max = UINT64_MAX},
     "0"},
    {{.name = "quota_messages",
      .type = CONF_NUMBER,
      .offset = offsetof(struct store_place, quota_messages),
      .width = sizeof(uint64_t),
      .max = UINT64_MAX},
     "0"},
};

static bool read_place(const struct ctl *ctl, struct store_place *out)
{
    const struct conf_plugin *plugin = section_of(ctl);
    bool good = plugin != NULL;
    char *folder = conf_folder_of(ctl->config);
    struct buf why;

    *out = (struct store_place){.path = NULL};
    buf_init(&why, 0);
    for (size_t i = 0; good && i < sizeof place_keys / sizeof place_keys[0]; i++) {
        const struct conf_key *key = &place_keys[i].key;
        const char *text = option_of(plugin, key->name, place_keys[i].otherwise);

        good = conf_value_add(key, out, span_cstr(text), folder, &why);
        if (!good)
            ctl_complain("%s: %s: \"%s\" %.*s", ctl->config, key->name, text,
                         SPAN_ARG(buf_span(&why)));
    }
    buf_fini(&why);
    free(folder);
    return good;
}

static enum ctl_exit explain_open_failure(const char *path, struct err e)
{
    char why[ERR_TEXT_MAX];

    err_text(e, why);
    if (e.kind == ERR_CONFLICT) {
        ctl_complain("the mailboxes at %s are in use by smarthopd: stop it first", path);
        return CTL_FAILED;
    }
    if (e.kind == ERR_NOT_FOUND)
        ctl_complain("there are no mailboxes at %s: smarthopd has not run yet, or the"
                     " configuration (-c) is not the one it runs with",
                     path);
    else if (e.sys == EACCES || e.sys == EPERM)
        ctl_complain("the mailboxes at %s may not be opened (%s): run this as root or as"
                     " smarthopd's user",
                     path, why);
    else
        ctl_complain("the mailboxes at %s cannot be opened: %s", path, why);
    return CTL_FAILED;
}

enum ctl_exit mailbox_open(const struct ctl *ctl, bool read_only, struct mailstore **out)
{
    struct store_place place;
    enum ctl_exit result = CTL_FAILED;

    if (read_place(ctl, &place)) {
        struct mailstore_options options = {.path = place.path,
                                            .map_size = place.map_size,
                                            .quota_bytes = place.quota_bytes,
                                            .quota_messages = place.quota_messages,
                                            .box_max = 1000000,
                                            .draft_memory = 4 << 20,
                                            .read_only = read_only};
        struct err e = mailstore_open(&options, out);
        result = err_is(e) ? explain_open_failure(place.path, e) : CTL_OK;
    }
    free(place.path);
    return result;
}

enum ctl_exit mailbox_store_failed(struct err e)
{
    char why[ERR_TEXT_MAX];

    ctl_complain("the mailboxes cannot be read: %s", err_text(e, why));
    return CTL_FAILED;
}

/* ---- list --------------------------------------------------------------------------------- */

struct listing {
    const struct ctl *ctl;
    struct mailstore *store;
    struct kv_txn *txn;
    uint64_t shown;
    struct err error;
};

static void write_size(uint64_t bytes)
{
    char text[OUTPUT_SIZE_MAX];

    output_cell(span_of(text, output_size(bytes, text)), WIDTH_COUNT, OUTPUT_PLAIN);
}

static void write_heading(const char *const *titles, size_t count)
{
    for (size_t i = 0; i < count; i++)
        output_cell(span_cstr(titles[i]),
                    i + 1 == count ? 0
                    : i == 0       ? WIDTH_NAME
                                   : WIDTH_COUNT,
                    OUTPUT_BOLD);
    putchar('\n');
}

static bool visit_user(void *context, struct span name)
{
    static const char *const titles[] = {"USER",  "BOXES",     "MESSAGES",
                                         "BYTES", "BYTES MAX", "MESSAGES MAX"};
    struct listing *list = context;
    struct mailstore_user user;

    list->error = mailstore_user_get(list->store, list->txn, name, &user);
    if (err_is(list->error))
        return false;
    if (list->ctl->json) {
        json_next_line();
        json_open(NULL, '{');
        json_text("user", name);
        json_number("mailboxes", user.boxes);
        json_number("messages", user.messages);
        json_number("bytes", user.bytes);
        json_number("bytes_max", user.bytes_max);
        json_number("messages_max", user.messages_max);
        json_close('}');
    } else {
        if (list->shown == 0)
            write_heading(titles, sizeof titles / sizeof titles[0]);
        output_cell(name, WIDTH_NAME, OUTPUT_PLAIN);
        output_number(user.boxes, WIDTH_COUNT);
        output_number(user.messages, WIDTH_COUNT);
        write_size(user.bytes);
        if (user.bytes_max > 0)
            write_size(user.bytes_max);
        else
            output_cell(SPAN("-"), WIDTH_COUNT, OUTPUT_PLAIN);
        if (user.messages_max > 0)
            output_number(user.messages_max, 0);
        else
            output_text(SPAN("-"));
        putchar('\n');
    }
    list->shown++;
    return true;
}

static bool visit_box(void *context, const struct mailstore_box *box)
{
    static const char *const titles[] = {"MAILBOX", "MESSAGES", "UNSEEN", "BYTES", "UIDVALIDITY"};
    struct listing *list = context;

    if (list->ctl->json) {
        json_next_line();
        json_open(NULL, '{');
        json_text("name", box->name);
        json_number("messages", box->exists);
        json_number("unseen", box->unseen);
        json_number("bytes", box->bytes);
        json_number("uid_validity", box->uid_validity);
        json_number("uid_next", box->uid_next);
        json_number("highest_modseq", box->highest_modseq);
        json_close('}');
    } else {
        if (list->shown == 0)
            write_heading(titles, sizeof titles / sizeof titles[0]);
        output_cell(box->name, WIDTH_NAME, OUTPUT_PLAIN);
        output_number(box->exists, WIDTH_COUNT);
        output_number(box->unseen, WIDTH_COUNT);
        write_size(box->bytes);
        output_number(box->uid_validity, 0);
        putchar('\n');
    }
    list->shown++;
    return true;
}

static struct err list_all(struct listing *list)
{
    const struct ctl *ctl = list->ctl;
    struct err e = mailstore_read_begin(list->store, &list->txn);

    if (err_is(e))
        return e;
    if (ctl->operand_count > 0)
        e = mailstore_box_walk(list->txn, span_cstr(ctl->operands[0]), visit_box, list);
    else
        e = mailstore_user_walk(list->txn, SPAN_NONE, visit_user, list);
    mailstore_read_end(list->txn);
    return err_is(e) ? e : list->error;
}

enum ctl_exit ctl_mailbox_list(struct ctl *ctl)
{
    struct listing list = {.ctl = ctl};
    enum ctl_exit opened = mailbox_open(ctl, true, &list.store);

    if (opened != CTL_OK)
        return opened;
    if (ctl->json)
        json_open(NULL, '[');
    struct err e = list_all(&list);
    if (ctl->json) {
        json_end_line();
        json_close(']');
        json_end_line();
    }
    mailstore_close(list.store);
    if (err_is(e) && e.kind != ERR_NOT_FOUND)
        return mailbox_store_failed(e);
    if (list.shown > 0 || ctl->json)
        return CTL_OK;
    if (ctl->operand_count == 0) {
        puts("Nobody has mailboxes yet.");
        return CTL_OK;
    }
    ctl_complain("%s has no mailboxes; `smarthopctl mailbox list` shows who has", ctl->operands[0]);
    return CTL_FAILED;
}

/* ---- changes ------------------------------------------------------------------------------ */

static enum ctl_exit tell(const struct ctl *ctl, struct span output, int code)
{
    if (ctl->json) {
        json_open(NULL, '{');
        json_bool("ok", code == 0);
        json_text("output", output);
        json_close('}');
        json_end_line();
    } else if (code == 0) {
        output_raw(output);
    } else {
        ctl_complain("%.*s", SPAN_ARG(span_trim(span_head(output, span_rindex(output, '\n')))));
    }
    return code == 0 ? CTL_OK : code == 2 ? CTL_USAGE : CTL_FAILED;
}

/* What smarthopd would do, as it is not there. */
static enum ctl_exit change_here(const struct ctl *ctl, const struct span *words, unsigned count)
{
    struct mailstore *store;
    enum ctl_exit result = mailbox_open(ctl, false, &store);
    struct buf out;

    if (result != CTL_OK)
        return result;
    buf_init(&out, 0);
    int code = mailbox_order(store, words, count, &out);
    mailstore_close(store);
    result = tell(ctl, buf_span(&out), code);
    buf_fini(&out);
    return result;
}

static enum ctl_exit change(const struct ctl *ctl, const struct span *words, unsigned count)
{
    json_t *answer, *list = json_array();
    const char *plugin = mailbox_plugin(ctl);

    json_array_append_new(list, json_string("mailbox"));
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, json_stringn(words[i].ptr, words[i].len));
    json_t *command = json_pack("{s:s, s:s, s:o}", "command", "plugin-command", "plugin",
                                plugin != NULL ? plugin : "", "words", list);
    if (plugin == NULL) {
        json_decref(command);
        return CTL_FAILED;
    }
    enum ctl_exit result = client_ask(ctl, command, &answer);
    if (result == CTL_NO_DAEMON)
        return change_here(ctl, words, count);
    if (result != CTL_OK)
        return result;
    if (json_is_true(json_object_get(answer, "ok")))
        result = tell(ctl, client_text(answer, "output"), (int)client_number(answer, "code"));
    else
        result = client_refused(answer, NULL);
    json_decref(answer);
    return result;
}

enum ctl_exit ctl_mailbox_change(struct ctl *ctl)
{
    bool is_all = (ctl->options & CTL_ALL) != 0;
    struct span words[] = {span_cstr(ctl->verb), span_cstr(ctl->operands[0]),
                           ctl->operand_count > 1 ? span_cstr(ctl->operands[1]) : SPAN_NONE};

    if (is_all == (ctl->operand_count > 1)) {
        ctl_complain("name one mailbox, or all of them by --all");
        return CTL_USAGE;
    }
    return change(ctl, words, is_all ? 2 : 3);
}

/* Sizes may be written with a unit. */
static bool read_bound(const char *text, enum conf_type type, char room[SPAN_U64_MAX],
                       struct span *out)
{
    const struct conf_key key = {
        .name = "bound", .type = type, .width = sizeof(uint64_t), .min = 1, .max = UINT64_MAX - 1};
    uint64_t value;
    struct buf why;

    *out = span_cstr(text);
    if (strcmp(text, "none") == 0 || strcmp(text, "default") == 0)
        return true;
    buf_init(&why, 0);
    bool good = conf_value_add(&key, &value, *out, NULL, &why);
    if (good)
        *out = span_format_u64(value, room);
    else
        ctl_complain("\"%s\" %.*s; or say none, or default", text, SPAN_ARG(buf_span(&why)));
    buf_fini(&why);
    return good;
}

enum ctl_exit ctl_mailbox_quota(struct ctl *ctl)
{
    struct span words[] = {SPAN("quota"), span_cstr(ctl->operands[0]), SPAN_NONE, SPAN_NONE};
    char bytes[SPAN_U64_MAX], messages[SPAN_U64_MAX];

    if ((ctl->operand_count > 1 && !read_bound(ctl->operands[1], CONF_SIZE, bytes, &words[2])) ||
        (ctl->operand_count > 2 && !read_bound(ctl->operands[2], CONF_NUMBER, messages, &words[3])))
        return CTL_USAGE;
    return change(ctl, words, 1 + ctl->operand_count);
}
