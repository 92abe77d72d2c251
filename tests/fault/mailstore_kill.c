/*
 * mailstore_kill [SEED]: a child appends, flags, moves and expunges without pause, each thread in
 * mailboxes of its own, and tells by a pipe what was acknowledged; it is killed with SIGKILL at a
 * random moment, 25 times over on the same store. After each kill: nothing acknowledged is lost or
 * altered, nothing that was expunged is back, no UID is used again, and the store's own check finds
 * nothing. In the end no bytes are left without their message.
 */
#include "plugins/drop/mailstore/mailstore_private.h"
#include "support/kill_rig.h"
#include "support/mailstore_rig.h"

#include <time.h>

enum {
    ROUNDS = 25,
    THREADS = 4,
    ACKS_MOST = 400, /* before the kill, at most */
    UIDS = 20000,
    LARGE = 60 * CHUNK_BYTES,
};

static const char *const boxes[2] = {"INBOX", "Kept"};

static void need(bool true_thing, const char *what, unsigned slot, unsigned box, uint32_t uid)
{
    if (!true_thing)
        die("%s: user %u, %s, UID %u", what, slot, boxes[box], uid);
}

static struct mailstore *open_store(const char *folder, bool is_reader)
{
    struct mailstore_options options = rig_options(folder);
    struct mailstore *store;

    options.read_only = is_reader;
    if (err_is(mailstore_open(&options, &store)))
        die("cannot open the store");
    return store;
}

/* What a message holds follows from its number, which stands in front. */
static struct span body_of(uint64_t number, char *room)
{
    size_t len = number % 11 == 0 ? LARGE + number % 5000 : 8 + number * 769 % 9000;

    memcpy(room, &number, sizeof number);
    for (size_t i = sizeof number; i < len; i++)
        room[i] = (char)(number * 31 + i * 7 + (i >> 8));
    return span_of(room, len);
}

static const char *user_of(unsigned slot, char room[16])
{
    snprintf(room, 16, "user%u", slot);
    return room;
}

/* ---- the child: one operation at a time for each user -------------------------------------- */

enum tale { TALE_APPENDED = 1, TALE_FLAGGED, TALE_TO_GO, TALE_EXPUNGED, TALE_MOVED };

struct line {
    uint32_t slot;
    uint32_t tale;
    uint32_t uid;    /* of INBOX */
    uint32_t to_uid; /* of Kept, where it was moved to */
    uint64_t number; /* of the body; of others the modification sequence */
};

static void tell(unsigned slot, enum tale tale, uint32_t uid, uint32_t to_uid, uint64_t number)
{
    struct line line = {.slot = slot, .tale = tale, .uid = uid, .to_uid = to_uid, .number = number};

    if (write(STDOUT_FILENO, &line, sizeof line) != sizeof line)
        _exit(0);
}

struct slot {
    struct mailstore *store;
    unsigned number;
    unsigned seed;
    uint64_t next_body;
    uint32_t box;
};

static uint32_t append_one(struct slot *slot, char *room)
{
    struct mailstore_target target = rig_target(user_of(slot->number, (char[16]){0}), "INBOX");
    uint64_t number = slot->next_body++;

    if (rig_append(slot->store, &target, 1, true, body_of(number, room), NULL) != ERR_NONE ||
        target.refusal != MAILSTORE_FINE)
        die("append failed");
    slot->box = target.box;
    tell(slot->number, TALE_APPENDED, target.uid, 0, number);
    return target.uid;
}

static void expunge_one(struct slot *slot, struct mailstore_range uid)
{
    tell(slot->number, TALE_TO_GO, uid.first, 0, 0);
    struct mailstore_expunge gone = rig_expunge(slot->store, slot->box, uid, true);
    if (gone.expunged != 1)
        die("expunge failed");
    tell(slot->number, TALE_EXPUNGED, uid.first, 0, gone.modseq);
}

static void move_one(struct slot *slot, struct mailstore_range uid)
{
    char user[16];

    tell(slot->number, TALE_TO_GO, uid.first, 0, 0);
    struct mailstore_copy moved =
        rig_copy(slot->store, slot->box, uid, user_of(slot->number, user), "Kept", true);
    if (moved.copied != 1)
        die("move failed");
    tell(slot->number, TALE_MOVED, uid.first, moved.to_uids[0], moved.modseq);
    free(moved.from_uids);
    free(moved.to_uids);
}

