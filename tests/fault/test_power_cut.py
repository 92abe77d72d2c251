"""Power cuts, played back: from each image of the queue's data file (images.py) the relay must start,
and must have all that it had acknowledged and not yet delivered."""

import subprocess
import threading
import time
from typing import NamedTuple

import pytest

from faults import SYNC, SYNC_WRITE, WRITE, Faults, read_record
from images import Image, image_at, name_at
from rig import elapse, scaled, simple_message, subject_of, transact
from support.dialogue import Dialogue

CUTS = scaled(10, 60)
SENDERS = 8
RECORDED_S = 2.0
DRAIN_S = 20
DELIVERY_SLACK_NS = 50_000_000  # a file's time of change is only as fine as the kernel's tick
SETTINGS = {"memory_body_max": "16KiB", "store_map_size": "256MiB"}


class Sender(threading.Thread):
    """Sends messages, every eighth of them large enough to be staged, and keeps the moment of each
    250."""

    def __init__(self, port, name, until):
        super().__init__()
        self.port, self.name, self.until = port, name, until
        self.acked = {}  # subject -> CLOCK_MONOTONIC ns

    def run(self):
        number = 0
        with Dialogue(self.port).hello() as client:
            while time.monotonic() < self.until:
                number += 1
                subject = f"{self.name}.{number}"
                assert transact(client, message_of(subject)).code == 250
                self.acked[subject] = time.monotonic_ns()


def message_of(subject):
    return simple_message(subject, lines=3000 if int(subject.rpartition(".")[2]) % 8 == 0 else 60)


def delivery_times(sink):
    """When each message was in the sink's hands, in CLOCK_MONOTONIC ns."""
    ahead = time.time_ns() - time.monotonic_ns()
    return {subject_of(path.read_bytes()): path.stat().st_mtime_ns - ahead
            for path in sink.recorded("*.eml")}


class Recording(NamedTuple):
    steps: list
    acked: dict  # subject -> when the 250 was read, CLOCK_MONOTONIC ns
    delivered: dict  # subject -> when the next hop had it
    hop_port: int  # which queued mail remembers

    def owed_at(self, cut):
        """What was acknowledged before that step and not surely delivered by then."""
        moment, never = self.steps[cut].began_ns, float("inf")
        return {subject for subject, when in self.acked.items() if when < moment
                and self.delivered.get(subject, never) > moment + DELIVERY_SLACK_NS}


@pytest.fixture
def recording(make_sink, make_relay, tmp_path):
    """Of a relay under load whose next hop defers every other message."""
    faults = Faults(tmp_path / "faults", record=True)
    sink = make_sink("--reply-mail", "50%=451 4.3.0 later")
    relay = make_relay(sink.port, environment=faults.environment, **SETTINGS).start()
    until = time.monotonic() + RECORDED_S
    senders = [Sender(relay.port, f"s{n}", until) for n in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    elapse(0.2)
    relay.kill()
    sink.stop()
    acked = {subject: when for sender in senders for subject, when in sender.acked.items()}
    assert len(acked) > 100
    return Recording(read_record(faults.record_path), acked, delivery_times(sink), sink.port)


def lying_image_at(steps, cut, rng):
    """As if the disk had answered every sync and flushed nothing but the meta pages since half the
    way: what a relay that does not sync would leave."""
    image = Image()
    for i, step in enumerate(steps[:cut]):
        if step.kind == SYNC_WRITE or (step.kind == WRITE and (i < cut // 2 or rng.random() < 0.5)):
            image.write(step)
    return image.bytes


@pytest.fixture
def recover(recording, make_relay, make_sink):
    """recover(image, name): starts a relay on it; what it then delivers, by subject."""
    def start_on(image, name="data.mdb"):
        sink = make_sink(port=recording.hop_port)
        relay = make_relay(recording.hop_port, **SETTINGS)
        relay.store.mkdir(mode=0o700)
        (relay.store / name).write_bytes(image)
        relay.start()
        relay.drain(DRAIN_S)
        relay.stop()
        assert relay.log("message-damaged") == []
        sink.stop()
        return {subject_of(message.content): message.content for message in sink.messages()}
    return start_on


def test_power_cuts(recording, recover, rng, figure, hold):
    owed_in_all, lost, altered = 0, 0, 0
    for _ in range(CUTS):
        cut = rng.randrange(len(recording.steps))
        owed = recording.owed_at(cut)
        owed_in_all += len(owed)
        got = recover(image_at(recording.steps, cut, rng), name_at(recording.steps, cut))
        lost += len(owed - set(got))
        altered += sum(not content.endswith(message_of(subject))
                       for subject, content in got.items())
    figure("steps recorded", len(recording.steps))
    figure("messages owed, all cuts together", owed_in_all)
    figure("cuts", CUTS)
    hold(1, "power cuts: messages lost", lost, 0)
    hold(1, "power cuts: messages altered", altered, 0)
    assert owed_in_all > 10 * CUTS


def test_power_cuts_in_the_first_start(recording, recover, rng):
    """Each step of it, until the first transaction is on the disk, and what comes then."""
    syncs = [i for i, step in enumerate(recording.steps) if step.kind == SYNC]
    for cut in range(syncs[1] + 3):
        recover(image_at(recording.steps, cut, rng), name_at(recording.steps, cut))


def test_the_check_notices_a_disk_that_lies(recording, recover, rng):
    """The same check on an image of a disk that does not flush: it must not be content."""
    cut = len(recording.steps) - 1
    try:
        got = recover(lying_image_at(recording.steps, cut, rng))
    except (AssertionError, subprocess.SubprocessError):
        return
    assert recording.owed_at(cut) - set(got) != set()
