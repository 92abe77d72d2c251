"""kill -9 at each step of docs/QUEUE-STATES.md: before each write and sync of the store while a
message goes its way, and right behind each commit. Each way is gone again and again, with the kill
a call later each time, until it ends without one (the short form takes longer strides)."""

import contextlib
import re
import shutil
from collections import Counter

import pytest

from faults import Faults
from rig import await_nothing_left, scaled, simple_message, subject_of
from support.dialogue import Dialogue
from support.next_hop import NextHop
from support.wait import wait_until

# Nothing is tried again by itself, so that each way has an end.
SETTINGS = {"memory_body_max": "16KiB", "store_map_size": "256MiB", "retry_first": "1h",
            "retry_max": "1h"}
TROUBLE = ("--reply-rcpt", "later*=450 4.2.0 later", "--reply-rcpt", "no*=550 5.1.1 nobody")
SMALL, STAGED, BEYOND_ONE_SWEEP = 40, 3000, 230_000  # lines of a body
STRIDES = {False: scaled(5, 1), True: scaled(3, 1)}  # behind the call or before it
LONG_WAY = scaled(16, 4)  # times the stride
FAR = 3000  # calls: no way has as many
DRAIN_S = 60
MESSAGE_ID = re.compile(rb"\r\nMessage-ID: <([^>]+)>", re.IGNORECASE)


def sender_of(subject):
    return f"{subject}@client.test"


class Journey:
    """The relay, its next hop, and what has become of the messages of one way."""

    def __init__(self, make_sink, relay, faults):
        self.make_sink, self.relay, self.faults = make_sink, relay, faults
        self.sinks = [make_sink(*TROUBLE, port=relay.hop_port)]
        self.acked = {}  # subject -> recipients
        self.lines = {}  # subject -> of its body
        self.kills = 0
        self.is_noted = False  # whole groups are delivered, and no kill comes between note and reply

    @property
    def rows(self):
        return self.relay.store_rows()

    def hop_down(self):
        self.sinks[-1].stop()

    def hop_up(self, *options):
        self.sinks.append(self.make_sink(*options, port=self.relay.hop_port))

    def listed(self, subject):
        """The message with this subject, as smarthopctl lists it."""
        found = [each for each in self.relay.queue() if each["sender"] == sender_of(subject)]
        return found[0] if found else None

    def states(self, subject):
        message = self.listed(subject)
        return [recipient["state"] for recipient in message["recipients"]] if message else []

    def begin(self, subject, *recipients, lines=SMALL):
        """A session in which a body is expected."""
        self.lines[subject] = lines
        client = Dialogue(self.relay.port).hello()
        client.begin(*recipients, sender=sender_of(subject))
        assert client.command("DATA").code == 354
        return client

    def send(self, subject, arm, *recipients, lines=SMALL):
        with self.begin(subject, *recipients, lines=lines) as client:
            arm()
            with contextlib.suppress(OSError):  # killed
                client.send(simple_message(subject, lines) + b".\r\n")
            reply = client.reply()
        if reply is not None:
            assert reply.code == 250
            self.acked[subject] = recipients

    def wait(self, is_done, what):
        wait_until(lambda: not self.relay.is_running() or is_done(), what)

    def is_quiet(self):
        """Nothing is under way that a kill could hit a second time."""
        rows = self.rows
        return all(recipient["state"] != "ready" for message in self.relay.queue()
                   for recipient in message["recipients"]) and (rows["message"] or not rows["body"])

    def retry_all(self):
        """What is being tried at the moment is passed over: to be asked until it is true."""
        self.relay.ctl("queue", "retry", "--all", check=False)
        return self.rows["message"] == 0

    def wait_gone(self):
        self.wait(lambda: self.rows["message"] == 0 and self.rows["body"] == 0, "an empty store")


# ---- the ways: each arms the kill and returns when the way has ended, or with a dead relay ----

def delivered(journey, subject, arm):
    journey.send(subject, arm, "to@example.test")
    journey.wait_gone()


