"""Faults that are planted in the daemon, one at a time, to see each test fail."""

from typing import NamedTuple


class Plant(NamedTuple):
    promise: int
    name: str
    test: str  # as for pytest's command line
    choice: str  # for its -k
    file: str
    sound: str  # the text that is there once
    planted: str  # what it becomes
    is_long: bool = False  # seen by the test's long form


PLANTS = (
    Plant(1, "acknowledge before the commit", "test_kill_steps.py", "staged or delivered or failed",
          "relay/base/kv.c",
          "    rc = mdb_txn_commit(txn.txn);\n    if (rc != 0) {\n        take_failed_commit(",
          "    complete_all(&applied);\n    usleep(20000);\n"
          "    rc = mdb_txn_commit(txn.txn);\n    if (rc != 0) {\n        take_failed_commit("),
    Plant(1, "acknowledge before the commit, under load", "test_kill.py", "under_load",
          "relay/base/kv.c",
          "    rc = mdb_txn_commit(txn.txn);\n    if (rc != 0) {\n        take_failed_commit(",
          "    complete_all(&applied);\n    usleep(20000);\n"
          "    rc = mdb_txn_commit(txn.txn);\n    if (rc != 0) {\n        take_failed_commit("),
    Plant(1, "skip the syncs", "test_power_cut.py", "power_cuts and not first",
          "relay/base/kv.c", "MDB_NOTLS | MDB_NORDAHEAD |",
          "MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD |"),
    Plant(1, "what fails for want of memory counts as done", "test_every_call.py", "allocation",
          "relay/base/kv.c", "        op->result = op->apply(op, txn);\n",
          "        op->apply(op, txn);\n        op->result = ERR_OK;\n", is_long=True),
    Plant(2, "deliveries are not noted", "test_kill_steps.py", "step and (delivered or staged)",
          "queue/change.c", "    if (settle->delivered &&", "    if (false && settle->delivered &&"),
    Plant(3, "opening takes six seconds", "test_restart.py", "kill or cut",
          "queue/store.c", "    recall_delivered(queue);", "    extern unsigned sleep(unsigned);\n    sleep(6);\n    recall_delivered(queue);"),
    Plant(4, "nobody looks at the inodes", "test_disk_full.py", "refuses",
          "relay/base/kv_room.c", "    if (kv->low_inodes > 0 && ", "    if (false && "),
    Plant(5, "a failed commit does not break the store", "test_io_errors.py", "no_promise",
          "relay/base/kv.c", "        fail_all(applied, go_broken(kv, rc));",
          "        fail_all(applied, e);"),
    Plant(5, "a failed commit counts as done", "test_every_call.py", "write and EIO",
          "relay/base/kv.c", "        fail_all(applied, go_broken(kv, rc));",
          "        complete_all(applied);"),
    Plant(6, "64 KiB for each session", "test_rude_clients.py", "slow_nobody_else",
          "relay/receive/session.c", "    struct session *s = mem_zalloc(sizeof *s);\n\n    s->server",
          "    struct session *s = mem_zalloc(sizeof *s);\n\n"
          "    memset(mem_alloc(65536), 1, 65536);\n    s->server"),
    Plant(10, "bodies gather in memory", "test_rude_clients.py", "large_messages",
          "relay/receive/transaction.c", "    return staging && ", "    return 1 ? 64u << 20 : staging && "),
    Plant(12, "waits by the wall clock", "test_clock.py", "while_running",
          "relay/base/clock.c", "    return steady_base + clock_mono_ms();",
          "    return clock_wall_ms();"),
    Plant(13, "a reload ends the sessions", "test_reload.py", "reload_cuts",
          "relay/receive/server.c", "    server->lists_warned = 0;\n",
          "    server->lists_warned = 0;\n    unsigned place = 0;\n"
          "    for (struct session *s; "
          "(s = roster_next(&server->sessions, &place, UINT_MAX)) != NULL;)\n"
          "        s->stopping = true;\n"),
    Plant(13, "a stop cuts the sessions", "test_reload.py", "stop",
          "relay/receive/session.c",
          "    if ((s->state == SESSION_HANDSHAKE || s->state == SESSION_PROXY) && s->server",
          "    if (s->server"),
    Plant(14, "ignore the checksum", "test_damage.py", "body",
          "queue/codec.c", "    if (wire_get64(record.ptr) != hash64(data, seed_of(id, number)))",
          "    if (false && wire_get64(record.ptr) != hash64(data, seed_of(id, number)))"),
    Plant(15, "a reader that never ends", "test_store_size.py", "small",
          "queue/store.c", "    recall_delivered(queue);",
          "    struct kv_txn *pinned;\n    kv_read_begin(queue->kv, &pinned);\n"
          "    recall_delivered(queue);"),
    Plant(18, "skip the syncs of the mailboxes", "test_drop_power_cut.py", "power_cuts",
          "relay/base/kv.c", "MDB_NOTLS | MDB_NORDAHEAD |",
          "MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD |"),
    Plant(4, "an append that finds no room counts as done", "test_drop_full_disk.py", "blocks",
          "plugins/drop/imap/append.c",
          "    if (!imap_pipeline_holds(s, appended) && imap_is_done(s, &s->operation->op, \"TRYCREATE\"))",
          "    if (!imap_pipeline_holds(s, appended))"),
)
