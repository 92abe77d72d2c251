/*
 * A whole POP3 session over a pair of sockets, of a user who has logged in, or, where the first
 * byte is odd, of nobody yet. Whatever a client says, answers are answers, and messages go only by
 * QUIT.
 */
#include "support/drop_fuzz.h"

enum { MESSAGES = 4 };

static void open_rig(void)
{
    MUST(!err_is(log_open("stderr", LOG_ERROR)));
    atexit(drop_rig_close);
    drop_rig_open("");
    drop_rig.settings.errors_max = 50;
}

static void fill(void)
{
    static const char *const texts[MESSAGES] = {"Subject: a\r\n\r\n.one\r\n", "two", "",
                                                "\r\n.\r\n..\r\n.\r\n"};
    unsigned have = rig_box(drop_rig.worker.store, "alice", "INBOX").exists;

    for (; have < MESSAGES; have++)
        MUST(rig_put_flagged(drop_rig.worker.store, "alice", "INBOX", texts[have], 0) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drop_fuzz client;

    if (drop_rig.loop == NULL)
        open_rig();
    fill();
    bool is_nobody = size > 0 && (data[0] & 1) != 0;
    drop_fuzz_session(&client, &drop_pop3,
                      is_nobody ? SPAN("") : SPAN("USER alice\r\nPASS pencil\r\n"),
                      span_of((const char *)data, size));
    struct span text = buf_span(&client.replies);
    MUST(span_starts_nocase(text, SPAN("+OK")));
    MUST(text.len >= 2 && text.ptr[text.len - 1] == '\n' && text.ptr[text.len - 2] == '\r');
    bool has_left = memmem(text.ptr, text.len, "+OK Bye\r\n", 9) != NULL;
    MUST(has_left || rig_box(drop_rig.worker.store, "alice", "INBOX").exists == MESSAGES);
    MUST(drop_rig.logged_in == 0 && drop_rig.claimed[0] == '\0');
    buf_fini(&client.replies);
    return 0;
}
