"""Changes of queued mail by the running daemon: of what is being delivered at that moment, too."""
import json
import threading

import pytest

from support import content
from support.control import Control
from support.dialogue import submit
from support.next_hop import NextHop
from support.relay import to
from support.wait import PATIENCE_S, wait_until

SAMPLE = content.message(b"hello")
PATIENT = {"retry_first": "60s", "retry_max": "60s"}


class Stalling(NextHop):
    """Holds back its reply to RCPT until `go` is set; it then refuses "later@" for now."""

    def __init__(self):
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()
        super().__init__(answer=self._reply)

    def _reply(self, verb, line):
        if verb != "RCPT":
            return None
        self.asked.release()
        assert self.go.wait(PATIENCE_S)
        return "451 4.2.1 not now" if "later@" in line else None


def stalling_hop():
    with Stalling() as hop:
        yield hop
        hop.go.set()


stalling = pytest.fixture(stalling_hop, name="stalling")
other = pytest.fixture(stalling_hop, name="other")


def let_go(*hops):
    for hop in hops:
        hop.go.set()


def names(relay):
    """The groups in the store: each message here has one."""
    return {message["recipients"][0]["address"]: message["id"] + "/0" for message in relay.queue()}


def stall(relay, hop, recipient):
    """A message that is being delivered there."""
    submit(relay, SAMPLE, recipient)
    assert hop.asked.acquire(timeout=PATIENCE_S)


def started(relay, *arguments):
    """A command under way, whose answer is taken with result()."""
    done = []
    thread = threading.Thread(target=lambda: done.append(relay.ctl(*arguments, check=False)))
    thread.start()

    def result():
        thread.join()
        return done[0]

    return result


def test_hold_waits_for_the_end_of_the_attempt(start_relay, stalling):
    relay = start_relay(routes={"*": to(stalling)}, **PATIENT)
    stall(relay, stalling, "later@rcpt.test")
    (message,) = relay.queue()
    result = started(relay, "queue", "hold", message["id"])
    stalling.go.set()
    done = result()
    assert (done.returncode, done.stdout) == (0, f"{message['id']}: held (1 group)\n".encode())
    (held,) = relay.queue()
    assert held["recipients"][0]["state"] == "held"
    assert held["recipients"][0]["tries"] == 1


def test_it_does_not_wait_for_ever(start_relay, stalling):
    relay = start_relay(routes={"*": to(stalling)}, queue_command_wait="50ms", **PATIENT)
    stall(relay, stalling, "good@rcpt.test")
    (message,) = relay.queue()
    done = relay.ctl("queue", "remove", message["id"], check=False)
    assert done.returncode == 1
    assert b"it is being delivered at this moment; try again when that is over" in done.stderr
    done = relay.ctl("queue", "remove", "--all", check=False)
    assert (done.returncode, done.stdout) == (4, b"all: removed (0 groups of 1 message)\n")
    assert b"1 group was left as they were" in done.stderr
    stalling.go.set()
    relay.wait_empty()
    assert len(stalling.wait(1)) == 1


def test_each_group_is_counted(start_relay, stalling, other):
    """Those that the attempt delivered need no change any more, and nobody says they had one."""
    relay = start_relay(routes={"one.test": to(stalling), "*": to(other)}, **PATIENT)
    stall(relay, stalling, "good@one.test")
    stall(relay, other, "later@two.test")
    groups = names(relay)
    with Control(relay) as control:
        control.send("remove", groups=[*groups.values(), "0000000000001/0"])
        let_go(stalling, other)
        assert control.line() == {"ok": True, "affected": 1, "busy": 0, "moot": 2}
    assert [m.recipients for m in stalling.wait(1)] == [["good@one.test"]]
    assert not relay.queue()


def test_filter(start_relay, stalling, other):
    relay = start_relay(routes={"one.test": to(stalling), "*": to(other)}, **PATIENT)
    stall(relay, stalling, "later@one.test")
    stall(relay, other, "later@two.test")
    result = started(relay, "--json", "queue", "bounce", "--domain", "*.test")
    let_go(stalling, other)
    done = json.loads(result().stdout)
    assert (done["groups"], done["affected"], done["busy"], done["moot"]) == (2, 2, 0, 0)
    relay.wait_log("bounced", 2)
    wait_until(lambda: {m["sender"] for m in relay.queue()} <= {""}, "only notifications")
