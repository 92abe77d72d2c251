/* smarthopd: arguments, and the start of the daemon. */
#include "base/memory.h"
#include "conf/conf.h"
#include "daemon.h"

#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_CONFIG = 1 };

static const char usage[] =
    "usage: smarthopd [-c FILE] [-t]\n"
    "  -c, --config FILE   configuration (default: ./relay.conf, else /etc/smarthop/relay.conf)\n"
    "  -t, --test          check the configuration and exit\n"
    "  -V, --version\n"
    "  -h, --help\n"
    "      --print-manual     the KEYS section of relay.conf(5)\n"
    "      --print-reference  the key reference of relay.conf.sample\n";

enum { OPTION_MANUAL = 1000, OPTION_REFERENCE };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"test", no_argument, NULL, 't'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {"print-manual", no_argument, NULL, OPTION_MANUAL},
    {"print-reference", no_argument, NULL, OPTION_REFERENCE},
    {NULL, 0, NULL, 0},
};

static void write_buf(const struct buf *out, FILE *file)
{
    if (buf_len(out) > 0)
        fwrite(buf_span(out).ptr, 1, buf_len(out), file);
}

static int print(void (*make)(struct buf *out))
{
    struct buf out;

    buf_init(&out, 0);
    make(&out);
    write_buf(&out, stdout);
    buf_fini(&out);
    return 0;
}

static const char *default_config(void)
{
    return access("relay.conf", R_OK) == 0 ? "relay.conf" : "/etc/smarthop/relay.conf";
}

int main(int argc, char **argv)
{
    const char *file = NULL;
    bool test = false;
    struct buf messages;
    struct conf *conf;

    for (int c; (c = getopt_long(argc, argv, "c:tVh", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            file = optarg;
            break;
        case 't':
            test = true;
            break;
        case 'V':
            puts("smarthopd " SMARTHOP_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case OPTION_MANUAL:
            return print(conf_print_manual);
        case OPTION_REFERENCE:
            return print(conf_print_reference);
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "smarthopd: \"%s\" is no option\n%s", argv[optind], usage);
        return EXIT_USAGE;
    }
    if (file == NULL)
        file = default_config();
    buf_init(&messages, 0);
    struct err e = conf_load(file, &messages, &conf);
    write_buf(&messages, stderr);
    buf_fini(&messages);
    if (err_is(e))
        return EXIT_CONFIG;
    if (test) {
        bool usable = daemon_check(conf);
        if (usable)
            printf("%s: correct\n", file);
        conf_unref(conf);
        return usable ? 0 : EXIT_CONFIG;
    }
    mem_give_back_large();
    return daemon_run(conf);
}
