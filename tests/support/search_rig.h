/*
 * search_rig: a mailbox in a store of its own, and searches of it, run on a loop. A search is the
 * text of its command; what it finds comes back as text: sequence numbers, or threads.
 */
#ifndef SMARTHOP_TESTS_SEARCH_RIG_H
#define SMARTHOP_TESTS_SEARCH_RIG_H

#include "plugins/drop/imap/parse.h"
#include "plugins/drop/imap/search.h"
#include "support/loop_rig.h"
#include "support/mailstore_rig.h"

#include <stdio.h>

#define SEARCH_BOX "Searched"

struct search_rig {
    char folder[SCRATCH_PATH];
    struct mailstore *store;
    struct imap_scope scope;
    uint32_t *uids;
};

static struct search_rig search_rig;

static inline void search_rig_start(void)
{
    struct search_rig *rig = &search_rig;

    scratch_make(rig->folder);
    struct mailstore_options options = rig_options(rig->folder);
    rig->store = rig_open(&options);
    rig_create(rig->store, RIG_USER, SEARCH_BOX);
    rig->scope = (struct imap_scope){.store = rig->store,
                                     .box = rig_box(rig->store, RIG_USER, SEARCH_BOX).id};
    rig_start();
}

static inline void search_rig_stop(void)
{
    rig_stop();
    mailstore_close(search_rig.store);
    scratch_remove(search_rig.folder);
    free(search_rig.uids);
    search_rig.uids = NULL;
}

/* The target may be filled but for user and name. */
static inline uint32_t search_rig_put(struct mailstore_target target, struct span message)
{
    target.user = SPAN(RIG_USER);
    target.name = SPAN(SEARCH_BOX);
    rig_append(search_rig.store, &target, 1, false, message, NULL);
    if (target.uid == 0)
        abort();
    return target.uid;
}

static inline bool search_rig_see(void *context, const struct mailstore_entry *entry)
{
    struct search_rig *rig = context;

    rig->uids = realloc(rig->uids, (rig->scope.count + 1) * sizeof(*rig->uids));
    rig->uids[rig->scope.count++] = entry->uid;
    return true;
}

/* The view is what is there now. */
static inline void search_rig_look(void)
{
    struct search_rig *rig = &search_rig;

    rig->scope.count = 0;
    RIG_READ(rig->store, txn)
    if (err_is(mailstore_entry_walk(txn, rig->scope.box, 0, search_rig_see, rig)))
        abort();
    rig->scope.uids = rig->uids;
}

struct search_rig_job {
    struct call call;
    struct imap_search_run *run;
    bool is_cancelled;
};

static inline void search_rig_begin(struct call *call)
{
    struct search_rig_job *job = container_of(call, struct search_rig_job, call);

    imap_search_start(job->run, loop_rig.loop);
    if (job->is_cancelled)
        imap_search_cancel(job->run);
}

static inline void search_rig_run(struct imap_search_run *run, bool is_cancelled)
{
    struct search_rig_job job = {
        .call.done = search_rig_begin, .run = run, .is_cancelled = is_cancelled};

    run->call.done = rig_on_done;
    loop_post(loop_rig.loop, &job.call);
    rig_wait(1);
}

/* "SEARCH UNSEEN" and so on; what is found, on the heap; NULL: it is not a command. */
static inline char *search_rig_find(const char *text)
{
    struct imap_command command = {.verb = IMAP_INVALID};
    struct imap_search_run run = {.scope = search_rig.scope};
    struct buf line, out;

    buf_init(&line, 0);
    buf_init(&out, 0);
    arena_init(&command.arena);
    buf_addf(&line, "a %s", text);
    imap_command_parse(&command, buf_span(&line), true);
    run.kind = command.verb == IMAP_SORT     ? IMAP_SEARCH_SORT
               : command.verb == IMAP_THREAD ? IMAP_SEARCH_THREAD
                                             : IMAP_SEARCH_PLAIN;
    run.program = &command.search;
    if (command.verb == IMAP_INVALID) {
        buf_addf(&out, "BAD %s", command.problem);
    } else {
        search_rig_run(&run, false);
        if (err_is(run.result))
            abort();
        for (uint32_t i = 0; i < run.found_count && run.kind != IMAP_SEARCH_THREAD; i++)
            buf_addf(&out, "%s%u", i > 0 ? " " : "", run.found[i] + 1);
        if (run.kind == IMAP_SEARCH_THREAD)
            imap_thread_write(run.threads, &search_rig.scope, false, &out);
        imap_search_fini(&run);
    }
    char *found = span_to_text(buf_span(&out));
    buf_fini(&line);
    buf_fini(&out);
    arena_fini(&command.arena);
    return found;
}

#endif
