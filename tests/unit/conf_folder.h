/* A folder of its own for each test of conf, so that messages name plain relative files. */
#ifndef SMARTHOP_TESTS_CONF_FOLDER_H
#define SMARTHOP_TESTS_CONF_FOLDER_H

#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LISTENER "listener smtp { address = \"127.0.0.1:25\" }\n"
#define NAMED    "hostname = mail.example\n" LISTENER

static inline void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");

    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    fclose(file);
}

static inline int enter_folder(void **state)
{
    char folder[] = "/tmp/test_conf.XXXXXX";

    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return -1;
    *state = strdup(folder);
    return 0;
}

static inline int leave_folder(void **state)
{
    static const char *const names[] = {"relay.conf", "more.conf", "printed.conf", "sub/x.conf",
                                        "secret"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    rmdir("sub");
    int failed = chdir("/") != 0 || rmdir(*state) != 0;
    free(*state);
    return failed;
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

#endif
