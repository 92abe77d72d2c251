"""The two ends of a run: the generator and the sink."""

import json
import os
import signal
import subprocess
import time

SINK_PATIENCE_S = 5
POLL_S = 0.05


class Sink:
    """smtp_sink as a child process."""

    def __init__(self, program, directory, port=0, certificate=None, arguments=()):
        self.stats_file = directory / f"sink-{port}.json"
        argv = [program, "--listen", f"127.0.0.1:{port}", "--stats-file", self.stats_file]
        argv += arguments
        if certificate:
            argv += ["--starttls", "--cert", certificate.chain, "--key", certificate.key]
        self._child = subprocess.Popen(list(map(str, argv)), stdout=subprocess.PIPE, text=True)
        self.port = int(self._child.stdout.readline().rsplit(":", 1)[1])

    def _ask(self, number):
        asked_ns = time.monotonic_ns()
        self._child.send_signal(number)
        deadline = time.monotonic() + SINK_PATIENCE_S
        while time.monotonic() < deadline:
            if self.stats_file.exists():
                stats = json.loads(self.stats_file.read_text())
                if stats["now_ns"] >= asked_ns:
                    return stats
            time.sleep(0.002)
        raise RuntimeError("the sink does not answer")

    def stats(self):
        return self._ask(signal.SIGUSR1)

    def forget(self):
        self._ask(signal.SIGUSR2)

    def wait_for(self, recipients, patience_s):
        """The statistics when so many recipients have arrived, or none for so long."""
        arrived = -1
        while True:
            stats = self.stats()
            if stats["recipients"] > arrived:
                arrived = stats["recipients"]
                deadline = time.monotonic() + patience_s
            if arrived >= recipients or time.monotonic() > deadline:
                return stats
            time.sleep(POLL_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._child.send_signal(signal.SIGTERM)
        self._child.wait()
        self._child.stdout.close()


class Generator:
    """smtp_load with a fixed target."""

    def __init__(self, program, port, deadline_s):
        self.base = [str(program), "--to", f"127.0.0.1:{port}", "--json", "--deadline", str(deadline_s)]

    def run(self, *arguments):
        argv = self.base + list(map(str, arguments))
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
        if done.returncode == 64:
            raise RuntimeError("the generator refused: " + " ".join(argv))
        return json.loads(done.stdout)

    def hold_idle(self, sessions, tls=None):
        return IdleSessions(self.base, sessions, tls)


class IdleSessions:
    """Sessions that have said EHLO and then say nothing, until the end of the block."""

    def __init__(self, base, sessions, tls):
        self.argv = base + ["--idle", "--sessions", str(sessions)]
        if tls:
            self.argv += ["--tls", tls]

    def __enter__(self):
        self._child = subprocess.Popen(self.argv, stdout=subprocess.PIPE, text=True)
        opened = json.loads(self._child.stdout.readline())
        self.count = opened.get("idle", 0)
        self.opened_s = opened.get("opened_s")
        return self

    def __exit__(self, *_):
        self._child.send_signal(signal.SIGTERM)
        self._child.communicate()


class Certificate:
    """A self-signed RSA-2048 certificate for the servers and the sink."""

    def __init__(self, directory):
        self.chain = directory / "cert.pem"
        self.key = directory / "key.pem"
        argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
        argv += ["-subj", "/CN=bench.test", "-keyout", str(self.key), "-out", str(self.chain)]
        subprocess.run(argv, check=True, stderr=subprocess.DEVNULL)
        os.chmod(self.key, 0o600)
