"""Next hops that go wrong at one stage of the dialogue, or anywhere, and keep an exact account of
what they took, and of what they left in doubt."""

import io
import socket
import struct
from collections import Counter, deque

from support.next_hop import Gone, NextHop, Session

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing is a reset

REPLIES = {
    "4xx": "451 4.3.0 not now",
    "5xx": "554 5.3.0 never",
    "421": "421 4.3.2 going down",
    "drop": "",
}
# What is no whole reply; what is said of it, before the connection is left as the kind wants it.
BROKEN = {
    "half": b"25",
    "reset": b"",
    "stall": b"",
    "garbage": b"\xff\x00 what?\r\n",
    "overlong": b"250 " + b"x" * 4096 + b"\r\n",
    "endless": b"250-more\r\n" * 1000,
    "mixed": b"250-yes\r\n550 no\r\n",
}
HANGS_UP = ("half", "reset")
KINDS = (*REPLIES, *(kind for kind in BROKEN if kind != "stall"))


def path_of(parameters):
    return parameters.split(">")[0].lstrip("<")


class Account:
    """Of one or several next hops; each recipient has an address of its own."""

    def __init__(self):
        self.taken = []  # (recipient, content), also those of which the client may not know
        self.doubted = Counter()  # times that something went wrong behind the leave to send data
        self.resets = 0

    def takes(self):
        return Counter(recipient for recipient, _ in self.taken)


class Fuse(io.RawIOBase):
    """What a client says, until `left` bytes of it have come: then its connection is reset."""

    def __init__(self, session, left):
        super().__init__()
        self.session = session
        self.left = left

    def readable(self):
        return True

    def readinto(self, room):
        if self.left == 0:
            self.session.server.account.resets += 1
            self.session.reset()
        got = self.session.socket.recv_into(room, min(len(room), self.left))
        self.left -= got
        return got


class FaultySession(Session):
    """Takes only what RFC 5321 lets a client say next, whatever was refused before."""

    def run(self):
        try:
            super().run()
        finally:
            self.input.close()
            self.socket.close()  # not the one that came, where there is TLS

    def greet(self):
        fault = self.server.answer("CONNECT", "")
        self.say("220 next-hop.test" if fault is None else fault)

    def reader(self):
        left = self.server.fuse()
        return super().reader() if left is None else io.BufferedReader(Fuse(self, left))

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        raise Gone

    def say(self, *lines):
        kind = lines[0]
        if kind in BROKEN:
            self.socket.sendall(BROKEN[kind])
            self.leave(kind)
        super().say(*lines)
        if kind == REPLIES["421"]:
            raise Gone

    def leave(self, kind):
        if kind == "reset":
            self.reset()
        while kind not in HANGS_UP and self.socket.recv(65536):
            pass  # until the client has had enough
        raise Gone

    # ---- commands ----

    def on_starttls(self, line):
        fault = self.server.answer("HANDSHAKE", line)
        if fault is not None:
            super().say("220 2.0.0 go")
            self.say(fault)
            raise Gone
        super().on_starttls(line)

    def on_rcpt(self, line):
        if self.transaction.mail:
            super().on_rcpt(line)
        else:
            self.say("503 5.5.1 MAIL first")

    def on_data(self, line):
        if not self.transaction.rcpts:
            self.say("554 5.5.1 no valid recipients")
            return
        fault = self.server.answer("BODY", line)
        if fault is None:
            super().on_data(line)
            return
        super().say("354 go")
        self.line()
        self.interrupt(fault)
        while self.line() != b".":
            pass
        raise Gone

    def on_bdat(self, line):
        size = int(line.split(" ")[1])
        if not self.transaction.rcpts:
            self.input.read(size)
            self.say("503 5.5.1 no valid recipients")
            return
        fault = self.server.answer("BODY", line)
        if fault is None:
            super().on_bdat(line)
            return
        self.input.read(size // 2)
        self.interrupt(fault)
        self.input.read(size - size // 2)

    def interrupt(self, fault):
        """In the midst of data, all of which may have left; in LMTP a refusal is one for each
        recipient."""
        self.server.account.doubted.update(map(path_of, self.transaction.rcpts))
        for _ in self.transaction.rcpts if self.server.lmtp else [fault]:
            self.say(fault)

    def end(self):
        self.ending = self.transaction
        super().end()

    def answer_end(self, line):
        account, rcpts = self.server.account, [path_of(each) for each in self.ending.rcpts]
        reply = self.server.answer(".", line)
        if self.server.lmtp:
            rcpts = rcpts[rcpts.index(path_of(line[2:])):]  # from here on nobody was answered
        if reply in BROKEN or reply == "":
            account.taken += [(each, self.ending.content) for each in rcpts]
            account.doubted.update(rcpts)
        elif reply is None:
            rcpts = rcpts[:1] if self.server.lmtp else rcpts
            account.taken += [(each, self.ending.content) for each in rcpts]
        self.say(reply if reply is not None else "250 2.0.0 taken")
        return reply is None


class FaultyHop(NextHop):
    """
    `plan`: a stage ("CONNECT", a verb, "HANDSHAKE", "BODY", "." for the end of data) and a list of
    the kinds of faults that happen there, one after the other; then all is well. At RCPT, and in
    LMTP at ".", only the recipients whose name begins with `victim` are concerned. `fuse`: called
    for each connection, gives the bytes after which it is reset, or None.
    """

    def __init__(self, *offers, plan=None, victim="b-", fuse=lambda: None, account=None, **options):
        self.plan = {stage: deque(kinds) for stage, kinds in (plan or {}).items()}
        self.victim = victim
        self.fuse = fuse
        self.account = account or Account()
        super().__init__(*offers, answer=self.strike, **options)

    def session(self, client):
        return FaultySession(self, client)

    def concerns(self, verb, line):
        named = verb == "RCPT" or line.startswith(". <")
        return not named or f"<{self.victim}" in line

    def strike(self, verb, line):
        if not self.plan.get(verb) or not self.concerns(verb, line):
            return None
        kind = self.plan[verb].popleft()
        return REPLIES.get(kind, kind)
