"""Fixtures: processes that end with their test, seeds and figures that are printed, and promises
that are held. What becomes of each test, and each promise's figure, is also written to the file
that SMARTHOP_FIGURES names, for the program `run`."""

import json
import os
import random
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "integration"))  # its package `support`, which the tests share
sys.path.insert(0, str(TESTS / "support"))

from crowd import CountingSink  # noqa: E402
from disks import mounted  # noqa: E402
from rig import FaultRelay, LoadSink  # noqa: E402
from support import certificates  # noqa: E402
from support.port import own_port  # noqa: E402
from support.reporting import RELAYS, add_logs  # noqa: E402


def note(record):
    path = os.environ.get("SMARTHOP_FIGURES")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    add_logs(item, call, report)
    if report.when == "call" or not report.passed:
        note({"test": item.nodeid, "outcome": report.outcome,
              "said": str(call.excinfo.value)[:300] if call.excinfo else ""})


@pytest.fixture
def make_sink(tmp_path):
    """make_sink(*options of smtp_sink, port=...): a next hop that runs."""
    sinks = []

    def make(*options, **where):
        sinks.append(LoadSink(tmp_path / f"sink-{len(sinks)}", *options, **where))
        return sinks[-1].start()

    yield make
    for sink in sinks:
        sink.stop()


@pytest.fixture
def make_counter(tmp_path):
    """make_counter(*options of smtp_sink, port=...): one that only counts, at all addresses."""
    sinks = []

    def make(*options, **where):
        sinks.append(CountingSink(tmp_path / f"counter-{len(sinks)}", *options, **where))
        return sinks[-1].start()

    yield make
    for sink in sinks:
        sink.stop()


@pytest.fixture
def make_relay(request):
    """make_relay(next hop's port or None, **keys): a relay that is not started yet. None: a next
    hop that is down, until a test starts one on relay.hop_port."""
    relays = request.node.stash.setdefault(RELAYS, [])

    def make(hop_port=None, **keys):
        relays.append(FaultRelay(hop_port or own_port(), **keys))
        return relays[-1]

    yield make
    for relay in relays:
        if relay.is_running():
            relay.kill()
        relay.dispose()


@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture
def certificate_files(tmp_path):
    return certificates.make(tmp_path, "relay", "DNS:localhost")


@pytest.fixture
def rng():
    """One source of randomness; SMARTHOP_SEED repeats a run."""
    seed = int(os.environ.get("SMARTHOP_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"SMARTHOP_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def figure(request):
    """Prints a measured figure, so that a run tells it even when it passes."""
    def tell(name, value):
        print(f"FIGURE {request.node.name}: {name} = {value}")
    return tell


@pytest.fixture
def hold(request, figure):
    """hold(promise, what, value, most, goal=None): that figure of the promise with this number
    (promises.py) is at most that. One beyond its goal only is told, and fails nothing."""
    def check(promise, what, value, most, goal=None):
        figure(what, value)
        note({"promise": promise, "what": what, "value": value, "most": most, "goal": goal,
              "test": request.node.nodeid})
        assert value <= most, f"promise {promise}, {what}: {value}, at most {most}"
    return check
