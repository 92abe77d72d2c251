"""Power cuts while mail is delivered to mailboxes and an IMAP client changes them: from each image of
the mailboxes' data file (images.py) the drop must start, and must have all that was acknowledged, as
it was acknowledged; no UID that was told may be given to another message."""

import smtplib
import threading
import time
from typing import NamedTuple

import pytest

from faults import SYNC, Faults, read_record
from images import image_at, name_at
from mailboxes import door, log_in
from rig import scaled, simple_message, subject_of
from support import users
from support.drop import ALICE, BOB, DOMAIN, PASSWORDS, section_of

CUTS = scaled(6, 60)
DELIVERIES = 100
ROUNDS = 12  # of the IMAP client
STORE = "mail"
INBOX, WORK, DONE = "INBOX", "Work", "Done"
GONE = None
FLAGGED = b"\\Flagged"
SETTINGS = {"draft_memory": "16KiB", "store_map_size": "256MiB", "workers": 1}


def message_of(subject):
    """Every sixth is large enough to be staged."""
    return simple_message(subject, lines=2000 if int(subject.rpartition(".")[2]) % 6 == 0 else 30)


class Change(NamedTuple):
    began_ns: int
    acked_ns: int  # CLOCK_MONOTONIC
    place: tuple  # (mailbox, whether it is flagged), or GONE


class History:
    """What became of each message of a user, and which UIDs were told."""

    def __init__(self):
        self.changes = {}  # subject -> list of Change
        self.uids = []  # (when, mailbox, UID)

    def note(self, subject, began_ns, place, uid=None):
        now = time.monotonic_ns()
        self.changes.setdefault(subject, []).append(Change(began_ns, now, place))
        if uid is not None:
            self.uids.append((now, place[0], uid))

    def places_at(self, moment):
        """subject -> where it may be."""
        found = {}
        for subject, changes in self.changes.items():
            surely = [change.place for change in changes if change.acked_ns < moment]
            maybe = [change.place for change in changes
                     if change.began_ns < moment <= change.acked_ns]
            found[subject] = {surely[-1] if surely else GONE, *maybe}
        return found

    def highest_uids_at(self, moment):
        """mailbox -> the highest UID that was told."""
        highest = {}
        for when, box, uid in self.uids:
            if when < moment:
                highest[box] = max(uid, highest.get(box, 0))
        return highest


class Actor(threading.Thread):
    """Does `act` so many times."""

    def __init__(self, times):
        super().__init__()
        self.times, self.history, self.problem, self.made = times, History(), None, 0

    def next_subject(self):
        self.made += 1
        return f"{type(self).__name__}.{self.made}"

    def run(self):
        try:
            for _ in range(self.times):
                self.act()
        except Exception as problem:  # told by the test's own thread
            self.problem = problem


class Deliverer(Actor):
    def __init__(self, relay):
        super().__init__(DELIVERIES)
        self.client = smtplib.LMTP("127.0.0.1", door(relay, "lmtp"))

    def act(self):
        subject, began = self.next_subject(), time.monotonic_ns()
        self.client.sendmail("from@client.test", [f"{BOB}@{DOMAIN}"], message_of(subject))
        self.history.note(subject, began, (INBOX, False))


class Reader(Actor):
    """Appends four to Work, and then flags, moves and expunges some of them."""

    def __init__(self, relay):
        super().__init__(ROUNDS)
        self.client = log_in(relay, ALICE)
        for box in (WORK, DONE):
            assert self.client.create(box)[0] == "OK"
        self.client.select(WORK)

    def act(self):
        (_, _), (flagged, flagged_uid), (moved, moved_uid), (gone, gone_uid) = (
            self.append() for _ in range(4))
        began = time.monotonic_ns()
        self.uid("STORE", flagged_uid, "+FLAGS.SILENT", "(\\Flagged)")
        self.history.note(flagged, began, (WORK, True))
        began = time.monotonic_ns()
        self.uid("MOVE", moved_uid, DONE)
        told = self.client.response("COPYUID")[1][0]
        self.history.note(moved, began, (DONE, False), int(told.split()[-1]))
        self.uid("STORE", gone_uid, "+FLAGS.SILENT", "(\\Deleted)")
        began = time.monotonic_ns()
        self.uid("EXPUNGE", gone_uid)
        self.history.note(gone, began, GONE)

    def append(self):
        subject, began = self.next_subject(), time.monotonic_ns()
        kind, answer = self.client.append(WORK, None, None, message_of(subject))
        assert kind == "OK", answer
        uid = int(answer[0].split(b"]")[0].split()[-1])
        self.history.note(subject, began, (WORK, False), uid)
        return subject, uid

    def uid(self, verb, uid, *words):
        kind, answer = self.client.uid(verb, str(uid), *words)
        assert kind == "OK", (verb, answer)


