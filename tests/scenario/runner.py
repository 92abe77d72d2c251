"""
Plays a script of tests/scenario/scripts against a relay; README.md there tells of the language.

A Script is what parse() makes of the text: its header and its steps. A Player speaks the steps, one
after the other, over one or several Wires, and stops with Wrong at the first thing that is not as
the script says.
"""
import base64
import json
import re
import socket
import ssl
import struct
from dataclasses import dataclass, field

PATIENCE_S = 20

# Words for what nearly every script begins with, in the language itself.
ABBREVIATIONS = {
    "HELLO": ["S: 220 relay.test ESMTP Smarthop", "C: EHLO client.test", "S: 250-relay.test",
              "S: 250-...", "S: 250 HELP"],
    "MAIL": ["C: MAIL FROM:<sender@client.test>", "S: 250 2.1.0"],
    "RCPT": ["C: RCPT TO:<to@example.test>", "S: 250 2.1.5"],
    "DATA": ["C: DATA", "S: 354"],
    "MESSAGE": ["C: DATA", "S: 354", "C: Subject: a", "C:", "C: hello", "C: .", "S: 250 2.0.0"],
}
HEADERS = {"Title", "RFC", "Profile", "Set"}
STEPS = {"C", "C!", "S", "TLS", "CONNECT", "USE", "CLOSE", "ABORT", "HALF-CLOSE", "WAIT-CLOSE",
         "QUEUED", "STORED", "SHUTDOWN"}

STEP = re.compile(r"(?P<op>[A-Z][A-Z-]*!?)(?::(?P<colon>.*)| (?P<argument>.*))?")
REPLY = re.compile(r"(?P<code>\d{3})(?P<more>[ -]|$)(?:(?P<enhanced>\d\.\d{1,3}\.\d{1,3})(?: |$))?"
                   r"(?P<text>.*)")
EXPANSION = re.compile(r"\$\{(?P<what>[^}]*)\}")
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


class Wrong(AssertionError):
    """The script is not what happens, or no script."""


@dataclass(frozen=True)
class Step:
    number: int  # of its line
    op: str
    argument: str = ""


@dataclass
class Script:
    title: str = ""
    rfc: str = ""
    profile: str = "relay"
    settings: dict = field(default_factory=dict)  # key -> text; "listener.key" for the listener's
    steps: list = field(default_factory=list)


# ---- the text ------------------------------------------------------------------------------------

def _parse_header(script, number, line):
    key, colon, value = (part.strip() for part in line.partition(":"))
    if not colon or key not in HEADERS or not value:
        raise Wrong(f"line {number}: no header: {line}")
    if key == "Set":
        name, equals, setting = (part.strip() for part in value.partition("="))
        if not equals:
            raise Wrong(f"line {number}: key = value expected: {line}")
        script.settings[name] = setting
    else:
        setattr(script, key.lower(), value)


def _parse_step(number, line):
    match = STEP.fullmatch(line)
    if match is None or match["op"] not in STEPS:
        raise Wrong(f"line {number}: no step: {line}")
    if (match["colon"] is not None) != (match["op"] in ("C", "S")):
        raise Wrong(f"line {number}: only C and S take a colon, and must: {line}")
    argument = match["argument"] if match["colon"] is None else match["colon"].removeprefix(" ")
    if match["op"] == "S" and not REPLY.fullmatch(argument):
        raise Wrong(f"line {number}: no reply: {line}")
    return Step(number, match["op"], argument or "")


def _block_end(lines, start):
    for at in range(start, len(lines)):
        if lines[at][1] == "END":
            return at
    raise Wrong(f"line {lines[start - 1][0]}: REPEAT without END")


def _parse_steps(lines):
    """`lines` are (number, text)."""
    at = 0
    while at < len(lines):
        number, line = lines[at]
        at += 1
        if line in ABBREVIATIONS:
            yield from (_parse_step(number, text) for text in ABBREVIATIONS[line])
        elif repeat := re.fullmatch(r"REPEAT (\d+)", line):
            end = _block_end(lines, at)
            for n in range(int(repeat[1])):
                yield from _parse_steps([(inner, text.replace("${n}", str(n)))
                                         for inner, text in lines[at:end]])
            at = end + 1
        else:
            yield _parse_step(number, line)


