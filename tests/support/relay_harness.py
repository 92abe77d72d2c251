"""The relay, its next hop and its load as processes, for tests of the whole daemon.

Everything lives in a folder that the test names, listens on a port the kernel chose, and is ended
by the process id that was started. Programs come from the build folder in SMARTHOP_BUILD.
"""

import functools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SMARTHOP_BUILD", SOURCE / "build" / "release"))
START_PATIENCE_S = 20
STOP_PATIENCE_S = 20
LOAD_LINE = 72  # characters of a body line of smtp_load, without its end


def program(name):
    """The path of a built program."""
    for folder in ("bin", "tests/support", "tests/fault", "queue/ctl"):
        path = BUILD / folder / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is not in {BUILD}; set SMARTHOP_BUILD")


def wait_until(check, seconds, what):
    """The first true value of check(). The only place where tests sleep."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def elapse(seconds):
    """Lets time pass, where that is what the test is about."""
    deadline = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= deadline, seconds + 5, "the clock")


def free_port():
    """A port nobody listens on, for a next hop that is to be down first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """One program with its output in a file; restartable."""

    def __init__(self, folder, name):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_path = self.folder / f"{name}.log"
        self.name = name
        self.child = None

    def launch(self, command, env=None):
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.child.pid

    def is_alive(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        if self.is_alive():
            self.child.kill()
            self.child.wait()

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.is_alive():
            self.child.terminate()
        try:
            return self.child.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def memory(self, field="RssAnon"):
        """Bytes, from /proc/PID/status."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(field)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


LOG_LINE = re.compile(r"^(?P<time>\S+) (?P<level>error|warn|info|debug) (?P<event>\S+)(?P<rest>.*)$")
LOG_KEY = re.compile(r' (\w+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')


def parse_log(text):
    """Dictionaries with time, level, event and the line's own keys."""
    events = []
    for line in text.splitlines():
        match = LOG_LINE.match(line)
        if match:
            keys = {key: quoted or plain for key, quoted, plain in LOG_KEY.findall(match["rest"])}
            events.append({**keys, "time": match["time"], "level": match["level"],
                           "event": match["event"]})
    return events


CONFIG = """\
hostname = "relay.test"
{settings}

listener "smtp" {{
    address = "127.0.0.1:0"
}}

route "*" {{
    hosts = "[127.0.0.1]:{hop}"
    tls = none
}}
"""


class Relay(Process):
    """smarthopd with one listener, and a route that sends everything to one next hop.

    `settings` are keys of relay.conf as they are written there. `prefix` is put before the
    command, for programs such as prlimit that become what they start.
    """

    def __init__(self, folder, hop_port, *, prefix=(), env=None, **settings):
        super().__init__(folder, "relay")
        self.hop_port = hop_port
        self.prefix = prefix
        self.env = env or {}
        self.port = None
        self.settings = {"store_path": self.folder / "queue",
                         "control_socket": self.folder / "control.sock",
                         "store_map_size": "4GiB", "store_reserve": "1MiB", "workers": 2,
                         "retry_first": "200ms", "retry_max": "1s",
                         "commands_without_mail_max": 1000000, **settings}

    @property
    def config_path(self):
        return self.folder / "relay.conf"

    @property
    def data_path(self):
        return Path(self.settings["store_path"]) / "data.mdb"

    def write_config(self):
        lines = [f'{key} = "{value}"' if isinstance(value, (Path, str)) else f"{key} = {value}"
                 for key, value in self.settings.items()]
        self.config_path.write_text(
            CONFIG.format(settings="\n".join(lines), hop=self.hop_port))

    def start(self):
        """Returns the seconds from the start of the process to its banner."""
        self.write_config()
        known = self.log_path.stat().st_size if self.log_path.exists() else 0
        began = time.monotonic()
        self.launch([*self.prefix, program("smarthopd"), "-c", self.config_path], self.env)
        self.port = wait_until(lambda: self._listening_port(known), START_PATIENCE_S,
                               "the log line that tells the port")
        with Client(self.port):
            return time.monotonic() - began

    def _listening_port(self, offset):
        if not self.is_alive():
            raise RuntimeError(f"smarthopd ended with {self.child.returncode}: {self.log()[-2000:]}")
        for event in parse_log(self.log_path.read_bytes()[offset:].decode(errors="replace")):
            if event["event"] == "listening":
                return int(event["address"].rpartition(":")[2])
        return None

    def events(self, name):
        return [event for event in parse_log(self.log()) if event["event"] == name]

    def await_event(self, name, seconds, **wanted):
        """The first such event whose keys have the wanted values."""
        def find():
            return next((event for event in self.events(name)
                         if all(event.get(key) == value for key, value in wanted.items())), None)
        return wait_until(find, seconds, f"log event {name} {wanted or ''}")

    def control(self, command, **arguments):
        """What the control socket answers."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            peer.connect(str(self.settings["control_socket"]))
            peer.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            return json.loads(peer.makefile("rb").readline())

    def queued(self):
        return self.control("status")["messages"]

    def await_empty(self, seconds):
        """Returns the seconds until no message was left in the queue."""
        began = time.monotonic()
        wait_until(lambda: self.queued() == 0, seconds, "an empty queue")
        return time.monotonic() - began


class Sink(Process):
    """smtp_sink, a next hop that keeps every message it takes."""

    def __init__(self, folder, *options, port=0):
        super().__init__(folder, "sink")
        self.options = options
        self.port = port
        self.taken = self.folder / "taken"
        self.stats_path = self.folder / "stats.json"
        self.ids_path = self.folder / "ids"

    def start(self):
        self.taken.mkdir(exist_ok=True)
        self.launch([program("smtp_sink"), "--listen", f"127.0.0.1:{self.port}",
                     "--record", self.taken, "--stats-file", self.stats_path,
                     "--ids-file", self.ids_path, *self.options])
        line = wait_until(lambda: re.search(r"listening \S+:(\d+)", self.log()),
                          START_PATIENCE_S, "the sink's port")
        self.port = int(line[1])

    def stats(self):
        """Its counts as of now."""
        self.stats_path.unlink(missing_ok=True)
        self.signal(signal.SIGUSR1)
        wait_until(self.stats_path.exists, 10, "the sink's counts")
        return json.loads(self.stats_path.read_text())

    def ids(self):
        """The load ids of all messages taken so far."""
        self.stats()
        return {int(line) for line in self.ids_path.read_text().split()}

    def messages(self):
        """Contents of all messages taken so far, as they came."""
        return [path.with_suffix(".eml").read_bytes() for path in sorted(self.taken.glob("*.env"))]


class Load(Process):
    """One run of smtp_load. Its ids begin behind `first_id`; the accepted ones are in acked()."""

    def __init__(self, folder, port, *options, first_id=1):
        super().__init__(folder, f"load-{first_id}")
        self.acked_path = self.folder / f"acked-{first_id}"
        self.launch([program("smtp_load"), "--to", f"127.0.0.1:{port}", "--json",
                     "--first-id", first_id, "--acked-file", self.acked_path, *options])

    def acked(self):
        text = self.acked_path.read_text() if self.acked_path.exists() else ""
        whole = text[:text.rfind("\n") + 1]
        return {int(line) for line in whole.split()}

    def finish(self, seconds):
        """Waits for its end; returns its report."""
        self.child.wait(seconds)
        return json.loads(self.log().splitlines()[-1])

    def cut(self):
        """Ends it now; returns its report."""
        if self.is_alive():
            self.child.terminate()
        return self.finish(10)


@functools.lru_cache(maxsize=4)
def load_body(size, header_len):
    """What smtp_load sends behind the header, for a message of `size` bytes; see load_body_build
    in load_session.c."""
    text = max(size - header_len, 2)
    body = bytearray(ord("a") + (at * 7 + at // LOAD_LINE) % 26 for at in range(text))
    behind = text
    while behind >= 2:
        body[behind - 2:behind] = b"\r\n"
        behind = behind - (LOAD_LINE + 2) if behind > LOAD_LINE + 2 else 0
    return bytes(body)


def split_message(message):
    """(header, body) of a message as it came; the header with its empty line."""
    header, _, body = message.partition(b"\r\n\r\n")
    return header + b"\r\n\r\n", body


class Client:
    """A plain SMTP client that says exactly what it is told to and reads whole replies."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """(code, text) of the next reply; (0, "") where the server has closed."""
        lines = []
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                return 0, ""
            lines.append(line[4:].decode(errors="replace").rstrip())
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(lines)

    def command(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def hello(self):
        return self.command("EHLO client.test")

    def transact(self, message, sender="sender@client.test", recipient="to@example.test"):
        """(code, text) of the reply that decided: to the end of data, or the first refusal."""
        for line, wanted in ((f"MAIL FROM:<{sender}>", 250), (f"RCPT TO:<{recipient}>", 250),
                             ("DATA", 354)):
            code, text = self.command(line)
            if code != wanted:
                return code, text
        self.send(message + b".\r\n")
        return self.reply()


def send_message(port, message, timeout=30, **envelope):
    """One connection, one message; (code, text) of the reply that decided."""
    with Client(port, timeout) as client:
        client.hello()
        return client.transact(message, **envelope)


def simple_message(subject, lines=1):
    """A message whose body names its subject, so that an altered one can be told."""
    body = "".join(f"{subject} line {i:06d}\r\n" for i in range(lines))
    return (f"From: <sender@client.test>\r\nTo: <to@example.test>\r\nSubject: {subject}\r\n\r\n"
            f"{body}").encode()


class Sampler:
    """Keeps the highest value of a reading while the block runs."""

    def __init__(self, read):
        self.read = read
        self.peak = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while True:
            self.peak = max(self.peak, self.read())
            if self.ended.wait(0.02):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
