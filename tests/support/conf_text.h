/* conf_text: a configuration from text, for tests of what is configured. */
#ifndef SMARTHOP_TESTS_CONF_TEXT_H
#define SMARTHOP_TESTS_CONF_TEXT_H

#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What a file has to have; `text` follows it. A text that is refused ends the test program. */
static inline struct conf *conf_from_text(const char *text)
{
    char path[] = "/tmp/smarthop-conf-XXXXXX";
    struct conf *conf = NULL;
    struct buf messages;

    FILE *file = fdopen(mkstemp(path), "w");
    if (file == NULL)
        abort();
    fprintf(file, "hostname = mx.test\nlistener t { address = \"127.0.0.1:25\" }\n%s", text);
    fclose(file);
    buf_init(&messages, 0);
    if (err_is(conf_load(path, &messages, &conf))) {
        fprintf(stderr, "%.*s", SPAN_ARG(buf_span(&messages)));
        abort();
    }
    buf_fini(&messages);
    unlink(path);
    return conf;
}

#endif
