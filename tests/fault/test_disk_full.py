"""A full disk: mail is refused for now (452), never for good and never by silence; what is queued
still leaves; what was acknowledged is kept; and with room again mail is taken again.

The store lives on a small tmpfs of its own, which takes root or a user namespace: see run.py.
"""

import time

import pytest

from disks import DISK, fill_blocks, fill_inodes
from rig import Load, elapse, simple_message
from support.wait import wait_until

REFUSED = "452 4.3.1"
ACCEPTED = "250 2.0.0"
REFUSE_S = 1.0
ACCEPT_S = 2.0
DRAIN_S = 20
SETTINGS = {"store_low_water": "4MiB", "store_reserve": "2MiB", "store_low_inodes": 16,
            "memory_body_max": "128KiB", "retry_first": "100ms", "retry_max": "500ms"}


@pytest.fixture
def relay(make_relay, small_disk):
    """Its next hop is down until a test starts one on its port."""
    return make_relay(store_path=str(small_disk / "queue"), **SETTINGS).start()


def seconds_until(status, relay):
    """How long mail was still answered otherwise. Any answer but these two is a failure."""
    def is_answer():
        got = relay.send(simple_message("one")).status
        assert got in (REFUSED, ACCEPTED)
        return got == status
    began = time.monotonic()
    wait_until(is_answer, status)
    return time.monotonic() - began


def assert_acked_arrive(load, relay, make_sink):
    """Each exactly once. Returns the seconds that it took."""
    sink = make_sink(port=relay.hop_port)
    seconds = relay.drain(DRAIN_S)
    assert load.acked() - sink.load_ids() == set()
    assert sink.stats()["duplicates"] == 0
    return seconds


@pytest.mark.parametrize("fill", [fill_blocks, fill_inodes], ids=["blocks", "inodes"])
def test_full_disk_refuses_and_drains(relay, make_sink, small_disk, tmp_path, figure, hold, fill):
    load = Load(tmp_path, relay.port, "--messages", 100000, "--rate", 200, "--sessions", 8,
                "--per-session", 10, "--size", 8000)
    load.await_acked(100)
    assert (small_disk / "queue" / "reserve").stat().st_size == 2 << 20
    ballast = fill(small_disk)
    refused_after = seconds_until(REFUSED, relay)
    elapse(1)  # of load against the full disk
    report = load.cut()
    assert set(report["replies"]) == {"452"}
    assert relay.is_running()
    assert len(relay.log("store-low")) == 1
    drained_after = assert_acked_arrive(load, relay, make_sink)

    for path in ballast:
        path.unlink()
    accepted_after = seconds_until(ACCEPTED, relay)
    figure("drained after, s", f"{drained_after:.2f}")
    name = fill.__name__.removeprefix("fill_")
    hold(4, f"no {name}: seconds until refused", round(refused_after, 2), REFUSE_S)
    hold(4, f"no {name}: clients left without an answer", report["lost_connections"], 0)
    hold(4, f"room for {name} again: seconds until accepted", round(accepted_after, 2), ACCEPT_S)
    relay.stop()


def test_disk_filled_by_the_mail_itself(relay, make_sink, tmp_path, figure):
    """Nobody else writes: large messages run into the low water in the midst of their bodies."""
    load = Load(tmp_path, relay.port, "--messages", 200, "--rate", 40, "--sessions", 4,
                "--size", 1 << 20, "--deadline", 30)
    report = load.report()
    figure("accepted and refused", (report["accepted"], report["replies"]))
    assert set(report["replies"]) == {"452"}
    assert report["lost_connections"] == 0
    assert len(load.acked()) << 20 > DISK // 3
    assert_acked_arrive(load, relay, make_sink)
    assert seconds_until(ACCEPTED, relay) < ACCEPT_S
    relay.stop()


def test_start_on_a_full_disk(relay, make_sink, small_disk, tmp_path):
    """It serves, refuses, and drains."""
    load = Load(tmp_path, relay.port, "--messages", 200, "--sessions", 4, "--size", 8000)
    assert load.report()["accepted"] == 200
    relay.kill()
    fill_blocks(small_disk)
    relay.start()
    assert relay.send(simple_message("one")).status == REFUSED
    assert_acked_arrive(load, relay, make_sink)
    relay.stop()
