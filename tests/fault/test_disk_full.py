"""A full disk: mail is refused for now (452), never for good and never by silence; what is queued
still leaves; what was acknowledged is kept; and with room again mail is taken again.

The store lives on a small tmpfs of its own, which takes root or a user namespace: see run.py.
"""

import errno
import os
import subprocess
import time

import pytest

from relay_harness import Load, Sink, elapse, free_port, send_message, simple_message, wait_until

DISK = 48 << 20
INODES = 64
REFUSAL = (452, "4.3.1")
REFUSE_S = 1.0
ACCEPT_S = 2.0
SETTINGS = {"store_map_size": "1GiB", "store_low_water": "4MiB", "store_reserve": "2MiB",
            "store_low_inodes": 16, "retry_first": "100ms", "retry_max": "500ms"}


@pytest.fixture
def small_disk(tmp_path):
    """A mounted tmpfs with few blocks and inodes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},nr_inodes={INODES}", "tmpfs",
                    folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def relay(make_relay, small_disk):
    """Its next hop is down until a test starts one on its port."""
    relay = make_relay(free_port(), store_path=small_disk / "queue", **SETTINGS)
    relay.start()
    return relay


def fill_blocks(folder):
    """Takes every free block; returns the ballast."""
    ballast = folder / "ballast"
    with open(ballast, "wb") as file:
        for size in (1 << 20, 4096):
            while write_some(file.fileno(), size):
                pass
    return [ballast]


def write_some(descriptor, size):
    try:
        return os.write(descriptor, bytes(size)) == size
    except OSError as problem:
        assert problem.errno == errno.ENOSPC
        return False


def fill_inodes(folder):
    ballast = []
    while os.statvfs(folder).f_favail > 0:
        ballast.append(folder / f"ballast-{len(ballast)}")
        ballast[-1].touch()
    return ballast


def try_to_send(relay):
    """The decisive reply: (code, enhanced code)."""
    code, text = send_message(relay.port, simple_message("one"), timeout=10)
    return code, text.split(" ")[0]


def seconds_until(reply, relay, most):
    """How long mail was still answered otherwise. Any answer but these two is a failure."""
    def is_reply():
        got = try_to_send(relay)
        assert got in (REFUSAL, (250, "2.0.0"))
        return got == reply
    began = time.monotonic()
    wait_until(is_reply, most + 5, f"the reply {reply}")
    return time.monotonic() - began


@pytest.mark.parametrize("fill", [fill_blocks, fill_inodes], ids=["blocks", "inodes"])
def test_full_disk_refuses_and_drains(relay, started, small_disk, tmp_path, figure, fill):
    load = Load(tmp_path, relay.port, "--messages", 100000, "--rate", 200, "--sessions", 8,
                "--per-session", 10, "--size", 8000)
    wait_until(lambda: len(load.acked()) > 100, 10, "some accepted mail")
    ballast = fill(small_disk)
    refused_after = seconds_until(REFUSAL, relay, REFUSE_S)
    elapse(1)  # of load against the full disk
    report = load.cut()
    assert set(report["replies"]) == {"452"}
    assert relay.is_alive()
    assert len(relay.events("store-low")) == 1

    sink = Sink(tmp_path / "late-sink", port=relay.hop_port)
    started.append(sink)
    sink.start()
    drained_after = relay.await_empty(20)
    assert load.acked() - sink.ids() == set()
    stats = sink.stats()
    assert stats["duplicates"] == 0

    for path in ballast:
        path.unlink()
    accepted_after = seconds_until((250, "2.0.0"), relay, ACCEPT_S)
    figure("refused after, s", f"{refused_after:.2f}")
    figure("drained after, s", f"{drained_after:.2f}")
    figure("accepted again after, s", f"{accepted_after:.2f}")
    assert refused_after < REFUSE_S
    assert accepted_after < ACCEPT_S
    assert relay.stop() == 0


def test_disk_filled_by_the_mail_itself(relay, started, tmp_path, figure):
    """Nobody else writes: large messages run into the low water in the midst of their bodies."""
    load = Load(tmp_path, relay.port, "--messages", 200, "--rate", 40, "--sessions", 4,
                "--size", 1 << 20, "--deadline", 30)
    report = load.finish(40)
    figure("accepted and refused", (report["accepted"], report["replies"]))
    assert set(report["replies"]) == {"452"}
    assert report["lost_connections"] == 0
    assert len(load.acked()) << 20 > DISK // 3

    sink = Sink(tmp_path / "late-sink", port=relay.hop_port)
    started.append(sink)
    sink.start()
    relay.await_empty(20)
    assert load.acked() - sink.ids() == set()
    assert seconds_until((250, "2.0.0"), relay, ACCEPT_S) < ACCEPT_S
    assert relay.stop() == 0


def test_start_on_a_full_disk(relay, started, small_disk, tmp_path):
    """A restart where not even the reserve can be made: it serves, refuses, and drains."""
    load = Load(tmp_path, relay.port, "--messages", 200, "--sessions", 4, "--size", 8000)
    load.finish(20)
    relay.kill()
    fill_blocks(small_disk)
    relay.start()
    assert try_to_send(relay) == REFUSAL
    sink = Sink(tmp_path / "late-sink", port=relay.hop_port)
    started.append(sink)
    sink.start()
    relay.await_empty(20)
    assert len(load.acked()) == 200
    assert load.acked() - sink.ids() == set()
    assert relay.stop() == 0
