/*
 * queue export: messages as files (queue/eml.h). The store is read here, a piece at a time; only
 * --remove needs the daemon. Then a message is held while it is written, so that nobody gets it
 * meanwhile who is named in the file, and goes once the file and its folder are on disk.
 */
#include "proto/base32.h"
#include "queue/ctl/change.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"
#include "queue/ctl/select.h"
#include "queue/eml.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNKS_AT_ONCE = 64, NAME_SIZE = ID_TEXT_LEN + 16 };

struct export
{
    struct ctl *ctl;
    struct queue *queue;
    const char *to;
    int folder; /* -1: to stdout */
    uint64_t messages;
    enum ctl_exit result;
};

/* ---- a file --------------------------------------------------------------------------------- */

static bool write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0)
            bytes = span_from(bytes, (size_t)written);
    }
    return true;
}

static enum ctl_exit complain_of_file(const struct export *x, const char *name)
{
    ctl_complain("%s%s%s: %s", x->to, *name ? "/" : "", name, strerror(errno));
    return CTL_FAILED;
}

/* What was loaded may have been delivered since: then the body has gone. */
static enum ctl_exit write_body(const struct export *x, const struct queue_message *message, int fd)
{
    uint64_t written = 0;
    struct err e = ERR_OK;
    bool is_full = false;
    struct buf piece;

    buf_init(&piece, 0);
    for (uint32_t first = 0; first < message->chunk_count && !err_is(e) && !is_full;
         first += CHUNKS_AT_ONCE) {
        e = queue_read_body(x->queue, message->id, first, CHUNKS_AT_ONCE, &piece);
        written += buf_len(&piece);
        is_full = !err_is(e) && !write_all(fd, buf_span(&piece));
        buf_clear(&piece);
    }
    buf_fini(&piece);
    if (is_full)
        return complain_of_file(x, "");
    if (!err_is(e) && written != message->size)
        e = err_make(ERR_NOT_FOUND, "body");
    return err_is(e) ? ctl_store_failed(message->id, e) : CTL_OK;
}

static enum ctl_exit write_message(const struct export *x, const struct queue_message *message,
                                   int fd)
{
    struct buf head;

    if (message->flags & QUEUE_DAMAGED)
        return ctl_store_failed(message->id, err_make(ERR_CORRUPT, "message"));
    buf_init(&head, 0);
    eml_write(message, &head);
    buf_add(&head, message->trace);
    bool is_written = write_all(fd, buf_span(&head));
    buf_fini(&head);
    return is_written ? write_body(x, message, fd) : complain_of_file(x, "");
}

