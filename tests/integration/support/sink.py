"""Next hops that write down what they get."""
import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from .port import own_port
from .process import PATIENCE_S, SUPPORT, Process
from .wait import wait_until


@dataclass
class Received:
    """A message as it arrived: the paths with their parameters, and the content byte for byte."""
    mail: str
    rcpts: list
    content: bytes

    @property
    def sender(self):
        return self.mail.split(">")[0].lstrip("<")

    @property
    def recipients(self):
        return [rcpt.split(">")[0].lstrip("<") for rcpt in self.rcpts]


class RecordingSink:
    """What both kinds of sink have in common. A stopped one starts again on its port."""

    def __init__(self, folder, host="127.0.0.1", port=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.starts = 0
        self.host = host
        self.port = port or own_port(host)
        self.process = None

    def new_record(self):
        """A folder for what arrives from this start on."""
        self.starts += 1
        folder = self.folder / f"record-{self.starts:03}"
        folder.mkdir()
        return folder

    def recorded(self, pattern):
        return sorted(self.folder.glob(f"record-*/{pattern}"))

    def stop(self):
        if self.process is not None:
            self.process.stop()
        self.process = None

    def wait(self, count, timeout=PATIENCE_S):
        """All messages, once there are `count`."""
        return wait_until(lambda: (got := self.messages()) and len(got) >= count and got,
                          f"{count} messages at the sink", timeout)

    def recipients(self):
        return sorted(recipient for message in self.messages() for recipient in message.recipients)


class Sink(RecordingSink):
    """smtp_sink with these options, e.g. "--chunking", "--reply-rcpt", "*=450 4.2.0 later"."""

    def __init__(self, folder, *options, certificate=None, **where):
        super().__init__(folder, **where)
        self.options = list(options)
        if certificate is not None:
            self.options += ["--cert", certificate.certificate, "--key", certificate.key]
            self.options += [] if "--implicit-tls" in options else ["--starttls"]

    def start(self):
        stats = self.folder / "stats.json"
        (self.folder / "sink.out").unlink(missing_ok=True)  # an earlier start's
        self.process = Process([SUPPORT / "smtp_sink", "--listen", f"{self.host}:{self.port}",
                                "--stats-file", stats, *self.record_options(), *self.options],
                               self.folder, "sink")
        wait_until(lambda: f":{self.port}\n" in self.process.out(),
                   f"smtp_sink to listen: {self.process.err()}")
        return self

    def record_options(self):
        return ["--record", self.new_record()]

    def messages(self):
        return [self._read(path) for path in self.recorded("*.env")]

    @staticmethod
    def _read(path):
        mail, *rcpts = path.read_text().splitlines()
        return Received(mail, rcpts, path.with_suffix(".eml").read_bytes())

    def stats(self):
        """Its counts as they are now."""
        path = self.folder / "stats.json"
        path.unlink(missing_ok=True)
        self.process.signal(signal.SIGUSR1)
        wait_until(path.exists, "the sink's counts")
        return json.loads(path.read_text())


class PostfixSink(RecordingSink):
    """Postfix's smtp-sink. Its dump has LF for each CRLF and an empty line at the end."""

    HEAD = re.compile(rb"X-Client-Addr: .*\nX-Client-Proto: .*\nX-Helo-Args: .*\n"
                      rb"X-Mail-Args: (?P<mail>.*)\n(?P<rcpts>(?:X-Rcpt-Args: .*\n)+)"
                      rb"Received: from .*\n\tby .*\n\t.*\n")

    def start(self):
        self.process = Process(["smtp-sink", "-u", "root", "-d", f"{self.new_record()}/dump.",
                                f"{self.host}:{self.port}", "100"], self.folder, "postfix-sink")
        wait_until(lambda: self.port in listening_ports(self.process.pid), "smtp-sink to listen")
        return self

    def messages(self):
        dumps = [path.read_bytes() for path in self.recorded("dump.*")]
        return [self._parse(dump) for dump in dumps if dump.endswith(b"\n\n")]

    def _parse(self, dump):
        head = self.HEAD.match(dump)
        rcpts = [line.split(": ", 1)[1] for line in head["rcpts"].decode().splitlines()]
        content = dump[head.end():-1].replace(b"\n", b"\r\n")
        return Received(head["mail"].decode(), rcpts, content)


def listening_ports(pid):
    """The TCP ports on which a process listens."""
    links = [link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir()
             if link.is_symlink()]
    inodes = {name[len("socket:["):-1] for name in links if name.startswith("socket:[")}
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes}
