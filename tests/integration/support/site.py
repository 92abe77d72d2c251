"""A store that queue_fill makes, smarthopctl beside it, and a stand-in for the daemon."""

import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

BIN = Path(os.environ.get("SMARTHOP_BIN", "build/release/bin")).resolve()
DEADLINE = 60


class Site:
    """A folder with a configuration, a store and maybe somebody on the control socket."""

    def __init__(self, folder):
        self.config = folder / "relay.conf"
        self.store = folder / "store"
        self.control = folder / "control"
        self.config.write_text(
            'hostname = "mx.example.com"\n'
            f'store_path = "{self.store}"\n'
            f'control_socket = "{self.control}"\n'
            'listener main {\n    address = "127.0.0.1:0"\n}\n'
        )

    def fill(self, count, destinations, *words):
        command = [BIN / "queue_fill", self.store, str(count), str(destinations), *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE)
        return done.stdout.split()

    def run(self, *arguments, env=None, text=True):
        command = [BIN / "smarthopctl", "-c", self.config, *arguments]
        return subprocess.run(command, capture_output=True, text=text, timeout=DEADLINE, env=env)

    def good(self, *arguments):
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.good("--json", *arguments))

    def listed(self, *filters):
        return [message["id"] for message in self.json("queue", "list", *filters)]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


class Daemon:
    """Answers on the control socket with what the test gave it, and remembers what was asked."""

    def __init__(self, path, answer):
        self.asked = []
        self.answer = answer
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(str(path))
        self.server.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            client, _ = self.server.accept()
            with client, client.makefile("rwb") as stream:
                line = stream.readline()
                if not line:
                    return
                self.asked.append(json.loads(line))
                if self.answer is not None:
                    stream.write(self.answer)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            last.connect(self.server.getsockname())
        self.thread.join()
        self.server.close()


@pytest.fixture
def daemon(site):
    started = []

    def start(answer):
        raw = answer if answer is None or isinstance(answer, bytes) else json.dumps(answer).encode()
        started.append(Daemon(site.control, raw and raw + b"\n"))
        return started[-1]

    yield start
    for one in started:
        one.close()
