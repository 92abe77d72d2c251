"""Facts about the machine that figures depend on."""

import os
import platform
import subprocess
import time
from pathlib import Path

SYNC_PROBE_S = 1.0
PAGE = 4096


def file_system_of(path):
    """(type, device) of the mount that holds this path."""
    best = ("", "unknown", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        device, where, kind, *_ = line.split()
        inside = where == "/" or path == where or str(path).startswith(where + "/")
        if inside and len(where) >= len(best[0]):
            best = (where, kind, device)
    return best[1], best[2]


def syncs_per_s(directory):
    """Overwrites of one page, each with its fdatasync."""
    path = Path(directory) / "sync-probe"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    page = bytes(PAGE)
    os.pwrite(file, page, 0)
    os.fsync(file)
    count = 0
    started = time.monotonic()
    while time.monotonic() - started < SYNC_PROBE_S:
        os.pwrite(file, page, 0)
        os.fdatasync(file)
        count += 1
    os.close(file)
    path.unlink()
    return round(count / (time.monotonic() - started))


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def first_line(argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True).stdout.split("\n")[0]
    except FileNotFoundError:
        return "not there"


def facts(directory):
    kind, device = file_system_of(Path(directory).resolve())
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kib / 2**20, 1),
        "kernel": platform.release(),
        "file_system": kind,
        "device": device,
        "congestion_control": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "fdatasync_per_s": syncs_per_s(directory),
        "load_before": os.getloadavg()[0],
        "postfix": first_line(["postconf", "-d", "-h", "mail_version"]),
    }
