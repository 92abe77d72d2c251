"""Writes and syncs of the store that fail: nothing is acknowledged that is not on disk, an
operator is told in one clear line, and a restart has everything."""

import pytest

from faults import Faults
from relay_harness import Load, Sink, elapse, free_port, send_message, simple_message, wait_until

DRAIN_S = 20
LOAD = ("--messages", 100000, "--rate", 300, "--sessions", 8, "--per-session", 10, "--size", 8000)


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


@pytest.fixture
def relay(make_relay, faults):
    """Its next hop is down until a test starts one on its port."""
    relay = make_relay(free_port(), env=faults.env)
    relay.start()
    return relay


def await_acked(load, more=100):
    before = len(load.acked())
    wait_until(lambda: len(load.acked()) >= before + more, 10, f"{more} more accepted messages")


def assert_all_arrive(relay, started, folder, acked):
    sink = Sink(folder / "late-sink", port=relay.hop_port)
    started.append(sink)
    sink.start()
    relay.await_empty(DRAIN_S)
    assert acked - sink.ids() == set()


@pytest.mark.parametrize("call", ["sync", "write", "meta"])
def test_no_promise_after_a_failed_commit(relay, faults, started, tmp_path, call):
    """One failure is enough: the kernel may have thrown the pages away and call them clean."""
    load = Load(tmp_path, relay.port, *LOAD)
    await_acked(load)
    faults.fail(call, "EIO", every=1000000)
    broken = relay.await_event("store-broken", 5)
    assert broken["level"] == "error"
    promised = load.acked()
    elapse(0.3)  # of mail offered to the broken store, all of whose calls would succeed now
    assert send_message(relay.port, simple_message("late"))[0] in (421, 451, 452)
    report = load.cut()
    assert set(report["replies"]) <= {"421", "451", "452"}
    assert load.acked() - promised == set()
    assert relay.is_alive()
    assert relay.control("status")["store_broken"]

    relay.kill()
    faults.heal()
    relay.start()
    assert send_message(relay.port, simple_message("again"))[0] == 250
    assert_all_arrive(relay, started, tmp_path, load.acked())


@pytest.mark.parametrize("call", ["sync", "write"])
def test_every_nth_call_finds_no_room(relay, faults, started, tmp_path, figure, call):
    load = Load(tmp_path, relay.port, *LOAD)
    await_acked(load)
    for every in (1, 2, 3, 5, 7, 11, 29):
        faults.fail(call, "ENOSPC", every=every)
        elapse(0.5)
        assert relay.is_alive()
    faults.heal()
    await_acked(load)
    report = load.cut()
    figure("replies", report["replies"])
    assert set(report["replies"]) == {"452"}
    assert relay.events("store-broken") == []
    assert_all_arrive(relay, started, tmp_path, load.acked())


def test_kill_while_every_nth_write_finds_no_room(relay, faults, started, tmp_path, rng):
    acked = set()
    for wave in range(5):
        load = Load(tmp_path, relay.port, *LOAD, first_id=1 + wave * 1000000)
        faults.fail("write", "ENOSPC", every=rng.randrange(20, 120))
        elapse(rng.uniform(0.2, 0.6))
        relay.kill()
        load.cut()
        acked |= load.acked()
        faults.heal()
        relay.start()
    assert len(acked) > 100
    assert_all_arrive(relay, started, tmp_path, acked)


def test_settling_waits_for_room(relay, faults, started, tmp_path):
    """Delivered, but the store cannot take it in: it is not sent again while the daemon lives."""
    load = Load(tmp_path, relay.port, "--messages", 50, "--sessions", 4)
    load.finish(20)
    faults.fail("write", "ENOSPC")
    sink = Sink(tmp_path / "late-sink", port=relay.hop_port)
    started.append(sink)
    sink.start()
    wait_until(lambda: sink.stats()["messages"] == 50, DRAIN_S, "50 deliveries")
    elapse(1.5)  # in which the settling is tried again, and must not deliver again
    assert relay.queued() > 0
    faults.heal()
    relay.await_empty(DRAIN_S)
    assert sink.stats()["duplicates"] == 0