def staged(journey, subject, arm):
    journey.send(subject, arm, "to@example.test", lines=STAGED)
    journey.wait_gone()


def removed_bit_by_bit(journey, subject, arm):
    journey.send(subject, arm, "to@example.test", lines=BEYOND_ONE_SWEEP)
    journey.wait_gone()


def leave_half(journey, subject, arm):
    """A staged body whose client is still there."""
    client = journey.begin(subject, "to@example.test", lines=STAGED)
    arm()
    with contextlib.suppress(OSError):
        client.send(simple_message(subject, STAGED))
    journey.wait(lambda: journey.rows["body"] > 4, "a staged body")
    return client


def abandoned(journey, subject, arm):
    with leave_half(journey, subject, arm):
        pass
    journey.wait_gone()


def recovered(journey, subject, arm):
    """The kill comes in the start after the one that left a body without its message."""
    with leave_half(journey, subject, lambda: None):
        journey.relay.kill()
    arm()
    with contextlib.suppress(AssertionError, OSError):
        journey.relay.start()
    journey.wait_gone()


def deferred(journey, subject, arm):
    journey.send(subject, arm, "later@example.test")
    journey.wait(lambda: journey.states(subject) == ["waiting"], "a deferred message")


def deferred_in_part(journey, subject, arm):
    journey.send(subject, arm, "to@example.test", "later@example.test")
    journey.wait(lambda: journey.states(subject) == ["waiting"], "one deferred recipient")


def failed(journey, subject, arm):
    journey.send(subject, arm, "no@example.test")
    journey.wait_gone()


def failed_in_part(journey, subject, arm):
    journey.send(subject, arm, "no@example.test", "to@example.test", "later@example.test")
    journey.wait(lambda: journey.states(subject) == ["waiting"], "one deferred recipient")


def held(journey, subject, arm):
    journey.send(subject, lambda: None, "later@example.test")
    journey.wait(lambda: journey.states(subject) == ["waiting"], "a deferred message")
    arm()
    while journey.relay.is_running() and journey.states(subject) != ["held"]:
        journey.relay.ctl("queue", "hold", journey.listed(subject)["id"], check=False)


def backed_off(journey, subject, arm):
    journey.hop_down()
    journey.send(subject, arm, "to@example.test")
    journey.wait(lambda: journey.states(subject) == ["backoff"], "a back-off")
    journey.hop_up(*TROUBLE)
    journey.wait(journey.retry_all, "an empty store")


# name -> (the way, the steps of docs/QUEUE-STATES.md that lie on it)
WAYS = {
    "delivered": (delivered, "insert, attempt, settle: last group done"),
    "staged": (staged, "stage, insert, settle: last group done"),
    "removed bit by bit": (removed_bit_by_bit, "stage, settle: last group done, remove rest"),
    "abandoned": (abandoned, "stage, discard"),
    "recovered": (recovered, "opening, recovery"),
    "deferred": (deferred, "settle: deferred"),
    "deferred in part": (deferred_in_part, "settle: delivered in part"),
    "failed": (failed, "settle with a notification"),
    "failed in part": (failed_in_part, "settle with a notification, delivered in part"),
    "held": (held, "settle: held"),
    "backed off": (backed_off, "back-off recorded, back-off deleted, sweep after opening"),
}


@pytest.fixture
def journey(make_sink, make_relay, tmp_path):
    faults = Faults(tmp_path / "faults")
    return Journey(make_sink, make_relay(environment=faults.environment, **SETTINGS), faults)


def walk(journey, way, behind):
    """With a kill at each call (behind each commit) in its turn, until one is not reached."""
    at = 1
    while at < FAR:
        subject = f"{'behind' if behind else 'before'}-{at}"
        if not journey.relay.is_running():
            journey.relay.start()
        wait_until(journey.is_quiet, "the end of what the last kill has left")
        way(journey, subject, lambda: journey.faults.kill_at("meta" if behind else "any", at,
                                                             behind=behind))
        journey.faults.heal()
        # An orderly end, where no kill is under way any more.
        if journey.relay.process.stop() == 0:
            return
        journey.kills += 1
        at += STRIDES[behind] * (LONG_WAY if way is removed_bit_by_bit else 1)
    raise AssertionError("a way without end")


