"""
Sessions that change one mailbox of the drop at the same time, while mail arrives. Each client keeps
what it has been told, and nothing else; whenever all pause, that is compared with what is there.
SMARTHOP_HAMMER is how many rounds; each is some dozen commands of each client. SMARTHOP_FULL=1
asks for a minute of them. SMARTHOP_SEED repeats a run.
"""
import os
import random
import re
import threading

import pytest
from support import content

IS_FULL = os.environ.get("SMARTHOP_FULL") == "1"
ROUNDS = int(os.environ.get("SMARTHOP_HAMMER", "60" if IS_FULL else "6"))
SEED = int(os.environ.get("SMARTHOP_SEED", "1"))
COMMANDS = (40, 5, 15)  # of each client in a round, by turns: much changes, or little
LITERAL = re.compile(rb"\{(\d+)\}\r\n$")
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "kw1", "kw2")


class View:
    """A client, and the mailbox as it has been told of: [UID or None, flags or None] in order."""

    def __init__(self, client, seed):
        self.client = client
        self.random = random.Random(seed)
        self.messages = []
        self.start()

    def start(self):
        self.command("SELECT INBOX")

    def line(self):
        whole = b""
        while True:
            line = self.client.readline()
            assert line.endswith(b"\n"), "the server has gone"
            whole += line
            literal = LITERAL.search(line)
            if not literal:
                return whole
            whole += self.client.read(int(literal[1]))

    def take(self, line):
        if found := re.match(rb"\* (\d+) EXISTS", line):
            assert int(found[1]) >= len(self.messages), line
            self.messages += [[None, None] for _ in range(int(found[1]) - len(self.messages))]
        elif found := re.match(rb"\* (\d+) EXPUNGE", line):
            assert not self.holds, f"{line} behind {self.text}"
            del self.messages[int(found[1]) - 1]
        elif found := re.match(rb"\* (\d+) FETCH \((.*)\)\r\n", line, re.S):
            message = self.messages[int(found[1]) - 1]
            if uid := re.search(rb"UID (\d+)", found[2]):
                assert message[0] in (None, int(uid[1])), line
                message[0] = int(uid[1])
            if flags := re.search(rb"FLAGS \(([^)]*)\)", found[2]):
                message[1] = frozenset(flags[1].split()) - {b"\\Recent"}

    def command(self, text):
        self.text = text
        self.holds = text.startswith(("FETCH", "STORE", "SEARCH"))
        self.client.send(b"t " + text.encode() + b"\r\n")
        self.take_until(b"t ")

    def take_until(self, end):
        while not (line := self.line()).startswith(end):
            self.take(line)
        assert not line.startswith(b"t BAD"), (self.text, line)

    def idle(self):
        self.text, self.holds = "IDLE", False
        self.client.send(b"t IDLE\r\n")
        self.take_until(b"+ ")
        self.client.send(b"DONE\r\n")
        self.take_until(b"t ")

    def some(self):
        first, last = sorted(self.random.choices(range(1, len(self.messages) + 1), k=2))
        return f"{first}:{min(last, first + 5)}"

    def change(self):
        flag = self.random.choice(FLAGS)
        if not self.messages:
            kind = "APPEND"
        else:
            kind = self.random.choice("FETCH FETCH STORE STORE SILENT DELETE EXPUNGE COPY MOVE "
                                      "APPEND APPEND NOOP SEARCH UIDSTORE IDLE".split())
        if kind == "IDLE":
            self.idle()
            return
        sign = self.random.choice("+-")
        self.command({
            "APPEND": lambda: "APPEND INBOX (\\Flagged) {3+}\r\nx\r\n",
            "FETCH": lambda: f"FETCH {self.some()} (UID FLAGS)",
            "STORE": lambda: f"STORE {self.some()} {sign}FLAGS ({flag})",
            "SILENT": lambda: f"STORE {self.some()} {sign}FLAGS.SILENT ({flag})",
            "UIDSTORE": lambda: f"UID STORE 1:* {sign}FLAGS ({flag})",
            "DELETE": lambda: f"STORE {self.some()} +FLAGS (\\Deleted)",
            "EXPUNGE": lambda: "EXPUNGE",
            "COPY": lambda: f"COPY {self.some()} INBOX",
            "MOVE": lambda: f"MOVE {self.some()} Trash",
            "NOOP": lambda: "NOOP",
            "SEARCH": lambda: f"SEARCH {sign == '+' and 'SEEN' or 'UNSEEN'}",
        }[kind]())
        if kind == "SILENT":  # what it has made of them it has to be asked for
            self.command("FETCH 1:* (UID FLAGS)") if self.messages else None

    def check(self):
        self.command("NOOP")
        told = [list(message) for message in self.messages]
        if told:
            self.command("FETCH 1:* (UID FLAGS)")
        for before, now in zip(told, self.messages, strict=True):
            assert before[0] in (None, now[0]) and before[1] in (None, now[1]), (before, now)
        uids = [message[0] for message in self.messages]
        assert uids == sorted(set(uids))
        return [tuple(message) for message in self.messages]


