"""The daemon: its configuration, its life, its log and its queue."""
import json
import shutil
import signal
import tempfile
from pathlib import Path

from . import logfile
from .port import own_port
from .process import BIN, PATIENCE_S, Process, run
from .wait import wait_until

HOSTNAME = "relay.test"

DEFAULTS = {
    "hostname": HOSTNAME,
    "workers": 2,
    "store_path": "queue",
    "store_map_size": "1GiB",
    "store_reserve": "64KiB",
    "control_socket": "control.sock",
    "log_target": "relay.log",
    "retry_first": "200ms",
    "retry_max": "1s",
    "connection_idle_timeout": "200ms",
}

ANY_PORT = "127.0.0.1:0"


def format_value(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(format_value(item) for item in value) + "}"
    return str(value) if isinstance(value, int) else f'"{value}"'


def format_section(kind, name, keys):
    lines = [f"    {key} = {format_value(value)}" for key, value in keys.items()]
    return "\n".join([f'{kind} "{name}" {{', *lines, "}"])


def format_conf(keys, sections):
    """sections: kind -> name -> keys"""
    lines = [f"{key} = {format_value(value)}" for key, value in keys.items()]
    lines += [format_section(kind, name, inner) for kind, named in sections.items()
              for name, inner in named.items()]
    return "\n".join(lines) + "\n"


def to(*sinks, **keys):
    """A route's keys: to these sinks."""
    return {"hosts": [f"[{sink.host}]:{sink.port}" for sink in sinks], "tls": "none", **keys}


class Relay:
    """
    One smarthopd in a folder of its own. It keeps the ports of its first start.

        relay = Relay(routes={"*": to(sink)}, retry_first="100ms")
        relay.start()
        ... relay.port, relay.ports["smtps"], relay.log("deferred"), relay.queue() ...
        relay.stop()
    """

    def __init__(self, routes=None, listeners=None, certificate=None, certificates=None,
                 credentials=None, sources=None, destinations=None, plugins=None,
                 environment=None, **keys):
        # Not pytest's folder: the path of a socket may have 107 bytes only.
        self.folder = Path(tempfile.mkdtemp(prefix="smarthop-"))
        self.keys = {**DEFAULTS, **keys}
        listener = {"address": ANY_PORT, "tls": "starttls" if certificate else "none"}
        self.sections = {"listener": listeners or {"smtp": listener}, "route": routes or {},
                         "certificate": {name: {"certificate": pair.certificate, "key": pair.key}
                                         for name, pair in (certificates or {}).items()},
                         "credentials": credentials or {}, "source": sources or {},
                         "destination": destinations or {}, "plugin": plugins or {}}
        if certificate is not None:
            self.keys |= {"tls_certificate": certificate.certificate, "tls_key": certificate.key}
        self.environment = environment or {}
        self.process = None
        self.ports = {}
        self._log_seen = 0  # bytes of earlier runs

    # ---- configuration ----

    @property
    def conf_path(self):
        return self.folder / "relay.conf"

    @property
    def log_path(self):
        return self.folder / "relay.log"

    @property
    def port(self):
        return self.ports["smtp"]

    def write_conf(self, extra=""):
        """A listener at any port keeps the one that it gets first."""
        listeners = {name: {**keys, **self._address(name, keys)}
                     for name, keys in self.sections["listener"].items()}
        sections = {**self.sections, "listener": listeners}
        self.conf_path.write_text(format_conf(self.keys, sections) + extra)

    def _address(self, name, keys):
        if keys.get("address") != ANY_PORT:
            return {}
        if name not in self.ports:
            self.ports[name] = own_port()
        return {"address": f"127.0.0.1:{self.ports[name]}"}

    # ---- life ----

    def start(self):
        self.write_conf()
        self._log_seen = len(self.log_text())
        self.process = Process([BIN / "smarthopd", "-c", self.conf_path], self.folder, "smarthopd",
                               self.environment)
        wait_until(self._has_started, "smarthopd to start")
        self.ports = {record["listener"]: int(record["address"].rsplit(":", 1)[1])
                      for record in self.log("listening")}
        return self

    def _has_started(self):
        code = self.process.exit_code
        assert code is None, f"smarthopd ended with {code}: {self.process.err()}{self.log_text()}"
        return self.log("started")

    def stop(self):
        """The orderly end, which must succeed."""
        code = self.process.stop()
        assert self.process.sanitizer_report() is None, self.process.err()
        assert code == 0, f"exit code {code}: {self.process.err()}"

    def kill(self):
        self.process.kill()

    def is_running(self):
        return self.process is not None and self.process.exit_code is None

    def restart(self):
        if self.is_running():
            self.stop()
        return self.start()

    def reload(self):
        """SIGHUP; returns the log's record of what came of it."""
        before = len(self._reloads())
        self.process.signal(signal.SIGHUP)
        return wait_until(lambda: self._reloads()[before:], "the reload")[0]

    def _reloads(self):
        records = logfile.parse(self.log_text()[self._log_seen:])
        return [record for record in records if record["event"] in ("reloaded", "reload-refused")]

    def dispose(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- log ----

    def log_text(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def log(self, event, **fields):
        """The records of this event, with these fields, since the last start."""
        return logfile.select(logfile.parse(self.log_text()[self._log_seen:]), event, **fields)

    def wait_log(self, event, count=1, timeout=PATIENCE_S, **fields):
        """All its records, once there are `count`."""
        def enough():
            found = self.log(event, **fields)
            return found if len(found) >= count else None
        return wait_until(enough, f"{count} x {event} {fields}", timeout)

    # ---- queue ----

    def ctl(self, *arguments, check=True):
        return run(BIN / "smarthopctl", "-c", self.conf_path, *arguments, check=check)

    def queue(self):
        """`smarthopctl queue list`: one dict a message."""
        return json.loads(self.ctl("queue", "list", "--json").stdout)

    def wait_queued(self, state):
        """The queue, once all that is in it is in this state: what the log tells of may not be
        recorded yet."""
        def settled():
            listed = self.queue()
            states = {recipient["state"] for message in listed
                      for recipient in message["recipients"]}
            return listed if states == {state} else None
        return wait_until(settled, f"a queue in which all is {state}")

    def wait_empty(self):
        wait_until(lambda: not self.queue(), "the queue to be empty")
