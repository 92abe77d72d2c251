#include "queue/ctl/ctl.h"
#include "queue/ctl/json.h"
#include "queue/ctl/output.h"

#include <stdio.h>

static void print_check(const char *file, bool good, struct span messages)
{
    json_open(NULL, '{');
    json_bool("ok", good);
    json_text("file", span_cstr(file));
    json_open("messages", '[');
    while (messages.len > 0) {
        struct span line = span_split(messages, '\n', &messages);
        if (line.len > 0)
            json_text(NULL, line);
    }
    json_close(']');
    json_close('}');
    json_end_line();
}

enum ctl_exit ctl_config_check(struct ctl *ctl)
{
    const char *file = ctl->operand_count > 0 ? ctl->operands[0] : ctl->config;
    struct buf messages;
    struct conf *conf;

    buf_init(&messages, 0);
    struct err e = conf_load(file, &messages, &conf);
    bool good = !err_is(e);
    if (ctl->json) {
        print_check(file, good, buf_span(&messages));
    } else {
        fprintf(stderr, "%.*s", SPAN_ARG(buf_span(&messages)));
        if (good)
            printf("%s: good\n", file);
    }
    buf_fini(&messages);
    conf_unref(conf);
    return good ? CTL_OK : CTL_FAILED;
}

enum ctl_exit ctl_config_show(struct ctl *ctl)
{
    struct buf text;

    buf_init(&text, 0);
    conf_print(ctl->conf, &text);
    if (ctl->json) {
        json_open(NULL, '{');
        json_text("file", span_cstr(ctl->conf->file));
        json_text("configuration", buf_span(&text));
        json_close('}');
        json_end_line();
    } else {
        output_raw(buf_span(&text));
    }
    buf_fini(&text);
    return CTL_OK;
}
