/*
 * A whole LMTP session over a pair of sockets, with a store behind it. Whatever a client says,
 * replies are replies, what is called delivered is in a mailbox, and nothing there could be taken
 * for another line end.
 */
#include "support/drop_fuzz.h"

struct seen {
    unsigned messages;
    struct buf text;
};

static bool see_entry(void *context, const struct mailstore_entry *entry)
{
    struct seen *seen = context;

    buf_add(&seen->text, entry->prefix);
    MUST(!err_is(rig_content(drop_rig.worker.store, entry->message, 0, UINT64_MAX, &seen->text)));
    seen->messages++;
    return true;
}

static void check_box(const char *user, struct seen *seen)
{
    struct mailstore_box box = rig_box(drop_rig.worker.store, user, "INBOX");
    struct err e = ERR_OK;

    if (box.id == 0)
        return;
    RIG_READ(drop_rig.worker.store, txn)
    e = mailstore_entry_walk(txn, box.id, 0, see_entry, seen);
    MUST(!err_is(e));
    if (box.exists > 0)
        rig_expunge(drop_rig.worker.store, box.id, (struct mailstore_range){0, 0}, true);
}

static void check_lines(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        MUST(text.ptr[i] != '\0');
        MUST(text.ptr[i] != '\n' || (i > 0 && text.ptr[i - 1] == '\r'));
        MUST(text.ptr[i] != '\r' || (i + 1 < text.len && text.ptr[i + 1] == '\n'));
    }
}

/* Whole lines of the form "250-text" or "250 text"; how many recipients were told of success. */
static unsigned check_replies(struct span rest)
{
    unsigned delivered = 0;

    MUST(rest.len > 0);
    while (rest.len > 0) {
        MUST(span_index(rest, '\n') < rest.len);
        struct span line = span_split(rest, '\n', &rest);
        MUST(line.len >= 5 && line.ptr[line.len - 1] == '\r');
        MUST(line.ptr[0] >= '2' && line.ptr[0] <= '5');
        MUST(ascii_is_digit(line.ptr[1]) && ascii_is_digit(line.ptr[2]));
        MUST(line.ptr[3] == ' ' || line.ptr[3] == '-');
        delivered += span_starts_nocase(line, SPAN("250 2.0.0 <"));
    }
    return delivered;
}

static void open_rig(void)
{
    MUST(!err_is(log_open("stderr", LOG_ERROR)));
    atexit(drop_rig_close);
    drop_rig_open("team: alice, bob\nfar: x@far.test\nself: self, alice+Lists\n");
    drop_rig.settings.message_size_max = 32768;
    drop_rig.settings.errors_max = 50;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen seen = {0};
    struct drop_fuzz client;

    if (drop_rig.loop == NULL)
        open_rig();
    drop_fuzz_session(&client, &drop_lmtp, SPAN("LHLO c\r\n"), span_of((const char *)data, size));
    unsigned delivered = check_replies(buf_span(&client.replies));
    check_box("alice", &seen);
    check_box("bob", &seen);
    check_box("carol", &seen);
    check_lines(buf_span(&seen.text));
    MUST(delivered == 0 || seen.messages > 0);
    buf_fini(&seen.text);
    buf_fini(&client.replies);
    return 0;
}