def parse(text):
    script = Script()
    numbered = list(enumerate(text.splitlines(), 1))
    blank = next((at for at, (_, line) in enumerate(numbered) if not line.strip()), len(numbered))
    for number, line in numbered[:blank]:
        _parse_header(script, number, line)
    if not script.title or not re.match(r"\d{3,4}( |,|$)|PROXY|XCLIENT|ours", script.rfc):
        raise Wrong("a script has a Title and an RFC with its section")
    script.steps = list(_parse_steps([(number, line) for number, line in numbered[blank:]
                                      if line.strip() and not line.startswith("#")]))
    if not script.steps:
        raise Wrong("a script has steps")
    return script


def _expand_one(match):
    what = match["what"]
    kind, colon, rest = what.partition(":")
    if repeated := re.fullmatch(r"(.+)\*(\d+)", what):
        return repeated[1] * int(repeated[2])
    if colon and kind == "base64":
        return base64.b64encode(rest.encode()).decode()
    if colon and kind == "plain":
        user, _, password = rest.partition(":")
        return base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    raise Wrong(f"no expansion: {match[0]}")


def expand(text):
    return EXPANSION.sub(_expand_one, text)


def _unescape_one(match):
    what = match[1]
    if what in ESCAPES:
        return ESCAPES[what]
    if len(what) != 3:
        raise Wrong(f"no escape: {match[0]}")
    return bytes([int(what[1:], 16)])


def unescape(text):
    return ESCAPE.sub(_unescape_one, text.encode())


# ---- replies -------------------------------------------------------------------------------------

def line_matches(pattern, line):
    """Code, enhanced code and what follows the code must agree; text that is not given need not."""
    want, got = REPLY.fullmatch(pattern), REPLY.fullmatch(line)
    if got is None or [want["code"], want["enhanced"]] != [got["code"], got["enhanced"]]:
        return False
    if (want["more"] or " ") != (got["more"] or " "):
        return False
    text = ".*".join(re.escape(part) for part in want["text"].split("*"))
    return not want["text"] or re.fullmatch(text, got["text"]) is not None


def reply_matches(patterns, lines):
    """A pattern "250-..." stands for any number of lines, each with this code and more to come."""
    if not patterns or not lines:
        return not patterns and not lines
    if patterns[0].endswith("-..."):
        if reply_matches(patterns[1:], lines):
            return True
        return lines[0].startswith(patterns[0][:4]) and reply_matches(patterns, lines[1:])
    return line_matches(patterns[0], lines[0]) and reply_matches(patterns[1:], lines[1:])


# ---- the connection ------------------------------------------------------------------------------

class Wire:
    """A connection and what has come over it and was not read yet."""

    def __init__(self, target, client):
        if isinstance(target, int):
            self._socket = socket.create_connection(("127.0.0.1", target), PATIENCE_S, (client, 0))
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(PATIENCE_S)
            self._socket.connect(target)
        self._input = b""
        self.is_open = True

    def send(self, data):
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what the relay said before it closed is still to be read

    def _receive(self):
        """False at the end of the connection."""
        try:
            data = self._socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        except TimeoutError:
            raise Wrong("nothing came") from None
        self._input += data
        return bool(data)

    def line(self):
        """The next line without its CRLF; None at the end."""
        while b"\r\n" not in self._input:
            if not self._receive():
                if self._input:
                    raise Wrong(f"the connection ends within a line: {self._input!r}")
                return None
        line, self._input = self._input.split(b"\r\n", 1)
        return line.decode()

    def reply(self):
        """Its lines; none at the end of the connection."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
            match = REPLY.fullmatch(line)
            if match is None:
                raise Wrong(f"no reply: {line!r}")
            if match["more"] != "-":
                break
        return lines

    def secure(self, context):
        if self._input:
            raise Wrong(f"before the handshake there is still {self._input!r}")
        try:
            self._socket = context.wrap_socket(self._socket, server_hostname="relay.test")
        except (ssl.SSLError, ConnectionResetError) as error:
            raise Wrong(f"no TLS: {error}") from None

    def half_close(self):
        self._socket.shutdown(socket.SHUT_WR)

    def expect_end(self):
        while self._receive():
            pass
        self.close()
        if self._input:
            raise Wrong(f"there is still {self._input!r}")

    def abort(self):
        """With a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.is_open = False
        self._socket.close()


# ---- the play ------------------------------------------------------------------------------------