class Recording(NamedTuple):
    steps: list
    histories: dict  # user -> History


@pytest.fixture
def make_drop(make_relay, certificate_files, tmp_path):
    """make_drop(environment): a relay with mailboxes that is not started yet."""
    users_file = users.make(tmp_path / "users", PASSWORDS)
    section = section_of(users_file, certificate_files) | SETTINGS | {"mailboxes": STORE}

    def make(environment=None):
        return make_relay(plugins={"drop": section}, relay_domains=[DOMAIN],
                          environment=environment)
    return make


@pytest.fixture
def recording(make_drop, tmp_path):
    """Of a drop under load, from its first start on."""
    faults = Faults(tmp_path / "faults", record=True, store=STORE)
    relay = make_drop(faults.environment).start()
    actors = {BOB: Deliverer(relay), ALICE: Reader(relay)}
    for actor in actors.values():
        actor.start()
    for actor in actors.values():
        actor.join()
        assert actor.problem is None, repr(actor.problem)
    relay.kill()
    return Recording(read_record(faults.record_path),
                     {user: actor.history for user, actor in actors.items()})


def contents(client, box):
    """subject -> whether it is flagged; each is there once, and whole."""
    found = {}
    kind, counted = client.select(box)
    if kind != "OK" or counted[0] == b"0":
        return found
    _, answer = client.fetch("1:*", "(FLAGS BODY.PEEK[])")
    for part in answer:
        if isinstance(part, tuple):
            subject = subject_of(b"\r\n" + part[1])
            assert part[1].endswith(message_of(subject)), f"{subject} is altered"
            assert subject not in found, f"{subject} is there twice"
            found[subject] = FLAGGED in part[0]
    return found


def missed(history, client, moment):
    """Messages that are not where they may be at that moment."""
    there = {}
    for box in (INBOX, WORK, DONE):
        for subject, is_flagged in contents(client, box).items():
            assert subject not in there, f"{subject} is in {there[subject][0]} and {box}"
            there[subject] = (box, is_flagged)
    places = history.places_at(moment)
    assert set(there) <= set(places)
    return [subject for subject, may_be in places.items()
            if there.get(subject, GONE) not in may_be]


def reused(history, client, moment):
    """Mailboxes in which the next message gets a UID that was told of another one."""
    found = []
    for box, highest in history.highest_uids_at(moment).items():
        kind, answer = client.append(box, None, None, message_of("Probe.1"))
        assert kind == "OK", answer
        if int(answer[0].split(b"]")[0].split()[-1]) <= highest:
            found.append(box)
    return found


def recover(make_drop, recording, cut, rng):
    """(messages that are missed, mailboxes that use UIDs again) of a drop on the image of that cut."""
    relay = make_drop()
    folder = relay.folder / STORE
    folder.mkdir(mode=0o700)
    image = image_at(recording.steps, cut, rng)
    (folder / name_at(recording.steps, cut)).write_bytes(image)
    relay.start()
    lost, twice = [], []
    for user, history in recording.histories.items():
        client = log_in(relay, user)
        lost += missed(history, client, recording.steps[cut].began_ns)
        twice += reused(history, client, recording.steps[cut].began_ns)
        client.logout()
    relay.ctl("mailbox", "check")
    relay.stop()
    return lost, twice


def choose_cuts(steps, rng):
    """Some in the first start, until behind the first transaction, and some anywhere."""
    started = [i for i, step in enumerate(steps) if step.kind == SYNC][1] + 3
    return [*rng.sample(range(started), scaled(3, started)),
            *(rng.randrange(len(steps)) for _ in range(CUTS))]


def test_power_cuts(recording, make_drop, rng, figure, hold):
    lost, twice, owed = [], [], 0
    for cut in choose_cuts(recording.steps, rng):
        moment = recording.steps[cut].began_ns
        owed += sum(GONE not in places for history in recording.histories.values()
                    for places in history.places_at(moment).values())
        found = recover(make_drop, recording, cut, rng)
        lost, twice = lost + found[0], twice + found[1]
    figure("steps recorded", len(recording.steps))
    figure("messages owed, all cuts together", owed)
    hold(18, "power cuts: messages lost, or not as acknowledged", len(lost), 0)
    hold(18, "power cuts: UIDs given twice", len(twice), 0)
    assert owed > 5 * CUTS
