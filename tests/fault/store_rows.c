/*
 * store_rows: prints how many rows each table of a store holds, as JSON; also beside a running
 * daemon. What is in `body` without a row in `message` can be seen here and nowhere else.
 */
#include "base/kv.h"

#include <stdio.h>

static const char *const tables[] = {"meta", "message",     "group",   "body",
                                     "due",  "destination", "deadline"};

enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

int main(int argc, char **argv)
{
    struct kv_options options = {.tables = tables, .table_count = TABLE_COUNT, .read_only = true};
    struct kv_txn *txn;
    struct kv *kv;
    char text[ERR_TEXT_MAX];

    if (argc != 2) {
        fputs("usage: store_rows FOLDER\n", stderr);
        return 2;
    }
    options.path = argv[1];
    struct err e = kv_open(&options, &kv);
    if (!err_is(e))
        e = kv_read_begin(kv, &txn);
    if (err_is(e)) {
        fprintf(stderr, "store_rows: %s: %s\n", argv[1], err_text(e, text));
        return 1;
    }
    for (unsigned i = 0; i < TABLE_COUNT; i++)
        printf("%s\"%s\": %llu", i ? ", " : "{", tables[i], (unsigned long long)kv_count(txn, i));
    puts("}");
    kv_read_end(txn);
    kv_close(kv);
    return 0;
}
