"""kill -9 while mail is delivered to mailboxes and IMAP clients change them: what was acknowledged, by
an LMTP 250 or an IMAP OK, is there afterwards, and no UID is ever given to another message."""

import imaplib
import re
import threading
from dataclasses import dataclass, field

from mailboxes import door, log_in
from rig import Load, elapse, scaled
from support import users
from support.drop import ALICE, DOMAIN, PASSWORDS, section_of

WAVES = scaled(6, 50)
BOB = "rcpt0"  # whom smtp_load sends to
ACTORS = 2
SIZE = 3000
LOAD = ("--lmtp", "--messages", 500000, "--rate", 500, "--deadline", 60, "--sessions", 4,
        "--per-session", 0, "--size", SIZE, "--rcpt-domain", DOMAIN)
WORK, DONE = "Work", "Done"
GONE = None
UID = re.compile(rb"UID (\d+)")
FLAGGED = b"\\Flagged"


@dataclass
class Expected:
    """What may be true of a message: an unacknowledged change may have been made or not."""
    places: set = field(default_factory=lambda: {GONE})
    flagged: set = field(default_factory=lambda: {False})
    uid: bytes = b""  # in WORK


class Actor(threading.Thread):
    """One IMAP client with mailboxes of its own name, until the connection breaks."""

    def __init__(self, number, port, rng, expected, wave):
        super().__init__()
        self.number, self.port, self.rng, self.expected = number, port, rng, expected
        self.wave, self.made, self.acknowledged = wave, 0, 0
        self.work, self.done = f"{WORK}{number}", f"{DONE}{number}"
        self.problem = None

    def run(self):
        try:
            self.client = imaplib.IMAP4("127.0.0.1", self.port)
            self.client.login(ALICE, PASSWORDS[ALICE])
            for box in (self.work, self.done):
                self.client.create(box)
            self.client.select(self.work)
            while True:
                self.step()
        except imaplib.IMAP4.abort:
            pass  # killed
        except OSError:
            pass
        except Exception as error:  # told by the test's own thread
            self.problem = error

    def ask(self, *words):
        kind, answer = self.client._simple_command(*words)
        if kind != "OK":
            raise AssertionError(f"{words}: {kind} {answer}")
        self.acknowledged += 1
        return answer

    def step(self):
        there = [name for name, one in self.expected.items()
                 if one.places == {self.work} and one.uid]
        action = self.rng.choice((self.append, self.flag, self.move, self.expunge))
        if not there or action == self.append:
            self.append()
        else:
            action(self.rng.choice(there))

    def append(self):
        name = f"w{self.wave}-a{self.number}-{self.made}"
        self.made += 1
        one = self.expected[name] = Expected({GONE, self.work})
        message = f"Subject: {name}\r\n\r\nbody of {name}\r\n".encode()
        kind, answer = self.client.append(self.work, None, None, message)
        assert kind == "OK", answer
        one.places, one.uid = {self.work}, answer[0].split(b"]")[0].split()[-1]
        self.acknowledged += 1

    def flag(self, name):
        one = self.expected[name]
        one.flagged = {True} | one.flagged
        self.ask("UID", "STORE", one.uid.decode(), "+FLAGS.SILENT", "(\\Flagged)")
        one.flagged = {True}

    def move(self, name):
        one = self.expected[name]
        one.places = {self.work, self.done}
        self.ask("UID", "MOVE", one.uid.decode(), self.done)
        one.places = {self.done}

    def expunge(self, name):
        one = self.expected[name]
        uid = one.uid.decode()
        self.ask("UID", "STORE", uid, "+FLAGS.SILENT", "(\\Deleted)")
        one.places = {self.work, GONE}
        self.ask("UID", "EXPUNGE", uid)
        one.places = {GONE}


class Uids:
    """Which message each UID was given to, over all waves."""

    def __init__(self):
        self.owners = {}
        self.validities = {}

    def learn(self, box, validity, uid, name):
        assert self.validities.setdefault(box, validity) == validity, f"{box}: UIDVALIDITY changed"
        owner = self.owners.setdefault((box, uid), name)
        assert owner == name, f"{box}: UID {uid} was {owner}'s, and is {name}'s"


def contents(client, box, uids, header):
    """name -> (uid, is flagged) of all messages of the mailbox"""
    found = {}
    kind, counted = client.select(box)
    if kind != "OK":
        return found
    validity = client.response("UIDVALIDITY")[1][0]
    if counted[0] == b"0":
        return found
    _, answer = client.fetch("1:*", f"(UID FLAGS BODY.PEEK[HEADER.FIELDS ({header})])")
    for part in answer:
        if not isinstance(part, tuple):
            continue
        uid = UID.search(part[0])[1]
        name = part[1].split(b":", 1)[1].strip().decode()
        assert name not in found, f"{box}: {name} is there twice"
        found[name] = (uid, FLAGGED in part[0])
        uids.learn(box, validity, uid, name)
    return found


def check_actors(client, expected, uids):
    boxes = [f"{box}{number}" for number in range(ACTORS) for box in (WORK, DONE)]
    found = {}
    for box in boxes:
        for name, (uid, flagged) in contents(client, box, uids, "Subject").items():
            assert name not in found, f"{name} is in {found[name][0]} and {box}"
            found[name] = (box, uid, flagged)
    assert set(found) <= set(expected)
    for name, one in expected.items():
        box, uid, flagged = found.get(name, (GONE, b"", None))
        assert box in one.places, f"{name} is in {box}, and should be in {one.places}"
        assert flagged is None or flagged in one.flagged, f"{name}: the flag that was set is lost"
        one.places, one.uid = {box}, uid
        one.flagged = {bool(flagged)}


def test_kill_under_deliveries_and_changes(make_relay, certificate_files, rng, tmp_path, figure):
    users_file = users.make(tmp_path / "users", {**PASSWORDS, BOB: BOB})
    section = section_of(users_file, certificate_files)
    relay = make_relay(plugins={"drop": section}, relay_domains=[DOMAIN])
    acked, expected, uids, acknowledged = set(), {}, Uids(), 0
    for wave in range(WAVES):
        relay.start()
        load = Load(tmp_path, door(relay, "lmtp"), *LOAD, first_id=1 + wave * 1_000_000)
        actors = [Actor(number, door(relay, "imap"), rng, expected, wave)
                  for number in range(ACTORS)]
        for actor in actors:
            actor.start()
        elapse(rng.uniform(0.3, 1.2))
        relay.kill()
        load.cut()
        for actor in actors:
            actor.join()
            assert actor.problem is None, repr(actor.problem)
            acknowledged += actor.acknowledged
        acked |= load.acked()
        relay.start()
        client = log_in(relay, ALICE)
        check_actors(client, expected, uids)
        client.logout()
        client = log_in(relay, BOB)
        there = {int(name) for name in contents(client, "INBOX", uids, "X-Load-Id")}
        client.logout()
        lost = acked - there
        assert not lost, f"wave {wave}: {len(lost)} acknowledged messages are lost"
        relay.stop()
    figure("delivered and acknowledged", len(acked))
    figure("acknowledged by IMAP", acknowledged)
    assert len(acked) > 5 * WAVES and acknowledged > 5 * WAVES, "too little was under way"
