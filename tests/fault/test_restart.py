"""How soon there is service again after a kill -9 or a power cut, with much mail queued: from the
start of the process to a client's 250."""

import os
import shutil
import time

import pytest

from faults import Faults
from images import image_of_a_cut
from rig import IS_FULL, scaled, simple_message
from support.process import BIN, run
from test_power_cut import SETTINGS

DEPTHS = scaled((1000,), (1000, 100_000))
LIMITS = {1000: {"kill": 0.5, "cut": 1.0}, 100_000: {"kill": 2.0, "cut": 2.0}}
# In the short form the machine may be doing much else.
SLACK = 1 if IS_FULL else 10
TIMES = scaled(2, 5)
DESTINATIONS = 50
FILL_S = 300


@pytest.fixture(params=DEPTHS)
def filled(request, make_relay, tmp_path):
    """(relay that was killed, depth): its queue holds as many messages, due in ten minutes."""
    faults = Faults(tmp_path / "faults", record=True)
    relay = make_relay(environment=faults.environment, **SETTINGS | {"store_map_size": "4GiB"})
    relay.faults = faults
    relay.start()
    relay.stop()
    run(BIN / "queue_fill", relay.store, str(request.param), str(DESTINATIONS), "tried",
        "size=4000", timeout=FILL_S)
    return relay, request.param


def seconds_to_serve(relay):
    began = time.monotonic()
    relay.start()
    assert relay.send(simple_message("first")).code == 250
    return time.monotonic() - began


def forget_pages(path):
    """As after a power cut: nothing of it is in the cache."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def test_service_after_a_kill(filled, hold):
    relay, depth = filled
    relay.start()
    taken = []
    for _ in range(TIMES):
        relay.kill()
        taken.append(seconds_to_serve(relay))
        assert relay.queued() >= depth
    hold(3, f"{depth} queued, kill -9: seconds until service", round(max(taken), 3),
         LIMITS[depth]["kill"] * SLACK, goal=LIMITS[depth]["kill"])
    relay.kill()


def test_service_after_a_power_cut(filled, hold, rng, tmp_path):
    """Mail is being taken when the power goes: its last writes are torn."""
    relay, depth = filled
    before = tmp_path / "before.mdb"
    taken = []
    for _ in range(TIMES):
        relay.faults.record_path.unlink(missing_ok=True)
        shutil.copy(relay.data_path, before)
        relay.start()
        for number in range(20):
            assert relay.send(simple_message(f"before-{number}")).code == 250
        relay.kill()
        image_of_a_cut(before, relay.faults.record_path, relay.data_path, rng)
        forget_pages(relay.data_path)
        taken.append(seconds_to_serve(relay))
        assert relay.queued() >= depth
        relay.kill()
    hold(3, f"{depth} queued, power cut: seconds until service", round(max(taken), 3),
         LIMITS[depth]["cut"] * SLACK, goal=LIMITS[depth]["cut"])
