"""Writes and syncs of the store that fail: nothing is acknowledged that is not on disk, an
operator is told in one clear line, and a restart has everything."""

import pytest

from faults import Faults
from rig import Load, elapse, scaled, simple_message
from support.wait import wait_until

DRAIN_S = 20
LOAD = ("--messages", 100000, "--rate", 300, "--sessions", 8, "--per-session", 10, "--size", 8000)
NOT_NOW = {"421", "451", "452"}


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


@pytest.fixture
def relay(make_relay, faults):
    """Its next hop is down until a test starts one on its port."""
    return make_relay(environment=faults.environment).start()


def lost_of(relay, make_sink, acked):
    sink = make_sink(port=relay.hop_port)
    relay.drain(DRAIN_S)
    return acked - sink.load_ids()


def assert_all_arrive(relay, make_sink, acked):
    assert lost_of(relay, make_sink, acked) == set()


@pytest.mark.parametrize("call", ["sync", "write", "meta"])
def test_no_promise_after_a_failed_commit(relay, faults, make_sink, tmp_path, hold, call):
    """One failure is enough: the kernel may have thrown the pages away and call them clean."""
    load = Load(tmp_path, relay.port, *LOAD)
    load.await_acked(100)
    faults.fail(call, "EIO", every=1000000)
    broken = relay.wait_log("store-broken")[0]
    assert broken["level"] == "error"
    promised = load.acked()
    elapse(0.3)  # of mail offered to the broken store, all of whose calls would succeed now
    assert str(relay.send(simple_message("late")).code) in NOT_NOW
    assert set(load.cut()["replies"]) <= NOT_NOW
    hold(5, f"EIO on {call}: 250s afterwards", len(load.acked() - promised), 0)
    assert relay.is_running()
    assert relay.status()["store_broken"]

    relay.kill()
    faults.heal()
    relay.start()
    assert relay.send(simple_message("again")).code == 250
    hold(5, f"EIO on {call}: promises broken", len(lost_of(relay, make_sink, load.acked())), 0)


@pytest.mark.parametrize("call", ["sync", "write"])
def test_every_nth_call_finds_no_room(relay, faults, make_sink, tmp_path, figure, call):
    load = Load(tmp_path, relay.port, *LOAD)
    load.await_acked(100)
    for every in scaled((1, 3, 29), (1, 2, 3, 5, 7, 11, 29)):
        faults.fail(call, "ENOSPC", every=every)
        elapse(0.5)
        assert relay.is_running()
    faults.heal()
    load.await_acked(100)
    replies = load.cut()["replies"]
    figure("replies", replies)
    assert set(replies) == {"452"}
    assert relay.log("store-broken") == []
    assert_all_arrive(relay, make_sink, load.acked())


def test_room_ahead_that_cannot_be_had_is_done_without(make_relay, faults, make_sink):
    """The file's room is given to it ahead of its need; where that fails commits make their own."""
    faults.fail("fill", "EIO")
    relay = make_relay(environment=faults.environment).start()
    assert relay.send(simple_message("first")).code == 250
    assert faults.hits() > 0
    assert relay.log("store-broken") == []
    make_sink(port=relay.hop_port)
    relay.drain(DRAIN_S)


def test_kill_while_writes_find_no_room(relay, faults, make_sink, tmp_path, rng):
    acked = set()
    for wave in range(scaled(3, 10)):
        load = Load(tmp_path, relay.port, *LOAD, first_id=1 + wave * 1000000)
        faults.fail("write", "ENOSPC", every=rng.randrange(20, 120))
        elapse(rng.uniform(0.2, 0.6))
        relay.kill()
        load.cut()
        acked |= load.acked()
        faults.heal()
        relay.start()
    assert len(acked) > 20
    assert_all_arrive(relay, make_sink, acked)


def test_settling_waits_for_room(relay, faults, make_sink, tmp_path):
    """Delivered, but the store cannot take it in: it is not sent again while the daemon lives, and
    no more is sent than two messages a connection (connections_per_destination is 20), so that
    little would be sent twice if the daemon were killed now."""
    unrecorded = 2 * 20
    load = Load(tmp_path, relay.port, "--messages", 50, "--sessions", 4)
    assert load.report()["accepted"] == 50
    faults.fail("write", "ENOSPC")
    sink = make_sink(port=relay.hop_port)
    wait_until(lambda: sink.stats()["messages"] == unrecorded, f"{unrecorded} deliveries")
    elapse(1.5)  # in which the settling is tried again, and must not deliver again
    assert relay.queued() > 0
    assert sink.stats()["messages"] == unrecorded
    faults.heal()
    relay.drain(DRAIN_S)
    assert sink.stats()["messages"] == 50
    assert sink.stats()["duplicates"] == 0
