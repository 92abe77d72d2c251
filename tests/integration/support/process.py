"""A program under a test's control. It is ended by its own id, never by its name."""
import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

from .wait import PATIENCE_S

BUILD = Path(__file__).resolve().parents[3] / "build" / "release"
BIN = Path(os.environ.get("SMARTHOP_BIN", BUILD / "bin"))
SUPPORT = Path(os.environ.get("SMARTHOP_SUPPORT", BUILD / "tests" / "support"))

SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:")


class Process:
    """Starts at once; what it prints goes to NAME.out and NAME.err of the folder."""

    def __init__(self, arguments, folder, name, environment=None):
        self.out_path = Path(folder) / f"{name}.out"
        self.err_path = Path(folder) / f"{name}.err"
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self._popen = subprocess.Popen([str(argument) for argument in arguments],
                                           stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                           env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self._popen.pid

    @property
    def exit_code(self):
        """None while it runs."""
        return self._popen.poll()

    def signal(self, number):
        self._popen.send_signal(number)

    def open_files(self):
        """What its descriptors point to, under the names of now."""
        found = set()
        for entry in os.scandir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.add(os.readlink(entry.path))
        return found

    def out(self):
        return self.out_path.read_text()

    def err(self):
        return self.err_path.read_text(errors="replace")

    def wait(self, timeout=PATIENCE_S):
        return self._popen.wait(timeout)

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.exit_code is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        self._popen.kill()
        self.wait()

    def sanitizer_report(self):
        return self.err() if SANITIZER_REPORT.search(self.err()) else None


def run(*arguments, stdin=b"", check=True, timeout=PATIENCE_S):
    """Runs a program to its end. Its output is shown where it fails and was not to."""
    done = subprocess.run([str(argument) for argument in arguments], input=stdin, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if check:
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done
