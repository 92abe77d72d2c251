/* `route`: what would become of a recipient, as the running daemon sees it. */
#include "queue/ctl/client.h"
#include "queue/ctl/output.h"

#include <inttypes.h>
#include <stdio.h>

enum { HEADER_MOST = 65536, WIDTH_LABEL = 12 };

/* The header of the message in the file, with CRLF; what is not UTF-8 is told in ASCII. False where
 * it cannot be read. */
static bool read_header(const char *file, struct buf *out)
{
    char line[HEADER_MOST];
    FILE *stream = fopen(file, "re");

    if (stream == NULL) {
        ctl_complain("%s: %m", file);
        return false;
    }
    while (fgets(line, sizeof line, stream) != NULL && buf_len(out) < HEADER_MOST) {
        size_t len = strcspn(line, "\r\n");
        if (len == 0)
            break;
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)line[i] > 126)
                line[i] = '?';
        buf_add(out, span_of(line, len));
        buf_add(out, SPAN("\r\n"));
    }
    fclose(stream);
    return true;
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static json_t *order_of(const struct ctl *ctl, struct span header)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s#}", "command", "route", "recipient",
                     ctl->operands[0], "sender", or_empty(ctl->trial.sender), "user",
                     or_empty(ctl->trial.user), "client", or_empty(ctl->trial.client), "hello",
                     or_empty(ctl->trial.helo), "header", header.len > 0 ? header.ptr : "",
                     header.len);
}

static void print_text(const char *label, struct span text)
{
    if (text.len == 0)
        return;
    output_cell(span_cstr(label), WIDTH_LABEL, OUTPUT_BOLD);
    output_text(text);
    putchar('\n');
}

static void print_steps(const json_t *answer)
{
    const json_t *step;
    size_t i;

    json_array_foreach(json_object_get(answer, "steps"), i, step)
    {
        struct span why = client_text(step, "why");
        output_cell(SPAN("Asked"), WIDTH_LABEL, OUTPUT_BOLD);
        output_text(client_text(step, "plugin"));
        fputs(" about <", stdout);
        output_text(client_text(step, "recipient"));
        fputs(">: ", stdout);
        output_text(client_text(step, "said"));
        if (why.len > 0)
            fputs(", because ", stdout);
        output_text(why);
        printf(" (%" JSON_INTEGER_FORMAT " us)\n",
               json_integer_value(json_object_get(step, "ns")) / 1000);
    }
}

static void print_reply(const json_t *one)
{
    json_int_t code = json_integer_value(json_object_get(one, "code"));

    if (code == 0)
        return;
    output_cell(SPAN("  says"), WIDTH_LABEL, OUTPUT_BOLD);
    printf("%" JSON_INTEGER_FORMAT " ", code);
    output_text(client_text(one, "enhanced"));
    putchar(' ');
    output_text(client_text(one, "text"));
    putchar('\n');
}

static void print_answer(const json_t *one)
{
    struct span plugin = client_text(one, "plugin"), route = client_text(one, "route");

    print_text("Recipient", client_text(one, "recipient"));
    print_text("  verdict", client_text(one, "verdict"));
    print_text("  next hop", client_text(one, "next_hop"));
    print_text("  sender", client_text(one, "sender"));
    print_reply(one);
    output_cell(SPAN("  decided by"), WIDTH_LABEL, OUTPUT_BOLD);
    if (plugin.len > 0) {
        fputs("plugin ", stdout);
        output_text(plugin);
    } else if (route.len > 0) {
        fputs("route \"", stdout);
        output_text(route);
        putchar('"');
    } else {
        fputs("no plugin and no route: the MX hosts of its domain", stdout);
    }
    putchar('\n');
    print_text("  because", client_text(one, "why"));
}

static void print_all(const json_t *answer)
{
    const json_t *one;
    size_t i;

    print_steps(answer);
    json_array_foreach(json_object_get(answer, "answers"), i, one) print_answer(one);
}

enum ctl_exit ctl_route(struct ctl *ctl)
{
    json_t *answer;
    struct buf header;

    buf_init(&header, 0);
    if (ctl->trial.message != NULL && !read_header(ctl->trial.message, &header)) {
        buf_fini(&header);
        return CTL_FAILED;
    }
    enum ctl_exit result = client_order(ctl, order_of(ctl, buf_span(&header)), &answer);
    buf_fini(&header);
    if (result != CTL_OK)
        return result;
    if (ctl->json)
        client_print(answer);
    else
        print_all(answer);
    json_decref(answer);
    return CTL_OK;
}
