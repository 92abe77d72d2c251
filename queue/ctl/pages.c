#include "queue/ctl/pages.h"

#include "base/clock.h"

#include <stdio.h>

enum { PAGE_TIMEOUT_MS = 60000 };

static void write_json(const json_t *item, bool is_first)
{
    fputs(is_first ? "\n" : ",\n", stdout);
    json_dumpf(item, stdout, JSON_COMPACT);
}

static void write_page(const struct ctl *ctl, const struct pages *pages, const json_t *page,
                       uint64_t *shown)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(page, pages->command), i, item)
    {
        if (pages->wanted != NULL && !pages->wanted(item, pages->context))
            continue;
        if (ctl->json)
            write_json(item, *shown == 0);
        else
            pages->print(item, *shown, pages->context);
        ++*shown;
    }
}

/* True: it was the last, or what came was no page; *result_out then says which. */
static bool take_page(const struct ctl *ctl, const struct pages *pages, struct client *client,
                      uint64_t *shown, enum ctl_exit *result_out)
{
    json_t *page;

    *result_out = CTL_FAILED;
    if (client_next(client, clock_mono_ms() + PAGE_TIMEOUT_MS, &page) != CLIENT_LINE) {
        ctl_complain("smarthopd broke off in the middle of the list");
        return true;
    }
    bool is_good = json_is_true(json_object_get(page, "ok"));
    bool is_last = !json_is_true(json_object_get(page, "more"));
    if (is_good) {
        *result_out = CTL_OK;
        write_page(ctl, pages, page, shown);
    } else {
        client_refused(page, NULL);
    }
    json_decref(page);
    return is_last || !is_good;
}

enum ctl_exit pages_print(const struct ctl *ctl, const struct pages *pages, uint64_t *shown_out)
{
    struct client *client;
    enum ctl_exit result =
        client_start(ctl, json_pack("{s:s}", "command", pages->command), &client);

    *shown_out = 0;
    if (result != CTL_OK)
        return result;
    if (ctl->json)
        putchar('[');
    while (!take_page(ctl, pages, client, shown_out, &result))
        continue;
    client_end(client);
    if (ctl->json)
        puts("\n]");
    return result;
}
