"""The preloaded library of fail_io.c, as the tests steer it."""

import errno
import struct
from pathlib import Path
from typing import NamedTuple

from support.process import SUPPORT

HEAD = struct.Struct("=QQQQ")
WRITE, SYNC, SYNC_WRITE = 1, 2, 3
NEVER = 1 << 30  # calls


class Faults:
    """Faults, recording and clock of the daemons that get `environment`. One folder, one daemon.
    `store`: the name of its folder, where only one of the daemon's stores is meant."""

    def __init__(self, folder, *, record=False, store=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.spec_path = self.folder / "spec"
        self.record_path = self.folder / "record"
        self.clock_path = self.folder / "clock"
        self.hits_path = self.folder / "hits"
        self.environment = {"LD_PRELOAD": str(SUPPORT / "fail_io.so"),
                            "FAIL_IO_SPEC": str(self.spec_path),
                            "FAIL_IO_HITS": str(self.hits_path),
                            "FAIL_IO_CLOCK": str(self.clock_path)}
        if record:
            self.environment["FAIL_IO_RECORD"] = str(self.record_path)
        if store is not None:
            self.environment["FAIL_IO_STORE"] = store

    def fail(self, call, error, *, first=1, every=1):
        """From now on, the `first`th "write", "sync", "meta", "any" of them, or "fill" (the file's
        room ahead of its need), and each `every`th behind it."""
        self._put(self.spec_path, f"{call} {getattr(errno, error)} {first} {every}")

    def fail_once(self, call, error, at):
        self.fail(call, error, first=at, every=NEVER)

    def kill_at(self, call, at, *, behind=False):
        """At the `at`th such call from now on, before it or behind it."""
        self._put(self.spec_path, f"{call} {'kill-after' if behind else 'kill'} {at} {NEVER}")

    def hits(self):
        """How many calls have failed so far."""
        return self.hits_path.stat().st_size if self.hits_path.exists() else 0

    def heal(self):
        self.spec_path.unlink(missing_ok=True)

    def shift_clock(self, seconds):
        self._put(self.clock_path, f"{seconds:+d}")

    @staticmethod
    def _put(path, text):
        """Whole or not at all: the daemon reads while we write."""
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(path)


class Step(NamedTuple):
    """A write or sync of the data file."""

    kind: int
    began_ns: int
    offset: int
    data: bytes


def read_record(path):
    steps, at, raw = [], 0, Path(path).read_bytes()
    while at < len(raw):
        kind, began_ns, offset, length = HEAD.unpack_from(raw, at)
        at += HEAD.size
        steps.append(Step(kind, began_ns, offset, raw[at:at + length]))
        at += length
    return steps
