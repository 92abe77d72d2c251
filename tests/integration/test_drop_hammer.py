"""
Sessions that change one mailbox of the drop at the same time, while mail arrives. Each client keeps
what it has been told, and nothing else; whenever all pause, that is compared with what is there.
SMARTHOP_HAMMER is how many rounds; each is some dozen commands of each client.
"""
import os
import random
import re
import threading

import pytest
from support import content

ROUNDS = int(os.environ.get("SMARTHOP_HAMMER", "6"))
COMMANDS = 40
LITERAL = re.compile(rb"\{(\d+)\}\r\n$")
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "kw1", "kw2")


class View:
    """A client, and the mailbox as it has been told of: [UID or None, flags or None] in order."""

    def __init__(self, client, seed):
        self.client = client
        self.random = random.Random(seed)
        self.messages = []
        self.fetched = {}
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
        while not (line := self.line()).startswith(b"t "):
            self.take(line)
        assert not line.startswith(b"t BAD"), (text, line)
        return line

    def some(self):
        first, last = sorted(self.random.choices(range(1, len(self.messages) + 1), k=2))
        return f"{first}:{min(last, first + 5)}"

    def change(self):
        flag = self.random.choice(FLAGS)
        if not self.messages:
            kind = "APPEND"
        else:
            kind = self.random.choice("FETCH FETCH STORE STORE SILENT DELETE EXPUNGE COPY MOVE "
                                      "APPEND APPEND NOOP SEARCH UIDSTORE".split())
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
        return [tuple(message) for message in self.messages]


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
        for _ in range(ROUNDS):
            for _ in range(COMMANDS):
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
    views = [View(drop.imap(tls=False), seed) for seed in range(3)]
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
