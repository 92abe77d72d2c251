#!/usr/bin/env python3
"""Plugins export their descriptor and nothing else.

    plugin_symbols.py PLUGIN.so...
"""

import subprocess
import sys


def exported(file: str) -> set[str]:
    command = ["nm", "--dynamic", "--defined-only", "--format=posix", file]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[0] for line in lines}


def main() -> int:
    files = sys.argv[1:]
    wrong = {file: names for file in files if (names := exported(file)) != {"smarthop_plugin"}}
    for file, names in wrong.items():
        print(f"{file} exports {', '.join(sorted(names)) or 'nothing'}")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
