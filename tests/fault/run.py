"""Runs test files with pytest, as root of the machine or of a user namespace of their own: the
tests of full disks mount small ones."""

import os
import sys


def main():
    command = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rP",
               *sys.argv[1:]]
    if os.geteuid() != 0:
        command = ["unshare", "-Urm", *command]
    os.execvp(command[0], command)


main()
