#include "plugins/drop/imap/view.h"

#include "base/memory.h"

#include <stdlib.h>

void view_fini(struct imap_view *view)
{
    free(view->uids);
    *view = (struct imap_view){0};
}

void view_add(struct imap_view *view, uint32_t uid)
{
    if (view->count == view->cap) {
        view->cap = view->cap > 0 ? view->cap + view->cap / 2 : 16;
        view->uids = mem_realloc(view->uids, view->cap * sizeof view->uids[0]);
    }
    view->uids[view->count++] = uid;
}

uint32_t uids_seek(const uint32_t *uids, uint32_t count, uint32_t uid)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (uids[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t view_seek(const struct imap_view *view, uint32_t uid)
{
    return uids_seek(view->uids, view->count, uid);
}

uint32_t view_find(const struct imap_view *view, uint32_t uid)
{
    uint32_t at = view_seek(view, uid);

    return at < view->count && view->uids[at] == uid ? at + 1 : 0;
}

uint32_t view_recent(const struct imap_view *view)
{
    if (view->recent_from >= view->recent_end)
        return 0;
    return view_seek(view, view->recent_end) - view_seek(view, view->recent_from);
}

void view_remove(struct imap_view *view, const struct mailstore_range *ranges, unsigned count)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < view->count; i++) {
        while (count > 0 && ranges[count - 1].last < view->uids[i])
            count--;
        if (count == 0 || view->uids[i] < ranges[count - 1].first)
            view->uids[kept++] = view->uids[i];
    }
    view->count = kept;
}
