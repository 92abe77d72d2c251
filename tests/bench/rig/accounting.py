"""What a server costs: CPU, bytes written, memory, system calls and syncs.

Each server runs in a control group of its own, so that processes which come and go between two
looks are counted too. Bytes come from /proc/PID/io, whose figures for exited children the kernel
adds to the parent that reaped them.
"""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

TRACING_EVENTS = Path("/sys/kernel/tracing/events")
SYSTEM_CALLS = "raw_syscalls:sys_enter"
# One event for every way to sync a file, writes through O_DSYNC among them.
FILE_SYNCS = {"ext4": "ext4:ext4_sync_file_enter"}
SYNC_CALLS = ("syscalls:sys_enter_fsync", "syscalls:sys_enter_fdatasync", "syscalls:sys_enter_msync")


def unified_hierarchy():
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise RuntimeError("no cgroup2 file system is mounted")


class Group:
    """A control group: a server, its children, and nothing else."""

    def __init__(self, name):
        self.path = unified_hierarchy() / f"relay-bench-{os.getpid()}-{name}"
        self.path.mkdir()

    def command(self, argv):
        """The same command, started inside the group."""
        join = f'echo $$ > {self.path}/cgroup.procs && exec "$@"'
        return ["sh", "-c", join, "sh", *map(str, argv)]

    def pids(self):
        return [int(line) for line in (self.path / "cgroup.procs").read_text().split()]

    def cpu_ms(self):
        for line in (self.path / "cpu.stat").read_text().splitlines():
            key, value = line.split()
            if key == "usage_usec":
                return int(value) / 1000
        raise RuntimeError("the control group does not tell its CPU time")

    def bytes_written(self):
        return sum(proc_value(pid, "io", "write_bytes:") for pid in self.pids())

    def memory_kib(self):
        """(all, anonymous): shared pages are divided among those who share them."""
        pids = self.pids()
        every = sum(proc_value(pid, "smaps_rollup", "Pss:") for pid in pids)
        anonymous = sum(proc_value(pid, "smaps_rollup", "Pss_Anon:") for pid in pids)
        return every, anonymous

    def end(self, patience_s=20):
        """Ends what is left in the group, by process id."""
        deadline = time.monotonic() + patience_s
        sent = signal.SIGTERM
        while self.pids():
            for pid in self.pids():
                try:
                    os.kill(pid, sent)
                except ProcessLookupError:
                    pass
            if time.monotonic() > deadline:
                sent = signal.SIGKILL
            time.sleep(0.1)

    def remove(self):
        self.end()
        for _ in range(50):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.1)


def proc_value(pid, file, key):
    """One figure of a process; zero where it has gone, its parent has it then."""
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


class PeakMemory:
    """Looks at the memory of a group again and again; for runs whose time does not count."""

    def __init__(self, group, every_s=0.2):
        self.group = group
        self.every_s = every_s
        self.peak_kib = 0
        self.peak_anonymous_kib = 0

    def look(self):
        every, anonymous = self.group.memory_kib()
        self.peak_kib = max(self.peak_kib, every)
        self.peak_anonymous_kib = max(self.peak_anonymous_kib, anonymous)

    def _watch(self):
        while not self._done.wait(self.every_s):
            self.look()

    def __enter__(self):
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
        self.look()


def event_exists(name):
    return (TRACING_EVENTS / name.replace(":", "/")).exists()


class CallCount:
    """System calls and file syncs of a group, counted by perf, new children included."""

    def __init__(self, group, file_system):
        whole = FILE_SYNCS.get(file_system)
        self.sync_events = (whole,) if whole and event_exists(whole) else SYNC_CALLS
        self.group = group
        self.system_calls = None
        self.syncs = None

    def __enter__(self):
        events = ",".join((SYSTEM_CALLS, *self.sync_events))
        pids = ",".join(map(str, self.group.pids()))
        argv = ["perf", "stat", "-x", ";", "-e", events, "-p", pids]
        self._perf = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self._perf.send_signal(signal.SIGINT)
        _, text = self._perf.communicate()
        counts = {}
        for line in text.splitlines():
            fields = line.split(";")
            if len(fields) > 2 and fields[0].isdigit():
                counts[fields[2]] = int(fields[0])
        self.system_calls = counts.get(SYSTEM_CALLS)
        if counts:
            self.syncs = sum(counts.get(event, 0) for event in self.sync_events)
