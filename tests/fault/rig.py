"""What the fault tests add to the harness of the integration tests: a relay that is killed and
started again with its store, load with its acknowledgements, and measuring."""

import functools
import json
import os
import threading
import time
from pathlib import Path

from support.dialogue import Dialogue
from support.process import SUPPORT, Process, run
from support.relay import Relay
from support.sink import Sink
from support.wait import wait_until

LOAD_LINE = 72  # characters of a body line of smtp_load, without its end
SAMPLE_S = 0.02
RECOVERY_S = 20
IS_FULL = os.environ.get("SMARTHOP_FULL") == "1"


def scaled(quick, full):
    """A number that is larger in the long form (tests/fault/run --full)."""
    return full if IS_FULL else quick


def elapse(seconds):
    """Lets time pass, where that is what the test is about."""
    deadline = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= deadline, "the clock", seconds + 5)


class FaultRelay(Relay):
    """Sends everything but what `routes` say to one next hop of this machine, which may be down."""

    def __init__(self, hop_port, routes=None, **keys):
        hop = {"hosts": f"[127.0.0.1]:{hop_port}", "tls": "none"}
        super().__init__(routes={"*": hop, **(routes or {})},
                         **{"commands_without_mail_max": 1000000, "store_reserve": "1MiB", **keys})
        self.hop_port = hop_port
        self.start_seconds = None  # from the start of the process to its banner

    @property
    def store(self):
        return self.folder / self.keys["store_path"]

    @property
    def data_path(self):
        return self.store / "data.mdb"

    def start(self):
        """Each run has a log of its own: the end of a killed one may be half a line."""
        self.log_path.unlink(missing_ok=True)
        began = time.monotonic()
        super().start()
        with Dialogue(self.port) as client:
            greeting = client.reply()
        assert greeting is not None and greeting.code == 220
        self.start_seconds = time.monotonic() - began
        return self

    def status(self):
        return json.loads(self.ctl("status", "--json").stdout)

    def sessions(self):
        return json.loads(self.ctl("sessions", "--json").stdout)

    def queued(self):
        return self.status()["messages"]

    def drain(self, timeout):
        """Returns the seconds until no message is left in the queue."""
        began = time.monotonic()
        wait_until(lambda: self.queued() == 0, "an empty queue", timeout)
        return time.monotonic() - began

    def store_rows(self):
        """Rows of each table."""
        return json.loads(run(SUPPORT / "store_rows", self.store).stdout)

    def send(self, message, recipient="to@example.test", sender="sender@client.test"):
        """One connection, one message: the reply that decided."""
        with Dialogue(self.port).hello() as client:
            return transact(client, message, recipient, sender)

    def memory(self, field="RssAnon"):
        """Bytes, from /proc/PID/status."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(field)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def transact(client, message, recipient="to@example.test", sender="sender@client.test"):
    """The reply to the end of data, or the first refusal."""
    for line, wanted in ((f"MAIL FROM:<{sender}>", 250), (f"RCPT TO:<{recipient}>", 250),
                         ("DATA", 354)):
        reply = client.command(line)
        if reply is None or reply.code != wanted:
            return reply
    client.send(message + b".\r\n")
    return client.reply()


def simple_message(subject, lines=1):
    """A message whose every line names its subject, so that an altered one can be told."""
    body = "".join(f"{subject} line {n:06d}\r\n" for n in range(lines))
    return (f"From: <sender@client.test>\r\nTo: <to@example.test>\r\nSubject: {subject}\r\n\r\n"
            f"{body}").encode()


def subject_of(content):
    return content.partition(b"\r\nSubject: ")[2].partition(b"\r\n")[0].decode()


class LoadSink(Sink):
    """A next hop that knows which messages of smtp_load it has taken."""

    def __init__(self, folder, *options, **where):
        super().__init__(folder, "--ids-file", Path(folder) / "ids", *options, **where)

    def load_ids(self):
        self.stats()
        return {int(line) for line in (self.folder / "ids").read_text().split()}


class Load(Process):
    """One run of smtp_load, whose ids begin with `first_id`."""

    def __init__(self, folder, port, *options, first_id=1):
        self.acked_path = Path(folder) / f"acked-{first_id}"
        super().__init__([SUPPORT / "smtp_load", "--to", f"127.0.0.1:{port}", "--json",
                          "--first-id", first_id, "--acked-file", self.acked_path, *options],
                         folder, f"load-{first_id}")
        wait_until(self.acked_path.exists, "smtp_load to begin")

    def acked(self):
        """Ids of the messages whose 250 has come."""
        text = self.acked_path.read_text() if self.acked_path.exists() else ""
        return {int(line) for line in text[:text.rfind("\n") + 1].split()}

    def await_acked(self, more):
        before = len(self.acked())
        wait_until(lambda: len(self.acked()) >= before + more, f"{more} more accepted messages")

    def report(self):
        """Waits for its end."""
        self.wait(60)
        return json.loads(self.out().splitlines()[-1])

    def cut(self):
        """Ends it now; returns its report."""
        self.stop()
        return self.report()


@functools.lru_cache(maxsize=4)
def load_body(size, header_len):
    """What smtp_load sends behind the header of a message of `size` bytes; see load_body_build in
    load_session.c."""
    text = max(size - header_len, 2)
    body = bytearray(ord("a") + (at * 7 + at // LOAD_LINE) % 26 for at in range(text))
    behind = text
    while behind >= 2:
        body[behind - 2:behind] = b"\r\n"
        behind = behind - (LOAD_LINE + 2) if behind > LOAD_LINE + 2 else 0
    return bytes(body)


def assert_unaltered(sink, size):
    """Every message that it took is one of smtp_load's, byte for byte."""
    for message in sink.messages():
        sent = message.content[message.content.index(b"From: Load Generator"):]
        header_len = sent.index(b"\r\n\r\n") + 4
        assert sent[header_len:] == load_body(size, header_len), \
            f"altered:\n{sent[:header_len].decode()}"


def await_nothing_left(relay):
    """Until no row of any message is in the store, nor any chunk of a body."""
    def is_bare():
        rows = relay.store_rows()
        return not any(rows[table] for table in ("message", "group", "body", "due", "deadline"))
    wait_until(is_bare, "a store without rows of messages", RECOVERY_S)


class Sampler:
    """Keeps the highest value of a reading while the block runs."""

    def __init__(self, read):
        self.read = read
        self.peak = read()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.ended.wait(SAMPLE_S):
            self.peak = max(self.peak, self.read())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