/* Whole and on disk, or not there. */
static enum ctl_exit write_file(const struct export *x, const struct queue_message *message,
                                const char *name)
{
    char draft[NAME_SIZE];

    snprintf(draft, sizeof draft, ".%s", name);
    int fd = openat(x->folder, draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return complain_of_file(x, draft);
    enum ctl_exit result = write_message(x, message, fd);
    if (result == CTL_OK && fsync(fd) != 0)
        result = complain_of_file(x, draft);
    close(fd);
    if (result == CTL_OK &&
        (renameat(x->folder, draft, x->folder, name) != 0 || fsync(x->folder) != 0))
        result = complain_of_file(x, name);
    if (result != CTL_OK)
        unlinkat(x->folder, draft, 0);
    return result;
}

/* ---- a message ------------------------------------------------------------------------------ */

static void print_done(const struct export *x, uint64_t id, const char *name)
{
    char text[ID_TEXT_SIZE];
    bool is_removed = x->ctl->options & CTL_REMOVE;

    if (!x->ctl->json) {
        printf("%s: exported to %s/%s%s\n", id_format(id, text), x->to, name,
               is_removed ? " and removed" : "");
        return;
    }
    json_open(NULL, '{');
    json_bool("ok", true);
    json_text("id", span_cstr(id_format(id, text)));
    json_text("folder", span_cstr(x->to));
    json_text("file", span_cstr(name));
    json_bool("removed", is_removed);
    json_close('}');
    json_end_line();
}

/* Has the daemon do something to all groups of a message. */
static enum ctl_exit order(const struct export *x, const char *command, uint64_t id)
{
    char name[ID_TEXT_SIZE];
    json_t *answer;
    enum ctl_exit asked = client_order(
        x->ctl, json_pack("{s:s,s:s}", "command", command, "id", id_format(id, name)), &answer);

    if (asked != CTL_OK)
        return asked;
    uint64_t busy = (uint64_t)json_integer_value(json_object_get(answer, "busy"));
    json_decref(answer);
    return busy > 0 ? change_left_busy(busy) : CTL_OK;
}

static const struct queue_group *find_group(const struct queue_message *message, uint32_t number)
{
    for (unsigned i = 0; i < message->group_count; i++)
        if (message->groups[i].number == number)
            return &message->groups[i];
    return NULL;
}

static bool is_all_held(const struct queue_message *message)
{
    for (unsigned i = 0; i < message->group_count; i++)
        if (message->groups[i].state != QUEUE_GROUP_HELD)
            return false;
    return true;
}

/* Holds all of it; *message then is what the store has of it, in the states that it had before. */
static enum ctl_exit hold(const struct export *x, struct queue_message **message)
{
    struct queue_message *before = *message;
    enum ctl_exit result = is_all_held(before) ? CTL_OK : order(x, "hold", before->id);

    if (result != CTL_OK)
        return result;
    struct err e = queue_load(x->queue, before->id, QUEUE_ALL_GROUPS, message);
    for (unsigned i = 0; !err_is(e) && i < (*message)->group_count; i++) {
        struct queue_group *group = &(*message)->groups[i];
        const struct queue_group *was = find_group(before, group->number);
        group->state = was != NULL ? was->state : QUEUE_GROUP_WAITING;
    }
    if (err_is(e))
        result = ctl_store_failed(before->id, e);
    queue_message_unref(before);
    return result;
}

static enum ctl_exit export_removing(const struct export *x, struct queue_message **message,
                                     const char *name)
{
    char id[ID_TEXT_SIZE];
    enum ctl_exit result = hold(x, message);

    if (result != CTL_OK)
        return result;
    result = write_file(x, *message, name);
    if (result == CTL_OK)
        result = order(x, "remove", (*message)->id);
    if (result != CTL_OK)
        ctl_complain("%s is held now: `queue release` lets it go", id_format((*message)->id, id));
    return result;
}

static enum ctl_exit export_message(struct export *x, struct queue_message *message)
{
    char name[NAME_SIZE], id[ID_TEXT_SIZE];
    enum ctl_exit result;

    x->messages++;
    if (x->folder < 0)
        return write_message(x, message, STDOUT_FILENO);
    snprintf(name, sizeof name, "%s.eml", id_format(message->id, id));
    queue_message_ref(message);
    if (x->ctl->options & CTL_REMOVE)
        result = export_removing(x, &message, name);
    else
        result = write_file(x, message, name);
    if (result == CTL_OK)
        print_done(x, message->id, name);
    queue_message_unref(message);
    return result;
}

/* ---- which ---------------------------------------------------------------------------------- */

static bool visit(void *context, const struct selected *selected)
{
    struct export *x = context;

    if (!selected->is_first)
        return true;
    enum ctl_exit one = export_message(x, selected->message);
    if (one != CTL_OK)
        x->result = one;
    return one == CTL_OK || one == CTL_PARTLY;
}

static enum ctl_exit export_id(struct export *x, uint64_t id)
{
    struct queue_message *message;
    struct err e = queue_load(x->queue, id, QUEUE_ALL_GROUPS, &message);

    if (err_is(e))
        return ctl_store_failed(id, e);
    enum ctl_exit result = export_message(x, message);
    queue_message_unref(message);
    return result;
}

static enum ctl_exit export_chosen(struct export *x)
{
    const struct ctl *ctl = x->ctl;
    uint64_t id;

    if (ctl->operand_count == 0) {
        struct err e = select_groups(x->queue, &ctl->filter, visit, x);
        return err_is(e) ? ctl_store_failed(0, e) : x->result;
    }
    for (unsigned i = 0; i < ctl->operand_count; i++) {
        id_parse(span_cstr(ctl->operands[i]), &id);
        enum ctl_exit one = export_id(x, id);
        if (one != CTL_OK)
            x->result = one;
        if (one == CTL_NO_DAEMON)
            break;
    }
    return x->result;
}

static enum ctl_exit check(const struct ctl *ctl)
{
    bool all = ctl->options & CTL_ALL, filtered = ctl->options & CTL_FILTER;
    uint64_t id;

    if (all + filtered + (ctl->operand_count > 0) != 1) {
        ctl_complain("`queue export` takes either message ids, or filters, or --all");
        return CTL_USAGE;
    }
    if (ctl->to.count != 1) {
        ctl_complain("`queue export` takes one --to: a folder, or - for stdout");
        return CTL_USAGE;
    }
    if (strcmp(ctl->to.items[0], "-") == 0 &&
        (ctl->operand_count != 1 || (ctl->options & CTL_REMOVE))) {
        ctl_complain("to stdout goes one message, named by its id, which stays in the queue");
        return CTL_USAGE;
    }
    for (unsigned i = 0; i < ctl->operand_count; i++)
        if (!ctl_parse_id(ctl->operands[i], &id))
            return CTL_USAGE;
    return CTL_OK;
}

enum ctl_exit ctl_export(struct ctl *ctl)
{
    struct export x = {.ctl = ctl, .folder = -1};
    enum ctl_exit result = check(ctl);

    if (result != CTL_OK)
        return result;
    x.to = ctl->to.items[0];
    if (strcmp(x.to, "-") != 0) {
        x.folder = open(x.to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (x.folder < 0)
            return complain_of_file(&x, "");
    }
    result = ctl_open_store(ctl, true, &x.queue);
    if (result == CTL_OK) {
        result = export_chosen(&x);
        queue_close(x.queue);
    }
    if (x.folder >= 0)
        close(x.folder);
    return result;
}
