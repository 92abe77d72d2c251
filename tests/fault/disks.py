"""Small disks, and filling them up."""

import contextlib
import errno
import os
import subprocess

DISK = 48 << 20
INODES = 64


@contextlib.contextmanager
def mounted(folder):
    """A tmpfs with few blocks and inodes; takes root or a user namespace: see run.py."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},nr_inodes={INODES}", "tmpfs",
                    folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill_blocks(folder):
    """Takes every free block; returns the ballast."""
    ballast = folder / "ballast"
    with open(ballast, "wb") as file:
        for size in (1 << 20, 4096):
            while write_some(file.fileno(), size):
                pass
    return [ballast]


def write_some(descriptor, size):
    try:
        return os.write(descriptor, bytes(size)) == size
    except OSError as problem:
        assert problem.errno == errno.ENOSPC
        return False


def fill_inodes(folder):
    ballast = []
    while os.statvfs(folder).f_favail > 0:
        ballast.append(folder / f"ballast-{len(ballast)}")
        ballast[-1].touch()
    return ballast
