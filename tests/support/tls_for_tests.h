/* tls_for_tests: the TLS side of a server, with a certificate of its own. */
#ifndef SMARTHOP_TESTS_TLS_FOR_TESTS_H
#define SMARTHOP_TESTS_TLS_FOR_TESTS_H

#include "net/tls.h"
#include "support/certificate.h"
#include "support/scratch.h"

/* For a host of this name; to be unreferenced by the caller. Failure ends the test program. */
static inline struct tls_server *tls_server_for_tests(const char *name)
{
    char folder[SCRATCH_PATH], problem[300];
    struct certificate mine;
    struct tls_server *server;

    scratch_make(folder);
    certificate_make(&mine, folder, name);
    struct tls_certificate_files files = {NULL, mine.path, mine.key_path};
    const struct tls_server_options options = {.files = &files, .count = 1};
    if (err_is(tls_server_create(&options, problem, sizeof problem, &server))) {
        fprintf(stderr, "%s\n", problem);
        abort();
    }
    scratch_remove(folder);
    return server;
}

#endif
