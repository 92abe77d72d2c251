/*
 * A whole IMAP session over a pair of sockets, of a user who has logged in, or, where the first
 * byte is odd, of nobody yet. Whatever a client says, answers are whole lines with whole literals,
 * no number goes beyond the mailbox as its client knows it, and whoever has not logged in changes
 * nothing.
 */
#include "support/drop_fuzz.h"

enum { MESSAGES = 3 };

static const char mixed[] =
    "From: \"A\" <a@x.test>\r\nSubject: mixed\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
    "Message-ID: <1@x.test>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "
    "quoted-printable\r\n\r\nh=E9llo =\r\nworld\r\n--b\r\nContent-Type: "
    "message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--b\r\nContent-Type: image/png\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\naABlbGxvCg==\r\n--b--\r\n";

static void open_rig(void)
{
    MUST(!err_is(log_open("stderr", LOG_ERROR)));
    atexit(drop_rig_close);
    drop_rig_open("");
    drop_rig.settings.errors_max = 50;
    drop_rig.settings.folders = "Trash";
    drop_rig.settings.message_size_max = 20000;
}

/* As at the start. */
static void fill(void)
{
    static const char *const texts[MESSAGES] = {"Subject: a\r\n\r\none\r\n", mixed, "two"};
    struct mailstore_remove_user op = {.op = {.kind = MAILSTORE_REMOVE_USER},
                                       .user = SPAN("alice")};

    mailstore_run(drop_rig.worker.store, &op.op);
    MUST(!err_is(op.op.result));
    free(op.boxes);
    for (unsigned i = 0; i < MESSAGES; i++)
        MUST(rig_put_flagged(drop_rig.worker.store, "alice", "INBOX", texts[i], i) > 0);
}

/* The length of the literal that the line announces; 0 = none. */
static uint64_t literal_len(struct span line)
{
    uint64_t len = 0;

    if (line.len < 3 || line.ptr[line.len - 1] != '}')
        return 0;
    size_t at = span_rindex(line, '{');
    if (at == line.len || !span_parse_u64(span_of(line.ptr + at + 1, line.len - at - 2), &len))
        return 0;
    return len;
}

/* An untagged line that begins with a number. */
static void check_number(struct span line, uint64_t *count, bool *is_known)
{
    uint64_t number;
    struct span rest, word = span_split(span_from(line, 2), ' ', &rest);

    if (!span_parse_u64(word, &number))
        return;
    if (span_equal(rest, SPAN("EXISTS"))) {
        *count = number;
    } else if (span_equal(rest, SPAN("EXPUNGE"))) {
        MUST(!*is_known || (number >= 1 && number <= *count));
        *count -= *is_known;
    } else if (span_starts_nocase(rest, SPAN("FETCH "))) {
        MUST(!*is_known || (number >= 1 && number <= *count));
    }
}

static void check_replies(struct span text)
{
    uint64_t count = 0;
    bool is_known = true;

    MUST(span_starts_nocase(text, SPAN("* OK [CAPABILITY ")));
    while (text.len > 0) {
        bool is_first = true;
        uint64_t literal = 0;
        do {
            struct span line = span_split(text, '\n', &text);
            MUST(line.len >= 1 && line.ptr[line.len - 1] == '\r');
            line.len--;
            if (is_first && span_starts_nocase(line, SPAN("* VANISHED ")))
                is_known = false;
            if (is_first && span_starts_nocase(line, SPAN("* ")))
                check_number(line, &count, &is_known);
            literal = literal_len(line);
            MUST(literal <= text.len);
            text = span_from(text, (size_t)literal);
            is_first = false;
        } while (literal > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drop_fuzz client;

    if (drop_rig.loop == NULL)
        open_rig();
    fill();
    bool is_nobody = size > 0 && (data[0] & 1) != 0;
    drop_fuzz_session(&client, &drop_imap,
                      is_nobody ? SPAN("") : SPAN("a LOGIN alice pencil\r\nb SELECT INBOX\r\n"),
                      span_of((const char *)data, size));
    check_replies(buf_span(&client.replies));
    bool logs_in =
        memmem(buf_span(&client.replies).ptr, buf_len(&client.replies), "Logged in", 9) != NULL;
    MUST(logs_in || rig_box(drop_rig.worker.store, "alice", "INBOX").exists == MESSAGES);
    MUST(drop_rig.logged_in == 0);
    buf_fini(&client.replies);
    return 0;
}
