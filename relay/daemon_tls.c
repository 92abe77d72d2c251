#include "daemon_tls.h"

#include "base/clock.h"
#include "base/memory.h"
#include "proto/rfc3339.h"

#include <stdio.h>
#include <stdlib.h>

static struct tls_certificate_files *certificates_of(const struct conf *conf)
{
    struct tls_certificate_files *files = mem_zalloc((conf->certificate_count + 1) * sizeof *files);

    files[0].certificate = conf->tls_certificate;
    files[0].key = conf->tls_key;
    for (unsigned i = 0; i < conf->certificate_count; i++) {
        files[i + 1].server_name = conf->certificates[i].server_name;
        files[i + 1].certificate = conf->certificates[i].certificate;
        files[i + 1].key = conf->certificates[i].key;
    }
    return files;
}

/* Those that ask for certificates. */
static struct tls_listener *listeners_of(const struct conf *conf, unsigned *count_out)
{
    struct tls_listener *listeners = mem_zalloc(conf->listener_count * sizeof *listeners);

    *count_out = 0;
    for (unsigned i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];
        if (listener->client_certificates != CONF_CERTIFICATES_NO)
            listeners[(*count_out)++] =
                (struct tls_listener){.name = listener->name, .authorities = listener->client_ca};
    }
    return listeners;
}

bool daemon_load_tls(const struct conf *conf, const struct tls_server *old, char *problem,
                     size_t problem_size, struct tls_server **out)
{
    *out = NULL;
    if (conf->tls_certificate == NULL)
        return true;
    struct tls_server_options options = {
        .count = conf->certificate_count + 1,
        .floor = conf->tls_min_version == CONF_TLS_1_3 ? TLS_FLOOR_1_3 : TLS_FLOOR_1_2,
        .ciphers = conf->tls_ciphers,
        .cipher_suites = conf->tls_cipher_suites,
        .old = old,
    };
    struct tls_certificate_files *files = certificates_of(conf);
    struct tls_listener *listeners = listeners_of(conf, &options.listener_count);
    options.files = files;
    options.listeners = listeners;
    struct err e = tls_server_create(&options, problem, problem_size, out);
    free(files);
    free(listeners);
    return !err_is(e);
}

bool daemon_load_first_tls(const struct conf *conf, struct tls_server **out)
{
    char problem[512];

    if (daemon_load_tls(conf, NULL, problem, sizeof problem, out))
        return true;
    fprintf(stderr, "smarthopd: %s\n", problem);
    return false;
}

void daemon_tls_ended(const struct conf *conf, const struct tls_server *tls, struct buf *messages)
{
    if (tls == NULL)
        return;
    struct tls_certificate_files *files = certificates_of(conf);
    uint64_t now = clock_wall_ms();
    for (unsigned i = 0; i < conf->certificate_count + 1; i++) {
        uint64_t end = tls_server_expires(tls, i);
        char text[RFC3339_MAX];
        if (end > now)
            continue;
        rfc3339_format(end / 1000, text);
        buf_addf(messages, "%s: the certificate was valid until %s only\n", files[i].certificate,
                 text);
    }
    free(files);
}
