/*
 * \Recent (RFC 3501 2.3.2): the messages that this session is the first to be told of. Nothing
 * waits for that to be written.
 */
#include "plugins/drop/imap/session.h"

#include <stdlib.h>

struct claim {
    struct mailstore_claim_recent op;
    struct imap_session *session;
    uint32_t end; /* up to where they were taken */
};

static void add(struct imap_session *s, uint32_t first, uint32_t end)
{
    if (s->view.recent_end != first)
        s->view.recent_from = first;
    s->view.recent_end = end;
}

/* What came in meanwhile has been claimed as well, and is ours unless somebody has taken it. */
static void on_claimed(struct mailstore_op *op)
{
    struct claim *claim = container_of(op, struct claim, op.op);
    struct imap_session *s = claim->session;
    struct mailstore_box box = {
        .id = claim->op.box, .recent_from = claim->end, .uid_next = claim->op.end};

    if (s->view.box == box.id && box.uid_next > box.recent_from) {
        uint32_t first = mailstore_recent_take(s->drop.worker->store, &box);
        if (first < box.uid_next)
            add(s, first, box.uid_next);
    }
    free(claim);
    s->pending--;
    imap_release(s);
}

static void remember(struct imap_session *s, const struct mailstore_box *box)
{
    struct claim *claim = mem_zalloc(sizeof *claim);

    claim->session = s;
    claim->end = box->uid_next;
    claim->op.op.kind = MAILSTORE_CLAIM_RECENT;
    claim->op.op.done = on_claimed;
    claim->op.box = box->id;
    s->pending++;
    mailstore_submit(s->drop.worker->store, &claim->op.op, s->drop.worker->loop);
}

void imap_take_recent(struct imap_session *s, const struct mailstore_box *box)
{
    if (s->view.is_read_only || imap_has(s, IMAP_ENABLE_REV2))
        return;
    uint32_t first = mailstore_recent_take(s->drop.worker->store, box);
    if (first == box->uid_next)
        return;
    add(s, first, box->uid_next);
    remember(s, box);
}
