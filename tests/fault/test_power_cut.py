"""Power cuts, played back: from the record of every write and sync of the data file, images of the
file are built as a disk could hold it at a random moment. What was flushed is there; of what was
written since, each sector is there or not. From each image the relay must start, and must have all
that it had acknowledged and not yet delivered."""

import subprocess
import threading
import time
from typing import NamedTuple

import pytest

from faults import SYNC, SYNC_WRITE, WRITE, Faults, read_record
from rig import elapse, scaled, simple_message, subject_of, transact
from support.dialogue import Dialogue

CUTS = scaled(10, 60)
SENDERS = 8
RECORDED_S = 2.0
SECTOR = 512
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


class Image:
    """The data file as of a cut."""

    def __init__(self, before=b""):
        self.bytes = bytearray(before)

    def write(self, step, keeps_sector=lambda: True):
        end = step.offset + len(step.data)
        at = step.offset
        while at < end:
            sector_end = min(end, (at // SECTOR + 1) * SECTOR)
            if keeps_sector():
                self._put(at, step.data[at - step.offset:sector_end - step.offset])
            at = sector_end

    def _put(self, at, data):
        if len(self.bytes) < at + len(data):
            self.bytes.extend(bytes(at + len(data) - len(self.bytes)))
        self.bytes[at:at + len(data)] = data


def image_at(steps, cut, rng, before=b""):
    """Step `cut` was under way when the power went; the disk held `before` at the first."""
    synced = max((i for i in range(cut) if steps[i].kind == SYNC), default=-1)
    image = Image(before)
    kept = rng.random()  # how much of the unflushed is there: from nearly nothing to nearly all
    for i, step in enumerate(steps[:cut + 1]):
        durable = i < cut and (i < synced or step.kind == SYNC_WRITE)
        if step.kind != SYNC:
            image.write(step, (lambda: True) if durable else (lambda: rng.random() < kept))
    return image.bytes


def image_of_a_cut(before, record, after, rng):
    """Makes the file `after` from that before and the record of what was written since, with a cut
    at the last step."""
    steps = read_record(record)
    after.write_bytes(image_at(steps, len(steps) - 1, rng, before.read_bytes()))


def lying_image_at(steps, cut, rng):
    """As if the disk had answered every sync and flushed nothing but the meta pages since half the
    way: what a relay that does not sync would leave."""
    image = Image()
    for i, step in enumerate(steps[:cut]):
        if step.kind == SYNC_WRITE or (step.kind == WRITE and (i < cut // 2 or rng.random() < 0.5)):
            image.write(step)
    return image.bytes


def name_at(steps, cut):
    """The first sync is that of the new file, which has no other name before."""
    synced = any(step.kind == SYNC for step in steps[:cut])
    return "data.mdb" if synced else "data.mdb.new"


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
