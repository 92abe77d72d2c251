/* queue import: exported messages come back, each in pieces to the daemon. What it says of a file
 * is said after the daemon has it on disk. */
#include "auth/base64.h"
#include "queue/ctl/client.h"
#include "queue/ctl/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { PIECE = 45000 }; /* as base64 in a line of the control socket */

struct importing {
    struct ctl *ctl;
    const char *file;
    int fd;
    json_int_t number; /* of the import; 0 before the first piece */
};

/* As much as a piece takes, less only at the end; false where it cannot be read. */
static bool read_piece(const struct importing *i, char *room, size_t *len_out)
{
    *len_out = 0;
    while (*len_out < PIECE) {
        ssize_t got = read(i->fd, room + *len_out, PIECE - *len_out);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR) {
            ctl_complain("%s: %s", i->file, strerror(errno));
            return false;
        }
        if (got > 0)
            *len_out += (size_t)got;
    }
    return true;
}

static json_t *command_of(const struct importing *i, struct span piece)
{
    char text[BASE64_TEXT_LEN(PIECE)];
    size_t len = base64_encode(piece, text);
    json_t *command = json_pack("{s:s,s:s%}", "command", "import", "data", text, len);

    if (i->number != 0)
        json_object_set_new(command, "import", json_integer(i->number));
    if (piece.len < PIECE)
        json_object_set_new(command, "last", json_true());
    return command;
}

static enum ctl_exit refused(const struct importing *i, const json_t *answer)
{
    json_int_t line = json_integer_value(json_object_get(answer, "line"));
    char about[4096];

    snprintf(about, sizeof about, "%s:%" JSON_INTEGER_FORMAT, i->file, line);
    return client_refused(answer, line > 0 ? about : i->file);
}

static void print_done(const struct importing *i, const json_t *answer)
{
    const char *id = json_string_value(json_object_get(answer, "id"));
    json_int_t recipients = json_integer_value(json_object_get(answer, "recipients"));

    if (!i->ctl->json) {
        printf("%s: imported as %s (%" JSON_INTEGER_FORMAT " recipient%s)\n", i->file, id,
               recipients, recipients == 1 ? "" : "s");
        return;
    }
    json_open(NULL, '{');
    json_bool("ok", true);
    json_text("file", span_cstr(i->file));
    json_text("id", span_cstr(id));
    json_number("recipients", (uint64_t)recipients);
    json_close('}');
    json_end_line();
}

static enum ctl_exit send_file(struct importing *i)
{
    char room[PIECE];
    size_t len = PIECE;

    while (len == PIECE) {
        json_t *answer;
        if (!read_piece(i, room, &len))
            return CTL_FAILED;
        enum ctl_exit asked = client_ask(i->ctl, command_of(i, span_of(room, len)), &answer);
        if (asked == CTL_NO_DAEMON)
            ctl_complain("smarthopd is not running, and only it can take messages back");
        if (asked != CTL_OK)
            return asked;
        i->number = json_integer_value(json_object_get(answer, "import"));
        if (!json_is_true(json_object_get(answer, "ok")))
            asked = refused(i, answer);
        else if (len < PIECE)
            print_done(i, answer);
        json_decref(answer);
        if (asked != CTL_OK)
            return asked;
    }
    return CTL_OK;
}

enum ctl_exit ctl_import(struct ctl *ctl)
{
    enum ctl_exit result = CTL_OK;

    for (unsigned n = 0; n < ctl->operand_count && result != CTL_NO_DAEMON; n++) {
        struct importing i = {.ctl = ctl, .file = ctl->operands[n]};
        i.fd = open(i.file, O_RDONLY | O_CLOEXEC);
        enum ctl_exit one = CTL_FAILED;
        if (i.fd < 0)
            ctl_complain("%s: %s", i.file, strerror(errno));
        else
            one = send_file(&i);
        if (i.fd >= 0)
            close(i.fd);
        if (one != CTL_OK)
            result = one;
    }
    return result;
}