/* The check finds what is left of these. */
static void delete_copies(struct slot *slot, struct mailstore_range uids)
{
    char user[16];

    user_of(slot->number, user);
    rig_create(slot->store, user, "Gone");
    struct mailstore_copy copied = rig_copy(slot->store, slot->box, uids, user, "Gone", false);
    if (copied.copied == 0 || rig_delete(slot->store, user, "Gone") != MAILSTORE_FINE)
        die("copying and deleting failed");
    free(copied.from_uids);
    free(copied.to_uids);
}

static void *work(void *arg)
{
    struct slot *slot = arg;
    char *room = mem_alloc(LARGE + 5000);

    for (;;) {
        uint32_t uid = append_one(slot, room);
        struct mailstore_range one = {uid, uid};
        unsigned what = (unsigned)rand_r(&slot->seed) % 6;
        if (what == 0)
            expunge_one(slot, one);
        else if (what == 1)
            move_one(slot, one);
        else if (what == 2)
            delete_copies(slot, (struct mailstore_range){1, uid});
        else if (what == 3)
            tell(slot->number, TALE_FLAGGED, uid, 0,
                 rig_flag(slot->store, slot->box, one, MAILSTORE_ADD, MAILSTORE_SEEN).modseq);
    }
    return NULL;
}

/* Bodies have numbers that no round before has given. */
static int run_child(const char *folder)
{
    struct mailstore *store = open_store(folder, false);
    static struct slot slots[THREADS];
    pthread_t threads[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        char user[16];
        rig_create(store, user_of(i, user), boxes[1]);
        slots[i] = (struct slot){.store = store,
                                 .number = i,
                                 .seed = (unsigned)getpid() + i,
                                 .next_body = (uint64_t)getpid() * 100000 + i * 7};
        if (pthread_create(&threads[i], NULL, work, &slots[i]) != 0)
            die("cannot start a thread");
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL); /* until the kill */
    return 1;
}

/* Beside the running child: what is there can be read at any moment. */
static int run_reader(const char *folder)
{
    struct mailstore *store = open_store(folder, true);

    for (unsigned i = 0; i < THREADS; i++) {
        char user[16];
        free(rig_entries(store, rig_box(store, user_of(i, user), boxes[0]).id));
    }
    mailstore_close(store);
    return 0;
}

/* ---- the parent: what it knows -------------------------------------------------------------- */

enum fate { FATE_UNKNOWN, FATE_THERE, FATE_IN_DOUBT, FATE_GONE };

struct known {
    enum fate fate;
    bool is_seen;
    uint64_t number;
};

struct known_box {
    uint32_t uid_validity;
    uint32_t uid_next; /* above all that were told */
    uint64_t modseq;   /* not below any that was told */
    struct known uids[UIDS];
};

static struct known_box known[THREADS][2];
static unsigned told;

static struct known *know(struct known_box *box, uint32_t uid)
{
    if (uid >= UIDS)
        die("UID %u", uid);
    if (uid >= box->uid_next)
        box->uid_next = uid + 1;
    return &box->uids[uid];
}

static void learn(const void *said)
{
    const struct line *line = said;
    struct known_box *inbox = &known[line->slot][0];
    struct known *entry = know(inbox, line->uid);

    told++;
    switch ((enum tale)line->tale) {
    case TALE_APPENDED:
        need(entry->fate == FATE_UNKNOWN, "used again", line->slot, 0, line->uid);
        *entry = (struct known){.fate = FATE_THERE, .number = line->number};
        return;
    case TALE_FLAGGED:
        entry->is_seen = true;
        break;
    case TALE_TO_GO:
        entry->fate = FATE_IN_DOUBT;
        return;
    case TALE_EXPUNGED:
        entry->fate = FATE_GONE;
        break;
    case TALE_MOVED:
        entry->fate = FATE_GONE;
        struct known *copy = know(&known[line->slot][1], line->to_uid);
        need(copy->fate == FATE_UNKNOWN, "used again", line->slot, 1, line->to_uid);
        *copy = (struct known){.fate = FATE_THERE, .number = entry->number};
        break;
    }
    need(line->number > inbox->modseq, "modification sequence", line->slot, 0, line->uid);
    inbox->modseq = line->number;
}

/* ---- the parent: what it finds -------------------------------------------------------------- */

struct finding {
    struct kv_txn *txn;
    unsigned slot;
    unsigned box;
    unsigned unknown; /* that no acknowledgement has told of */
    bool is_there[UIDS];
};