class ResyncView(View):
    """
    A client with QRESYNC (RFC 7162), which is told of UIDs that vanished. When all pause it comes
    back to the mailbox as it knew it at the pause before, and is told what has changed since.
    """

    def start(self):
        self.told = {}  # UID -> (modification sequence, flags)
        self.earlier = set()  # UIDs that vanished before the mailbox was selected
        self.known, self.known_modseq = {}, 0
        self.command("ENABLE QRESYNC")
        super().start()
        self.learn()

    def command(self, text):
        super().command(text.replace("(UID FLAGS)", "(UID FLAGS MODSEQ)"))

    def change(self):
        super().change()
        self.learn()

    def learn(self):
        """UIDs of new messages. One that has gone meanwhile is not told of before the NOOP."""
        while None in (uids := self.uids()):
            self.command(f"FETCH {uids.index(None) + 1}:{len(uids)} (UID FLAGS)")
            self.command("NOOP")

    def uids(self):
        return [message[0] for message in self.messages]

    def take(self, line):
        assert b" EXPUNGE\r\n" not in line
        super().take(line)
        if found := re.match(rb"\* VANISHED (\(EARLIER\) )?([\d:,]+)\r\n", line):
            self.vanish(found[1] is not None, uids_of(found[2]))
        elif found := re.match(rb"\* OK \[UIDVALIDITY (\d+)\]", line):
            self.validity = int(found[1])
        elif found := re.match(rb"\* OK \[HIGHESTMODSEQ (\d+)\]", line):
            self.highest = int(found[1])
        elif found := re.match(rb"\* \d+ FETCH ", line):
            self.take_modseq(line)

    def take_modseq(self, line):
        uid, modseq = (int(re.search(name + rb" \(?(\d+)", line)[1]) for name in (b"UID", b"MODSEQ"))
        before = self.told.get(uid, (0, None))
        assert modseq >= before[0], (line, before)
        if flags := re.search(rb"FLAGS \(([^)]*)\)", line):
            now = frozenset(flags[1].split()) - {b"\\Recent"}
            assert modseq > before[0] or now == before[1], (line, before)
            self.told[uid] = (modseq, now)

    def vanish(self, is_earlier, uids):
        if is_earlier:
            self.earlier |= uids
            return
        assert not self.holds, f"{uids} behind {self.text}"
        for uid in sorted(uids):
            there = self.uids()
            below = [at for at, one in enumerate(there) if one is not None and one < uid]
            at = there.index(uid) if uid in there else max(below, default=-1) + 1
            assert there[at] in (uid, None), (uid, there)  # None: it was not told yet
            del self.messages[at]

    def check(self):
        there = super().check()
        self.resync(dict(there))
        assert [tuple(message) for message in self.messages] == there
        return there

    def resync(self, there):
        """What is told is the difference between `known` and `there`, and not a message more."""
        self.command("UNSELECT")
        self.messages, self.earlier = [], set()
        parameter = f" (QRESYNC ({self.validity} {self.known_modseq}))" if self.known_modseq else ""
        self.command(f"SELECT INBOX{parameter}")
        if parameter:
            changed = {uid for uid in there if self.told[uid][0] > self.known_modseq}
            assert {message[0] for message in self.messages} - {None} == changed
            assert self.known.keys() & self.earlier == self.known.keys() - there.keys()
            assert not self.earlier & there.keys()
            kept = {uid: flags for uid, flags in self.known.items() if uid not in self.earlier}
            told = {uid: flags for uid, flags in self.messages if uid is not None}
            assert kept | told == there
        assert self.highest >= self.known_modseq
        self.known, self.known_modseq = there, self.highest
        if there:
            self.command("FETCH 1:* (UID FLAGS)")


def uids_of(text):
    ranges = [[int(number) for number in part.split(b":")] for part in text.split(b",")]
    return {uid for one in ranges for uid in range(min(one), max(one) + 1)}


class Deliveries:
    """Mail that arrives meanwhile."""

    def __init__(self, drop):
        self.drop = drop

    def change(self):
        self.drop.deliver(content.message(b"hello"))

    def check(self):
        return None


def work(one, barrier, results, problems):
    try:
        for number in range(ROUNDS):
            for _ in range(COMMANDS[number % len(COMMANDS)]):
                one.change()
            barrier.wait()
            results[one] = one.check()
            barrier.wait()
            told = [result for result in results.values() if result is not None]
            assert all(result == told[0] for result in told)
            barrier.wait()
    except threading.BrokenBarrierError:
        pass
    except BaseException as problem:
        problems.append(problem)
        barrier.abort()


@pytest.mark.parametrize("workers", (1, 2))
def test_views_are_consistent(start_drop, workers):
    drop = start_drop(workers=workers)
    print("seed", SEED)  # for whoever sees it fail
    views = [kind(drop.imap(tls=False), f"{SEED} {number}")
             for number, kind in enumerate((View, View, ResyncView, ResyncView))]
    results, problems = {}, []
    barrier = threading.Barrier(len(views) + 1)
    threads = [threading.Thread(target=work, args=(one, barrier, results, problems))
               for one in (*views, Deliveries(drop))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    for view in views:
        view.client.logout()
