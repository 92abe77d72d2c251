"""An SMTP client that says exactly what it is told to, for what smtplib would not say."""
import re
import socket
import ssl
import struct
from dataclasses import dataclass

from .content import stuffed
from .wait import PATIENCE_S

LINE = re.compile(rb"(\d{3})([ -])(?:(\d\.\d{1,3}\.\d{1,3}) )?([^\r\n]*)\r\n")


@dataclass
class Reply:
    code: int
    enhanced: str  # of the first line; "" where there is none
    lines: list

    @property
    def text(self):
        return " ".join(self.lines)

    @property
    def status(self):
        return f"{self.code} {self.enhanced}".rstrip()


class Dialogue:
    """`client` is the address it comes from; with a `context`, TLS comes first."""

    def __init__(self, port, client="127.0.0.1", context=None, **tls):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S, (client, 0))
        self._input = self.socket.makefile("rb")
        if context is not None:
            self.secure(context, **tls)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._input.close()
        self.socket.close()

    def secure(self, context, server_name=None, session=None):
        """The handshake alone."""
        self.socket = context.wrap_socket(self.socket, server_hostname=server_name, session=session)
        self._input = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """The next one, whole; None at the end of the connection."""
        lines, last = [], False
        while not last:
            raw = self._read_line()
            if raw is None and not lines:
                return None
            match = LINE.fullmatch(raw or b"")
            assert match, f"no reply line: {raw!r}"
            lines.append(match)
            last = match[2] == b" "
        assert len({line[1] for line in lines}) == 1, f"codes differ: {lines}"
        return Reply(int(lines[0][1]), (lines[0][3] or b"").decode(),
                     [line[4].decode() for line in lines])

    def _read_line(self):
        try:
            return self._input.readline() or None
        except (ConnectionResetError, ssl.SSLEOFError):
            return None

    def command(self, line):
        """Sends a line (text or bytes) and returns the reply."""
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def talk(self, *lines):
        """The statuses of these commands' replies, one after the other."""
        return [self.command(line).status for line in lines]

    def hello(self):
        """Takes the greeting and says EHLO."""
        assert self.reply().code == 220
        assert self.command("EHLO client.test").code == 250
        return self

    def begin(self, *recipients, sender="sender@client.test"):
        """An envelope."""
        statuses = self.talk(f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{to}>" for to in recipients))
        assert statuses == ["250 2.1.0"] + ["250 2.1.5"] * len(recipients)

    def data(self, wire):
        """DATA and these bytes, as they are; the reply to their end."""
        assert self.command("DATA").code == 354
        self.send(wire)
        return self.reply()

    def reset(self):
        """Goes away without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._input.close()
        self.socket.close()

    def close(self):
        """Goes away in the ordinary way."""
        self._input.close()
        self.socket.close()

    def shut_down(self):
        """Says no more, and waits for replies."""
        self.socket.shutdown(socket.SHUT_WR)

    def is_closed(self):
        return self.reply() is None

    def rest(self):
        """All bytes until the end of the connection."""
        return b"".join(iter(self._read_line, None))

    def start_tls(self, context, **tls):
        assert self.command("STARTTLS").status == "220 2.0.0"
        self.secure(context, **tls)


def submit(relay, message, *recipients, sender="sender@client.test", count=1):
    """Sends it `count` times through one session; returns the ids that the relay gave."""
    with Dialogue(relay.port).hello() as client:
        ids = []
        for _ in range(count):
            client.begin(*recipients, sender=sender)
            reply = client.data(stuffed(message))
            assert reply.status == "250 2.0.0"
            ids.append(reply.text.split()[-1])
        assert client.command("QUIT").code == 221
    return ids