class Player:
    """`target` is a port or the path of a socket; `contexts` what a client's TLS goes by, by the
    name of the certificate that it shows, "" for none."""

    def __init__(self, relay, target, contexts):
        self.relay, self.target, self.contexts = relay, target, contexts
        self.wires = {}  # name -> Wire
        self.name = ""  # of the one that is spoken to
        self.transcript = []
        self.expected = []  # lines of a reply that is not whole yet
        self.messages_before = self._messages()
        self.queued = 0
        self.is_stopping = False

    def _messages(self):
        return json.loads(self.relay.ctl("queue", "count", "--json").stdout)["messages"]

    @property
    def wire(self):
        if self.name not in self.wires:
            self.wires[self.name] = Wire(self.target, "127.0.0.1")
        return self.wires[self.name]

    def play(self, *scripts):
        """One after the other; what they put into the queue is counted together."""
        try:
            for script in scripts:
                self._play_one(script)
        finally:
            if self.is_stopping:
                self.relay.wait_stopped()
        self._queued(self.queued)

    def _play_one(self, script):
        """A script may end by itself; otherwise QUIT must get the very next reply."""
        self.wires, self.name, self.transcript, self.expected = {}, "first", [], []
        number = 0
        try:
            for step in script.steps:
                number = step.number
                self._step(step)
            self._finish()
        except Wrong as wrong:
            raise Wrong(f"line {number}: {wrong}\n" + "\n".join(self.transcript[-40:])) from None
        finally:
            for wire in self.wires.values():
                wire.close()

    def _step(self, step):
        if self.expected and step.op != "S":
            raise Wrong(f"the reply goes on behind {self.expected[-1]}")
        getattr(self, "_" + step.op.lower().replace("-", "_").replace("!", "_raw"))(step.argument)

    def _note(self, who, what):
        self.transcript.append(f"    {who} {what if len(what) < 200 else what[:200] + '...'}")

    def _finish(self):
        if self.expected:
            raise Wrong(f"the reply goes on behind {self.expected[-1]}")
        for self.name, wire in self.wires.items():
            if wire.is_open:
                self._c("QUIT")
                self._s("221 2.0.0")
                wire.expect_end()

    # ---- steps: each takes the argument ----

    def _c(self, text):
        self._note("C:", text)
        self.wire.send(expand(text).encode() + b"\r\n")

    def _c_raw(self, text):
        self._note("C!", text)
        self.wire.send(unescape(expand(text)))

    def _s(self, pattern):
        self.expected.append(expand(pattern))
        if REPLY.fullmatch(pattern)["more"] == "-":
            return
        patterns, self.expected = self.expected, []
        lines = self.wire.reply()
        for line in lines or ["(end of the connection)"]:
            self._note("S:", line)
        if not reply_matches(patterns, lines):
            raise Wrong("expected " + " / ".join(patterns))

    def _tls(self, name):
        if name not in self.contexts:
            raise Wrong(f"no certificate: {name}")
        self.wire.secure(self.contexts[name])

    def _connect(self, argument):
        """NAME [from ADDRESS]"""
        match = re.fullmatch(r"(\w+)(?: from (\S+))?", argument)
        if match is None:
            raise Wrong(f"no name and address: {argument}")
        self.name = match[1]
        self.wires[self.name] = Wire(self.target, match[2] or "127.0.0.1")

    def _use(self, name):
        if name not in self.wires:
            raise Wrong(f"no connection: {name}")
        self.name = name

    def _close(self, _):
        self.wire.half_close()
        self.wire.expect_end()

    def _half_close(self, _):
        self.wire.half_close()

    def _wait_close(self, _):
        self.wire.expect_end()

    def _abort(self, _):
        self.wire.abort()

    def _queued(self, count):
        self.queued = int(count)
        queued = self._messages() - self.messages_before
        if queued != self.queued:
            raise Wrong(f"{self.queued} messages expected in the queue, {queued} came")

    def _stored(self, text):
        """What the newest message holds behind its trace field."""
        newest = max(self.relay.queue(), key=lambda message: message["id"])
        stored = self.relay.ctl("queue", "show", newest["id"], "--body").stdout
        content = re.sub(rb"\AReceived:[^\n]*\n(?:[ \t][^\n]*\n)*", b"", stored)
        if content != unescape(expand(text)):
            raise Wrong(f"stored is {content!r}")

    def _shutdown(self, _):
        self.relay.begin_to_stop()
        self.is_stopping = True