def drain(journey):
    """With a next hop that takes all; everything that ever reached one."""
    if not journey.relay.is_running():
        journey.relay.start()
    journey.hop_down()
    journey.hop_up()
    journey.relay.ctl("queue", "release", "--all")
    wait_until(journey.retry_all, "an empty queue", DRAIN_S)
    await_nothing_left(journey.relay)
    return [message for sink in journey.sinks for message in sink.messages()]


def most_of(counts):
    return max(counts.values(), default=1)


def check(journey, got, hold):
    mail = [message for message in got if message.sender]
    told = {MESSAGE_ID.search(message.content)[1]: message for message in got if not message.sender}
    arrived = Counter((subject_of(message.content), recipient) for message in mail
                      for recipient in message.recipients)
    notified = Counter(subject for subject in journey.acked for message in told.values()
                       if f"Subject: {subject}\r\n".encode() in message.content)
    lost = [(subject, recipient) for subject, recipients in journey.acked.items()
            for recipient in recipients
            if arrived[subject, recipient] + notified[subject] * recipient.startswith("no") == 0]
    altered = [message for message in mail if not message.content.endswith(
        simple_message(subject_of(message.content), journey.lines[subject_of(message.content)]))]
    hold(1, "kill -9 at each step: messages lost", len(lost), 0)
    hold(1, "kill -9 at each step: messages altered", len(altered), 0)
    hold(1, "kill -9 at each step: notifications too many",
         sum(count - 1 for count in notified.values()), 0)
    if journey.is_noted:
        hold(2, "kill -9 after a noted delivery: copies of a message", most_of(arrived), 1)
    else:
        hold(2, "kill -9 at each step: copies of a message", most_of(arrived), 2)


@pytest.mark.parametrize("way, steps", WAYS.values(), ids=WAYS)
def test_kill_at_each_step(journey, hold, figure, way, steps):
    journey.is_noted = way in (delivered, staged, removed_bit_by_bit)
    walk(journey, way, behind=False)
    walk(journey, way, behind=True)
    figure(f"kills at: {steps}", journey.kills)
    check(journey, drain(journey), hold)
    assert journey.kills >= 2
    journey.relay.stop()


def test_kill_within_the_first_start(journey, hold):
    """What it leaves is taken up, or made anew, by the next one."""
    at, refused = 0, 0
    while True:
        at += 1
        shutil.rmtree(journey.relay.store, ignore_errors=True)
        journey.faults.kill_at("any", at)
        with contextlib.suppress(AssertionError, OSError):
            journey.relay.start()
        was_killed = not journey.relay.is_running()
        journey.faults.heal()
        if not was_killed:
            break
        journey.relay.start()
        refused += journey.relay.send(simple_message(f"start-{at}")).code != 250
        journey.relay.kill()
    hold(1, "kill -9 in the first start: stores that do not open", refused, 0)
    assert at > 3


def test_kill_before_the_next_hop_answers(make_relay, make_sink, hold):
    """In an attempt: the message is the next hop's only when it says so."""
    def answer(verb, _):
        if verb == ".":
            relay.kill()
            return ""
        return None

    with NextHop(answer=answer) as hop:
        relay = make_relay(hop.port, **SETTINGS).start()
        assert relay.send(simple_message("attempt")).code == 250
        wait_until(lambda: not relay.is_running(), "the kill")
    sink = make_sink(port=hop.port)
    relay.start()
    relay.drain(DRAIN_S)
    hold(1, "kill -9 within an attempt: messages lost", 1 - len(sink.messages()), 0)
    await_nothing_left(relay)
    relay.stop()
