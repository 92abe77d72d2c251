"""What the fault tests share: processes that end with their test, and seeds that are printed."""

import os
import random
import subprocess
import sys
import json
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from relay_harness import Relay, Sink, program  # noqa: E402


@pytest.fixture
def started():
    """A list; every process in it is killed at the end of the test, whatever became of it."""
    processes = []
    yield processes
    for process in reversed(processes):
        process.kill()


@pytest.fixture
def make_sink(tmp_path, started):
    """Starts a next hop: make_sink(*options of smtp_sink)."""
    def make(*options, port=0):
        sink = Sink(tmp_path / f"sink-{len(started)}", *options, port=port)
        started.append(sink)
        sink.start()
        return sink
    return make


@pytest.fixture
def make_relay(tmp_path, started):
    """Makes a relay that is not started yet: make_relay(next hop's port, **settings)."""
    def make(hop_port, **settings):
        relay = Relay(tmp_path / f"relay-{len(started)}", hop_port, **settings)
        started.append(relay)
        return relay
    return make


@pytest.fixture
def rng():
    """One source of randomness; SMARTHOP_SEED repeats a run."""
    seed = int(os.environ.get("SMARTHOP_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SMARTHOP_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def store_rows():
    """Rows of each table of a store: store_rows(folder)."""
    def count(folder):
        done = subprocess.run([program("store_rows"), folder], check=True, capture_output=True)
        return json.loads(done.stdout)
    return count


@pytest.fixture
def figure(request):
    """Prints a measured figure, so that a run tells it even when it passes."""
    def tell(name, value):
        print(f"FIGURE {request.node.name}: {name} = {value}")
    return tell
