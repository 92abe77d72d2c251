/* Any bytes as relay.conf: it is refused with a message, or it prints as a file that loads and
 * prints the same. */
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf *load(struct span text)
{
    struct buf messages;
    struct conf *conf = NULL;
    char path[64];
    int fd = memfd_create("relay.conf", MFD_CLOEXEC);

    if (fd < 0 || write(fd, text.ptr, text.len) != (ssize_t)text.len)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    buf_init(&messages, 0);
    struct err e = conf_load(path, &messages, &conf);
    if (err_is(e) != (conf == NULL) || err_is(e) != (buf_len(&messages) > 0))
        abort();
    buf_fini(&messages);
    close(fd);
    return conf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Not the machine's name: looking that up is slow. A second one is a repeated key. */
    static const struct span prefix = SPAN("hostname = a\nlistener z { address = \"[::1]:0\" }\n");
    struct buf text;
    struct buf printed;
    struct buf again;

    buf_init(&text, 0);
    buf_init(&printed, 0);
    buf_init(&again, 0);
    buf_add(&text, prefix);
    buf_add(&text, span_of((const char *)data, size));
    struct conf *first = load(buf_span(&text));
    if (first != NULL) {
        conf_print(first, &printed);
        struct conf *second = load(buf_span(&printed));
        if (second == NULL)
            abort();
        conf_print(second, &again);
        if (!span_equal(buf_span(&printed), buf_span(&again)))
            abort();
        conf_route_find(first, buf_span(&text));
        conf_unref(second);
    }
    conf_unref(first);
    buf_fini(&text);
    buf_fini(&printed);
    buf_fini(&again);
    return 0;
}