static uint64_t check_content(struct finding *finding, const struct mailstore_entry *entry)
{
    static char room[LARGE + 5000];
    struct buf content = {0};
    uint64_t number = 0;

    if (err_is(mailstore_content_walk(finding->txn, entry->message, 0, UINT64_MAX, rig_text_bytes,
                                      &content)))
        need(false, "cannot be read", finding->slot, finding->box, entry->uid);
    if (buf_len(&content) >= sizeof number)
        memcpy(&number, buf_span(&content).ptr, sizeof number);
    need(span_equal(buf_span(&content), body_of(number, room)), "altered", finding->slot,
         finding->box, entry->uid);
    buf_fini(&content);
    return number;
}

/* One that was committed, but not acknowledged before the kill, counts from now on. */
static bool visit_entry(void *context, const struct mailstore_entry *entry)
{
    struct finding *finding = context;
    struct known_box *box = &known[finding->slot][finding->box];
    bool is_new = entry->uid >= box->uid_next;
    struct known *one = know(box, entry->uid);
    uint64_t number = check_content(finding, entry);

    finding->is_there[entry->uid] = true;
    finding->unknown += is_new;
    need(is_new || one->fate == FATE_THERE || one->fate == FATE_IN_DOUBT, "is back", finding->slot,
         finding->box, entry->uid);
    need(is_new || one->number == number, "is another", finding->slot, finding->box, entry->uid);
    need(!one->is_seen || (entry->flags & MAILSTORE_SEEN) != 0, "flag lost", finding->slot,
         finding->box, entry->uid);
    *one = (struct known){
        .fate = FATE_THERE, .is_seen = (entry->flags & MAILSTORE_SEEN) != 0, .number = number};
    return true;
}

static void check_box(struct mailstore *store, unsigned slot, unsigned number)
{
    static struct finding finding;
    struct known_box *box = &known[slot][number];
    char user[16];
    struct mailstore_box found = rig_box(store, user_of(slot, user), boxes[number]);
    struct err e = ERR_OK;

    if (found.id == 0 && box->uid_next == 0)
        return; /* killed before it was made */
    finding = (struct finding){.slot = slot, .box = number};
    RIG_READ(store, txn)
    {
        finding.txn = txn;
        e = mailstore_entry_walk(txn, found.id, 0, visit_entry, &finding);
    }
    need(!err_is(e), "cannot be walked", slot, number, 0);
    need(finding.unknown <= 1, "more than was under way", slot, number, 0);
    for (uint32_t uid = 1; uid < box->uid_next; uid++) {
        if (finding.is_there[uid])
            continue;
        need(box->uids[uid].fate != FATE_THERE, "lost", slot, number, uid);
        box->uids[uid].fate = FATE_GONE;
    }
    need(found.uid_next >= box->uid_next, "UIDNEXT", slot, number, found.uid_next);
    need(found.highest_modseq >= box->modseq, "HIGHESTMODSEQ", slot, number, 0);
    need(box->uid_validity == 0 || box->uid_validity == found.uid_validity, "UIDVALIDITY", slot,
         number, 0);
    box->uid_next = found.uid_next;
    box->modseq = found.highest_modseq;
    box->uid_validity = found.uid_validity;
}

static void check_store(const char *folder, bool is_last)
{
    struct mailstore *store = open_store(folder, false);
    uint64_t garbage = 0, staged = 0;

    for (unsigned slot = 0; slot < THREADS; slot++)
        for (unsigned box = 0; box < 2; box++)
            check_box(store, slot, box);
    if (rig_check(store) > 0)
        die("the store's check has found problems");
    if (is_last) {
        if (err_is(mailstore_tidy(store, UINT64_MAX)) || rig_check(store) > 0)
            die("cannot be tidied");
        RIG_READ(store, txn)
        {
            garbage = kv_count(txn, TABLE_GARBAGE);
            staged = kv_count(txn, TABLE_STAGED);
        }
        if (garbage + staged > 0)
            die("garbage is left");
    }
    mailstore_close(store);
}

int main(int argc, char **argv)
{
    unsigned seed = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    char folder[SCRATCH_PATH];

    if (argc == 3)
        return strcmp(argv[1], "work") == 0 ? run_child(argv[2]) : run_reader(argv[2]);
    printf("seed %u\n", seed);
    fflush(stdout);
    srandom(seed);
    scratch_make(folder);
    mailstore_close(open_store(folder, false)); /* for the reader of the first round */
    for (unsigned round = 0; round < ROUNDS; round++) {
        run_round(folder, 1 + (unsigned)random() % ACKS_MOST, sizeof(struct line), learn);
        check_store(folder, round == ROUNDS - 1);
    }
    scratch_remove(folder);
    printf("%u changes, %d kills, none lost, none back\n", told, ROUNDS);
    return 0;
}
