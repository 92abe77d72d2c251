"""Each call that may fail does so in its turn: every write, every sync, every allocation of one
message's whole way, from its MAIL to an empty store. Whatever then becomes of the relay (it serves
on, refuses for now, or ends and is started again by who looks after it): what it had acknowledged
arrives, whole, and what it had not may come again."""

import mmap
import struct

import pytest

from faults import Faults
from rig import await_nothing_left, scaled, simple_message, subject_of
from support.dialogue import Dialogue
from support.process import SUPPORT
from support.wait import wait_until

SETTINGS = {"memory_body_max": "16KiB", "store_map_size": "256MiB"}
LINES = 1500  # large enough to be staged
STRIDE = scaled(3, 1)
ALLOCATION_STRIDE = scaled(5, 1)
FAR = 100_000
DRAIN_S = 60


class Allocations:
    """The library of fail_alloc.c, as a test steers it."""

    NUMBERS = struct.Struct("=qq")

    def __init__(self, path):
        path.write_bytes(bytes(self.NUMBERS.size))
        self.environment = {"LD_PRELOAD": str(SUPPORT / "fail_alloc.so"), "FAIL_ALLOC": str(path)}
        with open(path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), self.NUMBERS.size)

    @property
    def countdown(self):
        return self.NUMBERS.unpack(self.shared)[0]

    def fail_at(self, countdown):
        self.NUMBERS.pack_into(self.shared, 0, countdown, 0)


class Cycle:
    """Messages, each of which goes its way while something fails."""

    def __init__(self, relay, sink):
        self.relay, self.sink = relay, sink
        self.acked = []

    def run(self, subject):
        """The answer's code, or None where the relay fell silent."""
        try:
            with Dialogue(self.relay.port) as client:
                code = self.offer(client, subject)
        except OSError:
            code = None
        if code == 250:
            self.acked.append(subject)
            wait_until(lambda: not self.works() or self.has_left(), "an end of its way")
        return code

    def offer(self, client, subject):
        lines = ("", "EHLO client.test", "MAIL FROM:<sender@client.test>",
                 "RCPT TO:<to@example.test>", "DATA")
        for line in lines:
            reply = client.command(line) if line else client.reply()
            if reply is None or reply.code >= 400:
                return reply and reply.code
        client.send(simple_message(subject, LINES) + b".\r\n")
        reply = client.reply()
        return reply and reply.code

    def works(self):
        return self.relay.is_running() and not self.relay.log("store-broken")

    def has_left(self):
        rows = self.relay.store_rows()
        return rows["message"] == 0 and rows["body"] == 0

    def start_anew(self):
        if self.relay.is_running():
            self.relay.kill()
        self.relay.start()

    def check(self, hold, promise, what):
        self.relay.drain(DRAIN_S)
        await_nothing_left(self.relay)
        got = [message.content for message in self.sink.messages()]
        arrived = {subject_of(content) for content in got}
        hold(promise, f"{what}: messages lost", len(set(self.acked) - arrived), 0)
        hold(promise, f"{what}: messages altered", sum(
            not content.endswith(simple_message(subject_of(content), LINES)) for content in got), 0)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["write", "sync", "meta"])
def test_every_write_and_sync_fails(make_sink, make_relay, tmp_path, hold, figure, call, error):
    faults = Faults(tmp_path / "faults")
    sink = make_sink()
    relay = make_relay(sink.port, environment=faults.environment, **SETTINGS).start()
    cycle = Cycle(relay, sink)
    at, refused = 1, 0
    while at < FAR:
        before = faults.hits()
        faults.fail_once(call, error, at)
        code = cycle.run(f"{call}-{at}")
        assert code in (250, 421, 451, 452), "neither silence nor a refusal for good"
        refused += code != 250
        faults.heal()
        if not cycle.works():
            cycle.start_anew()
        if faults.hits() == before:
            break
        at += STRIDE
    figure(f"calls that failed with {error}; messages refused", (at - 1, refused))
    assert 1 < at < FAR
    cycle.check(hold, 5, "each write and sync fails")


def test_every_allocation_fails(make_sink, make_relay, tmp_path, hold, figure):
    """The house's rule: who gets no memory ends at once, and is started again."""
    allocations = Allocations(tmp_path / "allocations")
    sink = make_sink()
    relay = make_relay(sink.port, environment=allocations.environment, **SETTINGS).start()
    cycle = Cycle(relay, sink)
    at, ended, broken = 1, 0, 0
    while at < FAR:
        allocations.fail_at(at)
        cycle.run(f"allocation-{at}")
        was_reached = allocations.countdown == 0
        allocations.fail_at(0)
        broken += bool(relay.log("store-broken"))
        # An orderly end, where it is not ending already.
        code = relay.process.stop()
        ended += code != 0
        relay.start()
        if not was_reached and code == 0:
            break
        at += ALLOCATION_STRIDE
    figure("allocations of a message's way; ends of the process", (at, ended))
    hold(1, "each allocation fails: stores that refuse until a restart", broken, 0)
    assert ended > 0
    cycle.check(hold, 1, "each allocation fails")
