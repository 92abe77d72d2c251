/*
 * queue_full: the store on a small disk of its own (a tmpfs, so it needs root: see as_root.sh). The
 * disk fills up, by mail and by others; mail is refused, not lost; the queue drains all the same;
 * room comes back.
 */
#include "support/queue_rig.h"
#include "support/scratch.h"

#include <errno.h>
#include <sys/mount.h>

enum { MIB = 1 << 20, BODY = 100000, MESSAGES_MOST = 1000 };

static const char destination[] = "full.example";

static struct {
    char folder[SCRATCH_PATH];
    char store[SCRATCH_PATH + 16];
    char filler[SCRATCH_PATH + 16];
    struct queue *queue;
    uint64_t ids[MESSAGES_MOST];
    unsigned count;
} f;

static void clean_up(void)
{
    umount2(f.folder, MNT_DETACH);
    scratch_remove(f.folder);
}

static void need(bool true_thing, const char *what)
{
    if (true_thing)
        return;
    fprintf(stderr, "%s\n", what);
    clean_up();
    exit(1);
}

static void open_disk(uint64_t low_water, uint64_t reserve)
{
    scratch_make(f.folder);
    if (mount("tmpfs", f.folder, "tmpfs", 0, "size=24m,mode=0700") != 0) {
        printf("cannot mount a tmpfs: %s\n", strerror(errno));
        rmdir(f.folder);
        exit(1);
    }
    snprintf(f.store, sizeof f.store, "%s/store", f.folder);
    snprintf(f.filler, sizeof f.filler, "%s/filler", f.folder);
    struct queue_options options = rig_queue_options(f.store);
    options.low_water = low_water;
    options.reserve = reserve;
    need(!err_is(queue_open(&options, &f.queue)), "cannot open");
    f.count = 0;
}

static void close_disk(void)
{
    queue_close(f.queue);
    clean_up();
}

static enum err_kind insert_one(void)
{
    const char *const names[] = {destination};
    struct queue_message *message = rig_make_message(f.queue, 1, names, BODY);
    enum err_kind result = rig_insert(f.queue, message, 0);

    if (result == ERR_NONE)
        f.ids[f.count++] = message->id;
    queue_message_unref(message);
    return result;
}

/* Inserts until there is no room. */
static void fill_with_mail(unsigned at_least)
{
    enum err_kind result = ERR_NONE;

    f.count = 0;
    while (result == ERR_NONE && f.count < MESSAGES_MOST)
        result = insert_one();
    need(result == ERR_NO_SPACE, "a full disk must give ERR_NO_SPACE");
    need(!queue_is_broken(f.queue), "a full disk must not break the store");
    need(f.count >= at_least, "refused too early");
}

static void fill_with_others(void)
{
    static const char block[4096];
    int fd = open(f.filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    need(fd >= 0, "filler");
    while (write(fd, block, sizeof block) > 0)
        continue;
    close(fd);
}

static void settle_all(void)
{
    for (unsigned i = 0; i < f.count; i++) {
        need(rig_body_is(f.queue, f.ids[i], BODY), "altered");
        need(rig_deliver(f.queue, f.ids[i], 0, destination, NULL) == ERR_NONE,
             "settling must go on without room");
    }
    need(!queue_is_broken(f.queue), "broken");
}

/* Room is noticed after a short while; each try is a turn of the writer. */
static void need_acceptance(void)
{
    for (unsigned tries = 0; tries < 1000000; tries++)
        if (insert_one() == ERR_NONE)
            return;
    need(false, "must accept again");
}

static void test_low_water(void)
{
    open_disk(6 * MIB, MIB);
    fill_with_mail(100);
    need(queue_refuses(f.queue), "must refuse");
    fill_with_others();
    need(insert_one() == ERR_NO_SPACE, "must still refuse");
    settle_all();
    need_acceptance(); /* into the pages that came free inside the file */
    unlink(f.filler);
    fill_with_mail(100);
    close_disk();
}

/* Without a low-water mark the writes themselves hit the end of the disk. */
static void test_writes_hit_the_end(void)
{
    open_disk(0, 2 * MIB);
    fill_with_mail(100);
    fill_with_others();
    settle_all();
    unlink(f.filler);
    need_acceptance();
    close_disk();
}

/* What was accepted before the disk was full is there after a restart on the full disk. */
static void test_restart_on_full_disk(void)
{
    open_disk(6 * MIB, MIB);
    fill_with_mail(100);
    fill_with_others();
    queue_close(f.queue);
    struct queue_options options = rig_queue_options(f.store);
    options.low_water = 6 * MIB;
    options.reserve = MIB;
    need(!err_is(queue_open(&options, &f.queue)), "cannot open on a full disk");
    need(queue_refuses(f.queue), "must refuse after the restart");
    settle_all();
    close_disk();
}

int main(void)
{
    rig_start();
    test_low_water();
    test_writes_hit_the_end();
    test_restart_on_full_disk();
    rig_stop();
    printf("full disk: refused, drained, accepted again\n");
    return 0;
}
